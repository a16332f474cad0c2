"""The rows of transactions: begun before anything is prepared, decided by one conditional update, ended last."""

from __future__ import annotations

import secrets
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

import sqlalchemy as sa

from connectors.errors import Fenced
from connectors.spi import Fence
from webapp.audit.services import Event, Subject, record
from webapp.audit.tags import Tag
from webapp.extensions import SYSTEM, House
from webapp.runs.transactions.models import global_transaction, transaction_branch
from webapp.runs.transactions.states import ENDED, OPEN_STATES, BranchState, State, after

PREFIX = "syncline:"


@dataclass(frozen=True)
class Part:
    """One system that takes part: which side of the rule, and what is written there.

    `own`: it is the hub, whose records are written in the transaction that decides.
    """

    side: str
    connection: str
    object: str
    records: int
    scope: str
    own: bool = False


@dataclass(frozen=True)
class Branch:
    """What is stored of a system that takes part."""

    side: str
    connection: str
    gid: str | None
    scope: str
    state: BranchState


@dataclass(frozen=True)
class Transaction:
    """What is stored of a transaction."""

    id: int
    rule_id: int
    rule_name: str
    run_id: int
    chunk_no: int
    token: int
    state: State
    changed_at: datetime
    branches: tuple[Branch, ...]

    def fence(self, branch: Branch) -> Fence:
        """Return the fence that a branch has written."""
        return Fence(branch.scope, self.token, self.run_id, self.chunk_no)


def prefix_of(installation: str) -> str:
    """Return how the global ids of an installation begin."""
    return f"{PREFIX}{installation}:"


def begin(tx: sa.Connection, rule: tuple[int, str], fence: Fence, parts: Sequence[Part], at: datetime) -> Transaction:
    """Note a transaction that is about to be prepared; `fence` tells the run, its chunk and the worker's token."""
    installation = fence.scope.partition(":")[0]
    values = {"rule_id": rule[0], "rule_name": rule[1], "run_id": fence.run, "chunk_no": fence.chunk}
    row = {**values, "token": fence.token, "state": State.PREPARING.value, "begun_at": at}
    number = tx.execute(sa.insert(global_transaction).values(row).returning(global_transaction.c.id)).scalar_one()
    once = secrets.token_hex(4)  # a store that was set back gives numbers again; what it does not know stays apart
    for part in parts:
        gid = None if part.own else f"{prefix_of(installation)}{number}.{once}:{part.side}"
        told = {"side": part.side, "connection": part.connection, "object": part.object, "records": part.records}
        state = BranchState.OPEN.value
        tx.execute(
            sa.insert(transaction_branch).values(transaction_id=number, gid=gid, scope=part.scope, state=state, **told)
        )
    return load(tx, global_transaction.c.id == number)[0]


def load(tx: sa.Connection, *where: sa.ColumnElement[bool]) -> list[Transaction]:
    """Return transactions with their branches, oldest first."""
    t, b = global_transaction, transaction_branch
    rows = tx.execute(sa.select(t).where(*where).order_by(t.c.id)).all()
    parts = tx.execute(
        sa.select(b).where(b.c.transaction_id.in_([row.id for row in rows])).order_by(b.c.transaction_id, b.c.side)
    ).all()
    branches: dict[int, list[Branch]] = {}
    for part in parts:
        one = Branch(part.side, part.connection, part.gid, part.scope, BranchState(part.state))
        branches.setdefault(part.transaction_id, []).append(one)
    return [
        Transaction(
            row.id, row.rule_id, row.rule_name, row.run_id, row.chunk_no, row.token, State(row.state),
            row.decided_at or row.begun_at, tuple(branches.get(row.id, ())),
        )
        for row in rows
    ]  # fmt: skip


def open_ones(tx: sa.Connection, rule_id: int | None = None) -> list[Transaction]:
    """Return the transactions that have not ended, of one rule or of all."""
    mine = () if rule_id is None else (global_transaction.c.rule_id == rule_id,)
    return load(tx, global_transaction.c.state.in_([state.value for state in OPEN_STATES]), *mine)


def decide(tx: sa.Connection, number: int, state: State, at: datetime) -> bool:
    """Decide about a transaction that is undecided; False: somebody else has decided."""
    undecided = (global_transaction.c.id == number, global_transaction.c.state == State.PREPARING.value)
    values = {"state": state.value, "decided_at": at}
    return tx.execute(sa.update(global_transaction).where(*undecided).values(values)).rowcount == 1


def commit(tx: sa.Connection, number: int, at: datetime) -> None:
    """Decide that a transaction is committed, with all that is written in this transaction; raises `Fenced`."""
    if not decide(tx, number, State.COMMITTING, at):
        raise Fenced  # it was given up meanwhile: whoever did so took us for dead
    own = (transaction_branch.c.transaction_id == number, transaction_branch.c.gid.is_(None))
    tx.execute(sa.update(transaction_branch).where(*own).values(state=BranchState.COMMITTED.value))


def note(tx: sa.Connection, number: int, side: str, state: BranchState, problem: object = None) -> None:
    """Note how far a branch is, and why it is no further."""
    mine = (transaction_branch.c.transaction_id == number, transaction_branch.c.side == side)
    tx.execute(sa.update(transaction_branch).where(*mine).values(state=state.value, problem=problem))


def conclude(house: House, number: int) -> State:
    """End a decided transaction whose branches have all answered; return its state."""
    with house.db.begin() as tx:
        found = load(tx, global_transaction.c.id == number)[0]
        if found.state not in ENDED:
            return found.state
        ended = after(found.state, _states(found))
        if ended is not found.state:
            at = house.clock()
            mine = (global_transaction.c.id == number, global_transaction.c.state == found.state.value)
            done = sa.update(global_transaction).where(*mine).values(state=ended.value, ended_at=at)
            if tx.execute(done).rowcount and ended is State.ABORTED:
                systems = [branch.connection for branch in found.branches]
                told = {"transaction": number, "chunk": found.chunk_no, "systems": systems}
                subject = Subject("rule", found.rule_name)
                record(tx, SYSTEM, at, Event(Tag.TRANSACTION_UNDONE, subject, None, told, run_id=found.run_id))
        return ended


def _states(found: Transaction) -> list[BranchState]:
    """Return the states of the branches that a system has to be told of; what is our own follows the decision."""
    return [branch.state for branch in found.branches if branch.gid is not None]


def give_up(house: House, number: int, prepared: Sequence[str] = ()) -> bool:
    """Decide that an undecided transaction is undone, of which some sides are prepared; False: it was decided."""
    with house.db.begin() as tx:
        if not decide(tx, number, State.ABORTING, house.clock()):
            return False
        for side in prepared:
            note(tx, number, side, BranchState.PREPARED)
    return True
