"""Finishing what workers have left behind: at the start, on a timer, and before a rule goes on.

A decided transaction is carried out. An undecided one is undone once nobody holds its run under the token that it was
begun with. What a system shows of a transaction that has ended (a worker that was only asleep has prepared it, late) is
ended the same way.
"""

from __future__ import annotations

import logging
from datetime import timedelta

import sqlalchemy as sa

from connectors.errors import ConnectorError
from connectors.two_phase import TwoPhase
from webapp.extensions import House
from webapp.rounds import Rounds
from webapp.runs.models import installation, run
from webapp.runs.sagas import ledger
from webapp.runs.systems import Reached
from webapp.runs.transactions.deciding import Transaction, give_up, open_ones, prefix_of
from webapp.runs.transactions.finishing import Connect, Unfinished, finish
from webapp.runs.transactions.models import global_transaction, transaction_branch
from webapp.runs.transactions.states import State, decided, stray

PATIENCE = timedelta(seconds=5)
"""So long a decided transaction is left to the worker that has decided it, while that is alive."""
LOOK_BACK = timedelta(days=7)
"""So long after the last transaction of a connection it is asked for branches that nobody has asked for."""
KEPT = timedelta(days=30)
"""So long what is stored of a transaction is kept behind its end."""
SWEEP = 60.0
"""Seconds between two looks at what systems show."""

log = logging.getLogger(__name__)


def settle(house: House, rule_id: int, connect: Connect) -> None:
    """Finish what is open of a rule that we hold; raises `Unfinished` where that is not possible yet."""
    with house.db.read() as tx:
        found = open_ones(tx, rule_id)
    for transaction in found:
        give_up(house, transaction.id)
        finish(house, transaction.id, connect)


def recover(house: House) -> int:
    """Finish what can be finished of all that is open; return how much is left."""
    with house.db.read() as tx:
        found = open_ones(tx)
        alive = {transaction.id: _alive(tx, house, transaction) for transaction in found}
    left = 0
    for transaction in found:
        if alive[transaction.id] and house.clock() - transaction.changed_at < PATIENCE:
            continue
        left += not _recovered(house, transaction, alive=alive[transaction.id])
    return left


def _recovered(house: House, transaction: Transaction, *, alive: bool) -> bool:
    if transaction.state is State.PREPARING:
        if decided(transaction.state, alive=alive) is State.PREPARING:
            return False
        give_up(house, transaction.id)
    try:
        with Reached(house) as reached:
            finish(house, transaction.id, reached.connect)
    except Unfinished as error:
        log.warning("%s", error)
        return False
    return True


def _alive(tx: sa.Connection, house: House, transaction: Transaction) -> bool:
    """Tell whether the worker that has begun a transaction still holds its run."""
    row = tx.execute(
        sa.select(run.c.state, run.c.token, run.c.lease_until).where(run.c.id == transaction.run_id)
    ).one_or_none()
    if row is None or row.state != "running" or row.token != transaction.token or row.lease_until is None:
        return False
    return bool(row.lease_until > house.clock())


def sweep(house: House) -> int:
    """End what systems show of transactions that have ended; return how many branches were ended."""
    _forget_old(house)
    with house.db.read() as tx:
        uid = tx.scalar(sa.select(installation.c.uid))
        since = house.clock() - LOOK_BACK
        joined = transaction_branch.c.transaction_id == global_transaction.c.id
        late = sa.or_(global_transaction.c.ended_at.is_(None), global_transaction.c.ended_at > since)
        asked = sa.select(transaction_branch.c.connection).distinct().where(joined, late)
        names = tx.scalars(asked.where(transaction_branch.c.gid.is_not(None))).all()
    return 0 if uid is None else sum(_swept(house, name, prefix_of(uid)) for name in sorted(names))


def _forget_old(house: House) -> None:
    """Delete what is stored of transactions and of steps that ended long ago."""
    old = sa.select(global_transaction.c.id).where(global_transaction.c.ended_at < house.clock() - KEPT)
    with house.db.begin() as tx:
        ledger.forget_old(tx, house.clock() - KEPT)
    with house.db.read() as tx:
        if tx.scalar(old.limit(1)) is None:
            return
    with house.db.begin() as tx:
        tx.execute(sa.delete(transaction_branch).where(transaction_branch.c.transaction_id.in_(old)))
        tx.execute(sa.delete(global_transaction).where(global_transaction.c.id.in_(old)))


def _swept(house: House, name: str, prefix: str) -> int:
    ended = 0
    try:
        with Reached(house) as reached, reached.connect(name) as connector:
            if not isinstance(connector, TwoPhase):
                return 0
            for shown in connector.in_doubt(prefix):
                commit = stray(state_of(house, shown.gid))
                if commit is not None:
                    log.warning("%s shows %s, which has ended: commit %s", name, shown.gid, commit)
                    end = connector.commit_prepared if commit else connector.rollback_prepared
                    ended += int(end(shown.gid))
    except ConnectorError as error:
        log.warning("%s could not be asked what is in doubt there: %s", name, error)
    return ended


def state_of(house: House, gid: str) -> State | None:
    """Return the state of the transaction that a global id belongs to, None where nothing is stored of it."""
    joined = transaction_branch.c.transaction_id == global_transaction.c.id
    with house.db.read() as tx:
        found = tx.scalar(sa.select(global_transaction.c.state).where(joined, transaction_branch.c.gid == gid))
    return None if found is None else State(found)


class Recoverer(Rounds):
    """Recovers at once, and again and again, in a thread of its own: systems may take their time."""

    name = "recover transactions"
    again = "Transactions will be looked at again"
    at_once = True

    def __init__(self, house: House, every: float = 5.0) -> None:
        super().__init__(every, patience=every)
        self._house = house
        self._every = every
        self._rounds = 0

    def turn(self) -> None:
        """Finish what can be finished, and now and then look at what systems show."""
        first, self._rounds = self._rounds % max(1, round(SWEEP / self._every)) == 0, self._rounds + 1
        recover(self._house)
        if first:
            sweep(self._house)
