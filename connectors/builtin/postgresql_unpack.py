"""PostgreSQL's binary COPY format as typed columns; `connectors.builtin.postgresql_pack` says what it looks like.

The fields of all rows are found a column at a time, numbers are gathered, and texts stay where they are: a column of
texts is a list of places in the bytes that came over the wire. What is not plainly a value of the column's type
(endless dates, NaN, too many digits) raises `NotPlainError`; such a page is read again as texts, which tell what is
wrong.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import polars as pl
import pyarrow as pa

from connectors.builtin.database_types import Column, Decoded, parse
from connectors.builtin.postgresql_pack import EPOCH_DAYS, EPOCH_MICROS, GROUP, HEAD, NEGATIVE, TAIL
from rules.schema import FREE_SCALE, Field, FieldType

ENDS = (TAIL, HEAD + TAIL)
"""The last message, of some rows and of none."""
_PADDING = bytes(64)
_DIGITS = 4
_SHORT = 12
"""Texts of at most so many bytes are part of their view: https://arrow.apache.org/docs/format/Columnar.html."""
_MOST_SCALE = 18
_MOST_WEIGHT = 3
_MOST_GROUPS = 9
_DAY_MICROS = 86_400_000_000
_FIRST_DAY, _LAST_DAY = -719_162, 2_932_896
"""The years 1 to 9999."""

Array = np.ndarray[Any, Any]


class NotPlainError(Exception):
    """Some value has no plain form."""


@dataclass(frozen=True)
class Cells:
    """One field of all rows: where its bytes begin and how many they are (-1: null)."""

    raw: bytes
    at: Array
    size: Array

    @property
    def nulls(self) -> Array | None:
        """Return which are null, None where none is."""
        found = self.size < 0
        return found if found.any() else None

    def numbers(self, kind: str) -> Array:
        """Return fields of one size as numbers; what is null is any number."""
        return _spread(self.raw, kind)[self.at]


def unpack(messages: Sequence[Any], width: int) -> list[Cells]:
    """Return the fields of the rows that a COPY sent, which sends each row in a message of its own."""
    raw = b"".join((*messages, _PADDING))
    sizes = np.fromiter(map(len, messages), np.int64, len(messages))
    ends = np.cumsum(sizes)
    starts = ends - sizes
    if not raw.startswith(HEAD) or bytes(messages[-1]) not in ENDS:
        raise NotPlainError
    starts[0] = len(HEAD)
    full = starts < ends
    full[-1] = False
    at, ends = starts[full], ends[full]
    if (_spread(raw, ">i2")[at] != width).any():
        raise NotPlainError
    at = at + 2
    found = []
    for _ in range(width):
        size = _spread(raw, ">i4")[at].astype(np.int64)
        found.append(Cells(raw, at + 4, size))
        at = at + 4 + np.maximum(size, 0)
    if (at != ends).any():
        raise NotPlainError
    return found


def column_of_cells(cells: Cells, column: Column) -> pl.Series:
    """Return a field as typed values; raises `NotPlainError`."""
    field = column.field
    if is_read_as_number(column):
        values = _NUMBERS[column.native](cells, field)
    elif field.type is FieldType.INTEGER:
        values = _integer(cells, ">i8")
    elif field.type is FieldType.FLOAT:
        values = pl.Series(cells.numbers(">f8").astype(np.float64))
    elif field.type is FieldType.BINARY:
        return _bytes(cells).alias(field.name)
    else:
        return _parsed(text(cells), field)
    nulls = cells.nulls
    return (values if nulls is None else _emptied(values, nulls)).cast(field.dtype).alias(field.name)


def text(cells: Cells) -> pl.Series:
    """Return a field as texts."""
    try:
        return _bytes(cells).cast(pl.String)
    except pl.exceptions.PolarsError as error:
        raise NotPlainError from error


def is_read_as_number(column: Column) -> bool:
    """Tell whether a column's own binary form is read."""
    if column.native == "numeric":
        return (FREE_SCALE if column.field.scale is None else column.field.scale) <= _MOST_SCALE
    return column.native in _NUMBERS


def _parsed(raw: pl.Series, field: Field) -> pl.Series:
    done: Decoded = parse(raw.alias(field.name), field)
    if done.bad is not None:
        raise NotPlainError
    return done.values


def _spread(raw: bytes, kind: str) -> Array:
    """Return the numbers that begin at each byte."""
    return np.ndarray((len(raw) - np.dtype(kind).itemsize + 1,), dtype=kind, buffer=raw, strides=(1,))


def _emptied(values: pl.Series, nulls: Array) -> pl.Series:
    return pl.select(pl.when(pl.Series(~nulls)).then(values)).to_series()


def _bytes(cells: Cells) -> pl.Series:
    """Return views into the bytes that came."""
    count, nulls = len(cells.at), cells.nulls
    size = np.maximum(cells.size, 0)
    views = np.zeros(count, dtype=[("size", "<i4"), ("prefix", "V4"), ("buffer", "<i4"), ("offset", "<i4")])
    views["size"], views["prefix"], views["offset"] = size, cells.numbers("V4"), cells.at
    short = np.flatnonzero(size <= _SHORT)
    if len(short):
        held = _spread(cells.raw, f"V{_SHORT}")[cells.at[short]].view(np.uint8).reshape(-1, _SHORT)
        held[np.arange(_SHORT) >= size[short][:, None]] = 0
        views.view(np.uint8).reshape(-1, 16)[short, 4:] = held
    valid = None if nulls is None else pa.py_buffer(np.packbits(~nulls, bitorder="little"))
    buffers = [valid, pa.py_buffer(views), pa.py_buffer(cells.raw)]
    made = pa.Array.from_buffers(pa.binary_view(), count, buffers, null_count=0 if nulls is None else int(nulls.sum()))
    return pl.Series(pl.from_arrow(made))


