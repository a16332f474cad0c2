"""Columns of values in the form that SQLite keeps, and back, without a look at each value where the column is plain.

A number with at most 15 digits is told apart from all others by its float, and it is the float's own shortest text. So
decimals are units in the last place, divided by a power of ten that a float holds exactly: both ways are exact then.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from decimal import Decimal
from typing import Any

import numpy as np
import polars as pl
import pyarrow as pa

from connectors.builtin import sqlite_catalog
from connectors.builtin.database_flavor import Refusal
from connectors.builtin.database_types import Column, Decoded, decode, to_wire, truths
from rules.schema import FREE_SCALE, Field, FieldType
from rules.text import msg

_FLOAT_DIGITS = 15
_MOST_UNITS = 10**_FLOAT_DIGITS
_USUAL_SCALE = 4
"""Digits behind the point that are tried first where a column does not say how many it has."""
_LEAST, _MOST = -(2**63), 2**63 - 1
_NO_TRUTH = -1
_STAMPS = {FieldType.DATETIME, FieldType.LOCAL_DATETIME, FieldType.TIME}
_MINUTES = {FieldType.DATETIME: 16, FieldType.LOCAL_DATETIME: 16, FieldType.TIME: 5}
"""How many characters there are before the seconds."""
_NUMBERS_AS_TEXT = {FieldType.TEXT, FieldType.DECIMAL, FieldType.JSON}
_KEEPS_TEXT = {sqlite_catalog.TEXT, sqlite_catalog.BLOB}
_NUMERIC = re.compile(r"\s*[+-]?(?:\d+\.?\d*|\.\d+)(?:[eE][+-]?\d+)?\s*$", re.ASCII)
_MAY_BE_NUMERIC = r"^\s*[+-]?\.?[0-9]"

_OTHER_TYPES = {FieldType.INTEGER: int, FieldType.FLOAT: float, FieldType.BINARY: bytes}
_FINE: Mapping[FieldType, set[type]] = {kind: {_OTHER_TYPES.get(kind, str)} for kind in FieldType}


def decoded(column: Column, values: Sequence[Any]) -> Decoded:
    """Return the values of a column, where each is of the type that the column declares."""
    kind, types = column.field.type, set(map(type, values)) - {type(None)}
    if kind is FieldType.BOOLEAN:
        whole = values if types <= {int} else [v if v is None or type(v) is int else _NO_TRUTH for v in values]
        return truths(column.name, decode(Field(column.name, FieldType.INTEGER), whole))
    if types <= _FINE[kind]:
        return decode(column.field, _padded(kind, values) if kind in _STAMPS else values)
    if kind is FieldType.DECIMAL and types <= {int, float}:
        units = _units(column.field, values)
        if units is not None:
            return Decoded(units)
    kept = [None if value is None else _read(kind, value) for value in values]
    done = decode(column.field, kept)
    lost = pl.Series([k is None and v is not None for k, v in zip(kept, values, strict=True)], dtype=pl.Boolean)
    return Decoded(done.values, lost if done.bad is None else lost | done.bad)


def plain(column: Column, values: pl.Series) -> pl.Series | None:
    """Return typed values as a column of what SQLite stores; None where each has to be looked at."""
    if values.dtype.is_temporal():
        text = to_wire(values)
        if values.dtype != pl.Date:
            text = text.str.strip_chars_end("0").str.strip_chars_end(".")
        return text + "+00:00" if column.field.type is FieldType.DATETIME else text
    if values.dtype.is_decimal():
        return _floats(values) if column.native == sqlite_catalog.NUMERIC else None
    if values.dtype == pl.String and column.native not in _KEEPS_TEXT:
        return None if values.str.contains(_MAY_BE_NUMERIC).any() else values
    return values.cast(pl.Int64) if values.dtype == pl.Boolean else values


def stored(column: Column, values: pl.Series) -> Sequence[Any]:
    """Return typed values as SQLite stores them, and a refusal for each that it would change."""
    found = plain(column, values)
    if found is not None:
        return found.to_list()
    if values.dtype.is_decimal():
        return [None if value is None else _number(column, value) for value in values]
    return [None if value is None else _text(column, value) for value in values]


def _units(field: Field, values: Sequence[Any]) -> pl.Series | None:
    """Return integers and floats as decimals; None where one has too many digits."""
    scale = _USUAL_SCALE if field.scale is None else field.scale
    numbers = np.array(values, np.float64)
    there = ~np.isnan(numbers)
    with np.errstate(over="ignore", invalid="ignore"):
        units = np.where(there, np.rint(numbers * 10.0**scale), 0)
        if not (np.abs(units) < _MOST_UNITS).all() or (units[there] / 10.0**scale != numbers[there]).any():
            return None
    kept = FREE_SCALE if field.scale is None else field.scale
    low = units.astype(np.int64)
    words = pa.py_buffer(np.stack((low, low >> 63), axis=1))
    made = pa.Array.from_buffers(pa.decimal128(38, scale), len(low), [None, words], null_count=0)
    typed = pl.Series(pl.from_arrow(made)).cast(pl.Decimal(38, kept)).alias(field.name)
    return typed if there.all() else _emptied(typed, pl.Series(there)).alias(field.name)


def _floats(values: pl.Series) -> pl.Series | None:
    """Return decimals as floats; a column of numbers turns those that are whole into integers by itself."""
    scale: int = values.dtype.scale  # type: ignore[attr-defined]
    units = values.to_physical()
    fits = units.is_between(-_MOST_UNITS, _MOST_UNITS, closed="none").fill_null(value=True)
    if scale > _FLOAT_DIGITS or not fits.all():
        return None
    # numpy divides, where Polars multiplies by the inverse, which is not exact
    floats = pl.Series(units.fill_null(0).cast(pl.Int64).to_numpy() / 10.0**scale)
    return _emptied(floats, units.is_not_null()) if units.null_count() else floats


def _emptied(values: pl.Series, there: pl.Series) -> pl.Series:
    return pl.select(pl.when(there).then(values)).to_series()


def _read(kind: FieldType, value: Any) -> Any:
    """Return a value of another type as a wire value of the field's type, or None where that would be a guess."""
    if kind is FieldType.FLOAT:
        return float(value) if isinstance(value, (int, float)) and float(value) == value else None
    if kind in _NUMBERS_AS_TEXT and isinstance(value, (int, float)):
        return repr(value)
    return value if type(value) in _FINE[kind] else None


