"""From columns to the values the C++ runtime takes, one list a variable.

A value that the runtime cannot calculate with exactly becomes an `Unusable`: an object the runtime refuses, but only
when the expression really uses it, so that a condition can still guard it.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import polars as pl

from rules.language.functions.dates import FAR_TIME, FINE_YEARS
from rules.language.jsontext import read_json
from rules.language.nodes import Mode, Variable
from rules.schema import FieldType, Schema
from rules.text import N_, Message, msg

DIGITS = 15
_FIRST = datetime(1, 1, 2)  # noqa: DTZ001 - a wall-clock bound; the runtime takes day 1 for infinity
_LAST = datetime(9999, 12, 31, 23, 59, 59)  # noqa: DTZ001
# The runtime reads moments through a double, which is exact to the microsecond for these years only.
_FINE = (datetime(FINE_YEARS[0], 1, 1), datetime(FINE_YEARS[1], 1, 1))  # noqa: DTZ001


@dataclass(frozen=True)
class Unusable:
    """A value that must not be calculated with, and why."""

    message: Message


def bind(variable: Variable, batch: pl.DataFrame, schema: Schema) -> list[Any]:
    """Return the values of a variable for all records of a batch."""
    column = batch[variable.field]
    if variable.mode is Mode.EMPTY:
        return column.is_null().to_list()
    if variable.mode is Mode.MOMENT:
        return _moments(column)
    if variable.mode is Mode.NUMBER:
        return _numbers(column)
    return _VALUES.get(schema[variable.field].type, pl.Series.to_list)(column)


def _numbers(column: pl.Series) -> list[Any]:
    text = column.cast(pl.String)
    values: list[Any] = text.cast(pl.Float64).to_list()
    for row in too_long(column).arg_true():
        reason = N_("{number} has more than 15 digits, which is too much to calculate with.")
        values[row] = Unusable(msg(reason, number=text[row]))
    return values


def too_long(column: pl.Series) -> pl.Series:
    """Return where a number has more digits than can be calculated with."""
    return (_significant(column, column.cast(pl.String)) > DIGITS).fill_null(value=False)


def _significant(column: pl.Series, text: pl.Series) -> pl.Series:
    """Return the count of digits between the first and the last that is not 0."""
    fraction = text if column.dtype.is_integer() else text.str.strip_chars_end("0").str.strip_suffix(".")
    digits = fraction.str.replace("-", "", literal=True).str.replace(".", "", literal=True)
    return digits.str.strip_chars_start("0").str.strip_chars_end("0").str.len_chars()


def wall_clock(column: pl.Series) -> pl.Series:
    """Return dates and times as the runtime reads them: as if their zone were UTC."""
    instants = column.cast(pl.Datetime("us")) if column.dtype == pl.Date else column
    return instants.dt.replace_time_zone(None)


def far(naive: pl.Series) -> pl.Series:
    """Return where a moment is beyond what can be calculated with."""
    coarse = (naive.dt.microsecond() > 0) & ~naive.is_between(*_FINE)
    return (coarse | ~naive.is_between(_FIRST, _LAST)).fill_null(value=False)


def _moments(column: pl.Series) -> list[Any]:
    naive = wall_clock(column)
    outside = far(naive)
    if not outside.any():
        return naive.dt.replace_time_zone("UTC").to_list()
    inside = pl.select(pl.when(~outside).then(naive)).to_series()
    values: list[Any] = inside.dt.replace_time_zone("UTC").to_list()
    for row in outside.arg_true():
        values[row] = _FAR
    return values


def _times(column: pl.Series) -> list[Any]:
    return column.dt.to_string("%H:%M:%S%.6f").str.strip_suffix(".000000").to_list()


def _json(column: pl.Series) -> list[Any]:
    return [None if text is None else parse_json(text) for text in column.to_list()]


def parse_json(text: str) -> Any:
    """Return what JSON text holds; `Unusable` if it is no JSON or would lose digits."""
    if "\\u0000" in text:
        return _NUL
    try:
        return read_json(text)
    except (ValueError, RecursionError) as error:
        return Unusable(msg("The JSON cannot be used: {reason}", reason=str(error)))


def _texts(column: pl.Series) -> list[Any]:
    return _without_nul(column, nul_text(column))


def _bytes(column: pl.Series) -> list[Any]:
    return _without_nul(column, nul_bytes(column))


def nul_text(column: pl.Series) -> pl.Series:
    """Return where a text holds the character NUL."""
    return column.str.contains("\x00", literal=True).fill_null(value=False)


def nul_bytes(column: pl.Series) -> pl.Series:
    """Return where binary data holds the byte 0."""
    return column.bin.contains(b"\x00").fill_null(value=False)


def _without_nul(column: pl.Series, has_nul: pl.Series) -> list[Any]:
    """Return the values; those that hold the character NUL are unusable, since the runtime would cut them off there."""
    values: list[Any] = column.to_list()
    for row in has_nul.arg_true():
        values[row] = _NUL
    return values


_FAR = Unusable(FAR_TIME)
_NUL = Unusable(msg("The value holds the character NUL (code 0), which cannot be calculated with."))
_VALUES: dict[FieldType, Callable[[pl.Series], list[Any]]] = {
    FieldType.TEXT: _texts,
    FieldType.BINARY: _bytes,
    FieldType.TIME: _times,
    FieldType.JSON: _json,
}
