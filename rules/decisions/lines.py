"""Values on a line of keys, so that every interval is half-open and nothing lies between a value and the next.

`> 10` begins at the key behind 10: 11 for whole numbers, the next double for numbers with fraction, "10" and the lowest
character for text. So the edges of all cells of a column cut its line into pieces that are exactly known to be empty
or not, and a record's piece is the count of edges up to its value.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from decimal import ROUND_CEILING, ROUND_FLOOR, Context, Decimal
from typing import Any, Protocol

import numpy as np
import polars as pl

from rules.decisions.cells import Value
from rules.schema import FREE_SCALE, Field, FieldType

Key = Any
Bins = np.ndarray[Any, np.dtype[np.int64]]
TABLE_SPAN = 1 << 17
_NARROW = 1 << 61
_CONTEXT = Context(prec=120)
_EPOCH, _DAY_ZERO = datetime(1970, 1, 1, tzinfo=UTC), date(1970, 1, 1).toordinal()
_MICROSECOND = timedelta(microseconds=1)


class Line(Protocol):
    """The keys of one type of values; `first` is the lowest, `end` lies behind the highest (None: there is none)."""

    @property
    def first(self) -> Key: ...  # noqa: D102
    @property
    def end(self) -> Key | None: ...  # noqa: D102

    def at(self, value: Value) -> Key:
        """Return the lowest key that is not below a value."""

    def after(self, value: Value) -> Key:
        """Return the lowest key above a value."""

    def next(self, key: Key) -> Key:
        """Return the key behind a key."""

    def previous(self, key: Key) -> Key | None:
        """Return the key before a key; None if there is none that is next to it."""

    def value(self, key: Key) -> Value:
        """Return the value that a key stands for."""

    def bins(self, column: pl.Series, edges: list[Key]) -> Bins:
        """Return for each value (none is null) how many of the sorted edges are not above it."""


@dataclass(frozen=True)
class Whole:
    """A line of whole numbers: integers, decimals in units of their last digit, days, moments, true and false."""

    units: Callable[[Value], Decimal]
    back: Callable[[int], Value]
    first: int | None
    end: int | None

    def at(self, value: Value) -> int:
        """Return the lowest key that is not below a value."""
        return int(self.units(value).to_integral_value(ROUND_CEILING, _CONTEXT))

    def after(self, value: Value) -> int:
        """Return the lowest key above a value."""
        return int(self.units(value).to_integral_value(ROUND_FLOOR, _CONTEXT)) + 1

    def next(self, key: int) -> int:
        """Return the key behind a key."""
        return key + 1

    def previous(self, key: int) -> int:
        """Return the key before a key."""
        return key - 1

    def value(self, key: int) -> Value:
        """Return the value that a key stands for."""
        return self.back(key)

    def bins(self, column: pl.Series, edges: list[int]) -> Bins:
        """Return for each value how many of the sorted edges are not above it."""
        keys = column.to_physical()
        if keys.dtype == pl.Int128:
            return _wide_bins(keys, edges)
        return _narrow_bins(keys.cast(pl.Int64).to_numpy(), edges)


def _narrow_bins(keys: np.ndarray[Any, Any], edges: list[int]) -> Bins:
    """Look up or search keys that are 64-bit numbers; edges close together are looked up in a table."""
    low, high = edges[0] - 1, edges[-1]
    if high - low > TABLE_SPAN:
        return np.searchsorted(np.array(edges, np.int64), keys, "right")
    table = np.searchsorted(np.array(edges, np.int64), np.arange(high - low + 1) + low, "right")
    found: Bins = table[np.clip(keys, low, high) - low]
    return found


def _wide_bins(keys: pl.Series, edges: list[int]) -> Bins:
    """Search 128-bit keys; in steps of the largest power of ten that tells all edges apart, they fit 64 bits."""
    step = _step(edges)
    wide = pl.Series([step], dtype=pl.Int128)
    steps = keys // wide
    places = [2 * (edge // step) + (edge % step != 0) for edge in edges]
    extremes = (steps.min(), steps.max(), edges[0] // step, edges[-1] // step)
    if all(-_NARROW < (value or 0) < _NARROW for value in extremes):  # type: ignore[operator]
        doubled = steps.cast(pl.Int64) * 2 + (keys != steps * wide).cast(pl.Int64)
        return _narrow_bins(doubled.to_numpy(), places)
    return pl.Series(edges, dtype=pl.Int128).search_sorted(keys, side="right").to_numpy().astype(np.int64)


def _step(edges: list[int]) -> int:
    step = 1
    while step < 10**18 and all(edge % (step * 10) in (0, 1) for edge in edges):
        step *= 10
    return step


@dataclass(frozen=True)
class Doubles:
    """The line of floating point numbers."""

    first: float = -math.inf
    end: None = None

    def at(self, value: Value) -> float:
        """Return the lowest key that is not below a value."""
        return float(value)  # type: ignore[arg-type]

    def after(self, value: Value) -> float:
        """Return the lowest key above a value."""
        return math.nextafter(self.at(value), math.inf)

    def next(self, key: float) -> float:
        """Return the key behind a key."""
        return math.nextafter(key, math.inf)

    def previous(self, key: float) -> float:
        """Return the key before a key."""
        return math.nextafter(key, -math.inf)

    def value(self, key: float) -> Value:
        """Return the value that a key stands for."""
        return key

    def bins(self, column: pl.Series, edges: list[float]) -> Bins:
        """Return for each value how many of the sorted edges are not above it."""
        return np.searchsorted(np.array(edges), column.to_numpy(), "right")


@dataclass(frozen=True)
class Texts:
    """The line of texts, ordered by the code points of their characters."""

    first: str = ""
    end: None = None

    def at(self, value: Value) -> str:
        """Return the lowest key that is not below a value."""
        return str(value)

    def after(self, value: Value) -> str:
        """Return the lowest key above a value."""
        return f"{value}\x00"

    def next(self, key: str) -> str:
        """Return the key behind a key."""
        return f"{key}\x00"

    def previous(self, key: str) -> str | None:
        """Return the key before a key; infinitely many come before a text that does not end with the lowest one."""
        return key[:-1] if key.endswith("\x00") else None

    def value(self, key: str) -> Value:
        """Return the value that a key stands for."""
        return key

    def bins(self, column: pl.Series, edges: list[str]) -> Bins:
        """Return for each value how many of the sorted edges are not above it."""
        return pl.Series(edges).search_sorted(column, side="right").to_numpy()


def _decimals(scale: int) -> Whole:
    def units(value: Value) -> Decimal:
        exact = Decimal(repr(value)) if isinstance(value, float) else Decimal(value)  # type: ignore[arg-type]
        return exact.scaleb(scale, _CONTEXT)

    limit = 10**38
    return Whole(units, lambda key: Decimal(key).scaleb(-scale, _CONTEXT), 1 - limit, limit)


def _integers() -> Whole:
    exact = _decimals(0)
    return Whole(exact.units, lambda key: key, -(2**63), 2**63)


def _moment(value: Value) -> Decimal:
    assert isinstance(value, datetime)  # noqa: S101 - the column is one of moments
    aware = value if value.tzinfo is not None else value.replace(tzinfo=UTC)
    return Decimal((aware - _EPOCH) // _MICROSECOND)


def _instant(key: int) -> datetime:
    return _EPOCH + timedelta(microseconds=key)


def _clock(value: Value) -> Decimal:
    assert isinstance(value, time)  # noqa: S101 - the column is one of times
    seconds = value.hour * 3600 + value.minute * 60 + value.second
    return Decimal(seconds * 10**9 + value.microsecond * 1000)


def _time(key: int) -> time:
    return (_EPOCH + timedelta(microseconds=key // 1000)).time()


def _day(value: Value) -> Decimal:
    assert isinstance(value, date)  # noqa: S101 - the column is one of days
    return Decimal(value.toordinal() - _DAY_ZERO)


DAYS = Whole(_day, lambda key: date.fromordinal(key + _DAY_ZERO), None, None)
_LINES: Mapping[FieldType, Line] = {
    FieldType.TEXT: Texts(),
    FieldType.INTEGER: _integers(),
    FieldType.FLOAT: Doubles(),
    FieldType.BOOLEAN: Whole(lambda value: Decimal(bool(value)), bool, 0, 2),
    FieldType.DATE: DAYS,
    FieldType.TIME: Whole(_clock, _time, 0, 86_400 * 10**9),
    FieldType.DATETIME: Whole(_moment, _instant, None, None),
    FieldType.LOCAL_DATETIME: Whole(_moment, lambda key: _instant(key).replace(tzinfo=None), None, None),
}


def line_of(field: Field) -> Line:
    """Return the line on which the values of a field lie."""
    if field.type is FieldType.DECIMAL:
        return _decimals(FREE_SCALE if field.scale is None else field.scale)
    return _LINES[field.type]
