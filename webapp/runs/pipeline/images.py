"""Before-images: what a record held that is about to be deleted, so that the deletion can be undone."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import polars as pl

from rules.reconcile.one_way import key_text
from rules.schema import Op
from webapp.runs.pipeline.chunk import Chunk, Write
from webapp.runs.pipeline.codec import to_texts
from webapp.runs.pipeline.held import Held, there


def imaged(chunk: Chunk, held: Callable[[bool], Held]) -> Chunk:
    """Return the chunk with all that its deletions will take away, as before-images of their rows.

    `held` gives the side that a write goes to: the one where the records were read (true), or the other one.
    """
    for write in chunk.writes:
        if write.change.op is Op.DELETE:
            column = "own_before" if write.own else "before"
            images = _images(write, held(write.own))
            chunk = replace(chunk, outcomes=_put(chunk.outcomes, column, write.rows, images))
    return chunk


def _images(write: Write, side: Held) -> pl.Series:
    keys = key_text(write.change.records[write.change.key])
    found = side.beside(keys, side.schema.names)
    texts = pl.Series(to_texts(found.select(side.schema.names)), dtype=pl.String)
    return texts.set(~there(found), None)


def _put(outcomes: pl.DataFrame, column: str, rows: pl.Series, values: pl.Series) -> pl.DataFrame:
    return outcomes.with_columns(outcomes[column].scatter(rows, values).alias(column))
