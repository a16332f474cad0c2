"""What becomes of sagas that were under way when an older state is put back: each waits for a person."""

from __future__ import annotations

from datetime import datetime

import sqlalchemy as sa

from rules.documents.saga import RECORD
from rules.text import Message
from webapp.runs.sagas import ledger
from webapp.runs.sagas.ledger import Saga
from webapp.runs.sagas.models import saga
from webapp.runs.sagas.states import SENT, State, StepState


def leave(tx: sa.Connection, now: datetime, why: Message) -> int:
    """Leave the sagas that a run would go on with, or take back; return how many there were.

    No cases are opened for them: what these quote needs the keys, which may not be here yet.
    """
    going = saga.c.state.in_([State.WORKING.value, State.COMPENSATING.value])
    found = ledger.load(tx, going)
    for one in found:
        _leave(tx, one, why, now)
    return len(found)


def _leave(tx: sa.Connection, one: Saga, why: Message, now: datetime) -> None:
    ledger.refuse(tx, one.id, RECORD, (None, why))
    last = max((no for no, step in one.steps.items() if step.state in SENT), default=None)
    if last is None:  # nothing of it was sent, or all is taken back
        ledger.move(tx, [one.id], State.COMPENSATING, State.COMPENSATED, now)
        return
    ledger.mark(tx, last, [one.id], StepState.STUCK, why)
    ledger.move(tx, [one.id], State.COMPENSATING, State.STUCK, None)
