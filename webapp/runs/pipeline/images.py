"""Before-images: what a record held that is about to be deleted, so that the deletion can be undone.

A record with a value that cannot be read has none, so it is not deleted: nobody could bring it back. It waits in the
quarantine until somebody has corrected the value, or deleted the record by hand, and all others go on. Of what is gone
already there is nothing to delete.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import polars as pl

from connectors.errors import RecordRejected
from connectors.spi import Failure
from rules.reconcile.one_way import key_text
from rules.schema import Op
from rules.text import N_, msg
from webapp.runs.pipeline.chunk import Chunk, Write
from webapp.runs.pipeline.codec import to_texts
from webapp.runs.pipeline.held import Held, there
from webapp.runs.pipeline.unreadable import Bad
from webapp.runs.pipeline.writing import parked

_KEPT = N_(
    "The record '{key}' of {place} is not deleted: it holds a value that cannot be read, so nobody could bring it "
    "back. Correct the value there, or delete the record by hand. {problem}"
)


def imaged(chunk: Chunk, held: Callable[[bool], Held]) -> Chunk:
    """Return the chunk with all that its deletions will take away, as before-images of their rows.

    `held` gives the side that a write goes to: the one where the records were read (true), or the other one.
    """
    writes: list[Write] = []
    kept: dict[int, Failure] = {}
    for write in chunk.writes:
        column, side, bad = "own_before" if write.own else "before", held(write.own), Bad()
        if write.change.op is not Op.DELETE or side.blind:
            writes.append(write)
            continue
        keys = key_text(write.change.records[write.change.key])
        images = _images(keys, side, bad)
        chunk = replace(chunk, outcomes=_put(chunk.outcomes, column, write.rows, images))
        good = images.is_not_null()
        kept |= {row: _failure(key, side, bad[key]) for row, key in zip(write.rows, keys, strict=True) if key in bad}
        writes += [_only(write, good)] if good.any() else []
    chunk = replace(chunk, writes=tuple(writes))
    return parked(chunk, kept) if kept else chunk


def _failure(key: str, side: Held, error: RecordRejected) -> Failure:
    return Failure(0, 0, msg(_KEPT, key=key, place=side.place, problem=error.message), error.field)


def _only(write: Write, mask: pl.Series) -> Write:
    return replace(
        write, change=replace(write.change, records=write.change.records.filter(mask)), rows=write.rows.filter(mask)
    )


def _images(keys: pl.Series, side: Held, bad: Bad) -> pl.Series:
    found = side.beside(keys, side.schema.names, bad)
    texts = pl.Series(to_texts(found.select(side.schema.names)), dtype=pl.String)
    return texts.set(~there(found), None)


def _put(outcomes: pl.DataFrame, column: str, rows: pl.Series, values: pl.Series) -> pl.DataFrame:
    return outcomes.with_columns(outcomes[column].scatter(rows, values).alias(column))
