"""Undoing a run: what it has written is taken back, its last chunk first, from the before-images that it has kept."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

import polars as pl
import sqlalchemy as sa

from rules.reconcile.situations import REFUSED, Outcome
from webapp.runs.models import run_chunk
from webapp.runs.pipeline import made
from webapp.runs.pipeline.chunk import Chunk
from webapp.runs.pipeline.compensation import CHANGES, Compensation
from webapp.runs.pipeline.ends import Ends
from webapp.runs.pipeline.stored import StoredRun

_CLEARED = ("before", "after", "own_before", "own_after", "stage", "place", "record")


class Undoing(StoredRun):
    """One worker's work on undoing a run."""

    def chunks(self, ends: Ends) -> Iterator[Chunk]:
        """Yield what takes the run's chunks back."""
        with self.house.db.read() as tx:
            numbers = changed_chunks(tx, self.of, (self.position or {}).get("undone"))
        for number in numbers:
            with self.house.db.read() as tx:
                done = changes(tx, self.of, number)
            no, first = self.journal.chunks + 1, self.journal.counts["read"] + 1
            chunk = self.retry(lambda done=done, no=no, first=first: Compensation(ends, done).chunk(no, first))  # type: ignore[misc]
            yield replace(chunk, position={"undone": number})

    def result(self, chunk: Chunk, ends: Ends) -> Chunk:
        """Return a chunk with what the target has refused as left alone: there is nothing to correct and to replay."""
        refused = pl.col("outcome") == Outcome.QUARANTINED
        told = chunk.outcomes.with_columns(
            *(pl.when(~refused).then(pl.col(name)).alias(name) for name in _CLEARED),
            outcome=pl.when(refused).then(pl.lit(Outcome.SKIPPED.value)).otherwise("outcome"),
            situation=pl.when(refused).then(pl.lit(REFUSED)).otherwise("situation"),
        )
        return ends.agreed(replace(chunk, outcomes=told))

    def ended(self, tx: sa.Connection, ends: Ends) -> None:
        """Nothing: the cursor stays, so that the rule finds new changes where it would have."""


def changed_chunks(tx: sa.Connection, run_id: int, before: int | None = None) -> list[int]:
    """Return the chunks of a run that have changed something, the last one first; `before` goes on behind one."""
    query = sa.select(run_chunk.c.no, run_chunk.c.counts).where(run_chunk.c.run_id == run_id)
    query = query.where(run_chunk.c.state == "done").order_by(run_chunk.c.no.desc())
    query = query if before is None else query.where(run_chunk.c.no < before)
    return [row.no for row in tx.execute(query) if any(row.counts[name] for name in CHANGES)]


def changes(tx: sa.Connection, run_id: int, number: int) -> pl.DataFrame:
    """Return the outcomes of a chunk's records that were created, updated or deleted."""
    mine = (run_chunk.c.run_id == run_id, run_chunk.c.no == number)
    found = made.outcomes(tx.scalar(sa.select(run_chunk.c.outcomes).where(*mine)))
    return found.filter(pl.col("outcome").is_in(CHANGES))
