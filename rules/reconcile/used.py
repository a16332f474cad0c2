"""Which fields of each side a sync rule uses: as keys and cursors, in field pairs, conditions and validations."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace

from rules.documents.flows import Flow, flows
from rules.documents.sync import Direction, SideName, SyncRule
from rules.reconcile.tombstones import tombstones
from rules.schema import Schema
from rules.trace import named_fields, read_fields


def used_fields(
    rule: SyncRule, schemas: Mapping[SideName, Schema], asked: frozenset[str] = frozenset()
) -> dict[SideName, frozenset[str]]:
    """Return the fields of each known side that the rule uses; an expression that cannot be read uses nothing.

    `asked` are the fields of the side read first that the rule's decision tables read by themselves.
    """
    found = {side: {name for _, name in placed_fields(rule, side) if name is not None} for side in schemas}
    for flow in flows(rule):
        if flow.source in schemas:
            first = flow.source is flows(rule)[0].source
            found[flow.source] |= set(read_fields(_alone(rule, flow), schemas[flow.source], asked if first else ()))
        found.get(flow.target, set()).update(entry.target for entry in flow.entries)
    for side, mark in tombstones(rule).items():
        if side in schemas:
            found[side] |= named_fields(mark.text, schemas[side])
    return {side: frozenset(names) & frozenset(schemas[side].names) for side, names in found.items()}


def _alone(rule: SyncRule, flow: Flow) -> SyncRule:
    """Return the rule as if it only flowed this way; decisions and validations are about the side read first."""
    if flow.source is SideName.LEFT:
        return replace(rule, direction=Direction.LEFT_TO_RIGHT)
    if rule.direction is Direction.RIGHT_TO_LEFT:
        return rule
    return replace(rule, direction=Direction.RIGHT_TO_LEFT, decisions=(), validations=())


def placed_fields(rule: SyncRule, side: SideName) -> Iterator[tuple[str, str | None]]:
    """Yield the fields of a side that a rule names outside its field pairs and expressions, with their places."""
    at = side.value
    detect, deactivate = getattr(rule.detect, at), getattr(rule.deletes.deactivate, at)
    yield f"key/{at}", getattr(rule.key, at)
    yield from ((f"detect/{at}/{name}", getattr(detect, name)) for name in ("field", "tie"))
    for number, tier in enumerate(rule.correlate):
        yield from ((f"correlate/{number}/match/{n}/{at}", getattr(m, at)) for n, m in enumerate(tier.match))
    yield f"deletes/deactivate/{at}/field", None if deactivate is None else deactivate.field