def _padded(kind: FieldType, values: Sequence[Any]) -> Sequence[Any]:
    """Return date-times with the seconds and the midnight that SQLite's own functions understand when left out."""
    text = pl.Series(values, dtype=pl.String)
    if (text.str.slice(_MINUTES[kind], 1) == ":").all():
        return values
    text = text.str.replace(r"^(\d{4}-\d\d-\d\d)$", "$1 00:00:00")
    return text.str.replace(r"^((?:\d{4}-\d\d-\d\d[ T])?\d\d:\d\d)([Z+-].*)?$", "${1}:00$2").to_list()


def _number(column: Column, value: Decimal) -> int | float | Refusal:
    if value == value.to_integral_value() and _LEAST <= value <= _MOST:
        return int(value)
    digits = len("".join(map(str, value.as_tuple().digits)).strip("0"))
    if digits > _FLOAT_DIGITS:
        return Refusal(
            msg("SQLite keeps at most 15 digits of the number in '{field}'.", field=column.name), column.name
        )
    return float(value)


def _text(column: Column, value: str) -> str | Refusal:
    """Refuse a text that looks like a number and that a column without text affinity would turn into another one."""
    if not _NUMERIC.match(value):
        return value
    number = float(value)
    whole = number.is_integer() and _LEAST <= int(number) <= _MOST
    if value == (str(int(Decimal(value))) if whole else repr(number)):
        return value
    return Refusal(
        msg("The column of '{field}' would turn the text into another number.", field=column.name), column.name
    )
