"""An approved plan: what a simulation has shown is written, chunk by chunk, and nothing else.

Before a chunk is written, its records are looked up again on both sides. Those that have moved since the simulation are
left out, each with its reason; all others are written exactly as shown.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import sqlalchemy as sa

from rules.reconcile.situations import MOVED
from rules.text import msg
from webapp.runs.models import run, run_chunk, run_input, run_record
from webapp.runs.pipeline import cursors
from webapp.runs.pipeline.chunk import Chunk, load
from webapp.runs.pipeline.codec import typed_value
from webapp.runs.pipeline.ends import CursorEnd, Ends
from webapp.runs.pipeline.inputs import Inputs
from webapp.runs.pipeline.journal import Suspended
from webapp.runs.pipeline.moves import Watch, without
from webapp.runs.pipeline.parking import settle_rest
from webapp.runs.pipeline.stored import StoredRun


class Approval(StoredRun):
    """One worker's work on an approved plan."""

    def chunks(self, ends: Ends) -> Iterator[Chunk]:
        """Yield the chunks of the plan that are still to be written, without the records that have moved."""
        high, watch = self.stored("high").high, Watch(ends)
        mine = (run_chunk.c.run_id == self.of, run_chunk.c.no > self.journal.chunks)
        with self.house.db.read() as tx:
            numbers = tx.scalars(sa.select(run_chunk.c.no).where(*mine).order_by(run_chunk.c.no)).all()
        for number in numbers:  # pages on which nothing was found have left gaps
            chunk = self._planned(number, high)
            yield without(chunk, self.retry(lambda chunk=chunk: watch.moved(chunk)))  # type: ignore[misc]

    def _planned(self, number: int, high: Any) -> Chunk:
        """Return a chunk of the plan, with the values that the simulation read, so that it can be explained."""
        mine = (run_chunk.c.run_id == self.of, run_chunk.c.no == number)
        with self.house.db.read() as tx:
            row = tx.execute(sa.select(run_chunk.c.plan, run_chunk.c.counts, run_chunk.c.records).where(*mine)).one()
            kept = tx.execute(
                sa.select(run_input).where(run_input.c.run_id == self.of, run_input.c.no == number)
            ).one_or_none()
        if row.plan is None:
            raise Suspended(msg("The plan of run {run} is not kept any more. Simulate the rule again.", run=self.of))
        note = {"position": {"plan": number}, "high": high, "left_out": row.counts["read"] - row.records}
        chunk = load(number, row.plan, {**note, "side": "left"})
        chunk = replace(chunk, side=str(chunk.outcomes["side"].drop_nulls().first() or "left"))
        return replace(chunk, inputs=Inputs(kept.first, kept.records, kept.blob)) if kept else chunk

    def ended(self, tx: sa.Connection, ends: Ends) -> None:
        """Move cursors to where the plan ended, unless a record was left out that the next run has to meet again.

        The plan of a part of the records, or of a re-baseline, says nothing of the others, so it moves no cursor and
        settles nothing else.
        """
        if self.stored("kind").kind != "sync":
            return
        moved = sa.exists().where(run_record.c.run_id == self.claim.run_id, run_record.c.situation == MOVED)
        if tx.scalar(sa.select(moved)):
            return
        read = tx.execute(sa.select(run.c.high, run.c.since).where(run.c.id == self.of)).one()
        cursors, whole = ends.cursors(read.high, read.since)
        for side in whole:
            settle_rest(tx, self.claim, self.house.clock(), side)
        for cursor in cursors:
            self._advance(tx, cursor)

    def _advance(self, tx: sa.Connection, cursor: CursorEnd) -> None:
        known = cursors.stored(tx, self.claim, cursor.name)
        if cursor.value is None or _is_past(cursor, known):
            return
        cursors.put(tx, self.claim, cursor.name, cursor.value)


def _is_past(cursor: CursorEnd, known: Any) -> bool:
    """Tell whether a side has been read further than the plan did, or (by log) otherwise than from where it began."""
    if cursor.field is None:
        return bool(known != cursor.since)
    return known is not None and bool(_value(cursor, known) >= _value(cursor, cursor.value))


def _value(cursor: CursorEnd, value: Any) -> Any:
    return typed_value(cursor.held.schema, cursor.field or "", value)
