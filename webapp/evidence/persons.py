"""What the audit log holds of a person: given out on request, and erased by destroying the person's key."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import sqlalchemy as sa

from webapp.audit import personal
from webapp.audit.models import audit_event
from webapp.audit.services import Event, Subject, record
from webapp.audit.tags import Tag
from webapp.evidence.holds import Scope, refuse_held
from webapp.extensions import Actor, House
from webapp.vault import people

FETCH = 1000


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
    """Destroy the key of a person's values and tell whether there was one; raises `Held` where a hold forbids it."""
    with house.db.begin() as tx:
        refuse_held(tx, Scope(who.kind, who.name, who.record))
        gone = people.destroy(tx, personal.person(who.kind, who.name, who.record))
        after = {"key_destroyed": gone}
        record(tx, actor, house.clock(), Event(Tag.PERSON_ERASED, who.subject, after=after, reason=reason))
    return gone
