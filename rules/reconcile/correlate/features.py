"""Features of values as numbers: records that share a rare one are worth comparing.

A feature is a hash of 64 bits, so that two may meet by chance; a pair that meets is compared in full anyway.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import polars as pl
from numpy.typing import NDArray

from rules.documents.sync import MatchKind
from rules.reconcile.correlate.forms import WORDS

Hashes = NDArray[np.uint64]
Rows = NDArray[np.uint32]
_MIX = np.uint64(0x9E3779B97F4A7C15)
_END = "\n"
BEGINNING = 4
CLOSE = 3


@dataclass(frozen=True)
class Features:
    """Features of records, in order of the records: a hash and a row each."""

    hashes: Hashes
    rows: Rows

    def salted(self, number: int) -> Features:
        """Return the features such that those of different passes do not meet."""
        return Features(mixed(self.hashes, np.uint64(number + 1)), self.rows)

    def where(self, chosen: NDArray[np.bool_] | NDArray[np.int64]) -> Features:
        """Return the chosen features."""
        return Features(self.hashes[chosen], self.rows[chosen])


def joined(parts: list[Features]) -> Features:
    """Return all features of some."""
    return Features(np.concatenate([p.hashes for p in parts]), np.concatenate([p.rows for p in parts]))


def mixed(values: Hashes, other: Hashes | np.uint64) -> Hashes:
    """Return hashes of pairs of hashes."""
    with np.errstate(over="ignore"):
        found: Hashes = (values ^ (other * _MIX)) * _MIX
        found ^= found >> np.uint64(29)
        return found * _MIX


def whole(values: pl.Series) -> Features:
    """Return a feature of each value as it is."""
    rows = values.is_not_null().arg_true()
    return Features(values.gather(rows).hash(seed=7).to_numpy(), rows.to_numpy().astype(np.uint32))


def grams(values: pl.Series, size: int) -> Features:
    """Return a feature of each run of `size` characters; words have a space before and behind."""
    rows = values.is_not_null().arg_true().to_numpy().astype(np.uint32)
    if not len(rows):
        return Features(np.empty(0, np.uint64), rows)
    text = f" {_END} ".join(values.drop_nulls().to_list())
    codes = np.frombuffer(f" {text} {_END}".encode("utf-32-le"), np.uint32).astype(np.uint64)
    ends = codes == ord(_END)
    count = len(codes) - size + 1
    made = codes[:count].copy()
    whole_run = ~ends[:count]
    with np.errstate(over="ignore"):
        for step in range(1, size):
            made = made * np.uint64(1_000_003) + codes[step : step + count]
            whole_run &= ~ends[step : step + count]
    number = np.cumsum(ends[:count])
    return Features(mixed(made[whole_run], np.uint64(size)), rows[number[whole_run]])


def word_pairs(values: pl.Series) -> Features:
    """Return a feature of each two words that are close to each other, by how they begin, in any order."""
    words = pl.DataFrame({"row": values.is_not_null().arg_true(), "word": values.drop_nulls().str.split(" ")})
    words = words.explode("word")
    hashes, rows = (
        words["word"].str.slice(0, BEGINNING).hash(seed=7).to_numpy(),
        words["row"].to_numpy().astype(np.uint32),
    )
    parts = [Features(hashes[:0], rows[:0])]
    for step in range(1, CLOSE + 1):
        first, second = hashes[:-step], hashes[step:]
        same = (rows[:-step] == rows[step:]) & (first != second)
        made = mixed(np.minimum(first, second), np.maximum(first, second))
        parts.append(Features(made[same], rows[:-step][same]))
    return joined(parts)


def gram_size(kind: MatchKind) -> int:
    """Return how many characters make a feature; digits alone tell little."""
    return 3 if kind in WORDS else 4


def coarse(values: pl.Series, kind: MatchKind) -> list[pl.Series]:
    """Return what values have in common that are much alike: the first letters, the year, the day of the year."""
    if kind is MatchKind.DATE:
        return [values.str.slice(0, 4), values.str.slice(4)]
    if kind is MatchKind.NUMBER:
        return [values]
    return [values.str.slice(0, 3)]


def turned(dates: pl.Series) -> pl.Series:
    """Return dates with day and month in order, so that they meet where a system has swapped them."""
    day, month = pl.col("d").str.slice(6), pl.col("d").str.slice(4, 2)
    swapped = pl.col("d").str.slice(0, 4) + pl.min_horizontal(day, month) + pl.max_horizontal(day, month)
    return dates.to_frame("d").select(swapped).to_series()
