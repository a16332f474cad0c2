"""A worker's work on one run: claim it, carry it out, and say in one sentence why it stopped if it did."""

from __future__ import annotations

import contextlib
import logging
import time
import uuid
from collections.abc import Callable
from typing import NamedTuple

import sqlalchemy as sa
import structlog

import webapp.runs.pipeline.referencing  # noqa: F401 - rules ask it through the library
from connectors.errors import AuthFailed, ConnectorError, Fatal, Fenced, Forbidden
from rules.documents import DocumentError, parse_sync
from rules.documents.policies import Execute
from rules.documents.sync import DetectBy, Direction, SideName, SyncRule
from rules.reconcile.agreement import executed
from rules.text import N_, Message, msg
from webapp import tracing
from webapp.connections.probing import holds_messages
from webapp.entities.hub import HubAway
from webapp.extensions import House
from webapp.rulebook.library import library
from webapp.rulebook.ownership import refusal
from webapp.rulebook.reading import find
from webapp.runs.claims import claim, held
from webapp.runs.dependencies import retry_dependants
from webapp.runs.models import installation
from webapp.runs.outages import given_back, is_outage
from webapp.runs.outbox.standing_in import posting
from webapp.runs.pipeline.approved import Approval
from webapp.runs.pipeline.dividing import Dividing
from webapp.runs.pipeline.execute import Execution
from webapp.runs.pipeline.journal import Cancelled, Claim, Suspended
from webapp.runs.pipeline.limits import fitting, lost_fields
from webapp.runs.pipeline.message_run import MessageExecution
from webapp.runs.pipeline.opening import living
from webapp.runs.pipeline.pushing import PushedExecution
from webapp.runs.pipeline.rebaselining import Rebaselining
from webapp.runs.pipeline.sides import Sides
from webapp.runs.pipeline.slice_journal import journal_of
from webapp.runs.pipeline.slice_run import Closing, SliceExecution
from webapp.runs.pipeline.staying import Staying, stays
from webapp.runs.pipeline.stopping import Stopped
from webapp.runs.pipeline.stored import StoredRun
from webapp.runs.pipeline.systems import Systems
from webapp.runs.pipeline.together import joined
from webapp.runs.pipeline.two_way_run import TwoWayExecution
from webapp.runs.pipeline.undoing import Undoing
from webapp.runs.pipeline.verifying import Verifying
from webapp.runs.sagas.writing import stepped
from webapp.runs.slices import leases as slices
from webapp.runs.systems import Reached
from webapp.runs.traces import traced
from webapp.runs.transactions.recovery import settle

log = logging.getLogger(__name__)
_WORK: dict[str, type[Execution | StoredRun]] = {
    "approved": Approval,
    "undo": Undoing,
    "verify": Verifying,
    "rebaseline": Rebaselining,
}


class Ending(NamedTuple):
    """How a run stops early."""

    state: str
    message: Message | None = None
    paused: bool = False


def execute(house: House, run_id: int, worker: str, wait: Callable[[float], None] = time.sleep) -> bool:
    """Carry out a run that waits or was left behind, or what is free of one that is split; False: nothing was free."""
    done, goes_on = False, True
    while goes_on:
        since = time.time_ns()
        claimed = slices.claim(house, run_id, worker) or claim(house, run_id, worker)
        if claimed is None:
            break
        done, goes_on = True, _carried(house, claimed, since, wait)
    return done


def _carried(house: House, claimed: Claim, since: int, wait: Callable[[float], None]) -> bool:
    """Carry out what was claimed; return whether more of the run may be free behind it, as slices are."""
    run_id = claimed.run_id
    if claimed.slice is None and slices.are_left(house, run_id):
        return not slices.leave(house, run_id)
    told = structlog.contextvars.bound_contextvars(run=run_id)
    with told, traced(claimed, since), given_back(house, claimed, wait):
        with contextlib.suppress(Fenced), held(house, claimed):
            ending = _carry_out(house, claimed, _rest(house, claimed, wait))
            if ending is not None:
                state, message, paused = ending
                tracing.tell({"syncline.run.state": state})
                with house.db.begin() as tx:
                    journal_of(house, claimed).end(tx, state, message, paused=paused)
        retry_dependants(house, run_id)
        left = claimed.slice is not None or slices.are_left(house, run_id)
        return left and not slices.leave(house, run_id)
    return False  # our own database has gone away


def _rest(house: House, claimed: Claim, wait: Callable[[float], None]) -> Callable[[float], None]:
    """Return how to wait before a system is asked again: only who still holds the run goes on behind it."""

    def rest(seconds: float) -> None:
        wait(seconds)
        journal_of(house, claimed).note()

    return rest


