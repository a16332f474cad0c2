"""What people do with parked records: look, correct, replay, discard."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any

import sqlalchemy as sa

from rules.text import Message, msg
from webapp.audit.services import Event, Subject, record
from webapp.audit.tags import Tag
from webapp.extensions import Actor, House
from webapp.runs.models import quarantine
from webapp.runs.requests import replay as request_replay
from webapp.runs.sight import Sights
from webapp.runs.sight_records import filled

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
    withheld: frozenset[str] = frozenset()
    """The fields of which who asks may not see the values."""

    @property
    def values(self) -> dict[str, Any]:
        """Return the record as it would be replayed."""
        return dict(json.loads(self.edited or self.record or "{}"))

    @property
    def original(self) -> dict[str, Any]:
        """Return the record as the source gave it."""
        return dict(json.loads(self.record or "{}"))


_COLUMNS = tuple(quarantine.c[name] for name in Entry.__dataclass_fields__ if name != "withheld")


def _entry(row: sa.Row[Any]) -> Entry:
    values = dict(row._mapping)  # noqa: SLF001 - SQLAlchemy's documented way
    return Entry(**{**values, "reason": Message.from_json(values["reason"])})


def get(tx: sa.Connection, entry_id: int) -> Entry:
    """Return an entry as who asks may see it; raises `EntryRefused` where there is none for them."""
    found = shown(Sights(tx), stored(tx, entry_id))
    if found is None:
        raise _missing(entry_id)
    return found


def stored(tx: sa.Connection, entry_id: int) -> Entry:
    """Return an entry with all that it holds, whoever asks; raises `EntryRefused` where there is none."""
    row = tx.execute(sa.select(*_COLUMNS).where(quarantine.c.id == entry_id)).one_or_none()
    if row is None:
        raise _missing(entry_id)
    return _entry(row)


def _missing(entry_id: int) -> EntryRefused:
    return EntryRefused(msg("There is no parked record {entry}.", entry=entry_id))


def shown(sights: Sights, entry: Entry) -> Entry | None:
    """Return an entry as who asks may see it, None where they may not see the record."""
    sight = sights.of_run(entry.run_id, entry.rule_name)
    if sight.everything:
        sight.looked({entry.side: entry.left_key})
        return entry
    side = sight.sides[entry.side]
    if not side.all_rows and not (entry.record and side.sees(entry.original) and side.sees(entry.values)):
        return None
    original, values = side.values(entry.original), side.values(entry.values)
    key = str(side.key_text(entry.left_key))
    known = [key, *original.values(), *values.values()]
    return replace(
        entry,
        left_key=key,
        record=entry.record and json.dumps(original, ensure_ascii=False),
        edited=entry.edited and json.dumps(values, ensure_ascii=False),
        raw=None,
        reason=sight.message(entry.reason, known),
        waits_key=sight.text(entry.waits_key, known),
        withheld=frozenset(name for name in entry.values if not side.plain(name)),
    )


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
    """Return parked records, the latest first, as far as who asks may see them."""
    query = sa.select(*_COLUMNS).order_by(quarantine.c.id.desc())
    for name, value in {"rule_name": rule, "state": state, "run_id": run_id, "side": side}.items():
        query = query.where(quarantine.c[name] == value) if value else query
    sights = Sights(tx)

    def fetch(behind: int | None, count: int) -> list[Entry]:
        some = query.where(quarantine.c.id < behind) if behind else query
        return [_entry(row) for row in tx.execute(some.limit(count))]

    def see(entries: Sequence[Entry]) -> Iterator[Entry]:
        return (entry for one in entries if (entry := shown(sights, one)) is not None)

    return filled(fetch, see, lambda entry: entry.id, before, limit)


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
    """Keep a corrected record, to be replayed.

    Values that who corrects it does not see stay as they are. Raises `EntryRefused` when someone else was quicker, and
    `NotPermitted` for a field that they may not change.
    """
    with house.db.begin() as tx:
        entry = _open_entry(tx, entry_id)
        values = corrected(Sights(tx, doing=True), entry, values)
        text = json.dumps(dict(values), ensure_ascii=False)
        changed = {"edited": text, "version": version + 1}
        mine = (quarantine.c.id == entry_id, quarantine.c.version == version)
        if tx.execute(sa.update(quarantine).where(*mine).values(changed)).rowcount != 1:
            raise EntryRefused(msg("Record {key} was changed meanwhile. Load it again.", key=entry.left_key))
        before = {k: v for k, v in entry.values.items() if values.get(k) != v}
        after = {k: values[k] for k in values if entry.values.get(k) != values[k]}
        subject = Subject("rule", entry.rule_name, entry.left_key)
        record(tx, actor, house.clock(), Event(Tag.QUARANTINE_EDITED, subject, before, after, run_id=entry.run_id))


def corrected(sights: Sights, entry: Entry, values: Mapping[str, Any]) -> dict[str, Any]:
    """Return what a record becomes by a correction of what was seen of it; raises `NotPermitted`."""
    sight = sights.of_run(entry.run_id, entry.rule_name)
    if sight.unbound:
        return dict(values)
    side, held = sight.sides[entry.side], entry.values
    seen = side.values(held)
    changed = {n: value for n, value in values.items() if (seen[n] != value if n in seen else value is not None)}
    gone = [name for name in held if name not in values and side.plain(name)]
    side.rights.require("update")
    side.require_write([*changed, *gone])
    kept = {name: value for name, value in held.items() if name not in gone}
    ordered = {name: changed.get(name, kept.get(name)) for name in {**kept, **changed}}
    side.require_sight(ordered)
    return ordered


def replay(
    house: House, rule: str, entries: Sequence[int] | None, actor: Actor, group: tuple[str, str | None] | None = None
) -> int:
    """Request a run over parked records of a rule and return its number.

    Without entries all open ones are replayed, or those of a group: parked at a stage, for a field.
    """
    with house.db.begin() as tx:
        query = sa.select(quarantine.c.id).where(quarantine.c.rule_name == rule, quarantine.c.state == "open")
        if entries is not None:
            for entry_id in entries:
                get(tx, entry_id)
            query = query.where(quarantine.c.id.in_(entries))
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
    """Return an entry that waits with all that it holds, of those that who asks may see."""
    get(tx, entry_id)
    entry = stored(tx, entry_id)
    if entry.state != "open":
        text = msg("Record {key} is {state} already.", key=entry.left_key, state=entry.state)
        raise EntryRefused(text)
    return entry
