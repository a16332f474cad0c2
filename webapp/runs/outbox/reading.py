"""What people see of deliveries, and who needs a connection for one."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Any

import sqlalchemy as sa

from rules.documents.sync import Transaction
from rules.text import N_, Message, msg
from webapp.connections.permitted import asking
from webapp.connections.services import User, usage_checks
from webapp.rulebook import hooks
from webapp.runs.outbox.models import delivery
from webapp.runs.outbox.states import OPEN, State
from webapp.runs.sight import Sights
from webapp.runs.sight_records import filled
from webapp.web.language import translated

STATES = tuple(state.value for state in State)


@dataclass(frozen=True)
class Delivery:
    """A delivery as it is shown."""

    id: int
    rule_name: str
    run_id: int
    side: str
    key: str
    target_key: str
    connection: str
    object: str
    op: str
    state: str
    attempts: int
    did: str | None
    answer: tuple[Message, ...]
    problem: Message | None
    queued_at: datetime
    due_at: datetime
    sent_at: datetime | None
    ended_at: datetime | None
    record: str | None

    @property
    def mark(self) -> str:
        """Return what tells whether anything has become of it since it was shown."""
        return f"{self.state}-{self.attempts}"

    def to_json(self) -> dict[str, Any]:
        """Return the delivery in its published form."""
        times = {name: getattr(self, name) for name in ("queued_at", "due_at", "sent_at", "ended_at")}
        return {
            "delivery": self.id, "rule": self.rule_name, "run": self.run_id, "key": self.key,
            "target_key": self.target_key, "connection": self.connection, "object": self.object, "op": self.op,
            "state": self.state, "attempts": self.attempts, "mark": self.mark, "did": self.did,
            "problem": str(self.problem or ""), "answer": [str(one) for one in self.answer],
            **{name: at.isoformat() if at else None for name, at in times.items()},
        }  # fmt: skip


_COLUMNS = tuple(delivery.c[name] for name in Delivery.__dataclass_fields__)


def _delivery(row: sa.Row[Any]) -> Delivery:
    values = dict(row._mapping)  # noqa: SLF001 - SQLAlchemy's documented way
    problem = Message.from_json(values["problem"]) if values["problem"] else None
    answer = tuple(Message.from_json(one) for one in values["answer"] or ())
    return Delivery(**{**values, "problem": problem, "answer": answer})


def listing(
    tx: sa.Connection, filters: Mapping[str, str | int | None], *, before: int | None = None, limit: int = 50
) -> list[Delivery]:
    """Return deliveries, the latest first, as far as who asks may see their records.

    `filters` may have rule_name, state, connection, run_id, key; `open` as state means all that are under way.
    """
    query = sa.select(*_COLUMNS).order_by(delivery.c.id.desc())
    for name, value in filters.items():
        if name == "state" and value == "open":
            query = query.where(delivery.c.state.in_(OPEN))
        elif name == "key" and value:
            query = query.where(sa.or_(delivery.c.key == value, delivery.c.target_key == value))
        elif value:
            query = query.where(delivery.c[name] == value)
    sights = Sights(tx)

    def fetch(behind: int | None, count: int) -> list[Delivery]:
        some = query.where(delivery.c.id < behind) if behind else query
        return [_delivery(row) for row in tx.execute(some.limit(count))]

    def see(rows: Sequence[Delivery]) -> Iterator[Delivery]:
        seen = (found for one in rows if (found := shown(sights, one)) is not None)
        key = filters.get("key")  # who sees a key masked does not find out by asking which one it is
        return (one for one in seen if not key or key in (one.key, one.target_key))

    return filled(fetch, see, lambda one: one.id, before, limit)


def get(tx: sa.Connection, number: int) -> Delivery | None:
    """Return a delivery as who asks may see it, None where there is none for them."""
    row = tx.execute(sa.select(*_COLUMNS).where(delivery.c.id == number)).one_or_none()
    return None if row is None else shown(Sights(tx), _delivery(row))


def decides(sights: Sights, run_id: int, rule_name: str) -> bool:
    """Tell whether who asks may decide about a run's deliveries: they see all of its records, on both sides."""
    return asking().system or sights.of_run(run_id, rule_name).everything


def shown(sights: Sights, one: Delivery) -> Delivery | None:
    """Return a delivery as who asks may see it, None where they may not see its record."""
    sight = sights.of_run(one.run_id, one.rule_name)
    if sight.everything:
        sight.looked({one.side: one.key})
        return one
    own, there = sight.sides[one.side], sight.sides["right" if one.side == "left" else "left"]
    if not own.all_rows and not (one.record and own.sees(json.loads(one.record))):
        return None
    known = [one.key, one.target_key]
    return replace(
        one,
        key=str(own.key_text(one.key)),
        target_key=str(there.key_text(one.target_key)),
        answer=tuple(sight.message(answer, known) for answer in one.answer),
        problem=one.problem and sight.message(one.problem, known),
        record=None,
    )


def counts(tx: sa.Connection, *which: sa.ColumnElement[bool]) -> dict[str, int]:
    """Return how many deliveries are in each state."""
    query = sa.select(delivery.c.state, sa.func.count()).where(*which).group_by(delivery.c.state)
    found = {str(state): int(number) for state, number in tx.execute(query)}
    return {state: found.get(state, 0) for state in STATES}


def of_run(tx: sa.Connection, run_id: int) -> dict[str, int] | None:
    """Return how many deliveries of a run are in each state, None where it has none."""
    found = counts(tx, delivery.c.run_id == run_id)
    return found if any(found.values()) else None


def waiting(tx: sa.Connection) -> dict[str, int]:
    """Return how many deliveries are under way to each connection."""
    open_ = delivery.c.state.in_(OPEN)
    query = sa.select(delivery.c.connection, sa.func.count()).where(open_).group_by(delivery.c.connection)
    return {str(name): int(number) for name, number in tx.execute(query)}


def oldest(tx: sa.Connection, now: datetime) -> timedelta:
    """Return for how long the oldest delivery has been under way."""
    at = tx.scalar(sa.select(sa.func.min(delivery.c.queued_at)).where(delivery.c.state.in_(OPEN)))
    return max(now - at, timedelta()) if at else timedelta()


def not_undone(document: Mapping[str, Any], run_id: int) -> Message | None:
    """Say why a run of a rule with an outbox cannot be undone, None of another one."""
    if document.get("transaction") != Transaction.OUTBOX:
        return None
    text = N_(
        "Run {run} has written through an outbox, which does not know what was there before. Change the records in"
        " their source instead."
    )
    return msg(text, run=run_id)


def hindrance(tx: sa.Connection, name: str) -> Message | None:
    """Say why a rule cannot be deleted now: what it has committed is written with its owner's rights."""
    open_ = (delivery.c.rule_name == name, delivery.c.state.in_(OPEN))
    number = tx.scalar(sa.select(sa.func.count()).where(*open_))
    text = N_("{count} deliveries of '{name}' are under way. Wait for them, or drop them.")
    return msg(text, count=number, name=name) if number else None


def in_use(tx: sa.Connection) -> Iterator[tuple[str, User]]:
    """Yield each connection that a delivery needs, with what a person can do about it."""
    for name, number in waiting(tx).items():
        yield name, User(translated(msg("{count} deliveries", count=number)), f"/runs/deliveries/?connection={name}")


usage_checks.append(in_use)
hooks.deletion.append(hindrance)
