"""From columns to the values the C++ runtime takes, one list a variable.

A value that the runtime cannot calculate with exactly becomes an `Unusable`: an object the runtime refuses, but only
when the expression really uses it, so that a condition can still guard it.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from typing import Any

import polars as pl

from rules.language.nodes import Mode, Variable
from rules.schema import FieldType, Schema
from rules.text import N_, Message, msg

DIGITS = 15
_JSON_DIGITS = 17
_EXACT = 2**53
_FIRST = datetime(1, 1, 2)  # noqa: DTZ001 - a wall-clock bound; the runtime takes day 1 for infinity
_LAST = datetime(9999, 12, 31, 23, 59, 59, 999_000)  # noqa: DTZ001


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
    for row in (_significant(column, text) > DIGITS).fill_null(value=False).arg_true():
        reason = N_("{number} has more than 15 digits, which is too much to calculate with.")
        values[row] = Unusable(msg(reason, number=text[row]))
    return values


def _significant(column: pl.Series, text: pl.Series) -> pl.Series:
    """Return the count of digits between the first and the last that is not 0."""
    fraction = text if column.dtype.is_integer() else text.str.strip_chars_end("0").str.strip_suffix(".")
    digits = fraction.str.replace("-", "", literal=True).str.replace(".", "", literal=True)
    return digits.str.strip_chars_start("0").str.strip_chars_end("0").str.len_chars()


def _moments(column: pl.Series) -> list[Any]:
    instants = column.cast(pl.Datetime("us")) if column.dtype == pl.Date else column
    naive = instants.dt.replace_time_zone(None)
    outside = ~naive.is_between(_FIRST, _LAST)
    if not outside.fill_null(value=False).any():
        return naive.dt.replace_time_zone("UTC").to_list()
    inside = pl.select(pl.when(~outside).then(naive)).to_series()
    values: list[Any] = inside.dt.replace_time_zone("UTC").to_list()
    for row in outside.fill_null(value=False).arg_true():
        values[row] = Unusable(msg("The time lies outside the years 1 to 9999, which cannot be calculated with."))
    return values


def _times(column: pl.Series) -> list[Any]:
    return column.dt.to_string("%H:%M:%S%.6f").str.strip_suffix(".000000").to_list()


def _json(column: pl.Series) -> list[Any]:
    return [None if text is None else parse_json(text) for text in column.to_list()]


def parse_json(text: str) -> Any:
    """Return what JSON text holds, numbers as floating point; `Unusable` if it is no JSON or would lose digits."""
    try:
        return json.loads(text, parse_int=_json_integer, parse_float=_json_number, parse_constant=_no_constant)
    except (ValueError, RecursionError) as error:
        return Unusable(msg("The JSON cannot be used: {reason}", reason=str(error)))


def _json_integer(text: str) -> float | int:
    value = int(text)
    if abs(value) <= _EXACT:
        return float(value)
    if not -(2**63) <= value < 2**63:
        raise ValueError(f"{text} has too many digits")
    return value


def _json_number(text: str) -> float:
    value = float(text)
    if Decimal(repr(value)) != Decimal(text) and len(Decimal(text).normalize().as_tuple().digits) > _JSON_DIGITS:
        raise ValueError(f"{text} has too many digits")
    return value


def _no_constant(text: str) -> float:
    raise ValueError(f"{text} is not a JSON value")


_VALUES: dict[FieldType, Callable[[pl.Series], list[Any]]] = {FieldType.TIME: _times, FieldType.JSON: _json}
