"""Correcting many parked records at once: one field gets one value."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import sqlalchemy as sa

from rules.text import msg
from webapp.audit.services import Event, Subject, record
from webapp.audit.tags import Tag
from webapp.extensions import Actor, House
from webapp.runs import quarantine as parked
from webapp.runs.models import quarantine
from webapp.runs.quarantine import Entry, EntryRefused

MOST = 10_000
"""So many records are corrected at once at the most."""


@dataclass(frozen=True)
class Remap:
    """What is set: `field` becomes `to` (empty: no value), where it holds `only` (None: whatever it holds)."""

    rule: str
    field: str
    to: str
    only: str | None = None
    entries: tuple[int, ...] | None = None

    @property
    def value(self) -> str | None:
        """Return the new value."""
        return self.to or None


def shown(value: Any) -> str:
    """Return a value as a person types it."""
    if value is None:
        return ""
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)


def affected(tx: sa.Connection, change: Remap) -> list[Entry]:
    """Return the parked records that a change would alter, the latest first."""
    found = parked.listing(tx, rule=change.rule, limit=MOST)
    chosen = None if change.entries is None else set(change.entries)
    return [e for e in found if (chosen is None or e.id in chosen) and _alters(e, change)]


def _alters(entry: Entry, change: Remap) -> bool:
    if change.field not in entry.values:
        return False
    held = shown(entry.values[change.field])
    return held != change.to and change.only in (None, held)


def fields(tx: sa.Connection, rule: str) -> list[str]:
    """Return the fields of what is parked of a rule."""
    return list(dict.fromkeys(name for entry in parked.listing(tx, rule=rule, limit=200) for name in entry.values))


def remap(house: House, change: Remap, actor: Actor) -> tuple[int, ...]:
    """Carry out a change, audited record by record, and return the entries that it altered."""
    now = house.clock()
    with house.db.begin() as tx:
        entries = affected(tx, change)
        if not entries:
            raise EntryRefused(msg("No parked record of '{rule}' is altered by this.", rule=change.rule))
        for entry in entries:
            text = json.dumps({**entry.values, change.field: change.value}, ensure_ascii=False)
            values = {"edited": text, "version": quarantine.c.version + 1}
            tx.execute(sa.update(quarantine).where(quarantine.c.id == entry.id).values(values))
        record(tx, actor, now, *_events(entries, change))
    return tuple(entry.id for entry in entries)


def _events(entries: Sequence[Entry], change: Remap) -> list[Event]:
    return [
        Event(
            Tag.QUARANTINE_EDITED,
            Subject("rule", entry.rule_name, entry.left_key),
            {change.field: entry.values[change.field]},
            {change.field: change.value},
            run_id=entry.run_id,
        )
        for entry in entries
    ]
