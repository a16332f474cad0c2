"""Records whose values are each of their field's own kind, straight from JSON text to columns.

Apache Arrow reads texts, numbers and booleans without an object for each value, decimals exactly; JSON is taken as it
was written. Whatever is not plainly so is left to the reader that looks at each value.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from operator import attrgetter
from typing import Any

import msgspec
import polars as pl
import pyarrow as pa
from pyarrow import json as arrow_json

from connectors.casting import Places, typed
from rules.schema import FREE_SCALE, Field, FieldType, Schema

_OWN = {FieldType.INTEGER: pa.int64(), FieldType.FLOAT: pa.float64(), FieldType.BOOLEAN: pa.bool_()}
_BETWEEN = "\x1f"
"""Stands in no JSON text: within strings it is escaped."""


class NotFlat(Exception):
    """A record has a value that must be looked at closely."""


class Flat:
    """Makes columns of a schema."""

    def __init__(self, schema: Schema) -> None:
        self.schema = schema
        kinds = {field.name: _kind(field) for field in schema.fields if field.type is not FieldType.JSON}
        self._texts = schema.select(tuple(n for n in schema.names if kinds.get(n, pa.string()) == pa.string()))
        self._required = [f.name for f in schema.fields if not f.nullable and f.name not in self._texts]
        self._json = [(number, name) for number, name in enumerate(schema.names) if name not in kinds]
        self._decode = msgspec.json.Decoder(_struct(schema)).decode_lines
        plain = pa.schema(list(kinds.items()))
        self._plain = arrow_json.ParseOptions(explicit_schema=plain, unexpected_field_behavior="ignore")

    def frame(self, records: Sequence[Any]) -> pl.DataFrame:
        """Return the typed columns of some records' texts; raises `NotFlat`."""
        text = b"\n".join(records)
        try:
            columns = self._documents(text, len(records)) | self._read(text, len(records))
            raw = pl.DataFrame([columns[name] for name in self.schema.names])
        except (msgspec.DecodeError, UnicodeError, RecursionError, pa.ArrowException, pl.exceptions.PolarsError) as e:
            raise NotFlat from e
        if any(raw[name].has_nulls() for name in self._required):
            raise NotFlat
        done, rejects, _ = typed(raw.select(self._texts.names), self._texts, Places(str, str))
        if rejects:
            raise NotFlat
        return raw.with_columns(done.get_columns())

    def _documents(self, text: bytes, count: int) -> dict[str, pl.Series]:
        """Return JSON as text. This proves, too, that each record is an object and each decimal a number.

        Arrow must see no other: it ends the whole process where a record is `null`, and takes "1e3" for a number.
        """
        found = self._decode(text)
        if len(found) != count:
            raise NotFlat
        return {name: _cut(name, map(attrgetter(f"f{number}"), found)) for number, name in self._json}

    def _read(self, text: bytes, count: int) -> dict[str, pl.Series]:
        if len(self._json) == len(self.schema.fields):
            return {}
        # One block: records are not torn apart, however they are spaced.
        options = arrow_json.ReadOptions(use_threads=False, block_size=len(text) + 1)
        table = arrow_json.read_json(pa.BufferReader(text), options, self._plain)
        table.validate(full=True)  # that texts are UTF-8
        columns = {column.name: column for column in pl.DataFrame(table).get_columns()}
        dates = any(c.dtype == pl.String and c.str.starts_with("/Date(").any() for c in columns.values())
        if dates or table.num_rows != count:
            raise NotFlat
        return columns


def _kind(field: Field) -> Any:
    if field.type is FieldType.DECIMAL:
        return pa.decimal128(38, FREE_SCALE if field.scale is None else field.scale)
    return _OWN.get(field.type, pa.string())


def _struct(schema: Schema) -> Any:
    """Return the type of a record of which only JSON is kept, and decimals are seen to be numbers."""
    kinds = {FieldType.JSON: (msgspec.Raw, msgspec.Raw(b"null")), FieldType.DECIMAL: (float | None, None)}
    members = [(f"f{n}", *kinds[f.type]) for n, f in enumerate(schema.fields) if f.type in kinds]
    names = {f"f{n}": f.name for n, f in enumerate(schema.fields)}
    return msgspec.defstruct("Record", members, rename=names, gc=False)


def _cut(name: str, values: Iterable[Any]) -> pl.Series:
    """Return JSON as text columns, as it was written."""
    text = _BETWEEN.encode().join(values).decode()
    column = pl.Series(name, [text]).str.split(_BETWEEN).explode()
    return column.set(column == "null", None)
