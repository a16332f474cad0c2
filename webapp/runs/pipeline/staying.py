"""Runs that stay: one that was started by a change goes on with what is changed while it works, and for a moment after.

A system that is changed all the time would otherwise start a run a moment, each of which has to look at both systems
and the rule first. A round ends as a run does: all that the log told is done, and the rule's place in it is moved. The
run ends when nothing more has come for a moment, when another run waits for a worker, and at the latest after a minute.
"""

from __future__ import annotations

import time
from dataclasses import replace
from typing import Any

import sqlalchemy as sa

from connectors.spi import Capture, Connector
from rules.documents.sync import DetectBy, SyncRule
from webapp.extensions import Actor
from webapp.runs.models import run
from webapp.runs.pipeline import cursors, stopping
from webapp.runs.pipeline.execute import Execution
from webapp.runs.pipeline.journal import Claim
from webapp.runs.pipeline.links import Links
from webapp.runs.pipeline.planning import Planner
from webapp.runs.pipeline.reading import Start
from webapp.runs.pipeline.sides import Sides
from webapp.runs.pipeline.writing import Target

CHANGES = Actor("system", "Changes")
"""Asks for runs because something was changed."""
LONGEST, LINGER, PAUSE = 60.0, 1.0, 0.05
"""Seconds: that a run goes on at the most; that it waits for more; between two looks into the log."""


def stays(rule: SyncRule, claim: Claim) -> bool:
    """Tell whether a run of a rule that flows one way goes on with what is changed meanwhile.

    Partners that are found by comparing all with all would be looked for anew in each round.
    """
    asked = claim.requested_by == CHANGES.name and claim.kind == "sync" and claim.live
    return asked and Sides.of(rule).detect.by is DetectBy.CDC and not rule.correlate


class Staying(Execution):
    """One worker's work on one run that stays."""

    def _exhaust(self, reader: Connector, planner: Planner, target: Target[Links]) -> Start | None:
        """Do all that the source asks for, round by round."""
        until = time.monotonic() + LONGEST
        cursor, parked, done = super()._exhaust(reader, planner, target), self._parked, 0
        self._parked = None  # what waits in the quarantine is tried once
        while isinstance(cursor, Capture) and self._more(reader, cursor, until, idle=self.journal.chunks == done):
            done = self.journal.chunks
            cursor = super()._exhaust(reader, planner, target)
        self._parked = parked
        return cursor

    def _more(self, reader: Connector, cursor: Capture, until: float, *, idle: bool) -> bool:
        """Tell whether there is another round, and let it begin where the last one has ended.

        One that found nothing waits for more first.
        """
        mark = self.journal.place[1] or (None if cursor.since is None else dict(cursor.since))
        if mark is None:
            return False
        log = reader.change_log(self.sides.source.object, replace(cursor, since=mark))
        patience = min(until, time.monotonic() + LINGER)
        while idle and not self.retry(lambda: log.pending(mark)):
            if time.monotonic() > patience or self._awaited():
                return False
            time.sleep(PAUSE)
        if time.monotonic() > until or self._awaited():
            return False
        self._turn(mark)
        return True

    def _awaited(self) -> bool:
        """Tell whether another run waits for a worker; raises what stops this one."""
        stopping.check()
        self._heed()
        with self.house.db.read() as tx:
            waiting = sa.exists().where(run.c.state == "queued", run.c.id != self.claim.run_id)
            return bool(tx.scalar(sa.select(waiting)))

    def _turn(self, mark: dict[str, Any]) -> None:
        """Move the rule's place in the log: all up to there is durable."""
        source = cursors.name_of(self.sides.source, self.sides.detect)
        with self.house.db.begin() as tx:
            self.journal.guard(tx, position=None, since=mark, high=mark)
            cursors.put(tx, self.claim, source, mark)
        self.journal.place = (None, mark)
        self.starts.move(self.sides.source_name, mark)
        self._position, self._high, self._aside = None, mark, False
