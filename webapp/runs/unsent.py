"""Records that a source itself has left out of a run, because they do not meet its condition for certain.

A run counts them and has neither numbers nor values of them. Why one of them was left out is told from what the source
holds now, and said to be so.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import suppress

import polars as pl
import sqlalchemy as sa

from connectors.errors import ConnectorError
from rules.documents.sync import SyncRule
from rules.mapping import compile_mapping
from rules.reconcile.one_way import key_values
from rules.reconcile.situations import Outcome, Situation
from rules.text import N_, Message, msg
from rules.trace import RecordTracer, read_fields
from webapp.connections.opening import open_connector
from webapp.connections.probing import object_schema
from webapp.extensions import House
from webapp.rulebook.library import library
from webapp.runs.models import run, run_chunk
from webapp.runs.pipeline.sides import Sides
from webapp.runs.reading import RunRow


def count_unsent(tx: sa.Connection, row: RunRow) -> int:
    """Return how many records the source has left out of a run."""
    mine = (run_chunk.c.run_id == row.id, run_chunk.c.state == "done")
    sent = tx.scalar(sa.select(sa.func.sum(run_chunk.c.records)).where(*mine)) or 0
    return max(row.counts["read"] - int(sent), 0)


def sentence(count: int) -> Message:
    """Return what is known of a record that a run has not met although its source left some out."""
    text = N_(
        "The source itself leaves out records that do not meet the condition of the rule, {count} in this run, and has"
        " not sent this one. Shown are the values that it has now."
    )
    return msg(text, count=count)


def found_now(house: House, row: RunRow, rule: SyncRule, key: str) -> Iterator[tuple[RecordTracer, pl.DataFrame]]:
    """Yield what explains the record that the source holds now under a key, and the record; nothing if it is gone."""
    sides = Sides.of(rule)
    with house.db.read() as tx:
        uses = tx.scalar(sa.select(run.c.uses).where(run.c.id == row.id))
    with suppress(ConnectorError):
        source, target = (object_schema(house, s.connection, s.object) for s in (sides.source, sides.target))
        known = library(house, uses)
        ordered = (target, source) if sides.reverse else (source, target)
        mapping = compile_mapping(rule, *ordered, known)
        asked = [name for question in mapping.questions for name in question.fields]
        schema = source.select(read_fields(rule, source, asked))
        values = key_values(pl.Series([key], dtype=pl.String), source[sides.source_key].dtype).drop_nulls()
        if values.is_empty():
            return
        with open_connector(house, sides.source.connection) as connector:
            records = connector.lookup(sides.source.object, schema, sides.source_key, values.alias(sides.source_key))
        if records.height:
            yield RecordTracer(mapping, source, known), records[0]


SKIPPED = (Outcome.SKIPPED.value, Situation.OUT_OF_SCOPE.value)
