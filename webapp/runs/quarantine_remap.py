"""Correcting many parked records at once: one field gets one value."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any

import sqlalchemy as sa

from rules.text import msg
from webapp.audit.services import Event, Subject, record
from webapp.audit.tags import Tag
from webapp.extensions import Actor, House
from webapp.policies.errors import NotPermitted
from webapp.runs import quarantine as parked
from webapp.runs.models import quarantine
from webapp.runs.quarantine import Entry, EntryRefused
from webapp.runs.sight import Sights

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
    """Return the parked records that a change would alter, the latest first.

    Raises `NotPermitted` where who asks does not see the values of the field: what they hold decides which are altered.
    """
    found = parked.listing(tx, rule=change.rule, limit=MOST)
    chosen = None if change.entries is None else set(change.entries)
    if any(change.field in entry.withheld for entry in found):
        raise NotPermitted(msg("You may not see '{field}', so you cannot change it.", field=change.field))
    return [e for e in found if (chosen is None or e.id in chosen) and _alters(e, change)]


def _alters(entry: Entry, change: Remap) -> bool:
    if change.field not in entry.values:
        return False
    held = shown(entry.values[change.field])
    return held != change.to and change.only in (None, held)


def fields(tx: sa.Connection, rule: str) -> list[str]:
    """Return the fields of what is parked of a rule, of those whose values who asks may see."""
    found = parked.listing(tx, rule=rule, limit=200)
    return list(dict.fromkeys(name for entry in found for name in entry.values if name not in entry.withheld))


def remap(house: House, change: Remap, actor: Actor) -> tuple[int, ...]:
    """Carry out a change, audited record by record, and return the entries that it altered."""
    now = house.clock()
    with house.db.begin() as tx:
        entries = affected(tx, change)
        if not entries:
            raise EntryRefused(msg("No parked record of '{rule}' is altered by this.", rule=change.rule))
        sights, events = Sights(tx, doing=True), list[Event]()
        for entry in entries:
            stored = parked.stored(tx, entry.id)
            seen = {**entry.values, change.field: change.value}
            text = json.dumps(parked.corrected(sights, stored, seen), ensure_ascii=False)
            values = {"edited": text, "version": quarantine.c.version + 1}
            tx.execute(sa.update(quarantine).where(quarantine.c.id == entry.id).values(values))
            events.append(_event(stored, change))
        record(tx, actor, now, *events)
    return tuple(entry.id for entry in entries)


def _event(entry: Entry, change: Remap) -> Event:
    subject = Subject("rule", entry.rule_name, entry.left_key)
    before, after = {change.field: entry.values[change.field]}, {change.field: change.value}
    return Event(Tag.QUARANTINE_EDITED, subject, before, after, run_id=entry.run_id)
