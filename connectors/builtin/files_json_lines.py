"""Lines of JSON straight into columns, where every value is of the kind that its field wants.

A line that is no record, or a value of another kind, is left to the reader that looks at each value.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from decimal import Decimal
from typing import Any

import msgspec
import polars as pl

from connectors.json_records import decode, encode
from rules.schema import Field, FieldType, Schema

_KINDS: Mapping[FieldType, Any] = {
    FieldType.INTEGER: int | None,
    FieldType.BOOLEAN: bool | None,
    FieldType.JSON: msgspec.Raw,
    FieldType.DECIMAL: msgspec.Raw,
    FieldType.FLOAT: msgspec.Raw,
}
_NULL = b"null"
_EXPONENT = re.compile("[0-9][eE]")


class Lines:
    """Takes lines apart into the columns of a schema."""

    def __init__(self, schema: Schema) -> None:
        self.schema = schema
        members = [(f"f{number}", *_member(field)) for number, field in enumerate(schema.fields)]
        self._decode = msgspec.json.Decoder(msgspec.defstruct("Line", members, gc=False)).decode

    def columns(self, lines: Sequence[bytes]) -> pl.DataFrame | None:
        """Return the columns of some lines, or None if one of them has to be looked at closely."""
        try:
            records = list(map(self._decode, lines))
            return pl.DataFrame([_column(f, n, records) for n, f in enumerate(self.schema.fields)])
        except (msgspec.DecodeError, UnicodeError, RecursionError, OverflowError, TypeError, pl.exceptions.PolarsError):
            return None


def _member(field: Field) -> tuple[Any, Any]:
    kind = _KINDS.get(field.type, str | None)
    if kind is msgspec.Raw:
        return kind, msgspec.field(default=msgspec.Raw(_NULL), name=field.name)
    return kind, msgspec.field(default=None, name=field.name)


def _column(field: Field, number: int, records: Sequence[Any]) -> pl.Series:
    name = f"f{number}"
    values = [getattr(record, name) for record in records]
    if field.type in (FieldType.INTEGER, FieldType.BOOLEAN):
        return pl.Series(field.name, values, field.dtype)
    if _KINDS.get(field.type) is msgspec.Raw:
        texts = [None if raw == _NULL else str(raw, "utf-8") for raw in map(bytes, values)]
        made = map(_document if field.type is FieldType.JSON else _number, texts)
        return pl.Series(field.name, list(made), pl.String)
    return pl.Series(field.name, values, pl.String)


def _document(text: str | None) -> str | None:
    """Return JSON as it is, but for numbers with exponents, which are written in one way."""
    return encode(decode(text)).decode() if text is not None and _EXPONENT.search(text) else text


def _number(text: str | None) -> str | None:
    """Return a number as text; raises `TypeError` if it is a text itself or something else."""
    if text is None:
        return None
    if text[0] in '"{[tf':
        raise TypeError(text)
    if "e" in text or "E" in text:
        value = Decimal(text)
        return format(value, "f") if abs(value.adjusted()) < 38 else str(value)
    return text
