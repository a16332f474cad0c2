"""What people see of sagas: those in work, and those that could not be taken back."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from datetime import timedelta
from typing import Any

import sqlalchemy as sa

from rules.documents.sync import Transaction
from rules.schema import Schema
from rules.text import N_, Message, msg
from webapp.connections.permitted import asking, rights_to, sees_all
from webapp.connections.services import User, usage_checks
from webapp.extensions import House
from webapp.policies.errors import NotPermitted
from webapp.policies.masks import DOTS
from webapp.runs.models import run
from webapp.runs.sagas import ledger
from webapp.runs.sagas.ledger import Done, Saga
from webapp.runs.sagas.models import saga, saga_step
from webapp.runs.sagas.states import LEFT, OPEN, State, StepState
from webapp.runs.sight import Sight, Sights
from webapp.web.language import translated

AT_ONCE = 100
_HIDDEN = Message("{dots}", {"dots": DOTS})


@dataclass(frozen=True)
class ShownSaga(Saga):
    """The saga of one record; `active` tells whether its run is at work."""

    age: timedelta = timedelta()
    active: bool = False

    @property
    def stuck(self) -> Done | None:
        """Return the step that could not be taken back."""
        return next((step for step in self.steps.values() if step.state is StepState.STUCK), None)

    @property
    def place(self) -> tuple[int, int]:
        """Return where it stands in the list."""
        return int(self.state is not State.STUCK), self.id

    @property
    def left(self) -> list[Done]:
        """Return the steps of which something is left, the last one first."""
        return [step for _, step in sorted(self.steps.items(), reverse=True) if step.state in LEFT]


def listing(house: House, behind: tuple[int, int] = (0, 0), limit: int = AT_ONCE) -> list[ShownSaga]:
    """Return the sagas that are open, those that wait for a person first; `behind` is the `place` of the last one."""
    with house.db.read() as tx:
        open_ = saga.c.state.in_([state.value for state in OPEN])
        stuck_first = sa.case((saga.c.state == State.STUCK.value, 0), else_=1)
        rest = sa.or_(stuck_first > behind[0], sa.and_(stuck_first == behind[0], saga.c.id > behind[1]))
        ids = tx.scalars(sa.select(saga.c.id).where(open_, rest).order_by(stuck_first, saga.c.id).limit(limit)).all()
        found = sorted(ledger.of_ids(tx, ids), key=lambda one: ids.index(one.id))
        asked = sa.select(run.c.id).where(
            run.c.id.in_({one.run_id for one in found}), run.c.state.in_(("queued", "running"))
        )
        active = set(tx.scalars(asked))
        sights = Sights(tx)
        seen = [_seen(sights.of_run(one.run_id, one.rule_name), one) for one in found]
    now = house.clock()
    return [ShownSaga(**vars(one), age=now - one.begun_at, active=one.run_id in active) for one in seen]


def _seen(sight: Sight, one: Saga) -> Saga:
    if not sight.everything:
        return _unseen(one)
    sight.looked({one.side: one.record_key})
    return one


def require_sight(tx: sa.Connection, one: Saga) -> None:
    """Raise `NotPermitted` for who may not see all of a saga's record, in all systems that it went through."""
    if asking().system:
        return
    sight = Sights(tx, doing=True).of_run(one.run_id, one.rule_name)
    places = {(step.connection, step.object) for step in one.steps.values()}
    if not sight.everything or not all(sees_all(rights_to(tx, *place, Schema(()))) for place in places):
        text = N_("You may not see all of this record in all of its systems, so you cannot decide about it.")
        raise NotPermitted(msg(text))


def _unseen(one: Saga) -> Saga:
    """Return a saga for somebody who may not see all of its record: what is in the way may quote values."""
    steps = {no: replace(step, key=None, problem=step.problem and _HIDDEN) for no, step in one.steps.items()}
    return replace(one, record_key=DOTS, reason=one.reason and _HIDDEN, steps=steps)


def counts(tx: sa.Connection) -> dict[State, int]:
    """Return how many sagas are open, by how far they are."""
    asked = sa.select(saga.c.state, sa.func.count()).where(saga.c.state.in_([state.value for state in OPEN]))
    return {State(state): int(number) for state, number in tx.execute(asked.group_by(saga.c.state)).all()}


def not_undone(document: Mapping[str, Any], run_id: int) -> Message | None:
    """Say why a run whose records went on to other systems cannot be undone, None of another one."""
    if document.get("transaction") != Transaction.SAGA:
        return None
    text = N_(
        "Run {run} went on to other systems with each record, which an undo would not take back. Correct the records in"
        " their source instead."
    )
    return msg(text, run=run_id)


def in_use(tx: sa.Connection) -> Iterator[tuple[str, User]]:
    """Yield each connection that an open saga needs, with what a person can do about it."""
    open_ = saga.c.state.in_([state.value for state in OPEN])
    needed = sa.select(saga_step.c.connection, sa.func.min(saga.c.id)).where(saga.c.id == saga_step.c.saga_id, open_)
    for name, number in tx.execute(needed.group_by(saga_step.c.connection)):
        yield name, User(translated(msg("the steps of record {number}", number=number)), "/runs/transactions/")


usage_checks.append(in_use)
