"""What is known of event rules at work: events, processes, timers, what was met, actions; rows for lists and pages."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import sqlalchemy as sa

from rules.text import Message
from webapp.events.models import event, event_action, event_match, event_process, event_rule_clock, event_timer
from webapp.events.sight import EventSight
from webapp.rulebook.models import rule

ACTION_STATES = ("pending", "running", "done", "failed")


@dataclass(frozen=True)
class EventRow:
    """An event; `taken_at` is None while it waits."""

    id: int
    uid: str
    type: str
    at: datetime
    received_at: datetime
    source: str
    data: Any
    taken_at: datetime | None
    notes: tuple[Message, ...]


@dataclass(frozen=True)
class ProcessRow:
    """What is open for a key of a rule, or was; `state` is that of a chart, None for a pattern."""

    id: int
    rule_name: str
    version: int
    key: str
    state: str | None
    events: dict[str, list[str]]
    since: datetime
    changed_at: datetime
    ended_at: datetime | None
    timers: tuple[tuple[str, datetime], ...]


@dataclass(frozen=True)
class MatchRow:
    """A pattern that was met, or a move of a chart."""

    id: int
    rule_name: str
    version: int
    key: str
    kind: str
    before: str | None
    after: str | None
    events: dict[str, list[str]]
    at: datetime


@dataclass(frozen=True)
class ActionRow:
    """An action: what is to be done or was done, and how that went."""

    id: int
    match_id: int
    rule_name: str
    key: str
    path: str
    kind: str
    args: dict[str, Any]
    state: str
    attempts: int
    due_at: datetime
    created_at: datetime
    ended_at: datetime | None
    result: Any
    problem: Message | None


@dataclass(frozen=True)
class Standing:
    """How a rule stands: what is open, what waits, what failed; `problem` says why it stands still."""

    live: int
    pending: int
    failed: int
    last_at: datetime | None
    problem: Message | None


def events(
    tx: sa.Connection, *, type_: str | None = None, before: int | None = None, limit: int = 50, text: str = ""
) -> list[EventRow]:
    """Return events as who asks may see them, the latest first.

    `text` is looked for in their id and source, and in their data where they may see all that it holds.
    """
    sight = EventSight(tx)
    query = sa.select(event).order_by(event.c.id.desc()).limit(limit)
    query = query.where(event.c.type == type_) if type_ else query
    query = query.where(event.c.id < before) if before else query
    if text:
        where = (event.c.uid, event.c.source, *((sa.cast(event.c.data, sa.Text),) if sight.searches else ()))
        query = query.where(sa.or_(*(column.icontains(text, autoescape=True) for column in where)))
    return sight.events([_event(row) for row in tx.execute(query).mappings()])


def event_types(tx: sa.Connection) -> list[str]:
    """Return the types of the events that are stored, in the order of the alphabet."""
    return list(tx.scalars(sa.select(event.c.type).distinct().order_by(event.c.type)))


def by_uids(tx: sa.Connection, uids: Sequence[str]) -> list[EventRow]:
    """Return the events of these ids that are still stored, the oldest first."""
    query = sa.select(event).where(event.c.uid.in_(list(uids))).order_by(event.c.id)
    return EventSight(tx).events([_event(row) for row in tx.execute(query).mappings()])


def _event(row: sa.RowMapping) -> EventRow:
    names = ("id", "uid", "type", "at", "received_at", "source", "data", "taken_at")
    return EventRow(**{name: row[name] for name in names}, notes=tuple(map(Message.from_json, row["notes"] or ())))


def processes(
    tx: sa.Connection, rule_name: str, *, live: bool | None = True, before: int | None = None, limit: int = 50
) -> list[ProcessRow]:
    """Return what is open for a rule (`live`), what has ended, or both (None); the latest first."""
    table = event_process
    query = sa.select(table).where(table.c.rule_name == rule_name).order_by(table.c.id.desc()).limit(limit)
    if live is not None:
        query = query.where(table.c.ended_at.is_(None) if live else table.c.ended_at.is_not(None))
    rows = tx.execute(query.where(table.c.id < before) if before else query).mappings().all()
    timers = _timers(tx, rows)
    names = ("id", "rule_name", "version", "key", "state", "events", "since", "changed_at", "ended_at")
    found = [ProcessRow(**{n: row[n] for n in names}, timers=timers.get(_place(row), ())) for row in rows]
    return EventSight(tx).processes(found)


def process(tx: sa.Connection, rule_name: str, key: str) -> ProcessRow | None:
    """Return the latest process of a key."""
    table = event_process
    query = sa.select(table.c.id).where(table.c.rule_name == rule_name, table.c.key == key)
    found = tx.scalar(query.order_by(table.c.id.desc()).limit(1))
    return processes(tx, rule_name, live=None, before=found + 1, limit=1)[0] if found else None


def _timers(
    tx: sa.Connection, rows: Sequence[sa.RowMapping]
) -> dict[tuple[Any, ...], tuple[tuple[str, datetime], ...]]:
    open_ = [row for row in rows if row["ended_at"] is None]
    if not open_:
        return {}
    table = event_timer
    mine = (table.c.rule_id == open_[0]["rule_id"], table.c.key.in_({row["key"] for row in open_}))
    found: dict[tuple[Any, ...], tuple[tuple[str, datetime], ...]] = {}
    query = sa.select(table).where(*mine, table.c.fired_at.is_(None)).order_by(table.c.due_at)
    for row in tx.execute(query).mappings():
        found[_place(row)] = (*found.get(_place(row), ()), (row["name"], row["due_at"]))
    return found


def _place(row: sa.RowMapping) -> tuple[Any, ...]:
    return (row["rule_id"], row["version"], row["key"])


def state_counts(tx: sa.Connection, rule_name: str) -> dict[str, int]:
    """Return how many processes of a rule are in each state now."""
    table = event_process
    query = sa.select(table.c.state, sa.func.count()).where(table.c.rule_name == rule_name, table.c.ended_at.is_(None))
    return {state or "": count for state, count in tx.execute(query.group_by(table.c.state)).all()}


def matches(
    tx: sa.Connection, rule_name: str, *, key: str | None = None, before: int | None = None, limit: int = 50
) -> list[MatchRow]:
    """Return what a rule found, the latest first."""
    table = event_match
    query = sa.select(table).where(table.c.rule_name == rule_name).order_by(table.c.id.desc()).limit(limit)
    query = query.where(table.c.key == key) if key is not None else query
    query = query.where(table.c.id < before) if before else query
    names = ("id", "rule_name", "version", "key", "kind", "before", "after", "events", "at")
    return EventSight(tx).matches([MatchRow(**{n: row[n] for n in names}) for row in tx.execute(query).mappings()])


@dataclass(frozen=True)
class Wanted:
    """Which actions a list shows; None means any."""

    rule_name: str | None = None
    state: str | None = None
    key: str | None = None
    match_id: int | None = None
    before: int | None = None


def actions(tx: sa.Connection, wanted: Wanted, limit: int = 50) -> list[ActionRow]:
    """Return actions, the latest first."""
    table = event_action
    query = sa.select(table).order_by(table.c.id.desc()).limit(limit)
    for name in ("rule_name", "state", "key", "match_id"):
        value = getattr(wanted, name)
        query = query.where(table.c[name] == value) if value is not None else query
    query = query.where(table.c.id < wanted.before) if wanted.before else query
    return EventSight(tx).actions([_action(row) for row in tx.execute(query).mappings()])


def action(tx: sa.Connection, action_id: int) -> ActionRow | None:
    """Return one action."""
    row = tx.execute(sa.select(event_action).where(event_action.c.id == action_id)).mappings().one_or_none()
    return EventSight(tx).actions([_action(row)])[0] if row else None


def _action(row: sa.RowMapping) -> ActionRow:
    names = ("id", "match_id", "rule_name", "key", "path", "kind", "args", "state", "attempts", "due_at")
    times = ("created_at", "ended_at", "result")
    problem = Message.from_json(row["problem"]) if row["problem"] else None
    return ActionRow(**{name: row[name] for name in (*names, *times)}, problem=problem)


def standing(tx: sa.Connection, rule_name: str) -> Standing:
    """Return how a rule stands."""
    live = _count(tx, event_process, event_process.c.rule_name == rule_name, event_process.c.ended_at.is_(None))
    counts = {
        state: _count(tx, event_action, event_action.c.rule_name == rule_name, event_action.c.state == state)
        for state in ("pending", "failed")
    }
    last = tx.scalar(sa.select(sa.func.max(event_match.c.at)).where(event_match.c.rule_name == rule_name))
    clock = event_rule_clock
    mine = sa.and_(clock.c.rule_id == rule.c.id, clock.c.version == rule.c.published_version)
    problem = tx.scalar(sa.select(clock.c.problem).join(rule, mine).where(rule.c.name == rule_name))
    return Standing(live, counts["pending"], counts["failed"], last, Message.from_json(problem) if problem else None)


def _count(tx: sa.Connection, table: sa.Table, *where: sa.ColumnElement[bool]) -> int:
    return int(tx.scalar(sa.select(sa.func.count()).select_from(table).where(*where)) or 0)
