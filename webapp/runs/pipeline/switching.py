"""One-way: the target's records of what is gone are switched off, which is an update of them like any other.

The source has nothing left to read, so it is the target's record that is read and counted.
"""

from __future__ import annotations

from dataclasses import replace

import polars as pl

from rules.reconcile.one_way import key_values
from rules.reconcile.situations import Outcome
from rules.schema import Change, Op
from webapp.runs.pipeline.chunk import Chunk, Write
from webapp.runs.pipeline.codec import to_texts
from webapp.runs.pipeline.held import Held, there
from webapp.runs.pipeline.images import kept_on
from webapp.runs.pipeline.unreadable import Bad
from webapp.runs.pipeline.writing import parked


def switched_off(chunk: Chunk, side: Held, mark: pl.Series) -> Chunk:
    """Return a chunk that says which links go with the target's records switched off, as far as they are there.

    `mark` is the value that is written, under the name of its field. The records are numbered from 1.
    """
    keys, bad = chunk.outcomes["right_key"], Bad()
    now = side.beside(keys, (mark.name,), bad)
    unread = keys.is_in(list(bad))
    held = there(now) | unread | side.blind
    off = there(now) & now[mark.name].eq_missing(mark)
    rows = (held & ~unread & ~off).arg_true().alias("row")
    marks = mark.new_from_index(0, rows.len())
    outcomes = chunk.outcomes.with_columns(
        record_no=pl.select(pl.when(held).then(held.cum_sum())).to_series().cast(pl.Int64),
        outcome=pl.select(
            pl.when(off).then(pl.lit(Outcome.UNCHANGED.value)).when(held).then(pl.lit(Outcome.UPDATED.value))
        ).to_series(),
        before=_texts(chunk, rows, now.select(mark.name)[rows].filter(not side.blind)),
        after=_texts(chunk, rows, marks.to_frame()),
    )
    values = key_values(keys[rows], side.schema[side.key].dtype).alias(side.key)
    write = Write(Change(Op.UPDATE, side.key, pl.DataFrame([values, marks])), rows)
    made = replace(chunk, outcomes=outcomes, writes=() if rows.is_empty() else (write,))
    refused = {row: kept_on(keys[row], side, bad[keys[row]]) for row in unread.arg_true().to_list()}
    return parked(made, refused) if refused else made


def _texts(chunk: Chunk, rows: pl.Series, records: pl.DataFrame) -> pl.Series:
    """Return the texts of records in some rows of a chunk; nothing where there are no records."""
    nothing = pl.repeat(None, chunk.outcomes.height, dtype=pl.String, eager=True)
    return nothing if records.is_empty() else nothing.scatter(rows, pl.Series(to_texts(records), dtype=pl.String))
