"""The shared words: `FieldType`, `Field`, `Schema`, `Change`.

Records travel as `polars.DataFrame` batches whose columns are the schema's fields in order. A field's type fixes its
column type, so that decimals, time zones, nulls and 4-byte Unicode survive from one system to the other:

    text            String          UUIDs, enumerations and everything unknown too
    integer         Int64
    decimal         Decimal(38, scale); scale 18 where the system states none
    float           Float64
    boolean         Boolean
    date            Date
    time            Time
    datetime        Datetime[us, UTC]: an instant
    local_datetime  Datetime[us]: a wall-clock time without a zone
    binary          Binary
    json            String that holds JSON text with sorted keys
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from functools import cached_property
from typing import Any

import polars as pl

FREE_SCALE = 18


class FieldType(StrEnum):
    """What kind of value a field holds."""

    TEXT = "text"
    INTEGER = "integer"
    DECIMAL = "decimal"
    FLOAT = "float"
    BOOLEAN = "boolean"
    DATE = "date"
    TIME = "time"
    DATETIME = "datetime"
    LOCAL_DATETIME = "local_datetime"
    BINARY = "binary"
    JSON = "json"


_DTYPES: dict[FieldType, pl.DataType] = {
    FieldType.TEXT: pl.String(),
    FieldType.INTEGER: pl.Int64(),
    FieldType.FLOAT: pl.Float64(),
    FieldType.BOOLEAN: pl.Boolean(),
    FieldType.DATE: pl.Date(),
    FieldType.TIME: pl.Time(),
    FieldType.DATETIME: pl.Datetime("us", "UTC"),
    FieldType.LOCAL_DATETIME: pl.Datetime("us"),
    FieldType.BINARY: pl.Binary(),
    FieldType.JSON: pl.String(),
}


@dataclass(frozen=True)
class Field:
    """One field of an object or entity.

    `length` is in characters; `precision` and `scale` in decimal digits (`scale` of a time or date-time: the digits of
    a second that the system keeps, 6 where it states none). `generated` says that the system itself fills the field
    in (a serial number, a computed column), so it is never written.
    """

    name: str
    type: FieldType = FieldType.TEXT
    nullable: bool = True
    length: int | None = None
    precision: int | None = None
    scale: int | None = None
    generated: bool = False
    has_default: bool = False
    label: str = ""

    @property
    def dtype(self) -> pl.DataType:
        """Return the column type of the field."""
        if self.type is FieldType.DECIMAL:
            return pl.Decimal(38, FREE_SCALE if self.scale is None else self.scale)
        return _DTYPES[self.type]


@dataclass(frozen=True)
class Schema:
    """The fields of an object, and the names of those that identify a record."""

    fields: tuple[Field, ...]
    key: tuple[str, ...] = ()

    @cached_property
    def _by_name(self) -> dict[str, Field]:
        return {field.name: field for field in self.fields}

    @property
    def names(self) -> tuple[str, ...]:
        """Return the field names in order."""
        return tuple(self._by_name)

    def __contains__(self, name: object) -> bool:
        return name in self._by_name

    def __getitem__(self, name: str) -> Field:
        return self._by_name[name]

    def dtypes(self) -> dict[str, pl.DataType]:
        """Return name -> column type: the polars schema of a batch."""
        return {field.name: field.dtype for field in self.fields}

    def select(self, names: tuple[str, ...]) -> Schema:
        """Return the schema of the named fields, in the given order."""
        return Schema(tuple(self[name] for name in names), tuple(k for k in self.key if k in names))

    def empty(self) -> pl.DataFrame:
        """Return a batch without records."""
        return pl.DataFrame(schema=self.dtypes())

    def to_json(self) -> dict[str, Any]:
        """Return a plain form; `from_json` reads it."""
        return {"fields": [dict(vars(field)) for field in self.fields], "key": list(self.key)}

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> Schema:
        """Return the schema that `to_json` gave."""
        fields = tuple(Field(**{**f, "type": FieldType(f["type"])}) for f in data["fields"])
        return cls(fields, tuple(data["key"]))


class Op(StrEnum):
    """What a `Change` does to its records."""

    CREATE = "create"
    UPDATE = "update"
    DELETE = "delete"


@dataclass(frozen=True)
class Change:
    """Records to be written in one way.

    `records` holds the fields to set and nothing else; for `update` and `delete` also the key field. All rows of one
    update set the same fields, so that nothing is overwritten that was not meant.
    """

    op: Op
    key: str
    records: pl.DataFrame
