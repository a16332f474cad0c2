"""The law of two-phase commit: what is to be done with a transaction, by what is stored of it. Pure.

A transaction is *preparing* until its decision row says *committing* or *aborting*; one conditional update decides, so
only one of both can ever be said. What is not decided by the time its coordinator is gone is undone (presumed abort).
It is *committed* or *aborted* once every branch has answered.
"""

from __future__ import annotations

from collections.abc import Iterable
from enum import StrEnum


class State(StrEnum):
    """How far a transaction is."""

    PREPARING = "preparing"
    COMMITTING = "committing"
    ABORTING = "aborting"
    COMMITTED = "committed"
    ABORTED = "aborted"


class BranchState(StrEnum):
    """How far one system is, as far as it is known. `LOST`: somebody else has ended it against the decision."""

    OPEN = "open"
    PREPARED = "prepared"
    COMMITTED = "committed"
    ABORTED = "aborted"
    LOST = "lost"


OPEN_STATES = (State.PREPARING, State.COMMITTING, State.ABORTING)
ENDED = {State.COMMITTING: State.COMMITTED, State.ABORTING: State.ABORTED}
_WANTED = {State.COMMITTING: BranchState.COMMITTED, State.ABORTING: BranchState.ABORTED}


def decided(state: State, *, alive: bool) -> State:
    """Return what a recovery may take for decided: an undecided transaction is undone once nobody works on it."""
    return State.ABORTING if state is State.PREPARING and not alive else state


def answered(state: State, before: BranchState, *, known: bool, marked: bool) -> BranchState:
    """Return how far a branch is once its system was told of the decision.

    Args:
        state: The decision.
        before: How far it was.
        known: Whether the system knew the branch, and so has done what it was told.
        marked: Whether the system holds the marker row of the branch, and so has committed it some time.
    """
    wanted = _WANTED[state]
    if known:
        return wanted
    if state is State.COMMITTING:
        return wanted if marked else BranchState.LOST
    # a branch that never was prepared has left nothing; one that was and is marked was committed by somebody else
    return BranchState.LOST if marked and before is BranchState.PREPARED else wanted


def after(state: State, branches: Iterable[BranchState]) -> State:
    """Return the state of a decided transaction by those of its branches."""
    done = all(branch is _WANTED[state] for branch in branches)
    return ENDED[state] if done else state


def stray(state: State | None) -> bool | None:
    """Tell what to do with a branch that a system shows and nobody has asked for: True commits it, False undoes it.

    None leaves it alone: its transaction is under way, or nothing is stored of it (the store was set back), and then
    nobody can know.
    """
    if state in (State.ABORTED, State.ABORTING):
        return False
    return True if state is State.COMMITTED else None
