"""An approved plan: what a simulation has shown is written, chunk by chunk, and nothing else.

Before a chunk is written, its records are looked up again on both sides. Those that have moved since the simulation are
left out, each with its reason; all others are written exactly as shown.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import sqlalchemy as sa

from rules.mapping import compile_mapping
from rules.reconcile.situations import MOVED
from rules.text import msg
from rules.trace import read_fields
from webapp.runs.models import rule_cursor, run, run_chunk, run_input, run_record
from webapp.runs.pipeline.chunk import Chunk, load
from webapp.runs.pipeline.codec import column_text, typed_value
from webapp.runs.pipeline.execute import Suspended, Systems
from webapp.runs.pipeline.held import Held
from webapp.runs.pipeline.inputs import Inputs
from webapp.runs.pipeline.links import Links
from webapp.runs.pipeline.moves import Watch, without
from webapp.runs.pipeline.parking import settle_rest
from webapp.runs.pipeline.stored import StoredRun


class Approval(StoredRun):
    """One worker's work on an approved plan."""

    _read: tuple[str, ...] = ()
    _source: Held | None = None

    def prepare(self, systems: Systems, own: Held, other: Held) -> None:
        """Find out which fields the rule reads: a change of any other one does not count."""
        ordered = (other, own) if self.sides.reverse else (own, other)
        mapping = compile_mapping(self.rule, ordered[0].schema, ordered[1].schema, systems.library)
        asked = (name for question in mapping.questions for name in question.fields)
        self._read, self._source = read_fields(self.rule, own.schema, asked), own

    def chunks(self, own: Held, other: Held, links: Links) -> Iterator[Chunk]:
        """Yield the chunks of the plan that are still to be written, without the records that have moved."""
        sim = self.stored("chunks", "high")
        watch = Watch(own, other, self._read, self.sides.matches(self.rule), links)
        for number in range(self.journal.chunks + 1, sim.chunks + 1):
            chunk = self._planned(number, sim.high)
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
        chunk = load(number, row.plan, note)
        return replace(chunk, inputs=Inputs(kept.first, kept.records, kept.blob)) if kept else chunk

    def ended(self, tx: sa.Connection) -> None:
        """Move the cursor to where the plan ended, unless a record was left out that the next run has to meet again."""
        moved = sa.exists().where(run_record.c.run_id == self.claim.run_id, run_record.c.situation == MOVED)
        if tx.scalar(sa.select(moved)):
            return
        field = self.sides.detect.field
        if field is None:
            settle_rest(tx, self.claim, self.house.clock())
        elif self._source is not None:
            self._advance(tx, field, self._source)

    def _advance(self, tx: sa.Connection, field: str, source: Held) -> None:
        high = tx.scalar(sa.select(run.c.high).where(run.c.id == self.of))
        name = str(column_text(f"{source.side.connection}/{source.side.object}/{field}"))
        mine = (rule_cursor.c.rule_id == self.claim.rule_id, rule_cursor.c.source == name)
        known = tx.scalar(sa.select(rule_cursor.c.value).where(*mine))
        if high is None or (known is not None and _value(source, field, known) >= _value(source, field, high)):
            return
        tx.execute(sa.delete(rule_cursor).where(*mine))
        row = {"rule_id": self.claim.rule_id, "source": name, "value": high, "run_id": self.claim.run_id}
        tx.execute(sa.insert(rule_cursor).values(row))


def _value(source: Held, field: str, value: Any) -> Any:
    return typed_value(source.schema, field, value)