def _carry_out(house: House, claimed: Claim, wait: Callable[[float], None]) -> Ending | None:
    """Return how a run that stops early ends; None when it has ended well."""
    try:
        _work(house, claimed, wait)
    except (Fenced, HubAway):
        raise
    except Cancelled:
        return Ending("cancelled")
    except Stopped:
        journal_of(house, claimed).release()
    except (Suspended, AuthFailed, Forbidden) as error:
        return Ending("suspended", _sentence(error), paused=getattr(error, "paused", False))
    except (ConnectorError, DocumentError) as error:
        lost = _lost(house, claimed) if isinstance(error, Fatal) else None
        return Ending("failed", _sentence(error)) if lost is None else Ending("suspended", lost)
    except Exception as error:
        if is_outage(error):
            raise
        log.exception("run %s failed", claimed.run_id)
        return Ending("failed", _unexpected(error, claimed.run_id))
    return None


def _work(house: House, claimed: Claim, wait: Callable[[float], None]) -> None:
    """Carry a run out; raises what stops it, `DocumentError` only where the rule is none."""
    rule = executed(parse_sync(claimed.document))
    _owned(house, claimed)
    work = _WORK.get(claimed.kind) or _way(house, rule, claimed)
    with Reached(house) as reached, fitting(), contextlib.ExitStack() as stack:
        systems = Systems(reached.connect, reached.schema, library(house, claimed.uses))
        worker = work(house, claimed, rule, wait, installation_id(house))
        worker.retry(lambda: settle(house, claimed.rule_id, reached.connect))
        systems = stepped(joined(systems, house, claimed, rule), house, claimed, rule, stack)
        worker.run(living(posting(systems, house, claimed, rule), rule))


def _owned(house: House, claimed: Claim) -> None:
    """Raise `Suspended` where the owner of the rule may not do what the run would do."""
    with house.db.read() as tx:
        row = find(tx, claimed.rule_name)
        if row is None or row.id != claimed.rule_id:
            # who asked for an undoing had to hold the rights themselves, as nobody owns the rule any more
            problem = None if claimed.kind == "undo" else _deleted(claimed)
        else:
            problem = refusal(tx, row.name, claimed.document, row.owner, claimed.uses)
    if problem is not None:
        raise Suspended(problem)


def _deleted(claimed: Claim) -> Message:
    text = N_("The rule '{name}' has been deleted, and with it with whose rights its runs work. Cancel this run.")
    return msg(text, name=claimed.rule_name)


def _lost(house: House, claimed: Claim) -> Message | None:
    """Return what to say where a system has refused something since fields are gone by now, None where they are not."""
    rule = executed(parse_sync(claimed.document))
    with contextlib.suppress(ConnectorError), Reached(house) as reached:
        ends = {SideName.LEFT: rule.left, SideName.RIGHT: rule.right}
        schemas = {side: reached.schema(end.connection, end.object) for side, end in ends.items()}
        with house.db.read() as tx:
            return lost_fields(tx, claimed, rule, schemas)
    return None


def _way(house: House, rule: SyncRule, claimed: Claim) -> type[Execution]:
    """Return how the records of a rule are read."""
    sides = Sides.of(rule)
    if claimed.slice is not None:
        return SliceExecution
    if rule.direction is Direction.TWO_WAY:
        return TwoWayExecution
    if stays(rule, claimed):
        return Staying
    if rule.execute is Execute.PUSHDOWN:
        return PushedExecution
    if rule.split is not None and claimed.kind == "sync" and claimed.live and sides.detect.by is DetectBy.FULL:
        return Closing if slices.are_done(house, claimed.run_id) else Dividing
    return MessageExecution if holds_messages(house, sides.source.connection) else Execution


def _unexpected(error: Exception, run_id: int) -> Message:
    """Return what to say of an error that no system has told; that of our own database heals when it has room again."""
    if isinstance(error, sa.exc.OperationalError):
        text = N_(
            "Syncline's own database could not take what the run noted: {problem}. See that it can be reached and has "
            "room, then resume the run."
        )
        return msg(text, problem=str(error.orig))
    text = N_("Something unexpected happened; the log of the worker names it under run {run}. Try to resume the run.")
    return msg(text, run=run_id)


def _sentence(error: Suspended | ConnectorError | DocumentError) -> Message:
    if isinstance(error, DocumentError):
        return msg(N_("The rule cannot be executed: {problem}"), problem=str(error.problems[0].message))
    remedy = getattr(error, "remedy", None)
    if remedy is None:
        return error.message
    return Message(f"{error.message.template} {remedy.template}", {**error.message.values, **remedy.values})


def installation_id(house: House) -> str:
    """Return the random name of this installation, made at first use."""
    with house.db.read() as tx:
        known = tx.scalar(sa.select(installation.c.uid))
    if known:
        return str(known)
    with contextlib.suppress(sa.exc.IntegrityError), house.db.begin() as tx:
        tx.execute(sa.insert(installation).values(id=1, uid=uuid.uuid4().hex))
    with house.db.read() as tx:
        return str(tx.scalar(sa.select(installation.c.uid)))
