"""Carrying a decision out: every system that takes part is told, as often as it takes."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager

from connectors.errors import ConnectorError, Unavailable
from connectors.spi import Connector
from connectors.two_phase import TwoPhase
from rules.text import N_, Message, msg
from webapp.extensions import House
from webapp.runs.transactions.deciding import Branch, Transaction, conclude, load, note
from webapp.runs.transactions.models import global_transaction
from webapp.runs.transactions.states import ENDED, BranchState, State, answered

Connect = Callable[[str], AbstractContextManager[Connector]]
_DONE = (BranchState.COMMITTED, BranchState.ABORTED)
_LOST = {
    State.COMMITTING: msg(
        "{connection} knows nothing of its part any more, and holds no mark of it: somebody else has rolled it back."
    ),
    State.ABORTING: msg("{connection} has committed its part although it was to be undone: somebody else did so."),
}


class Unfinished(Unavailable):
    """A transaction is decided, and some system could not be told yet."""


def finish(house: House, number: int, connect: Connect) -> None:
    """Tell every system what was decided; raises `Unfinished` where one could not be told or has done otherwise."""
    with house.db.read() as tx:
        found = load(tx, global_transaction.c.id == number)[0]
    if found.state not in ENDED:
        return
    problems = [_tell(house, found, branch, connect) for branch in found.branches if _waits(branch)]
    if conclude(house, number) in ENDED:
        told = next((problem for problem in problems if problem is not None), msg("It is tried again."))
        text = N_(
            "Transaction {transaction} of run {run} is decided, but not all systems have carried it out. {problem}"
        )
        raise Unfinished(Message(text, {"transaction": number, "run": found.run_id, "problem": told}))


def _waits(branch: Branch) -> bool:
    return branch.gid is not None and branch.state not in _DONE


def _tell(house: House, found: Transaction, branch: Branch, connect: Connect) -> Message | None:
    try:
        with connect(branch.connection) as connector:
            state = _answer(found, branch, connector)
        problem = None
        if state is BranchState.LOST:
            text = _LOST[found.state]
            problem = Message(text.template, {"connection": branch.connection})
    except ConnectorError as error:
        state, problem = branch.state, error.advice
    with house.db.begin() as tx:
        note(tx, found.id, branch.side, state, None if problem is None else problem.to_json())
    return problem


def _answer(found: Transaction, branch: Branch, connector: Connector) -> BranchState:
    if not isinstance(connector, TwoPhase):
        raise Unavailable(msg("{connection} is another kind of system now.", connection=branch.connection))
    gid = branch.gid or ""
    committing = found.state is State.COMMITTING
    known = connector.commit_prepared(gid) if committing else connector.rollback_prepared(gid)
    marked = not known and bool(connector.applied(found.fence(branch)))
    return answered(found.state, branch.state, known=known, marked=marked)
