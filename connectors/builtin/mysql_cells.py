"""MySQL's rows of texts as typed columns.

A row is one text after the other, each behind its length. The fields of all rows are found a column at a time: the
length and the first bytes behind it are gathered at once. Texts stay where they are: a column of texts is a list of
places in the bytes that came over the wire. Dates and times have a fixed form and are read by their digits.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, overload

import numpy as np
import polars as pl
import pyarrow as pa

from connectors.builtin.database_types import Column, Decoded, parse, truths
from connectors.builtin.mysql_wire import Received
from rules.schema import Field, FieldType

PADDING = bytes(64)
"""What has to be behind the last row, so that the first bytes of its last field can be gathered, too."""
_SHORT = 12
"""Texts of at most so many bytes are part of their view: https://arrow.apache.org/docs/format/Columnar.html."""
_KEPT = np.array([[255] * n + [0] * (_SHORT - n) for n in range(_SHORT + 1)], np.uint8)
"""For each length the bytes of a short text that belong to it."""
_NULL = 251
_LONGER = {252: 2, 253: 3, 254: 8}
"""First bytes of longer lengths, and how many bytes these have."""
_MOST_PLACES = 2**31 - 1
_DATE, _SECONDS, _POINT = 10, 19, 20
_MICROS = 6
_ZERO = ord("0")
_SIGNS = {4: "-", 7: "-", 10: " ", 13: ":", 16: ":", 19: "."}
_MONTH_DAYS = np.array([0, 31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31, *[0] * 87], np.int64)
_DAY_MICROS = 86_400_000_000

Array = np.ndarray[Any, Any]


@dataclass(frozen=True)
class Cells:
    """One field of all rows: where its bytes begin, how many they are (-1: null), and the first of them."""

    raw: bytearray
    at: Array
    size: Array
    short: Array

    @property
    def nulls(self) -> Array | None:
        """Return which are null, None where none is."""
        found = self.size < 0
        return found if found.any() else None


class Rows(Sequence[Sequence[Any]]):
    """The rows as the driver gives them, each made when it is looked at."""

    def __init__(self, cells: Sequence[Cells], received: Received) -> None:
        self._cells = cells
        self._converters = received.converters

    def __len__(self) -> int:
        return len(self._cells[0].at)

    @overload
    def __getitem__(self, index: int) -> Sequence[Any]: ...

    @overload
    def __getitem__(self, index: slice) -> Sequence[Sequence[Any]]: ...

    def __getitem__(self, index: int | slice) -> Any:
        """Return a row."""
        if isinstance(index, slice):
            return [self[number] for number in range(*index.indices(len(self)))]
        return tuple(self._value(*pair, index) for pair in zip(self._cells, self._converters, strict=True))

    @staticmethod
    def _value(cells: Cells, how: tuple[str | None, Any], index: int) -> Any:
        at, size = int(cells.at[index]), int(cells.size[index])
        if size < 0:
            return None
        encoding, converter = how
        value: Any = bytes(cells.raw[at : at + size])
        value = value if encoding is None else value.decode(encoding)
        return value if converter is None else converter(value)


def unpack(received: Received, width: int) -> list[Cells] | None:
    """Return the fields of the rows; None where they are no such rows, or too large for places in them."""
    raw = received.raw
    raw += PADDING
    if len(raw) > _MOST_PLACES:
        return None
    at = np.array(received.starts, np.int64)
    found = []
    for _ in range(width):
        held = _gathered(raw, at, 1 + _SHORT)
        first, at = held[:, 0].astype(np.int64), at + 1
        cells = Cells(raw, at, first, held[:, 1:]) if first.max(initial=0) < _NULL else _longer(raw, at, first, held)
        found.append(cells)
        at = cells.at + np.maximum(cells.size, 0)
        if at.max(initial=0) > len(raw) - len(PADDING):
            return None
    return found


def column_of_cells(cells: Cells, column: Column) -> Decoded:
    """Return a field as typed values and which of them could not be represented."""
    field = column.field
    if field.type is FieldType.BINARY:
        return Decoded(binary(cells).alias(field.name))
    if field.type in {FieldType.DATE, FieldType.DATETIME, FieldType.LOCAL_DATETIME}:
        found = _moments(cells, field)
        if found is not None:
            return found
    texts = binary(cells).cast(pl.String).alias(field.name)
    return _read(texts, column)


def binary(cells: Cells) -> pl.Series:
    """Return views into the bytes that came."""
    count, nulls = len(cells.at), cells.nulls
    size = np.maximum(cells.size, 0)
    views = np.zeros((count, 16), np.uint8)
    words = views.view("<i4")
    words[:, 0] = size
    short = size <= _SHORT
    views[:, 4:] = cells.short & _KEPT[np.minimum(size, _SHORT)]
    if not short.all():
        long = np.flatnonzero(~short)
        words[long, 2], words[long, 3] = 0, cells.at[long]
    valid = None if nulls is None else pa.py_buffer(np.packbits(~nulls, bitorder="little"))
    buffers = [valid, pa.py_buffer(views), pa.py_buffer(cells.raw)]
    made = pa.Array.from_buffers(pa.binary_view(), count, buffers, null_count=0 if nulls is None else int(nulls.sum()))
    return pl.Series(pl.from_arrow(made))


