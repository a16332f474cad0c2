"""What people do with parked records: look, correct, replay, discard."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import sqlalchemy as sa

from rules.text import Message, msg
from webapp.audit.services import Event, Subject, record
from webapp.audit.tags import Tag
from webapp.extensions import Actor, House
from webapp.runs.models import quarantine
from webapp.runs.requests import replay as request_replay

STATES = ("open", "resolved", "discarded")


class EntryRefused(Exception):
    """The entry cannot be changed so; `message` says why."""

    def __init__(self, message: Message) -> None:
        super().__init__(str(message))
        self.message = message


@dataclass(frozen=True)
class Entry:
    """A parked record."""

    id: int
    rule_name: str
    run_id: int
    side: str
    left_key: str
    place: str
    record: str | None
    raw: str | None
    edited: str | None
    stage: str
    field: str | None
    reason: Message
    state: str
    attempts: int
    version: int
    first_at: datetime
    last_at: datetime
    resolved_by: str | None
    waits_rule: str | None
    waits_side: str | None
    waits_key: str | None

    @property
    def values(self) -> dict[str, Any]:
        """Return the record as it would be replayed."""
        return dict(json.loads(self.edited or self.record or "{}"))

    @property
    def original(self) -> dict[str, Any]:
        """Return the record as the source gave it."""
        return dict(json.loads(self.record or "{}"))


_COLUMNS = tuple(quarantine.c[name] for name in Entry.__dataclass_fields__)


def _entry(row: sa.Row[Any]) -> Entry:
    values = dict(row._mapping)  # noqa: SLF001 - SQLAlchemy's documented way
    return Entry(**{**values, "reason": Message.from_json(values["reason"])})


def get(tx: sa.Connection, entry_id: int) -> Entry:
    """Return an entry; raises `EntryRefused` where there is none."""
    row = tx.execute(sa.select(*_COLUMNS).where(quarantine.c.id == entry_id)).one_or_none()
    if row is None:
        raise EntryRefused(msg("There is no parked record {entry}.", entry=entry_id))
    return _entry(row)


def listing(  # noqa: PLR0913 - each is a filter
    tx: sa.Connection,
    *,
    rule: str | None = None,
    state: str | None = "open",
    run_id: int | None = None,
    side: str | None = None,
    before: int | None = None,
    limit: int = 50,
) -> list[Entry]:
    """Return parked records, the latest first."""
    query = sa.select(*_COLUMNS).order_by(quarantine.c.id.desc()).limit(limit)
    for name, value in {"rule_name": rule, "state": state, "run_id": run_id, "side": side}.items():
        query = query.where(quarantine.c[name] == value) if value else query
    query = query.where(quarantine.c.id < before) if before else query
    return [_entry(row) for row in tx.execute(query)]


def count_open(tx: sa.Connection, rule: str | None = None) -> int:
    """Return how many records are parked."""
    query = sa.select(sa.func.count()).select_from(quarantine).where(quarantine.c.state == "open")
    return int(tx.scalar(query.where(quarantine.c.rule_name == rule) if rule else query) or 0)


def reasons(tx: sa.Connection, rule: str | None = None) -> list[tuple[str, str, str | None, int]]:
    """Return (rule, stage, field, number) of what is parked, most first."""
    columns = (quarantine.c.rule_name, quarantine.c.stage, quarantine.c.field)
    number = sa.func.count().label("number")
    query = sa.select(*columns, number).where(quarantine.c.state == "open").group_by(*columns).order_by(number.desc())
    query = query.where(quarantine.c.rule_name == rule) if rule else query
    return [tuple(row) for row in tx.execute(query)]


def edit(house: House, entry_id: int, values: Mapping[str, Any], version: int, actor: Actor) -> None:
    """Keep a corrected record, to be replayed; raises `EntryRefused` when someone else was quicker."""
    with house.db.begin() as tx:
        entry = _open_entry(tx, entry_id)
        text = json.dumps(dict(values), ensure_ascii=False)
        changed = {"edited": text, "version": version + 1}
        mine = (quarantine.c.id == entry_id, quarantine.c.version == version)
        if tx.execute(sa.update(quarantine).where(*mine).values(changed)).rowcount != 1:
            raise EntryRefused(msg("Record {key} was changed meanwhile. Load it again.", key=entry.left_key))
        before = {k: v for k, v in entry.values.items() if values.get(k) != v}
        after = {k: values[k] for k in values if entry.values.get(k) != values[k]}
        subject = Subject("rule", entry.rule_name, entry.left_key)
        record(tx, actor, house.clock(), Event(Tag.QUARANTINE_EDITED, subject, before, after, run_id=entry.run_id))


def replay(
    house: House, rule: str, entries: Sequence[int] | None, actor: Actor, group: tuple[str, str | None] | None = None
) -> int:
    """Request a run over parked records of a rule and return its number.

    Without entries all open ones are replayed, or those of a group: parked at a stage, for a field.
    """
    with house.db.begin() as tx:
        query = sa.select(quarantine.c.id).where(quarantine.c.rule_name == rule, quarantine.c.state == "open")
        query = query if entries is None else query.where(quarantine.c.id.in_(entries))
        if group is not None:
            query = query.where(quarantine.c.stage == group[0], quarantine.c.field.is_not_distinct_from(group[1]))
        ids = tuple(tx.scalars(query.order_by(quarantine.c.id)))
        if not ids:
            raise EntryRefused(msg("No record of '{rule}' waits to be replayed.", rule=rule))
        run_id = request_replay(house, rule, ids, actor, tx)
        event = Event(Tag.QUARANTINE_REPLAYED, Subject("rule", rule), None, {"records": len(ids)}, run_id=run_id)
        record(tx, actor, house.clock(), event)
        return run_id


def discard(house: House, entries: Sequence[int], actor: Actor) -> int:
    """Give up on parked records; they stay to be looked up. Return how many."""
    with house.db.begin() as tx:
        events = []
        for entry_id in entries:
            entry = _open_entry(tx, entry_id)
            values = {"state": "discarded", "resolved_by": actor.name, "last_at": house.clock()}
            tx.execute(sa.update(quarantine).where(quarantine.c.id == entry_id).values(values))
            subject = Subject("rule", entry.rule_name, entry.left_key)
            after = {"reason": str(entry.reason)}
            events.append(Event(Tag.QUARANTINE_DISCARDED, subject, None, after, run_id=entry.run_id))
        record(tx, actor, house.clock(), *events)
    return len(entries)


def _open_entry(tx: sa.Connection, entry_id: int) -> Entry:
    entry = get(tx, entry_id)
    if entry.state != "open":
        text = msg("Record {key} is {state} already.", key=entry.left_key, state=entry.state)
        raise EntryRefused(text)
    return entry
