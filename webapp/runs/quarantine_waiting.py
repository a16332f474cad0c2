"""Parked records that wait for other records: what one waits for, and what waits for it."""

from __future__ import annotations

from dataclasses import dataclass

import sqlalchemy as sa

from webapp.runs.models import quarantine
from webapp.runs.quarantine import Entry, shown, stored
from webapp.runs.sight import Sights


@dataclass(frozen=True)
class Waits:
    """The record that a parked one waits for: its rule, side and key, and its own entry where it is parked itself."""

    rule: str
    side: str
    key: str
    entry: int | None


def waits_for(tx: sa.Connection, entry: Entry) -> Waits | None:
    """Return what a parked record waits for, None where it waits for no record or not any more."""
    if entry.state != "open" or entry.waits_rule is None or entry.waits_side is None or entry.waits_key is None:
        return None
    q = quarantine.c
    mine = (q.rule_name == entry.waits_rule, q.side == entry.waits_side, q.left_key == entry.waits_key)
    found = tx.scalar(sa.select(q.id).where(*mine, q.state == "open"))
    return Waits(entry.waits_rule, entry.waits_side, entry.waits_key, found)


def dependants(tx: sa.Connection, entry: Entry, limit: int = 20) -> tuple[list[Entry], int]:
    """Return the first parked records that wait for a parked one and may be seen, and how many of all there are."""
    q = quarantine.c
    key = stored(tx, entry.id).left_key
    mine = (q.waits_rule == entry.rule_name, q.waits_side == entry.side, q.waits_key == key)
    query = sa.select(q.id).where(*mine, q.state == "open").order_by(q.id)
    ids, sights = list(tx.scalars(query)), Sights(tx)
    seen = (shown(sights, stored(tx, number)) for number in ids[:limit])
    return [one for one in seen if one is not None], len(ids)
