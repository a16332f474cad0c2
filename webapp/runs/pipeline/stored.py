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
from connectors.spi import Connector, Fence
from rules.documents.policies import ErrorAction
from rules.documents.sync import SyncRule
from rules.text import N_, Message, msg
from webapp.extensions import House
from webapp.runs.models import run
from webapp.runs.pipeline import stopping
from webapp.runs.pipeline.chunk import Chunk
from webapp.runs.pipeline.execute import Suspended, Systems
from webapp.runs.pipeline.held import Held
from webapp.runs.pipeline.journal import Cancelled, Claim, Journal
from webapp.runs.pipeline.leftovers import settle_leftovers
from webapp.runs.pipeline.links import Links
from webapp.runs.pipeline.retry import Retry
from webapp.runs.pipeline.sides import Sides
from webapp.runs.pipeline.writing import Target


class StoredRun(ABC):
    """One worker's work on a run that repeats or takes back what another run has stored."""

    def __init__(
        self, house: House, claim: Claim, rule: SyncRule, wait: Callable[[float], None], installation: str
    ) -> None:
        self.house = house
        self.claim = claim
        self.rule = rule
        self.sides = Sides.of(rule)
        self.of = int((claim.parameters or {})["of"])
        self.journal = Journal(house, claim)
        self.scope = f"{installation}:{claim.rule_name}"
        self.position = claim.position
        transient = rule.errors.transient
        self.retry = Retry(transient.retry, transient.backoff == "exponential", wait, self._tell)

    @abstractmethod
    def prepare(self, systems: Systems, own: Held, other: Held) -> None:
        """Get ready what the chunks need to know of the systems."""

    @abstractmethod
    def chunks(self, own: Held, other: Held, links: Links) -> Iterator[Chunk]:
        """Yield what is still to be written, each chunk compared with what both sides hold at that moment."""

    @abstractmethod
    def ended(self, tx: sa.Connection) -> None:
        """Do what is due once all is written, in the transaction that ends the run."""

    def result(self, chunk: Chunk) -> Chunk:
        """Return a written chunk as it is checked in."""
        return chunk

    def run(self, systems: Systems) -> None:
        """Carry the run to its end; raises what stops it (ConnectorError, Suspended, Cancelled)."""
        source, target = self.sides.source, self.sides.target
        with contextlib.ExitStack() as stack:
            reader, writer = (stack.enter_context(systems.connect(s.connection)) for s in (source, target))
            schemas = [systems.schema(s.connection, s.object) for s in (source, target)]
            own = Held(reader, source, schemas[0], self.sides.source_key)
            other = Held(writer, target, schemas[1], self.sides.target_key)
            with self.house.db.read() as tx:
                links = Links.load(tx, self.claim.rule_id)
            self.prepare(systems, own, other)
            self._work(own, other, Target(writer, target.object, other.schema, links))

    def _work(self, own: Held, other: Held, target: Target[Links]) -> None:
        try:
            self._take_up(target)
            for chunk in self.chunks(own, other, target.links):
                if chunk.writes:
                    self.journal.plan(chunk)
                    chunk = replace(chunk, inputs=None)  # noqa: PLW2901 - stored with the plan
                self._check_in(target.apply(chunk, self._fence(chunk), self.retry), target.links)
                stopping.check()
        except (Suspended, Cancelled):
            self._place(target.connector)
            raise
        self._place(target.connector)
        with self.house.db.begin() as tx:
            self.journal.guard(tx, read_complete=True)
            self.ended(tx)
            target.links.compact(tx, self.claim.run_id)
            self.journal.end(tx, "succeeded", None)

    def _take_up(self, target: Target[Links]) -> None:
        """Go on where an earlier worker stopped: settle what was begun, check in the chunk that was being written."""
        self.retry(lambda: settle_leftovers(self.house, self.claim, self.sides.target, target, self.scope))
        half = self.journal.planned()
        if half is not None:
            self._check_in(target.apply(half, self._fence(half), self.retry, again=True), target.links)
        self._heed()

    def _check_in(self, chunk: Chunk, links: Links) -> None:
        self.journal.check_in(self.result(chunk), links)
        self.position = chunk.position
        self._heed()
        parked, errors = self.journal.counts["quarantined"], self.rule.errors
        if parked >= errors.stop_after or (parked and errors.data is ErrorAction.SUSPEND):
            text = N_("{count} records were refused, and the rule says to stop then. Resume the run to go on.")
            raise Suspended(msg(text, count=parked))

    def _heed(self) -> None:
        with self.house.db.read() as tx:
            self.journal.heed(tx)

    def _place(self, connector: Connector) -> None:
        self.retry(lambda: connector.finish(self.sides.target.object))

    def _fence(self, chunk: Chunk) -> Fence:
        return Fence(self.scope, self.claim.token, self.claim.run_id, chunk.no)

    def stored(self, *names: str) -> Any:
        """Return columns of the run that this one is about."""
        with self.house.db.read() as tx:
            return tx.execute(sa.select(*(run.c[name] for name in names)).where(run.c.id == self.of)).one()

    def _tell(self, error: Retriable, attempt: int, seconds: float) -> None:
        text = N_("{error} Trying again in {seconds} s (attempt {attempt} of {times}).")
        values = {"error": str(error), "seconds": round(seconds, 1), "attempt": attempt, "times": self.retry.times}
        self.journal.log("warning", Message(text, values))
        self.journal.note()