def _read(texts: pl.Series, column: Column) -> Decoded:
    field = column.field
    if field.type is FieldType.TEXT:
        return Decoded(texts)
    if field.type is FieldType.BOOLEAN:
        return truths(field.name, _cast(texts, Field(field.name, FieldType.INTEGER)))
    if field.type in {FieldType.INTEGER, FieldType.FLOAT, FieldType.DECIMAL}:
        # the server gives a decimal exactly the digits behind the point that its column has
        return _cast(texts, field)
    return parse(texts, field)


def _cast(texts: pl.Series, field: Field) -> Decoded:
    values = texts.cast(field.dtype, strict=False)
    lost = values.null_count() > texts.null_count()
    return Decoded(values, values.is_null() & texts.is_not_null() if lost else None)


def _longer(raw: bytearray, at: Array, first: Array, held: Array) -> Cells:
    """Return cells some of which are null or have lengths of several bytes."""
    size, short = np.where(first == _NULL, -1, first), held[:, 1:].copy()
    for mark, width in _LONGER.items():
        rows = np.flatnonzero(first == mark)
        if len(rows):
            digits = _gathered(raw, at[rows], width).astype(np.int64)
            size[rows] = digits @ (256 ** np.arange(width, dtype=np.int64))
            at = at.copy()
            at[rows] += width
            short[rows] = _gathered(raw, at[rows], _SHORT)
    return Cells(raw, at, size, short)


def _gathered(raw: bytearray, at: Array, width: int) -> Array:
    """Return the bytes that begin at each place."""
    cells = np.ndarray((len(raw) - width + 1,), dtype=f"V{width}", buffer=raw, strides=(1,))
    return cells[at].view(np.uint8).reshape(-1, width)


def _moments(cells: Cells, field: Field) -> Decoded | None:
    """Return dates or date-times by their digits; None where they do not all have the form of the first one."""
    there = cells.size >= 0
    width = int(cells.size.max(initial=0))
    if width not in {_DATE, _SECONDS, *range(_POINT + 1, _POINT + _MICROS + 1)} or (cells.size[there] != width).any():
        return None
    if (width == _DATE) != (field.type is FieldType.DATE):
        return None
    texts = _gathered(cells.raw, np.where(there, cells.at, len(cells.raw) - width), width)
    digits = texts.astype(np.int64) - _ZERO
    fine = _formed(texts, width)
    days, exists = _days(digits)
    fine &= exists
    if width == _DATE:
        values = pl.Series(np.where(fine & there, days, 0).astype(np.int32)).cast(pl.Date)
    else:
        micros, exists = _micros(digits, width)
        fine &= exists
        values = pl.Series(np.where(fine & there, days * _DAY_MICROS + micros, 0)).cast(field.dtype)
    return _told(values.alias(field.name), fine, there)


def _told(values: pl.Series, fine: Array, there: Array) -> Decoded:
    good = fine & there
    if not good.all():
        values = pl.select(pl.when(pl.Series(good)).then(values)).to_series().alias(values.name)
    bad = there & ~fine
    return Decoded(values, pl.Series(bad) if bad.any() else None)


def _formed(texts: Array, width: int) -> Array:
    fine = np.ones(len(texts), bool)
    for place in range(width):
        sign = _SIGNS.get(place)
        if sign is None:
            fine &= (texts[:, place] >= _ZERO) & (texts[:, place] <= _ZERO + 9)
        else:
            fine &= texts[:, place] == ord(sign)
    return fine


def _number(digits: Array, start: int, end: int) -> Array:
    return digits[:, start:end] @ (10 ** np.arange(end - start - 1, -1, -1, dtype=np.int64))


def _days(digits: Array) -> tuple[Array, Array]:
    """Return days since 1970, and which days there are: http://howardhinnant.github.io/date_algorithms.html."""
    year, month, day = _number(digits, 0, 4), _number(digits, 5, 7), _number(digits, 8, 10)
    leap = (year % 4 == 0) & ((year % 100 != 0) | (year % 400 == 0))
    most = _MONTH_DAYS[month % 100] + (leap & (month == 2))
    exists = (year > 0) & (day > 0) & (day <= most)
    since = year - (month <= 2)
    era = since // 400
    of_era = since - era * 400
    of_year = (153 * (month + np.where(month > 2, -3, 9)) + 2) // 5 + day - 1
    return era * 146_097 + of_era * 365 + of_era // 4 - of_era // 100 + of_year - 719_468, exists


def _micros(digits: Array, width: int) -> tuple[Array, Array]:
    hour, minute, second = _number(digits, 11, 13), _number(digits, 14, 16), _number(digits, 17, 19)
    micros = ((hour * 60 + minute) * 60 + second) * 1_000_000
    if width > _SECONDS:
        micros = micros + _number(digits, _POINT, width) * 10 ** (_MICROS - (width - _POINT))
    return micros, (hour < 24) & (minute < 60) & (second < 60)
