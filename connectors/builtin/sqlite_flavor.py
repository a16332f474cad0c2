"""SQLite's SQL. Any column may hold a value of any type, so each value is looked at before it is believed.

Dates and times are ISO texts, instants are texts in UTC, decimals are integers or floats and therefore exact up to 15
digits. A date-time cursor works over texts, so its column has to be written in one form, instants in UTC.
"""

from __future__ import annotations

import re
import sqlite3
from collections.abc import Iterator, Mapping, Sequence
from decimal import Decimal
from typing import Any

import polars as pl
import sqlalchemy as sa

from connectors.builtin import sqlite_catalog, sqlite_errors
from connectors.builtin.database_flavor import Flavor, Loader, Refusal, RefusedError, many
from connectors.builtin.database_rows import RowLoader
from connectors.builtin.database_types import Column, Decoded, Table, decode, to_wire, truths
from connectors.builtin.sqlite_filter import SQLiteTests
from connectors.errors import ConnectorError
from connectors.spi import ObjectInfo
from rules.schema import Field, FieldType
from rules.text import msg

_COPY = "syncline copy"
_FLOAT_DIGITS = 15
_LEAST, _MOST = -(2**63), 2**63 - 1
_NO_TRUTH = -1
_STAMPS = {FieldType.DATETIME, FieldType.LOCAL_DATETIME, FieldType.TIME}
_NUMBERS_AS_TEXT = {FieldType.TEXT, FieldType.DECIMAL, FieldType.JSON}
_KEEPS_TEXT = {sqlite_catalog.TEXT, sqlite_catalog.BLOB}
_NUMERIC = re.compile(r"\s*[+-]?(?:\d+\.?\d*|\.\d+)(?:[eE][+-]?\d+)?\s*$")

_OTHER_TYPES = {FieldType.INTEGER: int, FieldType.FLOAT: float, FieldType.BINARY: bytes}
_FINE: Mapping[FieldType, set[type]] = {kind: {_OTHER_TYPES.get(kind, str)} for kind in FieldType}


class SQLiteFlavor(Flavor):
    """How SQLite is read and written."""

    driver_errors = (sqlite3.Error,)
    tests = SQLiteTests()

    def objects(self, connection: sa.Connection, schema: str | None) -> list[ObjectInfo]:  # noqa: ARG002 - a file has one
        """Return tables and views of the file."""
        return sqlite_catalog.objects(connection)

    def table(self, connection: sa.Connection, schema: str | None, name: str) -> Table | None:  # noqa: ARG002
        """Return a table of the file."""
        return sqlite_catalog.table(connection, name)

    def fault(self, error: BaseException, object_name: str | None) -> ConnectorError:
        """Return a driver's error in our words."""
        return sqlite_errors.fault(error, object_name)

    def refusal(self, error: BaseException) -> Refusal | None:
        """Return why a record is refused."""
        return sqlite_errors.refusal(error)

    def start(self, column: Column, since: Any) -> sa.ColumnElement[Any]:
        """Cut a date-time to what every way of writing it begins with: 10:00 before 10:00:00 before 10:00:00.5."""
        if column.field.type in _STAMPS:
            since = since.rstrip("0").rstrip(".").removesuffix(":00") if "." in since else since
        return self.parameter(column, since)

    def among(self, column: Column, values: pl.Series) -> sa.ColumnElement[bool]:
        """Compare with the values that SQLite can hold; the others cannot be there."""
        return sa.column(column.name).in_(many([v for v in _stored(column, values) if not isinstance(v, Refusal)]))

    def parameters(self, column: Column, values: pl.Series) -> Sequence[Any]:
        """Return typed values as SQLite stores them; raises `RefusedError` for those it would change."""
        stored = _stored(column, values)
        for value in stored:
            if isinstance(value, Refusal):
                raise RefusedError(value)
        return stored

    def decode(self, column: Column, values: Sequence[Any]) -> Decoded:
        """Return the values of a column, where each is of the type that the column declares."""
        kind, types = column.field.type, set(map(type, values)) - {type(None)}
        if kind is FieldType.BOOLEAN:
            whole = [value if value is None or type(value) is int else _NO_TRUTH for value in values]
            return truths(column.name, decode(Field(column.name, FieldType.INTEGER), whole))
        if types <= _FINE[kind]:
            return decode(column.field, _padded(values) if kind in _STAMPS else values)
        kept = [None if value is None else _read(kind, value) for value in values]
        done = decode(column.field, kept)
        lost = pl.Series([k is None and v is not None for k, v in zip(kept, values, strict=True)], dtype=pl.Boolean)
        return Decoded(done.values, lost if done.bad is None else lost | done.bad)

    def begin(self, connection: sa.Connection, timeout: float) -> None:
        """Nothing: the driver waits for the lock, which `BEGIN IMMEDIATE` has taken."""

    def stream(
        self, connection: sa.Connection, statement: sa.Select[Any], size: int
    ) -> Iterator[Sequence[Sequence[Any]]]:
        """Read from a copy of the result: a query that stays open keeps all others from writing to the file."""
        asked = statement.compile(connection.engine, compile_kwargs={"render_postcompile": True})
        given = tuple(asked.params[name] for name in asked.positiontup or ())
        connection.exec_driver_sql(f'DROP TABLE IF EXISTS temp."{_COPY}"')
        connection.exec_driver_sql(f'CREATE TEMP TABLE "{_COPY}" AS {asked}', given)
        connection.commit()
        copied = sa.select(sa.text("*")).select_from(sa.table(_COPY, schema="temp")).order_by(sa.column("rowid"))
        yield from super().stream(connection, copied, size)

    def loader(self, connection: sa.Connection, source: sa.TableClause, table: Table) -> Loader:
        """Return the writer of batches."""
        return SQLiteLoader(self, connection, source, table)


class SQLiteLoader(RowLoader):
    """Writes rows."""

    def create_one(self, record: dict[str, Any], key: str) -> Any:
        """Insert a record and return its key."""
        values = {name: sa.bindparam(None, value, type_=sa.types.NullType()) for name, value in record.items()}
        return self.connection.execute(sa.insert(self.source).values(values).returning(sa.column(key))).scalar_one()


def _read(kind: FieldType, value: Any) -> Any:
    """Return a value of another type as a wire value of the field's type, or None where that would be a guess."""
    if kind is FieldType.FLOAT:
        return float(value) if isinstance(value, (int, float)) and float(value) == value else None
    if kind in _NUMBERS_AS_TEXT and isinstance(value, (int, float)):
        return repr(value)
    return value if type(value) in _FINE[kind] else None


def _padded(values: Sequence[Any]) -> Sequence[Any]:
    """Return date-times with the seconds and the midnight that SQLite's own functions understand when left out."""
    text = pl.Series(values, dtype=pl.String)
    text = text.str.replace(r"^(\d{4}-\d\d-\d\d)$", "$1 00:00:00")
    return text.str.replace(r"^((?:\d{4}-\d\d-\d\d[ T])?\d\d:\d\d)([Z+-].*)?$", "${1}:00$2").to_list()


def _stored(column: Column, values: pl.Series) -> Sequence[Any]:
    if values.dtype.is_temporal():
        text = to_wire(values)
        if values.dtype != pl.Date:
            text = text.str.replace(r"\.?0+$", "")
        return (text + "+00:00" if column.field.type is FieldType.DATETIME else text).to_list()
    if values.dtype.is_decimal():
        return [None if value is None else _number(column, value) for value in values]
    if values.dtype == pl.String and column.native not in _KEEPS_TEXT:
        return [None if value is None else _text(column, value) for value in values]
    return values.to_list()


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
