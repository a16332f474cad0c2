"""What the audit log holds of a person: given out on request, and erased by destroying the person's key."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any

import sqlalchemy as sa

from rules.text import Message
from webapp.audit import personal
from webapp.audit.models import audit_event
from webapp.audit.services import Event, Subject, record
from webapp.audit.tags import Tag
from webapp.connections.permitted import asked_by
from webapp.evidence.holds import Held, Scope, refuse_held
from webapp.extensions import Actor, House
from webapp.policies.who import SYSTEM_WHO
from webapp.runs.outbox import keeping
from webapp.runs.sagas import ledger
from webapp.vault import people

FETCH = 1000
SHOWN = 20
"""So many events are shown of what would go."""


@dataclass(frozen=True)
class Person:
    """A user, or somebody whom a record is about."""

    kind: str
    name: str
    record: str | None = None

    @property
    def subject(self) -> Subject:
        """Return the person as the subject of an event."""
        return Subject(self.kind, self.name, self.record)


def export(house: House, who: Person, actor: Actor) -> Iterator[Any]:
    """Yield all events about a person, and what the person did where it is a user; the export is recorded first."""
    with house.db.begin() as tx:
        record(tx, actor, house.clock(), Event(Tag.PERSON_EXPORTED, who.subject))
    about = sa.and_(
        audit_event.c.subject_kind == who.kind,
        audit_event.c.subject == who.name,
        *([audit_event.c.record_key == who.record] if who.record is not None else []),
    )
    did = sa.and_(audit_event.c.actor_kind == "user", audit_event.c.actor_name == who.name)
    found = sa.or_(about, did) if who.kind == "user" else about
    with house.db.read() as tx:
        query = sa.select(audit_event).where(found).order_by(audit_event.c.id)
        yield from personal.shown(tx, tx.execution_options(yield_per=FETCH).execute(query))


def erase(house: House, who: Person, actor: Actor, reason: str | None = None) -> bool:
    """Destroy the key of a person's values and tell whether there were any; raises `Held` where a hold forbids it."""
    return erase_all(house, [who], actor, reason) == 1


def erase_all(house: House, chosen: Iterable[Person], actor: Actor, reason: str | None = None) -> int:
    """Do what `erase` does for all or, where a hold covers one of them, for nobody; return for how many."""
    erased = 0
    with house.db.begin() as tx:
        for who in chosen:
            refuse_held(tx, Scope(who.kind, who.name, who.record))
            said, _ = _said(tx, who)
            gone = people.destroy(tx, personal.person(who.kind, who.name, who.record))
            erased += bool(gone or said)
            after = {"key_destroyed": gone, **_erased(tx, who)}
            record(tx, actor, house.clock(), Event(Tag.PERSON_ERASED, who.subject, after=after, reason=reason))
    return erased


def _erased(tx: sa.Connection, who: Person) -> dict[str, int]:
    """Erase what deliveries and steps that have ended hold of a record; return how many are under way and stay."""
    if who.kind != "rule" or who.record is None:
        return {}
    left = {
        "deliveries_left": keeping.erase(tx, who.name, who.record),
        "steps_left": ledger.erase(tx, who.name, who.record),
    }
    return {name: number for name, number in left.items() if number}


@dataclass(frozen=True)
class Preview:
    """What erasing would take: events that hold values which can still be read, values by name; `held` says why not.

    `said` counts deliveries and steps that have ended and quote the record, `left` those that are under way and stay.
    """

    who: Person
    events: int
    values: dict[str, int]
    held: Message | None
    sample: tuple[Any, ...] = ()
    said: int = 0
    left: int = 0


def preview(tx: sa.Connection, who: Person) -> Preview:
    """Return what erasing a person would take, without doing it."""
    scope = Scope(who.kind, who.name, who.record)
    try:
        refuse_held(tx, scope)
        held = None
    except Held as error:
        held = error.message
    rows = tx.execute(sa.select(audit_event).where(*_about(who)).order_by(audit_event.c.id)).all()
    counts: Counter[str] = Counter()
    sample = []
    with asked_by(SYSTEM_WHO):  # what can be read is counted, not shown
        read = list(personal.shown(tx, rows))
    for row, shown in zip(rows, read, strict=True):
        names = [*personal.readable(row.before, shown.before), *personal.readable(row.after, shown.after)]
        counts.update(names)
        if names:
            sample.append(row)
    said, left = _said(tx, who)
    return Preview(who, len(sample), dict(counts.most_common()), held, tuple(sample[-SHOWN:][::-1]), said, left)


def _said(tx: sa.Connection, who: Person) -> tuple[int, int]:
    if who.kind != "rule" or who.record is None:
        return 0, 0
    found = [room.said(tx, who.name, who.record) for room in (keeping, ledger)]
    return sum(said for said, _ in found), sum(left for _, left in found)


def _about(who: Person) -> list[sa.ColumnElement[bool]]:
    """Return the conditions for the events whose values lie under the person's key: those of exactly this subject."""
    column = audit_event.c
    record_key = column.record_key.is_(None) if who.record is None else column.record_key == who.record
    return [column.subject_kind == who.kind, column.subject == who.name, record_key]
