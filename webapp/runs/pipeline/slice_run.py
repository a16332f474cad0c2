"""Carrying out a run that is split: one slice after the other, and what follows when all are done.

A slice reads its range of the source and is decided, written and checked in as a run would be, under its own token and
its own fence. What takes all records to know comes last: which are gone, what the quarantine holds for nothing, how the
log of links is kept.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import polars as pl
import sqlalchemy as sa

from connectors.spi import Connector, Page, ReadRequest
from rules.documents.sync import SyncRule
from webapp.extensions import House
from webapp.runs.models import run_chunk
from webapp.runs.pipeline.absent import Absent
from webapp.runs.pipeline.chunk import Chunk
from webapp.runs.pipeline.codec import unpack
from webapp.runs.pipeline.digests import Compared
from webapp.runs.pipeline.execute import Execution
from webapp.runs.pipeline.journal import Cancelled, Claim, Suspended
from webapp.runs.pipeline.links import Links
from webapp.runs.pipeline.planning import Planner
from webapp.runs.pipeline.reading import Start
from webapp.runs.pipeline.refusals import stop_behind
from webapp.runs.pipeline.slice import scope_of
from webapp.runs.pipeline.slice_journal import SliceJournal
from webapp.runs.pipeline.writing import Target
from webapp.runs.slices.models import run_slice, run_split


class SliceExecution(Execution):
    """One worker's work on one slice."""

    journal: SliceJournal
    _missed: pl.Series | None = None

    def __init__(
        self, house: House, claim: Claim, rule: SyncRule, wait: Callable[[float], None], installation: str
    ) -> None:
        super().__init__(house, claim, rule, wait, installation)
        assert claim.slice is not None  # noqa: S101 - it is what was claimed
        self.part = claim.slice
        self.journal = SliceJournal(house, claim, claim.slice)
        self.scope = scope_of(self.scope, claim.slice)
        self._given = 1

    def _work(self, reader: Connector, planner: Planner, target: Target[Links]) -> None:
        """Work on what lies in the slice, on either side, and among the links."""
        planner.within = self.part.within
        target.links.mine = self.part.holds if self.part.of_numbers else None
        self.limits.share = self.journal.share
        super()._work(reader, planner, target)

    def _whole_source(self, planner: Planner) -> ReadRequest:
        return replace(super()._whole_source(planner), within=self.part.within)

    def _filtered(self, reader: Connector, request: ReadRequest, planner: Planner, links: Links) -> ReadRequest:
        """Let the source leave out what is out of scope, where it is known which links are those of the slice."""
        return super()._filtered(reader, request, planner, links) if self.part.of_numbers else request

    def _handle(self, page: Page, no: int, high: object, planner: Planner, target: Target[Links]) -> None:
        read = page.records.height + len(page.rejects)
        read += page.passed.height if isinstance(page, Compared) else 0
        if read or page.left_out:
            no, self._given = self.journal.reserve(read)
        super()._handle(page, no, high, planner, target)

    def _first(self, page: Page) -> int:  # noqa: ARG002 - its numbers were reserved
        return self._given

    def _remove_absent(self, reader: Connector, planner: Planner, target: Target[Links], links: Links) -> None:  # noqa: ARG002 - nothing is removed yet
        """Take note of the links that were not met; a complete scan is one of all slices."""
        if planner.met_all and self.part.of_numbers:
            self._missed = links.missing_in(planner.seen)

    def _stop(self, chunk: Chunk) -> None:
        stop = stop_behind(self.rule, chunk, self.journal.whole["quarantined"], strict=self.claim.strict)
        if stop is not None:
            raise Suspended(stop)

    def _end(self, target: Target[Links], links: Links, cursor: Start | None) -> None:  # noqa: ARG002 - links are put together at the end
        self._place(target)
        with self.house.db.begin() as tx:
            self.journal.finish(tx, self._missed)


class Closing(Execution):
    """One worker's work on a run whose slices are all done."""

    def _work(self, reader: Connector, planner: Planner, target: Target[Links]) -> None:
        self.numbered = self._given()
        self._none_gone = False
        try:
            self._take_up(planner, target, target.links)
            self._remove_absent(reader, planner, target, target.links)
        except (Suspended, Cancelled):
            self._place(target)
            raise
        self._end(target, target.links, None)

    def _recollect(self, planner: Planner) -> None:
        """Bring nothing back: the slices have noted what they have not met."""

    def _remove_absent(self, reader: Connector, planner: Planner, target: Target[Links], links: Links) -> None:
        ends, size = (reader, self._receiver(planner, target)), self.house.settings.page_size
        absent = Absent(self.rule, planner, *ends, self.retry, size, heed=self._heed, missed=self._missed())
        for chunk in absent.chunks(links, self.journal, self.limits):
            self._finish_absent(chunk, planner, target, links)

    def _missed(self) -> pl.Series | None:
        """Return the linked keys that no slice has met; None where one of them cannot tell."""
        mine = run_slice.c.run_id == self.claim.run_id
        with self.house.db.read() as tx:
            found = tx.scalars(sa.select(run_slice.c.missed).where(mine).order_by(run_slice.c.no)).all()
        parts = [unpack(blob)["missed"]["left_key"] for blob in found if blob is not None]
        return pl.concat(parts) if len(parts) == len(found) else None

    def _given(self) -> int:
        """Return the number of the last record of the run so far."""
        mine = (run_chunk.c.run_id == self.claim.run_id, run_chunk.c.slice.is_(None), run_chunk.c.state == "done")
        with self.house.db.read() as tx:
            given = tx.scalar(sa.select(run_split.c.records).where(run_split.c.run_id == self.claim.run_id))
            more = tx.scalar(sa.select(sa.func.sum(run_chunk.c.records)).where(*mine))
        return int(given or 0) + int(more or 0)
