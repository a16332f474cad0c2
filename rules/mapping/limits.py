"""What a target field cannot hold although the type fits: too long a text, too many digits."""

from __future__ import annotations

import polars as pl

from rules.schema import Field, FieldType
from rules.text import N_, Message, msg


def over_limit(values: pl.Series, target: Field) -> dict[int, Message]:
    """Return row -> why for the values that are beyond the limits of the target field."""
    if target.type is FieldType.TEXT and target.length is not None:
        return _too_long(values, target, target.length)
    if target.type is FieldType.DECIMAL and target.precision is not None:
        return _too_large(values, target, target.precision)
    return {}


def _too_long(values: pl.Series, target: Field, limit: int) -> dict[int, Message]:
    lengths = values.str.len_chars()
    text = N_("The text has {length} characters, but '{field}' takes at most {limit}.")
    return {row: msg(text, length=lengths[row], field=target.name, limit=limit) for row in (lengths > limit).arg_true()}


def _too_large(values: pl.Series, target: Field, precision: int) -> dict[int, Message]:
    """Count the digits before the decimal point in the text, since 10 to their count may not fit the column."""
    whole = values.cast(pl.String).str.strip_chars_start("-").str.split(".").list.first().str.strip_chars_start("0")
    room = precision - (target.scale or 0)
    text = N_("{value} has too many digits: '{field}' takes at most {limit} before the decimal point.")
    return {
        row: msg(text, value=str(values[row]), field=target.name, limit=room)
        for row in (whole.str.len_chars() > room).arg_true()
    }
