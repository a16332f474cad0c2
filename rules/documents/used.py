"""Which fields of each side a sync rule uses: as keys, in field pairs, conditions, expressions and validations."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from rules.documents.flows import flows
from rules.documents.sync import SideName, SyncRule
from rules.language.checked import field_of
from rules.language.nodes import Has, Ident, Node, children
from rules.language.parse import parse
from rules.language.problems import ExpressionError
from rules.language.qualified import qualified
from rules.schema import Schema


def used_fields(
    rule: SyncRule, schemas: Mapping[SideName, Schema], asked: frozenset[str] = frozenset()
) -> dict[SideName, frozenset[str]]:
    """Return the fields of each known side that the rule uses; an expression that cannot be read uses nothing.

    `asked` are the fields of the side read first that the rule's decision tables read by themselves.
    """
    found = {}
    for side, schema in schemas.items():
        texts = [text for text in _expressions(rule, side) if text is not None]
        named = {name for name in _named(rule, side) if name is not None}
        named |= asked if side is flows(rule)[0].source else set()
        named = named.union(*(_read(text, schema) for text in texts))
        found[side] = frozenset(named) & frozenset(schema.names)
    return found


def _named(rule: SyncRule, side: SideName) -> Iterator[str | None]:
    """Yield the fields that the rule names as such."""
    detect = getattr(rule.detect, side.value)
    yield from (getattr(rule.key, side.value), detect.field, detect.tie)
    yield from (getattr(match, side.value) for tier in rule.correlate for match in tier.match)
    for flow in flows(rule):
        for entry in flow.entries:
            yield entry.target if flow.target is side else entry.source if entry.expression is None else None
    if side is flows(rule)[0].source:
        for validation in rule.validations:
            yield from validation.unique
            yield validation.reference.field if validation.reference else None


def _expressions(rule: SyncRule, side: SideName) -> Iterator[str | None]:
    """Yield the expressions that are asked of the records of a side."""
    yield (rule.left if side is SideName.LEFT else rule.right).where
    for flow in flows(rule):
        if flow.source is side:
            for entry in flow.entries:
                yield from (entry.expression, entry.when)
    if side is flows(rule)[0].source:
        for validation in rule.validations:
            yield from (validation.check, validation.when)
        for decision in rule.decisions:
            yield from (decision.inputs or {}).values()


def _read(text: str, schema: Schema) -> frozenset[str]:
    try:
        tree = qualified(parse(text), schema)
    except ExpressionError:
        return frozenset()
    return frozenset(_names(tree))


def _names(node: Node) -> Iterator[str]:
    match node:
        case Ident(name=name) | Has(operand=Ident(name="record"), field=name):
            yield name
        case _:
            yield from filter(None, (field_of(node),))
    for child in children(node):
        yield from _names(child)
