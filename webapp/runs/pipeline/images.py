"""Before-images: what a record held that is about to be deleted, so that the deletion can be undone.

A record with a value that cannot be read has none, so it is not deleted: nobody could bring it back. It waits in the
quarantine until somebody has corrected the value, or deleted the record by hand, and all others go on. The same holds
for one that is to be switched off. Of what is gone already there is nothing to delete, or to switch off.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace

import polars as pl

from connectors.errors import RecordRejected
from connectors.spi import Failure
from rules.reconcile.one_way import key_text
from rules.reconcile.situations import Outcome
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
_ON = N_(
    "The record '{key}' of {place} is not deactivated: it holds a value that cannot be read, so nobody could give it "
    "back. Correct the value there. {problem}"
)


def imaged(chunk: Chunk, held: Callable[[bool], Held]) -> Chunk:
    """Return the chunk with all that its deletions will take away, as before-images of their rows.

    `held` gives the side that a write goes to: the one where the records were read (true), or the other one.
    """
    writes: list[Write] = []
    kept: dict[int, Failure] = {}
    for write in chunk.writes:
        column, side, bad = "own_before" if write.own else "before", held(write.own), Bad()
        deletes = write.change.op is Op.DELETE
        if side.blind or not (deletes or _switches_off(write, chunk.outcomes[column])):
            writes.append(write)
            continue
        keys = key_text(write.change.records[write.change.key])
        images = _images(keys, side, side.schema.names if deletes else _fields(write), bad)
        outcomes, good = _put(chunk.outcomes, column, write.rows, images), images.is_not_null()
        chunk = replace(chunk, outcomes=outcomes if deletes else _left_on(outcomes, write.rows.filter(~good)))
        why = _failure if deletes else kept_on
        kept |= {row: why(key, side, bad[key]) for row, key in zip(write.rows, keys, strict=True) if key in bad}
        writes += [_only(write, good)] if good.any() else []
    chunk = replace(chunk, writes=tuple(writes))
    return parked(chunk, kept) if kept else chunk


def _left_on(outcomes: pl.DataFrame, rows: pl.Series) -> pl.DataFrame:
    """Return outcomes in which the records of some rows have not been switched off."""
    row = pl.int_range(pl.len()).is_in(rows.implode())
    return outcomes.with_columns(
        outcome=pl.when(row).then(pl.lit(Outcome.SKIPPED.value)).otherwise("outcome"),
        after=pl.when(~row).then("after"),
    )


def _switches_off(write: Write, before: pl.Series) -> bool:
    """Tell whether a write sets the mark of what is gone on the other side: nobody has read yet what it finds."""
    return write.change.op is Op.UPDATE and before[write.rows].is_null().all()


def _fields(write: Write) -> list[str]:
    return [name for name in write.change.records.columns if name != write.change.key]


def _failure(key: str, side: Held, error: RecordRejected) -> Failure:
    return Failure(0, 0, msg(_KEPT, key=key, place=side.place, problem=error.message), error.field)


def kept_on(key: str, side: Held, error: RecordRejected) -> Failure:
    """Return why a record is not switched off: what it holds in the place of the mark could not be given back."""
    return Failure(0, 0, msg(_ON, key=key, place=side.place, problem=error.message), error.field)


def _only(write: Write, mask: pl.Series) -> Write:
    return replace(
        write, change=replace(write.change, records=write.change.records.filter(mask)), rows=write.rows.filter(mask)
    )


def _images(keys: pl.Series, side: Held, names: Sequence[str], bad: Bad) -> pl.Series:
    found = side.beside(keys, names, bad)
    texts = pl.Series(to_texts(found.select(names)), dtype=pl.String)
    return texts.set(~there(found), None)


def _put(outcomes: pl.DataFrame, column: str, rows: pl.Series, values: pl.Series) -> pl.DataFrame:
    return outcomes.with_columns(outcomes[column].scatter(rows, values).alias(column))