def _integer(cells: Cells, kind: str) -> pl.Series:
    return pl.Series(cells.numbers(kind).astype(np.int64))


def _boolean(cells: Cells, _: Field) -> pl.Series:
    return pl.Series(cells.numbers("u1") == 1)


def _date(cells: Cells, _: Field) -> pl.Series:
    days = _within(cells, cells.numbers(">i4").astype(np.int64) + EPOCH_DAYS, _FIRST_DAY, _LAST_DAY)
    return pl.Series(days.astype(np.int32)).cast(pl.Date)


def _moment(cells: Cells, field: Field) -> pl.Series:
    since = cells.numbers(">i8").astype(np.int64)
    _within(cells, since, _FIRST_DAY * _DAY_MICROS - EPOCH_MICROS, (_LAST_DAY + 1) * _DAY_MICROS - EPOCH_MICROS - 1)
    return pl.Series(np.where(cells.size < 0, 0, since) + EPOCH_MICROS).cast(field.dtype)


def _time(cells: Cells, _: Field) -> pl.Series:
    micros = _within(cells, cells.numbers(">i8").astype(np.int64), 0, _DAY_MICROS - 1)
    return pl.Series(micros * 1000).cast(pl.Time)


def _within(cells: Cells, values: Array, first: int, last: int) -> Array:
    """Return the values with 0 for null; raises where one is outside."""
    values = np.where(cells.size < 0, 0, values)
    if len(values) and ((values < first) & (cells.size >= 0) | (values > last) & (cells.size >= 0)).any():
        raise NotPlainError
    return values


def _numeric(cells: Cells, field: Field) -> pl.Series:
    """Return the sum of the digits, each of a group of four; whole numbers and fractions fit into 64 bits each."""
    scale = FREE_SCALE if field.scale is None else field.scale
    there = cells.size >= 0
    count = np.where(there, cells.numbers(">i2"), 0)
    weight, sign = (
        np.where(there, _spread(cells.raw, kind)[cells.at + by], 0) for by, kind in ((2, ">i2"), (4, ">u2"))
    )
    if (
        (sign & ~np.uint16(NEGATIVE)).any()
        or count.max(initial=0) > _MOST_GROUPS
        or weight.max(initial=0) > _MOST_WEIGHT
    ):
        raise NotPlainError
    whole, fraction = np.zeros((2, len(count)), np.int64)
    for number in range(count.max(initial=0)):
        held = number < count
        digit = np.where(held, _spread(cells.raw, ">i2")[np.where(held, cells.at + 8 + 2 * number, 0)], 0).astype(
            np.int64
        )
        place = np.where(held, weight - number, 0).astype(np.int64)
        whole += np.where(place >= 0, digit * GROUP ** np.maximum(place, 0), 0)
        fraction += _behind(digit, place, scale)
    negative = np.where(sign == NEGATIVE, -1, 1)
    return _decimal(whole * negative, fraction * negative, scale)


def _behind(digit: Array, place: Array, scale: int) -> Array:
    """Return what groups behind the point add to a fraction of `scale` digits; raises if a digit would be lost."""
    power = scale + _DIGITS * place
    lost = np.where((place < 0) & (power < 0), 10 ** np.minimum(-power, _DIGITS).clip(0), 1)
    if (digit % lost).any():
        raise NotPlainError
    return np.where(place < 0, digit // lost * 10 ** power.clip(0, _MOST_SCALE), 0)


def _decimal(whole: Array, fraction: Array, scale: int) -> pl.Series:
    if not len(whole) or np.abs(whole).max() < 10 ** (_MOST_SCALE - scale):
        return _of_units(whole * 10**scale + fraction, scale)
    return pl.Series(whole).cast(pl.Decimal(38, scale)) + _of_units(fraction, scale)


def _of_units(units: Array, scale: int) -> pl.Series:
    """Return decimals from their units in the last place, as the two words of 128-bit numbers."""
    words = np.stack((units, units >> 63), axis=1)
    made = pa.Array.from_buffers(pa.decimal128(38, scale), len(units), [None, pa.py_buffer(words)], null_count=0)
    return pl.Series(pl.from_arrow(made))


_NUMBERS: Mapping[str, Callable[[Cells, Field], pl.Series]] = {
    "bigint": lambda cells, _: _integer(cells, ">i8"),
    "integer": lambda cells, _: _integer(cells, ">i4"),
    "smallint": lambda cells, _: _integer(cells, ">i2"),
    "double precision": lambda cells, _: pl.Series(cells.numbers(">f8").astype(np.float64)),
    "boolean": _boolean,
    "date": _date,
    "time without time zone": _time,
    "timestamp without time zone": _moment,
    "timestamp with time zone": _moment,
    "numeric": _numeric,
}
