"""The values that a test gives and expects, as their fields hold them."""

from __future__ import annotations

import json
from collections.abc import Mapping
from decimal import InvalidOperation
from typing import Any

import polars as pl

from rules.decoding import decode
from rules.language.problems import nearest
from rules.schema import Field, FieldType, Schema
from rules.text import N_, Message, msg


class Misfit(ValueError):
    """A value of a test does not fit its field; `message` says why."""

    def __init__(self, message: Message) -> None:
        super().__init__(str(message))
        self.message = message


def record(given: Mapping[str, Any], schema: Schema) -> pl.DataFrame:
    """Return the record that a test gives, as a batch of one; raises `Misfit`."""
    for name in given:
        if name not in schema:
            raise Misfit(unknown(name, schema))
    values = {field.name: value_of(field, given.get(field.name)) for field in schema.fields}
    return pl.DataFrame({name: [value] for name, value in values.items()}, schema=schema.dtypes())


def unknown(name: str, schema: Schema) -> Message:
    """Return that there is no such field to be given."""
    close = nearest(name, schema.names)
    if close is None:
        return msg("There is no field '{name}' to be given.", name=name)
    return msg("There is no field '{name}' to be given. Did you mean '{close}'?", name=name, close=close)


def value_of(field: Field, value: Any) -> Any:
    """Return a value as the field holds it; raises `Misfit`."""
    try:
        return pl.Series([decode(field, value)], dtype=field.dtype, strict=True)[0]
    except (ValueError, TypeError, InvalidOperation, OverflowError, pl.exceptions.PolarsError):
        text = N_("'{value}' is not a value of type {type}, which '{field}' has.")
        raise Misfit(msg(text, value=value, type=field.type.value, field=field.name)) from None


def same(field: Field, expected: Any, found: Any) -> bool:
    """Tell whether two values of a field are equal; JSON by what it means, not by how it is written."""
    if field.type is FieldType.JSON and isinstance(expected, str) and isinstance(found, str):
        return bool(_json(expected) == _json(found))
    return bool(expected == found)


def _json(text: str) -> Any:
    try:
        return json.loads(text)
    except ValueError:
        return text
