"""Which process carries out an action: claimed with one conditional update, held by a lease, ended once."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

import sqlalchemy as sa

from rules.documents.policies import duration
from rules.text import Message
from webapp.audit.services import Event as AuditEvent
from webapp.audit.services import Subject, record
from webapp.audit.tags import Tag
from webapp.events.models import event_action
from webapp.extensions import SYSTEM, House
from webapp.runs.claims import lapsed

LONGEST_WAIT = timedelta(hours=1)


class NotOurs(Exception):
    """Another process has taken the action over."""


@dataclass(frozen=True)
class Action:
    """A claimed action; `doubt` is the ticket of an attempt of which nobody knows what became."""

    id: int
    match_id: int
    rule_id: int
    rule_name: str
    key: str
    kind: str
    args: dict[str, Any]
    retry: dict[str, Any]
    lane: str | None
    attempts: int
    doubt: int | None
    worker: str
    depth: int

    @property
    def name(self) -> str:
        """Return what tells the action apart from all others, for good."""
        return f"event_action/{self.id}"


def claim(house: House, worker: str, limit: int) -> list[Action]:
    """Return actions that are due, or were left behind, now claimed by this worker."""
    now = house.clock()
    free = _free(now, house.settings.lease_seconds)
    query = sa.select(event_action.c.id).where(*free).order_by(event_action.c.id).limit(limit)
    with house.db.read() as tx:
        ids = tx.scalars(query).all()
    found = (_claim(house, action_id, worker, now) for action_id in ids)
    return [action for action in found if action is not None]


def _free(now: datetime, seconds: float) -> tuple[sa.ColumnElement[bool], ...]:
    """Return what tells an action that can be taken up: it is due or left behind, and its lane is free."""
    table, other = event_action, event_action.alias()
    unsure = sa.or_(other.c.state == "running", sa.and_(other.c.state == "pending", other.c.ticket.is_not(None)))
    busy = sa.exists().where(other.c.lane == table.c.lane, other.c.id != table.c.id, unsure)
    due = sa.and_(table.c.state == "pending", table.c.due_at <= now)
    left = sa.and_(table.c.state == "running", lapsed(table.c.lease_until, now, seconds))
    return sa.or_(due, left), ~busy


def _claim(house: House, action_id: int, worker: str, now: datetime) -> Action | None:
    table = event_action
    until = now + timedelta(seconds=house.settings.lease_seconds)
    values = {"state": "running", "worker": worker, "lease_until": until, "attempts": table.c.attempts + 1}
    with house.db.begin() as tx:
        lane = tx.scalar(sa.select(table.c.lane).where(table.c.id == action_id))
        if lane is not None and tx.dialect.name == "postgresql":
            tx.execute(sa.text("SELECT pg_advisory_xact_lock(7302, hashtext(:lane))"), {"lane": lane})
        free = _free(now, house.settings.lease_seconds)
        if tx.execute(sa.update(table).where(table.c.id == action_id, *free).values(values)).rowcount != 1:
            return None
        row = tx.execute(sa.select(table).where(table.c.id == action_id)).one()
    names = ("id", "match_id", "rule_id", "rule_name", "key", "kind", "args", "retry", "lane", "attempts", "depth")
    return Action(**{name: getattr(row, name) for name in names}, doubt=row.ticket, worker=worker)


def renew(house: House, worker: str, ids: Iterable[int]) -> None:
    """Keep the leases of actions that are being carried out."""
    until = house.clock() + timedelta(seconds=house.settings.lease_seconds)
    mine = (event_action.c.id.in_(list(ids)), event_action.c.worker == worker, event_action.c.state == "running")
    with house.db.begin() as tx:
        tx.execute(sa.update(event_action).where(*mine).values(lease_until=until))


def finish(tx: sa.Connection, action: Action, now: datetime, result: Any) -> None:
    """Note in the caller's transaction that an action was done; raises `NotOurs`."""
    values = {"state": "done", "result": result, "problem": None, "ended_at": now}
    _end(tx, action, values)
    after = {"action": action.kind, "result": result}
    subject = Subject("rule", action.rule_name, action.key)
    record(tx, SYSTEM, now, AuditEvent(Tag.EVENT_ACTION_DONE, subject, None, after))


def set_back(house: House, action: Action, problem: Message, *, again: bool) -> bool:
    """Note that an attempt failed; tell whether there will be another."""
    now = house.clock()
    times = int(action.retry.get("times", 5))
    retry = again and action.attempts <= times
    told = {"problem": problem.to_json()}
    with house.db.begin() as tx:
        if retry:
            values = {"state": "pending", "due_at": now + wait(action), "lease_until": None, "worker": None}
            mine = _mine(action)
            if tx.execute(sa.update(event_action).where(*mine).values(**values, **told)).rowcount != 1:
                raise NotOurs
            return True
        _end(tx, action, {"state": "failed", "ended_at": now, **told})
        after = {"action": action.kind, "problem": str(problem), "attempts": action.attempts}
        subject = Subject("rule", action.rule_name, action.key)
        record(tx, SYSTEM, now, AuditEvent(Tag.EVENT_ACTION_FAILED, subject, None, after))
    return False


def wait(action: Action) -> timedelta:
    """Return how long to wait before the next attempt."""
    first = duration(str(action.retry.get("wait", "10s")))
    if action.retry.get("backoff", "exponential") == "fixed":
        return first
    doublings: int = min(max(action.attempts - 1, 0), 20)
    return min(first * (1 << doublings), max(LONGEST_WAIT, first))


def note_ticket(tx: sa.Connection, action: Action, ticket: int) -> None:
    """Note that an attempt is about to be made whose outcome may stay unknown; raises `NotOurs`."""
    if tx.execute(sa.update(event_action).where(*_mine(action)).values(ticket=ticket)).rowcount != 1:
        raise NotOurs


def settle(house: House, action: Action) -> None:
    """Note that nothing came of the last attempt."""
    with house.db.begin() as tx:
        if tx.execute(sa.update(event_action).where(*_mine(action)).values(ticket=None)).rowcount != 1:
            raise NotOurs


def _end(tx: sa.Connection, action: Action, values: dict[str, Any]) -> None:
    free = {"ticket": None, "lease_until": None}
    if tx.execute(sa.update(event_action).where(*_mine(action)).values(**values, **free)).rowcount != 1:
        raise NotOurs


def _mine(action: Action) -> tuple[sa.ColumnElement[bool], ...]:
    table = event_action
    attempt = table.c.attempts == action.attempts
    return (table.c.id == action.id, table.c.state == "running", table.c.worker == action.worker, attempt)
