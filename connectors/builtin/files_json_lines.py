"""Lines of JSON straight into columns, where every value is of the kind that its field wants.

Arrow reads a block of lines at once. Where it cannot, because a field of JSON holds more than text, msgspec reads them
one by one. A line that is no record, or a value of another kind, is left to the reader that looks at each value.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from decimal import Decimal
from functools import cache
from typing import Any

import msgspec
import numpy as np
import polars as pl
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.json
import re2

from connectors.json_records import decode, encode
from connectors.plain_texts import is_utf8, plain_frame
from rules.schema import Field, FieldType, Schema

_KINDS: Mapping[FieldType, Any] = {
    FieldType.INTEGER: int | None,
    FieldType.BOOLEAN: bool | None,
    FieldType.JSON: msgspec.Raw,
    FieldType.DECIMAL: msgspec.Raw,
    FieldType.FLOAT: msgspec.Raw,
}
_ARROW: Mapping[FieldType, Any] = {
    FieldType.INTEGER: pa.int64(),
    FieldType.BOOLEAN: pa.bool_(),
    FieldType.FLOAT: pa.float64(),
}
_WINDOW = 2**18
_DELETE = 0x7F
_BEGINS = np.isin(np.arange(256), list(b":,[- \t\r\n"))
_NAMES = rb"[:,\[]\s*-?(?:NaN|Inf)"
"""What Arrow takes for a number and JSON does not have."""
_NUMBER_TEXTS = rb'"[+-]?(?:[0-9.]+[eE][+-]?[0-9]+|\.[0-9]*)"'
"""Texts that Arrow takes for decimals."""
_NULL = b"null"
_EXPONENT = re.compile("[0-9][eE]")


class Lines:
    """Takes lines apart into the columns of a schema."""

    def __init__(self, schema: Schema) -> None:
        self.schema = schema
        self._arrow = pa.schema([(field.name, _ARROW.get(field.type, pa.string())) for field in schema.fields])
        decimals = [
            (f.name, pa.decimal128(38, f.dtype.scale)) for f in schema.fields if isinstance(f.dtype, pl.Decimal)
        ]
        for name, kind in decimals:
            self._arrow = self._arrow.set(self._arrow.get_field_index(name), pa.field(name, kind))
        self._decimals = bool(decimals)
        self._odd = re2.compile(_NAMES + b"|" + _NUMBER_TEXTS if decimals else _NAMES, _bytewise())
        members = [(f"f{number}", *_member(field)) for number, field in enumerate(schema.fields)]
        self._decode = msgspec.json.Decoder(msgspec.defstruct("Line", members, gc=False)).decode

    def block(self, text: bytes) -> pl.DataFrame | None:
        """Return the columns of some lines, or None if they have to be read one by one."""
        text = text if text.endswith(b"\n") else text + b"\n"
        count = objects(text)
        if not count or not self.schema.fields or not is_utf8(text) or self._is_odd(text):
            return None
        try:
            table = pyarrow.json.read_json(
                pa.BufferReader(text), pyarrow.json.ReadOptions(use_threads=False, block_size=len(text) + 1),
                pyarrow.json.ParseOptions(explicit_schema=self._arrow, unexpected_field_behavior="ignore"),
            )  # fmt: skip
        except pa.ArrowInvalid:
            return None
        if len(table) != count:
            return None
        return plain_frame({f.name: _texts(f, table[f.name].chunk(0)) for f in self.schema.fields}, self.schema)

    def _is_odd(self, text: bytes) -> bool:
        """Tell whether there may be something that Arrow takes for a number and we do not."""
        return bool((self._decimals or may_have_names(text)) and self._odd.search(text))

    def columns(self, lines: Sequence[bytes]) -> pl.DataFrame | None:
        """Return the columns of some lines, or None if one of them has to be looked at closely."""
        try:
            records = list(map(self._decode, lines))
            return pl.DataFrame([_column(f, n, records) for n, f in enumerate(self.schema.fields)])
        except (msgspec.DecodeError, UnicodeError, RecursionError, OverflowError, TypeError, pl.exceptions.PolarsError):
            return None


def objects(text: bytes) -> int:
    """Return the number of lines if each begins and ends with a brace, so that no object goes over a line, else 0."""
    signs = np.frombuffer(text, np.uint8)
    ends = np.flatnonzero(signs == ord("\n"))
    last = signs[ends - 1]
    last = np.where(last == ord("\r"), signs[ends - 2], last) if b"\r" in text else last
    whole = signs[0] == ord("{") and (last == ord("}")).all() and (signs[ends[:-1] + 1] == ord("{")).all()
    return len(ends) if whole else 0


def may_have_names(text: bytes) -> bool:
    """Tell whether an N or I stands where a number could begin, as in NaN and Infinity."""
    signs = np.frombuffer(text, np.uint8)
    for start in range(1, len(signs), _WINDOW):
        part = signs[start : start + _WINDOW]
        found = np.flatnonzero((part == ord("N")) | (part == ord("I")))
        if _BEGINS[signs[found + start - 1]].any():
            return True
    return False


def _texts(field: Field, found: Any) -> Any:
    """Return a column of the table as it is, the texts of a field of JSON as JSON."""
    if field.type is not FieldType.JSON:
        return found
    _, _, data = found.buffers()
    signs = np.frombuffer(data or b"", np.uint8)
    if ((signs < ord(" ")) | (signs == _DELETE)).any():
        return pa.array([text if text is None else encode(text).decode() for text in found.to_pylist()], pa.string())
    for sign in ("\\", '"'):
        found = pc.replace_substring(found, sign, f"\\{sign}")
    return pc.binary_join_element_wise('"', found, '"', "")


@cache
def _bytewise() -> Any:
    options = re2.Options()
    options.encoding = re2.Options.Encoding.LATIN1  # type: ignore[attr-defined]
    return options


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
