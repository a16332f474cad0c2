"""How events come in: checked, stored once by their id, in the transaction of whatever they tell of."""

from __future__ import annotations

import json
import re
import uuid
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

import sqlalchemy as sa
from sqlalchemy.dialects import postgresql, sqlite

from rules.documents.event_rule import TYPE
from rules.text import N_, Message, msg
from webapp.audit.services import Event as AuditEvent
from webapp.audit.services import Subject, record
from webapp.audit.tags import Tag
from webapp.events.models import event
from webapp.extensions import Actor, House

MAX_BATCH = 1000
MAX_DATA = 100_000
MAX_ID = 200
AHEAD = timedelta(minutes=5)
"""How far clocks of other systems may go ahead of ours."""
OURS = ("record.", "run.", "rule.", "case.", "quarantine.")
"""How the types of our own events begin: nobody outside may speak as Syncline."""
KEYS = frozenset({"id", "type", "at", "data"})


class EventRefused(Exception):
    """An event cannot be taken; `message` says which and why."""

    def __init__(self, message: Message) -> None:
        super().__init__(str(message))
        self.message = message


@dataclass(frozen=True)
class Incoming:
    """An event as it comes in; `depth` tells how many actions of event rules stand behind it."""

    id: str
    type: str
    at: datetime
    data: Any
    depth: int = 0


@dataclass(frozen=True)
class Accepted:
    """What became of a batch: how many events are new, and how many were known by their id."""

    stored: int
    known: int


def post(house: House, items: Sequence[Any], source: str, actor: Actor) -> Accepted:
    """Store the events that plain data describes, all or none; raises `EventRefused`.

    An event whose id is known is left out, so that a batch can be sent again.
    """
    now = house.clock()
    if not items or len(items) > MAX_BATCH:
        raise EventRefused(msg("Send from 1 to {limit} events at a time.", limit=MAX_BATCH))
    events = [read(item, number, now) for number, item in enumerate(items, 1)]
    for number, one in enumerate(events, 1):
        if one.type.startswith(OURS) and not source.startswith("cli:"):  # whoever has the machine has the database
            raise _refused(N_("types that begin like this are Syncline's own"), number)
    with house.db.begin() as tx:
        stored = take(tx, events, source, actor, now)
    return Accepted(stored, len(events) - stored)


def take(tx: sa.Connection, events: Sequence[Incoming], source: str, actor: Actor, now: datetime) -> int:
    """Store what somebody sent, in the caller's transaction, and audit it; return how many are new."""
    stored = store(tx, events, source, now)
    if stored:
        types = sorted({one.type for one in events})
        after = {"events": stored, "types": types[:20], "source": source}
        record(tx, actor, now, AuditEvent(Tag.EVENTS_POSTED, Subject("events", source), None, after))
    return stored


def store(tx: sa.Connection, events: Iterable[Incoming], source: str, now: datetime) -> int:
    """Store events in the caller's transaction; return how many are new."""
    insert = postgresql.insert if tx.dialect.name == "postgresql" else sqlite.insert
    stored = 0
    for one in events:
        values = {"uid": one.id, "type": one.type, "at": one.at, "data": one.data, "depth": one.depth}
        statement = insert(event).values(**values, received_at=now, source=source[:200])
        new = statement.on_conflict_do_nothing(index_elements=["uid"]).returning(event.c.id)
        stored += tx.execute(new).first() is not None
    return stored


def read(item: Any, number: int, now: datetime) -> Incoming:
    """Return the event that plain data describes; raises `EventRefused`."""
    if not isinstance(item, Mapping) or not set(item) <= KEYS:
        raise _refused(N_("only id, type, at and data are possible"), number)
    kind, uid = item.get("type"), item.get("id")
    if not isinstance(kind, str) or len(kind) > 100 or not re.fullmatch(TYPE, kind):
        raise _refused(N_("the type has to be words with dots between, such as order.created"), number)
    if uid is not None and (not isinstance(uid, str) or not 0 < len(uid) <= MAX_ID or "\x00" in uid):
        raise _refused(N_("the id has to be text of at most 200 characters"), number)
    return Incoming(uid or uuid.uuid4().hex, kind, _moment(item.get("at"), number, now), _data(item, number))


def _moment(text: Any, number: int, now: datetime) -> datetime:
    if text is None:
        return now
    try:
        moment = datetime.fromisoformat(text)
    except (TypeError, ValueError):
        moment = None
    if moment is None or moment.tzinfo is None:
        raise _refused(N_("the time needs its zone, like 2026-01-31T12:00:00Z"), number)
    if moment > now + AHEAD:
        raise _refused(N_("the time lies in the future"), number)
    return moment


def _data(item: Mapping[str, Any], number: int) -> Any:
    data = item.get("data", {})
    if not isinstance(data, dict):
        raise _refused(N_("the data has to be an object of names and values"), number)
    try:
        text = json.dumps(data, ensure_ascii=True, allow_nan=False)
        json.dumps(data, ensure_ascii=False).encode()  # half of a character, which no database keeps, cannot be
    except (ValueError, RecursionError):
        why = N_("the data holds a number or a character that is none, or is nested too deeply")
        raise _refused(why, number) from None
    if len(text) > MAX_DATA or "\\u0000" in text:
        raise _refused(N_("the data is longer than 100,000 characters, or holds the character NUL"), number)
    return data


def _refused(reason: str, number: int) -> EventRefused:
    return EventRefused(msg("Event {number} cannot be taken: {reason}.", number=number, reason=Message(reason)))
