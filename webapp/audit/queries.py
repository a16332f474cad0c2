"""How audit events are found again: filters, pages by key, and a stream for exports."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any

import sqlalchemy as sa

from webapp.audit.hooks import sees_whole
from webapp.audit.models import audit_event
from webapp.web.storable import LARGEST

FETCH = 1000
ACTORS = 500
SEARCHED = 100_000
"""Among so many events at a time words are looked for: no index finds them, and all take too long for a page."""
_KEYED = ("rule", "data")
"""Kinds of subjects whose events name records by keys of systems, which are values of fields."""


@dataclass(frozen=True)
class Filter:
    """What is looked for; an empty filter finds all."""

    since: datetime | None = None
    until: datetime | None = None
    actor: str = ""
    tag: str = ""
    kind: str = ""
    subject: str = ""
    record: str = ""
    run: int | None = None
    text: str = ""
    since_id: int | None = None
    until_id: int | None = None
    """The first and the last event that are looked at."""
    values: bool = True
    """Words are also looked for in keys, reasons and values, and keys of systems' records; not where who asks may not
    see all of them (`heeded`)."""

    @property
    def empty(self) -> bool:
        """Tell whether nothing is asked for."""
        return replace(self, values=True) == Filter()

    def told(self) -> dict[str, Any]:
        """Return what is asked for, for the audit log."""
        values = {name: getattr(self, name) for name in self.__dataclass_fields__ if name != "values"}
        return {
            name: value.isoformat() if isinstance(value, datetime) else value for name, value in values.items() if value
        }


def heeded(connection: sa.Connection, wanted: Filter) -> Filter:
    """Return a filter that does not look into what who asks may not see: what it finds would tell of it."""
    looks = bool(wanted.text or wanted.record)
    return replace(wanted, values=False) if looks and not sees_whole(connection) else wanted


@dataclass(frozen=True)
class Page:
    """Events, the newest first, the filter that looked for them, and after and before which event others are found."""

    events: list[Any]
    looked: Filter
    newer: int | None
    older: int | None


def turn(
    connection: sa.Connection, wanted: Filter, size: int, before: int | None = None, after: int | None = None
) -> Page:
    """Return the page of events before or after a place; the newest ones without any.

    Where words are looked for, it can have fewer events than others that follow it, or none.
    """
    if after is not None:
        looked = window(connection, wanted, after, later=True)
        found = newer(connection, looked, size + 1, after)
        events = found[-size:]
        more = events[0].id if len(found) > size else looked.until_id
        return Page(events, looked, more, events[-1].id if events else after + 1)
    looked = window(connection, wanted, before)
    found = page(connection, looked, size + 1, before)
    events = found[:size]
    more = events[-1].id if len(found) > size else looked.since_id
    back = None if before is None else events[0].id if events else before - 1
    return Page(events, looked, back, more)


def page(connection: sa.Connection, wanted: Filter, limit: int, before: int | None = None) -> list[Any]:
    """Return at most `limit` events, the newest first, older than the event `before`."""
    query = _select(connection, wanted).order_by(audit_event.c.id.desc()).limit(limit)
    if before is not None:
        query = query.where(audit_event.c.id < before)
    return list(connection.execute(query))


def newer(connection: sa.Connection, wanted: Filter, limit: int, after: int) -> list[Any]:
    """Return at most `limit` events, the newest first, that directly follow the event `after`."""
    query = _select(connection, wanted).where(audit_event.c.id > after).order_by(audit_event.c.id).limit(limit)
    return list(connection.execute(query))[::-1]


def window(connection: sa.Connection, wanted: Filter, place: int | None = None, *, later: bool = False) -> Filter:
    """Return a filter that looks at no more than `SEARCHED` events before (or after) a place where it asks for words.

    Its `since_id` (`until_id`) is where the next page goes on; None where nothing is left.
    """
    if not wanted.text:
        return wanted
    column = audit_event.c.id
    query = sa.select(column).where(*conditions(replace(heeded(connection, wanted), text="")))
    if place is not None:
        query = query.where(column > place if later else column < place)
    last = connection.scalar(query.order_by(column if later else column.desc()).offset(SEARCHED - 1).limit(1))
    if later:
        return replace(wanted, since_id=None if place is None else min(place, LARGEST - 1) + 1, until_id=last)
    return replace(wanted, since_id=last, until_id=None if place is None else place - 1)


def get(connection: sa.Connection, event_id: int) -> Any:
    """Return an event, or None."""
    return connection.execute(sa.select(audit_event).where(audit_event.c.id == event_id)).one_or_none()


def stream(connection: sa.Connection, wanted: Filter, last: int) -> Iterator[Any]:
    """Return events in the order they were written, up to the event `last`, a few at a time."""
    query = _select(connection, wanted).where(audit_event.c.id <= last).order_by(audit_event.c.id)
    yield from connection.execution_options(yield_per=FETCH).execute(query)


def last_id(connection: sa.Connection) -> int:
    """Return the id of the newest event; 0 where there is none."""
    return connection.scalar(sa.select(sa.func.max(audit_event.c.id))) or 0


def actors(connection: sa.Connection) -> list[str]:
    """Return who has acted, for a list to choose from; the index is asked for one name behind the other."""
    name = audit_event.c.actor_name
    first = sa.select(sa.func.min(name).label("name"))
    known = first.cte("known", recursive=True)
    following = sa.select(sa.func.min(name)).where(name > known.c.name).correlate(known).scalar_subquery()
    known = known.union_all(sa.select(following).where(known.c.name.is_not(None)))
    query = sa.select(known.c.name).where(known.c.name.is_not(None)).limit(ACTORS)
    return list(connection.scalars(query))


def _select(connection: sa.Connection, wanted: Filter) -> sa.Select[Any]:
    return sa.select(audit_event).where(*conditions(heeded(connection, wanted)))


def conditions(wanted: Filter) -> Iterator[sa.ColumnElement[bool]]:
    """Yield what a filter asks of events."""
    column = audit_event.c
    exact = {
        "actor_name": wanted.actor,
        "subject_kind": wanted.kind,
        "subject": wanted.subject,
        "record_key": wanted.record,
        "run_id": wanted.run,
    }
    yield from (column[name] == value for name, value in exact.items() if value)
    if wanted.since_id is not None:
        yield column.id >= wanted.since_id
    if wanted.until_id is not None:
        yield column.id <= wanted.until_id
    if wanted.since:
        yield column.at >= wanted.since
    if wanted.until:
        yield column.at < wanted.until
    if wanted.tag:
        yield (
            column.tag == wanted.tag
            if wanted.tag.count(":") == 2
            else column.tag.startswith(wanted.tag + ":", autoescape=True)
        )
    if wanted.record and not wanted.values:
        yield column.subject_kind.not_in(_KEYED)
    for word in wanted.text.split():
        yield sa.or_(*(part.icontains(word, autoescape=True) for part in _searched(wanted)))


def _searched(wanted: Filter) -> tuple[sa.ColumnElement[str], ...]:
    column = audit_event.c
    if not wanted.values:
        return (column.subject, column.actor_name, column.tag)
    values = (sa.cast(column.before, sa.Text), sa.cast(column.after, sa.Text))
    return (column.subject, column.record_key, column.actor_name, column.reason, column.tag, *values)
