"""How many records each row of a decision table decided: counted per chunk, added up per run."""

from __future__ import annotations

from collections.abc import Mapping

import polars as pl

SCHEMA = {"table": pl.String(), "row": pl.Int64(), "hits": pl.Int64()}
_FRAME = "hits"


def nothing() -> pl.DataFrame:
    """Return the hits of a chunk without decisions."""
    return pl.DataFrame(schema=SCHEMA)


def frames(hits: pl.DataFrame) -> dict[str, pl.DataFrame]:
    """Return the frame under its name in a chunk's blob, none where there are no hits."""
    return {} if hits.is_empty() else {_FRAME: hits}


def take(found: dict[str, pl.DataFrame]) -> pl.DataFrame:
    """Take what `frames` gave out of the frames of a chunk."""
    return found.pop(_FRAME, nothing())


def added(total: Mapping[str, list[int]] | None, hits: pl.DataFrame) -> dict[str, list[int]]:
    """Return table -> hits by row, with those of one more chunk."""
    sums = {table: list(rows) for table, rows in (total or {}).items()}
    for table, row, count in hits.iter_rows():
        rows = sums.setdefault(table, [])
        rows += [0] * (row + 1 - len(rows))
        rows[row] += count
    return sums
