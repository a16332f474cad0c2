"""PostgreSQL's binary COPY format as typed columns; `connectors.builtin.postgresql_pack` says what it looks like.

The fields of all rows are found a column at a time. The length of a field and its first bytes are gathered at once,
since gathering costs the same for 4 bytes and for 30, and everything else is arithmetic over whole columns. Texts stay
where they are: a column of texts is a list of places in the bytes that came over the wire. What is not plainly a value
of the column's type (endless dates, NaN, too many digits) raises `NotPlainError`; such a page is read again as texts,
which tell what is wrong.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

import numpy as np
import polars as pl
import pyarrow as pa

from connectors.builtin.database_cells import (
    MOST,
    PADDING,
    SHORT,
    Array,
    Cells,
    NotPlainError,
    Raw,
    binary,
    fixed,
    gathered,
    inside,
    text,
)
from connectors.builtin.database_types import Column, Decoded, parse
from connectors.builtin.postgresql_pack import EPOCH_DAYS, EPOCH_MICROS, GROUP, HEAD, JSONB_VERSION, NEGATIVE
from rules.schema import FREE_SCALE, Field, FieldType

JSONB = "jsonb"
_LENGTH = 4
_DIGITS = 4
_MOST_SCALE = 18
_MOST_WEIGHT = 3
_MOST_GROUPS = 9
_NUMERIC_HEAD = 8
_DAY_MICROS = 86_400_000_000
_FIRST_DAY, _LAST_DAY = -719_162, 2_932_896
"""The years 1 to 9999."""


def unpack(raw: Raw, sizes: Sequence[int], held: Sequence[int]) -> list[Cells]:
    """Return the fields of the rows that a COPY sent.

    Args:
        raw: The header, the rows, and `PADDING`.
        sizes: The length of each row; that of the first one includes the header's.
        held: For each field how many of its bytes are wanted at once.
    """
    ends = np.cumsum(np.array(sizes, np.int64))
    at = np.concatenate((np.zeros(1, np.int64), ends[:-1]))
    if not raw.startswith(HEAD) or len(raw) > MOST:
        raise NotPlainError
    at[:1] = len(HEAD)
    if (inside(gathered(raw, 2, at), ">i2", 0) != len(held)).any():
        raise NotPlainError
    at += 2
    found = []
    for width in held:
        cells = gathered(raw, _LENGTH + width, at)
        size = inside(cells, ">i4", 0).astype(np.int64)
        at = at + _LENGTH
        found.append(Cells(raw, at, size, cells, _LENGTH))
        at = at + np.maximum(size, 0)
        if at.max(initial=0) > len(raw) - len(PADDING):
            raise NotPlainError
    if (at != ends).any():
        raise NotPlainError
    return found


def held(column: Column) -> int:
    """Return how many of the first bytes of a column's fields are wanted at once."""
    if column.native == "numeric" and is_read_as_number(column):
        return _NUMERIC_HEAD + 2 * _MOST_GROUPS
    return SHORT + 1 if column.native == JSONB else SHORT


def column_of_cells(cells: Cells, column: Column) -> pl.Series:
    """Return a field as typed values; raises `NotPlainError`."""
    field = column.field
    if is_read_as_number(column):
        values = _NUMBERS[column.native](cells, field)
    elif field.type is FieldType.INTEGER:
        values = fixed(cells, pa.int64(), cells.numbers(">i8").astype(np.int64))
    elif field.type is FieldType.FLOAT:
        values = fixed(cells, pa.float64(), cells.numbers(">f8").astype(np.float64))
    elif field.type is FieldType.BINARY:
        values = binary(cells)
    else:
        return _parsed(text(_without_version(cells) if column.native == JSONB else cells), field)
    return values.alias(field.name).cast(field.dtype)


def _without_version(cells: Cells) -> Cells:
    """Return the texts of a `jsonb`, which begins with the number of its form."""
    there = cells.size >= 0
    if (cells.numbers("u1")[there] != JSONB_VERSION).any():
        raise NotPlainError
    return Cells(cells.raw, cells.at + 1, cells.size - there, cells.held, cells.lead + 1)


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


def _integer(kind: str) -> Callable[[Cells, Field], pl.Series]:
    return lambda cells, _: fixed(cells, pa.int64(), cells.numbers(kind).astype(np.int64))


def _boolean(cells: Cells, _: Field) -> pl.Series:
    return fixed(cells, pa.int8(), cells.numbers("i1").copy()).cast(pl.Boolean)


def _date(cells: Cells, _: Field) -> pl.Series:
    days = _within(cells, cells.numbers(">i4").astype(np.int64), _FIRST_DAY - EPOCH_DAYS, _LAST_DAY - EPOCH_DAYS)
    return fixed(cells, pa.date32(), (days + EPOCH_DAYS).astype(np.int32))


