"""What a person may do about a record whose steps could not be taken back; each deed is in the audit log.

Only who sees all of the record, in all systems that it went through, decides about it; and only about what they were
shown: `seen` is the mark of then, None where nothing was shown.
"""

from __future__ import annotations

import contextlib
from datetime import datetime
from functools import partial

import sqlalchemy as sa

from connectors.errors import ConnectorError
from rules.documents.saga import RECORD
from rules.text import Message, msg
from webapp.audit.services import Event, Subject, record
from webapp.audit.tags import Tag
from webapp.extensions import Actor, House
from webapp.rulebook.reading import find
from webapp.runs import hooks
from webapp.runs.models import run
from webapp.runs.pipeline.retry import at_once
from webapp.runs.sagas import ledger, reading
from webapp.runs.sagas.ledger import Done, Saga
from webapp.runs.sagas.settling import settle, unsettled
from webapp.runs.sagas.states import Op, State, StepState
from webapp.runs.sagas.taking_back import TakingBack
from webapp.runs.systems import Reached

_AT_WORK = ("queued", "running")
_MOVED = msg("It has gone on since the page was shown. Look at it again.")
_NO_KEY = msg("It is not known under which key the record itself has arrived. Resume its run, or run the rule.")


class NotDone(Exception):
    """The deed is not possible, and why."""

    def __init__(self, message: Message) -> None:
        super().__init__(str(message))
        self.message = message


def again(house: House, number: int, actor: Actor, seen: str | None = None) -> bool:
    """Take a record's steps back, once more or as its run has stopped for good; return whether all of them are."""
    if _halted(house, number, seen):
        return _stop(house, number, actor)
    with house.db.begin() as tx:
        found, stuck = _stuck(tx, number, seen)
        _moved(tx, number, State.COMPENSATING, None)
        sent = stuck.op is Op.CREATE and stuck.key is None  # nobody knows that it has arrived
        ledger.mark(tx, stuck.no, [number], StepState.INTENT if sent else StepState.CONFIRMED)
        _note(tx, house, found, stuck, (actor, "tried again", None))
    return _go_on(house, number, actor)


def take_for_done(house: House, number: int, reason: str, actor: Actor, seen: str | None = None) -> bool:
    """Take a step for taken back, as a person has put it in order; return whether all others are taken back."""
    reason = _reason(reason)
    with house.db.begin() as tx:
        found, stuck = _stuck(tx, number, seen)
        _moved(tx, number, State.COMPENSATING, None)
        ledger.mark(tx, stuck.no, [number], StepState.TAKEN)
        _note(tx, house, found, stuck, (actor, "taken for done", reason))
    return _go_on(house, number, actor)


def give_up(house: House, number: int, reason: str, actor: Actor, seen: str | None = None) -> None:
    """Leave a record's steps as they are."""
    reason = _reason(reason)
    with house.db.begin() as tx:
        found, stuck = _stuck(tx, number, seen)
        _moved(tx, number, State.GIVEN_UP, house.clock())
        _note(tx, house, found, stuck, (actor, "given up", reason))
        place = (found.rule_name, found.run_id, "", "")
        for tell in hooks.sagas:
            tell(tx, hooks.SagaMoved(number, *place, stuck=False, by=actor, at=house.clock()))


def _halted(house: House, number: int, seen: str | None) -> bool:
    """Tell whether nobody works on a record any more, although its steps are neither done nor taken back."""
    with house.db.read() as tx:
        found = _shown(tx, number, seen)
        state = None if found is None else tx.scalar(sa.select(run.c.state).where(run.c.id == found.run_id))
    halted = found is not None and found.state in (State.WORKING, State.COMPENSATING)
    if halted and state in _AT_WORK:
        raise NotDone(msg("Its run is at work on it. Look again once that has ended."))
    return halted


def _stop(house: House, number: int, actor: Actor) -> bool:
    """Take back what was begun for a record whose run nobody resumes."""
    with house.db.read() as tx:
        (found,) = ledger.of_ids(tx, [number])
    with contextlib.suppress(ConnectorError), Reached(house) as reached:  # it is stuck then, and can be ended
        for no in sorted({step.no for step in found.steps.values() if step.no}):
            for saga in unsettled([found], no):
                with reached.connect(saga.steps[no].connection) as connector:
                    settle(house, partial(_idle, found=found), connector, no, [saga])
    with house.db.begin() as tx:
        _idle(tx, found)
        own = found.steps.get(0)
        if own is not None and own.state is StepState.INTENT:  # by its key it is seen whether it has arrived
            rule = find(tx, found.rule_name)
            if own.key is None and rule is not None and rule.id == found.rule_id:
                raise NotDone(_NO_KEY)
            if own.key is not None:
                ledger.confirm(tx, 0, {number: own.key})
        ledger.refuse(tx, number, RECORD, (None, msg("A person has taken it back, as its run had stopped.")))
        after = {"saga": number, "deed": "taken back"}
        event = Event(Tag.SAGA_FORCED, Subject("rule", found.rule_name, str(number)), None, after, None, found.run_id)
        record(tx, actor, house.clock(), event)
    return _go_on(house, number, actor)


def _idle(tx: sa.Connection, found: Saga) -> None:
    """Raise `NotDone` where the run of a saga has gone on meanwhile."""
    if tx.scalar(sa.select(run.c.state).where(run.c.id == found.run_id).with_for_update()) in _AT_WORK:
        raise NotDone(_MOVED)


def _shown(tx: sa.Connection, number: int, seen: str | None) -> Saga | None:
    """Return a saga as it was `seen`; raises `NotDone` where it has gone on, `NotPermitted` for who sees not all."""
    found = next(iter(ledger.of_ids(tx, [number])), None)
    if found is not None:
        reading.require_sight(tx, found)
        if seen is not None and seen != found.mark:
            raise NotDone(_MOVED)
    return found


def _moved(tx: sa.Connection, number: int, state: State, at: datetime | None) -> None:
    if not ledger.move(tx, [number], State.STUCK, state, at):
        raise NotDone(_MOVED)


def _stuck(tx: sa.Connection, number: int, seen: str | None) -> tuple[Saga, Done]:
    found = _shown(tx, number, seen)
    stuck = next((step for step in found.steps.values() if step.state is StepState.STUCK), None) if found else None
    if found is None or stuck is None:
        raise NotDone(msg("This record waits for nobody any more."))
    return found, stuck


def _go_on(house: House, number: int, actor: Actor) -> bool:
    """Take the other steps back, as far as that is possible."""
    with house.db.read() as tx:
        found = ledger.of_ids(tx, [number])
    with Reached(house) as reached:
        TakingBack(house, reached.connect, at_once, lambda _no: None, actor=actor)(found)
    with house.db.read() as tx:
        return ledger.of_ids(tx, [number])[0].state is State.COMPENSATED


def _note(tx: sa.Connection, house: House, found: Saga, stuck: Done, told: tuple[Actor, str, str | None]) -> None:
    actor, deed, reason = told
    after = {"saga": found.id, "step": stuck.name, "connection": stuck.connection, "deed": deed}
    subject = Subject("rule", found.rule_name, str(found.id))
    record(tx, actor, house.clock(), Event(Tag.SAGA_FORCED, subject, None, after, reason, found.run_id))


def _reason(reason: str) -> str:
    if not reason.strip():
        raise NotDone(msg("Say why: the reason is kept in the audit log."))
    return reason.strip()
