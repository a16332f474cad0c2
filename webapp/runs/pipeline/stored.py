"""A run whose chunks are made from what an earlier run has stored: an approved plan, or the undoing of a run.

It writes, checks in and is taken up again like any other run; only where its chunks come from is different.
"""

from __future__ import annotations

import contextlib
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any

import sqlalchemy as sa

from connectors.errors import Retriable
from connectors.spi import Fence
from rules.documents.policies import ErrorAction
from rules.documents.sync import SyncRule
from rules.text import N_, Message, msg
from webapp.extensions import House
from webapp.runs.models import run
from webapp.runs.pipeline import stopping
from webapp.runs.pipeline.chunk import Chunk
from webapp.runs.pipeline.ends import Ends, Run
from webapp.runs.pipeline.journal import Cancelled, Claim, Journal, Suspended
from webapp.runs.pipeline.opening import opened
from webapp.runs.pipeline.retry import Retry
from webapp.runs.pipeline.systems import Systems


class StoredRun(ABC):
    """One worker's work on a run that repeats or takes back what another run has stored."""

    def __init__(
        self, house: House, claim: Claim, rule: SyncRule, wait: Callable[[float], None], installation: str
    ) -> None:
        self.house = house
        self.claim = claim
        self.rule = rule
        self.of = int((claim.parameters or {})["of"])
        self.journal = Journal(house, claim)
        self.scope = f"{installation}:{claim.rule_name}"
        self.position = claim.position
        transient = rule.errors.transient
        self.retry = Retry(transient.retry, transient.backoff == "exponential", wait, self._tell)

    @abstractmethod
    def chunks(self, ends: Ends) -> Iterator[Chunk]:
        """Yield what is still to be written, each chunk compared with what both sides hold at that moment."""

    @abstractmethod
    def ended(self, tx: sa.Connection, ends: Ends) -> None:
        """Do what is due once all is written, in the transaction that ends the run."""

    def result(self, chunk: Chunk, ends: Ends) -> Chunk:  # noqa: ARG002 - for runs that see to what was written
        """Return a written chunk as it is checked in."""
        return chunk

    def run(self, systems: Systems) -> None:
        """Carry the run to its end; raises what stops it (ConnectorError, Suspended, Cancelled)."""
        about = Run(self.claim.rule_id, self.claim.document, self.claim.uses)
        with contextlib.ExitStack() as stack:
            self._work(opened(stack, self.house, self.rule, about, systems))

    def _work(self, ends: Ends) -> None:
        try:
            self._take_up(ends)
            for chunk in self.chunks(ends):
                if chunk.writes:
                    self.journal.plan(chunk)
                    chunk = replace(chunk, inputs=None)  # noqa: PLW2901 - stored with the plan
                self._check_in(ends.apply(chunk, self._fence(chunk.no), self.retry), ends)
                stopping.check()
        except (Suspended, Cancelled):
            self.retry(ends.finish)
            raise
        self.retry(ends.finish)
        with self.house.db.begin() as tx:
            self.journal.guard(tx, read_complete=True)
            self.ended(tx, ends)
            ends.book.compact(tx, self.claim.run_id)
            self.journal.end(tx, "succeeded", None)

    def _take_up(self, ends: Ends) -> None:
        """Go on where an earlier worker stopped: settle what was begun, check in the chunk that was being written."""
        ends.settle(self.house, self.claim, self._fence(0), self.retry)
        half = self.journal.planned()
        if half is not None:
            self._check_in(ends.apply(half, self._fence(half.no), self.retry, again=True), ends)
        self._heed()

    def _check_in(self, chunk: Chunk, ends: Ends) -> None:
        self.journal.check_in(self.result(chunk, ends), ends.book)
        self.position = chunk.position
        self._heed()
        parked, errors = self.journal.counts["quarantined"], self.rule.errors
        if parked >= errors.stop_after or (parked and errors.data is ErrorAction.SUSPEND):
            text = N_("{count} records were refused, and the rule says to stop then. Resume the run to go on.")
            raise Suspended(msg(text, count=parked))

    def _heed(self) -> None:
        with self.house.db.read() as tx:
            self.journal.heed(tx)

    def _fence(self, number: int) -> Fence:
        return Fence(self.scope, self.claim.token, self.claim.run_id, number)

    def stored(self, *names: str) -> Any:
        """Return columns of the run that this one is about."""
        with self.house.db.read() as tx:
            return tx.execute(sa.select(*(run.c[name] for name in names)).where(run.c.id == self.of)).one()

    def _tell(self, error: Retriable, attempt: int, seconds: float) -> None:
        text = N_("{error} Trying again in {seconds} s (attempt {attempt} of {times}).")
        values = {"error": str(error), "seconds": round(seconds, 1), "attempt": attempt, "times": self.retry.times}
        self.journal.log("warning", Message(text, values))
        self.journal.note()