def _moment(cells: Cells, field: Field) -> pl.Series:
    first, last = (days * _DAY_MICROS - EPOCH_MICROS for days in (_FIRST_DAY, _LAST_DAY + 1))
    since = _within(cells, cells.numbers(">i8").astype(np.int64), first, last - 1)
    zone = "UTC" if field.type is FieldType.DATETIME else None
    return fixed(cells, pa.timestamp("us", zone), since + EPOCH_MICROS)


def _time(cells: Cells, _: Field) -> pl.Series:
    micros = _within(cells, cells.numbers(">i8").astype(np.int64), 0, _DAY_MICROS - 1)
    return fixed(cells, pa.time64("ns"), micros * 1000)


def _within(cells: Cells, values: Array, first: int, last: int) -> Array:
    """Return the values with one that is inside for null; raises where another is outside."""
    nulls = cells.nulls
    if nulls is not None:
        values[nulls] = first
    if len(values) and (values.min() < first or values.max() > last):
        raise NotPlainError
    return values


def _numeric(cells: Cells, field: Field) -> pl.Series:
    """Return the sum of the digits, each of a group of four."""
    scale = FREE_SCALE if field.scale is None else field.scale
    there = cells.size >= 0
    count, weight = (np.where(there, cells.numbers(">i2", by), 0).astype(np.int64) for by in (0, 2))
    sign = np.where(there, cells.numbers(">u2", 4), 0)
    most, top = int(count.max(initial=0)), int(weight.max(initial=0))
    if (sign & ~np.uint16(NEGATIVE)).any() or most > _MOST_GROUPS or top > _MOST_WEIGHT:
        raise NotPlainError
    groups = [
        np.where(number < count, cells.numbers(">i2", _NUMERIC_HEAD + 2 * number), 0).astype(np.int64)
        for number in range(most)
    ]
    signs = np.where(sign == NEGATIVE, -1, 1)
    behind = -(-scale // _DIGITS)
    if (top + 1 + behind) * _DIGITS > _MOST_SCALE:
        whole, fraction = _halves(groups, weight, scale)
        return _masked(cells, _decimal(whole * signs, fraction * signs, scale))
    units = np.zeros(len(count), np.int64)
    for number, digit in enumerate(groups):
        place = weight - number + behind
        if (digit[place < 0] != 0).any():
            raise NotPlainError
        units += digit * _POWERS[np.maximum(place, 0)]
    rest = 10 ** (behind * _DIGITS - scale)
    exact = units // rest
    if (exact * rest != units).any():
        raise NotPlainError
    return _masked(cells, _of_units(exact * signs, scale))


def _masked(cells: Cells, values: pl.Series) -> pl.Series:
    nulls = cells.nulls
    return values if nulls is None else pl.select(pl.when(pl.Series(~nulls)).then(values)).to_series()


def _halves(groups: Sequence[Array], weight: Array, scale: int) -> tuple[Array, Array]:
    """Return whole numbers and fractions, which fit into 64 bits each; raises if a digit would be lost."""
    whole, fraction = np.zeros((2, len(weight)), np.int64)
    for number, digit in enumerate(groups):
        place = weight - number
        whole += np.where(place >= 0, digit * GROUP ** np.maximum(place, 0), 0)
        power = scale + _DIGITS * place
        lost = np.where((place < 0) & (power < 0), 10 ** np.minimum(-power, _DIGITS).clip(0), 1)
        if (digit % lost).any():
            raise NotPlainError
        fraction += np.where(place < 0, digit // lost * 10 ** power.clip(0, _MOST_SCALE), 0)
    return whole, fraction


def _decimal(whole: Array, fraction: Array, scale: int) -> pl.Series:
    if not len(whole) or np.abs(whole).max() < 10 ** (_MOST_SCALE - scale):
        return _of_units(whole * 10**scale + fraction, scale)
    return pl.Series(whole).cast(pl.Decimal(38, scale)) + _of_units(fraction, scale)


def _of_units(units: Array, scale: int) -> pl.Series:
    """Return decimals from their units in the last place, as the two words of 128-bit numbers."""
    words = np.stack((units, units >> 63), axis=1)
    buffers = [None, pa.py_buffer(words)]
    return pl.Series(pl.from_arrow(pa.Array.from_buffers(pa.decimal128(38, scale), len(units), buffers)))


_POWERS = GROUP ** np.arange(_MOST_GROUPS // 2 + 1, dtype=np.int64)
_NUMBERS: Mapping[str, Callable[[Cells, Field], pl.Series]] = {
    "bigint": _integer(">i8"),
    "integer": _integer(">i4"),
    "smallint": _integer(">i2"),
    "double precision": lambda cells, _: fixed(cells, pa.float64(), cells.numbers(">f8").astype(np.float64)),
    "boolean": _boolean,
    "date": _date,
    "time without time zone": _time,
    "timestamp without time zone": _moment,
    "timestamp with time zone": _moment,
    "numeric": _numeric,
}
