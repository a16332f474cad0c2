"""What people see of transactions over several systems: those that are open, and what systems show of them."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

import sqlalchemy as sa

from connectors.errors import ConnectorError
from connectors.two_phase import InDoubt, TwoPhase
from rules.text import N_, Message, msg
from webapp.connections.catalogue import connector_class
from webapp.connections.models import connection
from webapp.connections.services import User, move_checks, usage_checks
from webapp.extensions import House
from webapp.runs.models import installation
from webapp.runs.systems import Reached
from webapp.runs.transactions.deciding import prefix_of
from webapp.runs.transactions.models import global_transaction, transaction_branch
from webapp.runs.transactions.states import OPEN_STATES, BranchState, State
from webapp.web.language import translated


@dataclass(frozen=True)
class ShownBranch:
    """One system of a transaction; `shown` is what the system itself shows of it, if it was asked."""

    side: str
    connection: str
    object: str
    records: int
    gid: str | None
    state: BranchState
    problem: Message | None = None
    shown: InDoubt | None = None


@dataclass(frozen=True)
class ShownTransaction:
    """An open transaction."""

    id: int
    rule_name: str
    run_id: int
    chunk_no: int
    state: State
    begun_at: datetime
    age: timedelta
    branches: tuple[ShownBranch, ...]


@dataclass(frozen=True)
class Stray:
    """A prepared write that a system shows under our name and that belongs to no open transaction."""

    connection: str
    found: InDoubt
    known: bool
    """Whether it belongs to a transaction that has ended, so that recovery will end it."""


@dataclass(frozen=True)
class Asked:
    """What systems have shown: by connection, or why it could not be asked."""

    found: dict[str, list[InDoubt]]
    problems: dict[str, Message]


def listing(house: House, asked: Asked | None = None) -> list[ShownTransaction]:
    """Return the open transactions, oldest first."""
    t, b = global_transaction, transaction_branch
    shown = {one.gid: one for found in asked.found.values() for one in found} if asked else {}
    with house.db.read() as tx:
        rows = tx.execute(sa.select(t).where(t.c.state.in_([s.value for s in OPEN_STATES])).order_by(t.c.id)).all()
        parts = tx.execute(
            sa.select(b).where(b.c.transaction_id.in_([row.id for row in rows])).order_by(b.c.side)
        ).all()
    now = house.clock()
    return [
        ShownTransaction(
            row.id, row.rule_name, row.run_id, row.chunk_no, State(row.state), row.begun_at, now - row.begun_at,
            tuple(replace(_branch(part), shown=shown.get(part.gid)) for part in parts if part.transaction_id == row.id),
        )
        for row in rows
    ]  # fmt: skip


def _branch(part: sa.Row[tuple[object, ...]]) -> ShownBranch:
    problem = Message.from_json(part.problem) if part.problem else None
    state = BranchState(part.state)
    return ShownBranch(part.side, part.connection, part.object, part.records, part.gid, state, problem)


def open_count(tx: sa.Connection) -> int:
    """Return how many transactions are open."""
    states = [state.value for state in OPEN_STATES]
    return int(tx.scalar(sa.select(sa.func.count()).where(global_transaction.c.state.in_(states))) or 0)


def ask(house: House) -> Asked:
    """Ask every system that can take part what is in doubt there."""
    with house.db.read() as tx:
        uid = tx.scalar(sa.select(installation.c.uid))
        known = tx.execute(sa.select(connection.c.name, connection.c.connector).order_by(connection.c.name)).all()
    asked = Asked({}, {})
    for name, kind in known:
        try:
            if not issubclass(connector_class(kind), TwoPhase):
                continue
            with Reached(house) as reached, reached.connect(name) as connector:
                if isinstance(connector, TwoPhase) and uid is not None:
                    asked.found[name] = connector.in_doubt(prefix_of(uid))
        except ConnectorError as error:
            asked.problems[name] = error.advice
    return asked


def strays(house: House, asked: Asked) -> list[Stray]:
    """Return what systems show that belongs to no open transaction."""
    joined = transaction_branch.c.transaction_id == global_transaction.c.id
    with house.db.read() as tx:
        known = {
            row.gid: State(row.state)
            for row in tx.execute(
                sa.select(transaction_branch.c.gid, global_transaction.c.state).where(
                    joined,
                    transaction_branch.c.gid.in_([one.gid for found in asked.found.values() for one in found]),
                )
            )
        }
    return [
        Stray(name, one, one.gid in known)
        for name, found in asked.found.items()
        for one in found
        if known.get(one.gid) not in OPEN_STATES
    ]


def not_moved(tx: sa.Connection, name: str) -> Message | None:
    """Say why a connection must lead to the same system now: what is in doubt there could not be ended any more."""
    b, t = transaction_branch.c, global_transaction.c
    open_ = (b.connection == name, b.gid.is_not(None), t.state.in_([state.value for state in OPEN_STATES]))
    number = tx.scalar(sa.select(sa.func.min(t.id)).where(b.transaction_id == t.id, *open_))
    text = N_(
        "Transaction {number} is in doubt there. Finish it under Runs › Transactions, or take its part for done, before"
        " the connection leads to another system."
    )
    return None if number is None else msg(text, number=number)


def in_use(tx: sa.Connection) -> Iterator[tuple[str, User]]:
    """Yield each connection that an open transaction needs, with what a person can do about it."""
    b, t = transaction_branch.c, global_transaction.c
    needed = sa.select(b.connection, t.id).where(
        b.transaction_id == t.id, b.gid.is_not(None), t.state.in_([state.value for state in OPEN_STATES])
    )
    for name, number in tx.execute(needed):
        yield name, User(translated(msg("transaction {number}", number=number)), "/runs/transactions/")


usage_checks.append(in_use)
move_checks.append(not_moved)
