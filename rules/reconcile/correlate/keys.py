"""Pairs of records whose values are equal: joins, with few pairs where a value is very frequent."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import product

import polars as pl

from rules.reconcile.correlate.forms import Pair

FEW = 5
"""Of records that share their values with many, so many partners are kept on each side; none is a link anyway."""

_LIMIT = 25


def columns(pairs: list[Pair]) -> Iterator[tuple[pl.DataFrame, pl.DataFrame]]:
    """Yield what to join: each combination of the ways in which values are written."""
    for choice in product(*(list(_ways(pair)) for pair in pairs)):
        left = {f"k{n}": way[0] for n, way in enumerate(choice)}
        right = {f"k{n}": way[1] for n, way in enumerate(choice)}
        yield _frame(left, "l"), _frame(right, "r")


def _frame(keys: dict[str, pl.Series], row: str) -> pl.DataFrame:
    return pl.DataFrame(keys).with_row_index(row).drop_nulls()


def _ways(pair: Pair) -> Iterator[tuple[pl.Series, pl.Series]]:
    left, right = pair
    if not (left.mixed or right.mixed):
        yield left.own, right.own
        return
    for mark in (False, True):
        yield _where(left.own, left.marked == mark), _where(right.own, right.marked == mark)
        yield _where(left.other, left.marked == mark), _where(right.other, right.marked != mark)


def _where(values: pl.Series, mask: pl.Series) -> pl.Series:
    return values.to_frame("v").select(pl.when(mask).then("v")).to_series()


def equal_pairs(pairs: list[Pair]) -> pl.DataFrame:
    """Return (l, r) of all records that agree in every comparison; of very frequent values only some."""
    found = [_join(left, right) for left, right in columns(pairs)]
    return pl.concat(found).unique() if len(found) > 1 else found[0]


def _join(left: pl.DataFrame, right: pl.DataFrame) -> pl.DataFrame:
    keys = left.columns[1:]
    counts = left.group_by(keys).len("nl").join(right.group_by(keys).len("nr"), on=keys)
    size = pl.col("nl").cast(pl.UInt64) * pl.col("nr")
    small, large = counts.filter(size <= _LIMIT).select(keys), counts.filter(size > _LIMIT).select(keys)
    plain = left.join(small, on=keys, how="semi").join(right, on=keys).select("l", "r")
    if large.is_empty():
        return plain
    lefts, rights = (side.join(large, on=keys, how="semi") for side in (left, right))
    first = pl.int_range(pl.len()).over(keys) < FEW
    some = [lefts.filter(first).join(rights, on=keys), lefts.join(rights.filter(first), on=keys)]
    return pl.concat([plain, *(joined.select("l", "r") for joined in some)]).unique()
