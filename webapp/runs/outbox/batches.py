"""One batch of a lane: picked, sent run by run, and confirmed."""

from __future__ import annotations

import contextlib
import itertools
import logging
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace

import sqlalchemy as sa

from connectors.errors import ConnectorError, Fenced, RecordRejected
from connectors.spi import Connector, Fence
from rules.documents import DocumentError, parse_sync
from rules.reconcile.agreement import executed
from rules.text import N_, Message, msg
from webapp.connections.services import sentence
from webapp.extensions import House
from webapp.rulebook.library import library
from webapp.rulebook.ownership import refusal
from webapp.rulebook.reading import find
from webapp.runs.execution import installation_id
from webapp.runs.models import run
from webapp.runs.outages import is_outage
from webapp.runs.outbox import keeping, lanes, receipts
from webapp.runs.outbox.lanes import Lane
from webapp.runs.outbox.receipts import Told
from webapp.runs.outbox.writing import NotTaken, Receiver, Result, Row
from webapp.runs.pipeline.opening import living
from webapp.runs.pipeline.systems import Systems
from webapp.runs.systems import Reached

CAREFUL = 4
"""Of so many attempts in a row of which nothing gets through, one goes record by record: a few may be to blame."""
LOST = 3
"""After so many failures of which nothing got through, the others of a batch are not tried one by one."""

log = logging.getLogger(__name__)


def deliver(house: House, lane: Lane) -> int:
    """Send one batch of a lane that we hold and give the lane back; return how many deliveries were sent."""
    with lanes.held(house, lane):
        rows = lanes.pick(house, lane)
        told = [
            one for _, part in itertools.groupby(sorted(rows, key=_run), _run) for one in _of_run(house, lane, part)
        ]
    receipts.confirm(house, lane, told)
    return len(rows)


def _run(row: Row) -> int:
    return int(row.run_id)


def _of_run(house: House, lane: Lane, part: Iterator[Row]) -> Iterator[Told]:
    """Yield what became of the deliveries of one run; a system that cannot be reached leaves them as they were."""
    rows = list(part)
    with house.db.read() as tx:
        about = tx.execute(sa.select(run).where(run.c.id == rows[0].run_id)).one()
        owner, unmade = find(tx, about.rule_name), keeping.not_made(tx, rows)
        problem = None if owner is None else refusal(tx, owner.name, about.document, owner.owner, about.uses)
    if problem is not None:
        yield from (Told(about, Result(row, problem=problem, refused=False)) for row in rows)
        return
    try:
        with contextlib.ExitStack() as stack:
            receiver = replace(_receiver(house, lane, about, stack), unmade=unmade)
            yield from (Told(about, result) for result in Halving(receiver.write, lane.failures).results(rows))
    except Fenced:
        raise
    except (ConnectorError, DocumentError) as error:
        reason = _reason(error)
        yield from (Told(about, Result(row, problem=reason, refused=False)) for row in rows)


def _receiver(house: House, lane: Lane, about: Row, stack: contextlib.ExitStack) -> Receiver:
    rule = executed(parse_sync(about.document))
    reached = stack.enter_context(Reached(house))
    systems = living(Systems(reached.connect, reached.schema, library(house, about.uses)), rule)
    scope = f"{installation_id(house)}:{about.rule_name}/outbox/{lane.no}"
    fence = Fence(scope, lane.token, about.id, 0)

    def guard() -> None:
        with house.db.begin() as tx:
            lanes.guard(tx, house, lane)

    target = Receiver.target_of(rule)
    schema = reached.schema(target.connection, target.object)
    connector: Connector = stack.enter_context(systems.connect(target.connection))
    return Receiver(connector, rule, schema, fence, guard)


@dataclass
class Halving:
    """Sends deliveries, by halves where all at once are not taken, so that one that spoils a call spoils only itself.

    A target that does not answer is not asked again and again for that.
    """

    send: Callable[[Sequence[Row]], list[Result]]
    failures: int
    _passed: int = 0
    _lost: int = 0

    def results(self, rows: Sequence[Row]) -> list[Result]:
        """Return what became of each; raises `Fenced`."""
        try:
            done = self.send(rows)
        except Fenced:
            raise
        except NotTaken as error:
            return self._failed(rows, error.error.advice, apart=True)
        except RecordRejected as error:
            return self._failed(rows, error.advice, apart=True, refused=True)
        except ConnectorError as error:
            return self._failed(rows, error.advice, apart=False)
        except Exception as error:
            if is_outage(error):
                raise
            log.exception("deliveries %s to %s of run %s", rows[0].id, rows[-1].id, rows[0].run_id)
            text = N_("Something unexpected happened; the log has the details: {reason}")
            return self._failed(rows, msg(text, reason=type(error).__name__), apart=True)
        self._passed += len(done)
        return done

    def _failed(self, rows: Sequence[Row], reason: Message, *, apart: bool, refused: bool = False) -> list[Result]:
        careful = (self.failures + 1) % CAREFUL == 0
        hopeless = self._lost >= LOST and not self._passed
        if len(rows) == 1 or (not careful and (hopeless or not apart)):
            self._lost += 1
            return [Result(row, problem=reason, refused=refused) for row in rows]
        half = len(rows) // 2
        return [*self.results(rows[:half]), *self.results(rows[half:])]


def _reason(error: ConnectorError | DocumentError) -> Message:
    return sentence(error) if isinstance(error, ConnectorError) else error.problems[0].message
