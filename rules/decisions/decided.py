"""What a table says about a batch, and how the counts of several batches or runs come together."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
import polars as pl

from rules.decisions.plan import Rows
from rules.language import RowError


@dataclass(frozen=True, eq=False)
class Decided:
    """The outputs of a batch, null where there is an error.

    `fired` is the number (from 0) of the row that decided, null for none; with a policy of several rows the list of
    them. `hits` counts for each row the records that it decided.
    """

    outputs: pl.DataFrame
    errors: tuple[RowError, ...]
    fired: pl.Series
    hits: Rows


def merge_hits(counts: Iterable[Iterable[int]]) -> list[int]:
    """Return the sum of hit counts, of batches or of runs of the same version of a table."""
    total: list[int] = []
    for count in counts:
        more = [int(hits) for hits in count]
        total += [0] * (len(more) - len(total))
        for row, hits in enumerate(more):
            total[row] += hits
    return total


def count_hits(rows: Rows, count: int) -> Rows:
    """Return how often each of `count` rows occurs; -1 stands for none."""
    return np.bincount(rows[rows >= 0], minlength=count)
