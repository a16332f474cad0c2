"""Columns of Parquet files as fields, and fields as columns."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import polars as pl
import pyarrow as pa

from connectors.value_text import PLAIN
from rules.schema import FREE_SCALE, Field, FieldType

_DIGITS = 38
_PLAIN: tuple[tuple[Callable[[pa.DataType], bool], FieldType], ...] = (
    (pa.types.is_integer, FieldType.INTEGER),
    (pa.types.is_floating, FieldType.FLOAT),
    (pa.types.is_boolean, FieldType.BOOLEAN),
    (pa.types.is_date, FieldType.DATE),
    (pa.types.is_time, FieldType.TIME),
    (pa.types.is_string, FieldType.TEXT),
    (pa.types.is_large_string, FieldType.TEXT),
    (pa.types.is_string_view, FieldType.TEXT),
    (pa.types.is_null, FieldType.TEXT),
    (pa.types.is_binary, FieldType.BINARY),
    (pa.types.is_large_binary, FieldType.BINARY),
    (pa.types.is_binary_view, FieldType.BINARY),
    (pa.types.is_fixed_size_binary, FieldType.BINARY),
)
_COLUMNS: Mapping[FieldType, pa.DataType] = {
    FieldType.TEXT: pa.string(),
    FieldType.INTEGER: pa.int64(),
    FieldType.FLOAT: pa.float64(),
    FieldType.BOOLEAN: pa.bool_(),
    FieldType.DATE: pa.date32(),
    FieldType.TIME: pa.time64("us"),
    FieldType.DATETIME: pa.timestamp("us", "UTC"),
    FieldType.LOCAL_DATETIME: pa.timestamp("us"),
    FieldType.BINARY: pa.binary(),
    FieldType.JSON: pa.string(),
}


def field_of(column: pa.Field) -> Field | None:
    """Return a column as a field, None if it is nested or of a kind that no field has."""
    kind = column.type.value_type if pa.types.is_dictionary(column.type) else column.type
    if pa.types.is_decimal(kind):
        fits = kind.precision <= _DIGITS and 0 <= kind.scale <= _DIGITS
        return Field(column.name, FieldType.DECIMAL, column.nullable, None, _DIGITS, kind.scale) if fits else None
    if pa.types.is_timestamp(kind):
        return Field(column.name, FieldType.DATETIME if kind.tz else FieldType.LOCAL_DATETIME, column.nullable)
    if isinstance(column.type, pa.BaseExtensionType):
        return Field(column.name, FieldType.JSON, column.nullable) if isinstance(column.type, pa.JsonType) else None
    found = next((made for test, made in _PLAIN if test(kind)), None)
    return None if found is None else Field(column.name, found, column.nullable)


def type_of(field: Field) -> pa.DataType:
    """Return the type of a new column."""
    if field.type is FieldType.DECIMAL:
        return pa.decimal128(_DIGITS, FREE_SCALE if field.scale is None else field.scale)
    return _COLUMNS[field.type]


def column_of(values: pa.ChunkedArray, name: str) -> pl.Series:
    """Return the values of a column as polars has them."""
    if isinstance(values.type, pa.BaseExtensionType):
        values = values.cast(values.type.storage_type)
    if pa.types.is_dictionary(values.type):
        values = values.cast(values.type.value_type)
    if pa.types.is_decimal(values.type):
        values = values.cast(pa.decimal128(_DIGITS, values.type.scale))
    if pa.types.is_date64(values.type):
        values = values.cast(pa.date32())
    if pa.types.is_fixed_size_binary(values.type):
        values = values.cast(pa.binary())
    return pl.Series(name, pl.from_arrow(values))


def exact(values: pl.Series, field: Field) -> pl.Series:
    """Return values in the type of their field; what it cannot hold exactly is null."""
    if isinstance(values.dtype, pl.Datetime):
        if values.dtype.time_unit == "ns":
            values = _where(values.dt.timestamp("ns") % 1000 == 0, values)
        if field.type is FieldType.DATETIME:
            values = values.dt.convert_time_zone("UTC")
        return values.cast(field.dtype)
    if values.dtype == pl.Time:
        return _where(values.cast(pl.Int64) % 1000 == 0, values)
    return values.cast(field.dtype, strict=False)


def shown(values: pl.Series) -> pl.Series:
    """Return typed values as text in the standard form."""
    if values.dtype == pl.String:
        return values
    return pl.Series(values.name, [PLAIN.text(value) for value in values.to_list()], pl.String)


def raw(value: pl.Series) -> str:
    """Return a single value as text, with all its digits."""
    return str((value.dt.to_string("%T%.9f") if value.dtype == pl.Time else value.cast(pl.String))[0])


def _where(mask: pl.Series, values: pl.Series) -> pl.Series:
    return pl.select(pl.when(mask).then(values)).to_series().alias(values.name)
