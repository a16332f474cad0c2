"""The law of two-phase commit as a model: coordinators, recoveries and systems that die between any two steps."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from webapp.runs.transactions.states import (
    ENDED,
    OPEN_STATES,
    BranchState,
    State,
    after,
    answered,
    decided,
    stray,
)

SIDES = ("left", "right")


class System:
    """A database: what is prepared in it, what was committed, and whether it answers."""

    def __init__(self) -> None:
        self.up = True
        self.prepared: set[int] = set()
        self.committed: set[int] = set()

    def end(self, number: int, *, commit: bool) -> bool:
        known = number in self.prepared
        self.prepared.discard(number)
        if known and commit:
            self.committed.add(number)
        return known


class Transactions(RuleBasedStateMachine):
    """Attempts at one chunk; each step of a coordinator, an old coordinator or a recovery can be the last one."""

    @initialize()
    def begin(self) -> None:
        self.systems = {side: System() for side in SIDES}
        self.rows: dict[int, State] = {}
        self.branches: dict[tuple[int, str], BranchState] = {}
        self.alive: dict[int, bool] = {}
        self.decisions: dict[int, State] = {}

    @rule()
    def new_attempt(self) -> None:
        """A worker begins only where nothing of the rule is open, and nothing was committed."""
        if any(state in OPEN_STATES for state in self.rows.values()) or State.COMMITTED in self.rows.values():
            return
        number = len(self.rows) + 1
        self.rows[number], self.alive[number] = State.PREPARING, True
        for side in SIDES:
            self.branches[number, side] = BranchState.OPEN

    @rule(number=st.integers(1, 5), side=st.sampled_from(SIDES), heard=st.booleans())
    def prepare(self, number: int, side: str, heard: bool) -> None:
        """Also a worker that was thought dead prepares, late; its answer may get lost."""
        if number not in self.rows or not self.systems[side].up or self.branches[number, side] is BranchState.PREPARED:
            return
        if self.rows[number] in (State.COMMITTED, State.COMMITTING):
            return  # it prepares each branch once, before it decides
        self.systems[side].prepared.add(number)
        if heard and self.rows[number] is State.PREPARING and self.alive[number]:
            self.branches[number, side] = BranchState.PREPARED

    @rule(number=st.integers(1, 5))
    def decide(self, number: int) -> None:
        """A conditional update; a worker that was thought dead comes too late."""
        ready = all(self.branches.get((number, side)) is BranchState.PREPARED for side in SIDES)
        if ready and self.rows[number] is State.PREPARING:
            self._decide(number, State.COMMITTING)

    @rule(number=st.integers(1, 5))
    def die(self, number: int) -> None:
        self.alive[number] = False

    @rule(side=st.sampled_from(SIDES), up=st.booleans())
    def power(self, side: str, up: bool) -> None:
        self.systems[side].up = up

    @rule(number=st.integers(1, 5), reach=st.sets(st.sampled_from(SIDES)), heard=st.booleans())
    def recover(self, number: int, reach: set[str], heard: bool) -> None:
        """A recovery, or the coordinator behind its decision, gets as far as it gets."""
        if number not in self.rows or self.rows[number] not in OPEN_STATES:
            return
        now = decided(self.rows[number], alive=self.alive[number])
        if now is State.PREPARING:
            return
        self._decide(number, now)
        for side in reach:
            system = self.systems[side]
            before = self.branches[number, side]
            if not system.up or before in (BranchState.COMMITTED, BranchState.ABORTED):
                continue
            known = system.end(number, commit=now is State.COMMITTING)
            if heard:
                marked = number in system.committed
                self.branches[number, side] = answered(now, before, known=known, marked=marked)
        self.rows[number] = after(now, [self.branches[number, side] for side in SIDES])

    @rule(side=st.sampled_from(SIDES))
    def sweep(self, side: str) -> None:
        system = self.systems[side]
        if system.up:
            for number in sorted(system.prepared):
                commit = stray(self.rows.get(number))
                if commit is not None:
                    system.end(number, commit=commit)

    def _decide(self, number: int, state: State) -> None:
        self.rows[number] = state
        self.decisions.setdefault(number, state)

    @invariant()
    def decisions_stand(self) -> None:
        """What is decided is never decided otherwise, and nothing is committed that was not decided."""
        for number, state in self.rows.items():
            first = self.decisions.get(number)
            assert first is None or state in (first, ENDED[first])
        for side in SIDES:
            for number in self.systems[side].committed:
                assert self.decisions[number] is State.COMMITTING

    @invariant()
    def no_branch_is_lost(self) -> None:
        """As long as nobody else ends branches, none is found to be ended against the decision."""
        assert BranchState.LOST not in self.branches.values()

    def teardown(self) -> None:
        """Once all answer and all coordinators are gone, all agree and nothing is in doubt."""
        for side in SIDES:
            self.systems[side].up = True
        for number in self.rows:
            self.alive[number] = False
            self.recover(number, set(SIDES), True)
        for side in SIDES:
            self.sweep(side)
            assert not self.systems[side].prepared
        assert not set(self.rows.values()) & set(OPEN_STATES)
        assert self.systems["left"].committed == self.systems["right"].committed
        assert self.systems["left"].committed == {n for n, s in self.rows.items() if s is State.COMMITTED}


TestTransactions = Transactions.TestCase


@given(st.sampled_from([State.COMMITTING, State.ABORTING]), st.sampled_from(list(BranchState)))
def test_what_somebody_else_has_ended_against_the_decision_is_not_taken_for_done(state, before):
    """A branch that is gone without a mark was not committed; one that is marked was not taken back."""
    marked = state is State.ABORTING
    found = answered(state, before, known=False, marked=marked)
    wrong = state is State.COMMITTING or before is BranchState.PREPARED
    assert (found is BranchState.LOST) is wrong
    assert after(state, [BranchState.LOST, BranchState.COMMITTED]) is state


def test_of_what_is_not_stored_nobody_decides():
    """A branch of a transaction that is under way, or that nothing is stored of, is left alone."""
    assert [stray(state) for state in (None, State.PREPARING, State.COMMITTING)] == [None, None, None]
