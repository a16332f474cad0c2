"""Asking for a re-baseline of a two-way rule: both sides count as they are now, whatever was agreed on before."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from rules.documents import parse_sync
from rules.documents.sync import Direction
from rules.text import N_, msg
from webapp.extensions import Actor, House
from webapp.runs import parts
from webapp.runs.parts import Wanted
from webapp.runs.requests import RunRefused, insert

DIFFERING = ("left", "right", "cases")
"""Who is right where both sides differ; `cases`: decided as at their first meeting, what is open waits for a person."""


def request(
    house: House, name: str, differing: str, actor: Actor, wanted: Wanted | Sequence[Mapping[str, str]] | None = None
) -> int:
    """Request the simulation of a re-baseline and return its number; its plan is what is then approved.

    Args:
        house: the open house.
        name: of a published two-way rule.
        differing: one of `DIFFERING`.
        actor: who asks.
        wanted: a part of a side, or single records; all linked pairs if left out.

    Raises `RunRefused`.
    """
    if differing not in DIFFERING:
        text = N_("'{choice}' does not say who is right where both sides differ; use left, right or cases.")
        raise RunRefused(msg(text, choice=differing))
    with house.db.read() as tx:
        row = parts.published(tx, name)
    rule = parse_sync(row.published or {})
    if rule.direction is not Direction.TWO_WAY:
        raise RunRefused(msg("'{name}' flows one way, so there is nothing that both sides agree on.", name=name))
    parameters: dict[str, Any] = {"differing": differing}
    if isinstance(wanted, Wanted):
        parameters |= {**wanted.parameters, "side": wanted.side or "left"}
        parts.check(house, rule, parameters)
    elif wanted is not None:
        parameters["records"] = _named(wanted)
    with house.db.begin() as tx:
        row = parts.published(tx, name)
        head = {"rule_id": row.id, "rule_name": row.name, "rule_version": row.published_version}
        about = {"mode": "simulate", "kind": "rebaseline", "parameters": parameters}
        return insert(house, tx, {**head, "document": row.published, **about}, actor)


def _named(records: Sequence[Mapping[str, str]]) -> list[dict[str, str]]:
    if not records:
        raise RunRefused(msg("Name at least one key."))
    return [{"side": one["side"], "key": one["key"]} for one in records]
