"""The SQL of MySQL and MariaDB. Sessions run in UTC and in strict mode, so that nothing is rounded or cut silently."""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Sequence
from decimal import Decimal
from typing import Any

import polars as pl
import pymysql
import sqlalchemy as sa

from connectors.builtin import mysql_catalog, mysql_errors
from connectors.builtin.database_flavor import Flavor, Loader, Refusal, many
from connectors.builtin.database_rows import RowLoader
from connectors.builtin.database_types import Column, Decoded, Table, decode, to_wire, truths
from connectors.builtin.mysql_filter import MySQLTests
from connectors.errors import ConnectorError, Misconfigured
from connectors.spi import ObjectInfo
from rules.schema import Field, FieldType
from rules.text import msg

_GEOMETRIES = {
    "geometry", "point", "linestring", "polygon", "multipoint", "multilinestring", "multipolygon", "geometrycollection",
}  # fmt: skip
_ROWS, _BYTES = 400, 500_000
_SORTED_AS_TEXT = {"enum", "set", "json"}


class MySQLFlavor(Flavor):
    """How MySQL and MariaDB are read and written."""

    row_values = False
    driver_errors = (pymysql.Error,)
    tests = MySQLTests()
    snapshot = "REPEATABLE READ"

    def objects(self, connection: sa.Connection, schema: str | None) -> list[ObjectInfo]:  # noqa: ARG002 - a database is its schema
        """Return tables and views of the database."""
        return mysql_catalog.objects(connection)

    def table(self, connection: sa.Connection, schema: str | None, name: str) -> Table | None:  # noqa: ARG002
        """Return a table of the database."""
        return mysql_catalog.table(connection, name)

    def fault(self, error: BaseException, object_name: str | None) -> ConnectorError:
        """Return a driver's error in our words."""
        return mysql_errors.fault(error, object_name)

    def refusal(self, error: BaseException) -> Refusal | None:
        """Return why a record is refused."""
        return mysql_errors.refusal(error)

    def wire(self, column: Column) -> sa.ColumnElement[Any]:
        """Select single floats with all their digits and geometries as text."""
        own: sa.ColumnElement[Any] = sa.column(column.name)
        if column.native in _GEOMETRIES:
            return sa.func.ST_AsText(own)
        return _number(own, column)

    def order(self, column: Column) -> sa.ColumnElement[Any]:
        """Sort enumerations by their text, because that is how they compare with a parameter."""
        own: sa.ColumnElement[Any] = sa.column(column.name)
        return sa.cast(own, sa.CHAR) if column.native in _SORTED_AS_TEXT else _number(own, column)

    def order_any(self, column: Column) -> sa.ColumnElement[Any]:
        """Tell texts apart by their bytes, which their collation may not."""
        if column.field.type in {FieldType.TEXT, FieldType.JSON}:
            return sa.cast(sa.column(column.name), sa.BINARY)
        return self.order(column)

    def parameter(self, column: Column, value: Any) -> sa.ColumnElement[Any]:
        """Give decimals as numbers: compared with a text, they would be compared as floats."""
        if column.field.type is FieldType.DECIMAL and value is not None:
            value = Decimal(value)
        return super().parameter(column, value)

    def among(self, column: Column, values: pl.Series) -> sa.ColumnElement[bool]:
        """Compare decimals as numbers, the rest as the driver takes it."""
        given = values.to_list() if column.field.type is FieldType.DECIMAL else self.parameters(column, values)
        return self.order(column).in_(many(given))

    def parameters(self, column: Column, values: pl.Series) -> Sequence[Any]:  # noqa: ARG002 - all types alike
        """Return typed values as the driver takes them."""
        return to_wire(values).to_list()

    def decode(self, column: Column, values: Sequence[Any]) -> Decoded:
        """Return the values of a column; a boolean is a number here."""
        if column.field.type is not FieldType.BOOLEAN:
            return decode(column.field, values)
        return truths(column.name, decode(Field(column.name, FieldType.INTEGER), values))

    def begin(self, connection: sa.Connection, timeout: float) -> None:
        """Do not wait for locks for ever, and free them if this process stops."""
        seconds = max(1, round(timeout))
        connection.exec_driver_sql(f"SET SESSION innodb_lock_wait_timeout = {seconds}")

    def loader(self, connection: sa.Connection, source: sa.TableClause, table: Table) -> Loader:
        """Return the writer of batches."""
        return MySQLLoader(self, connection, source, table)


class MySQLLoader(RowLoader):
    """Writes rows; keys come from AUTO_INCREMENT, in MariaDB from any default."""

    def update_found(self, records: pl.DataFrame, key: str) -> None:
        """Update some hundred records a statement; keys that are texts go one by one, as collations may not mix."""
        if self.table.by_name[key].field.type is not FieldType.INTEGER:
            super().update_found(records, key)
            return
        quote = self.connection.dialect.identifier_preparer.quote
        names = [quote(name) for name in records.columns]
        table = quote(self.table.name)
        first = ", ".join(f"%s AS v{i}" for i in range(len(names)))
        other = " UNION ALL SELECT " + ", ".join(["%s"] * len(names))
        values = ", ".join(f"{table}.{name} = given.v{i}" for i, name in enumerate(names) if records.columns[i] != key)
        at = records.columns.index(key)
        for part in _slices(records):
            rows = zip(*map(self._values, part.get_columns()), strict=True)
            self.connection.exec_driver_sql(
                f"UPDATE {table} JOIN (SELECT {first}{other * (part.height - 1)}) AS given"  # noqa: S608 - quoted names
                f" ON {table}.{names[at]} = given.v{at} SET {values}",
                tuple(itertools.chain.from_iterable(rows)),
            )

    def create_one(self, record: dict[str, Any], key: str) -> Any:
        """Insert a record and return its key."""
        values = {name: sa.bindparam(None, value, type_=sa.types.NullType()) for name, value in record.items()}
        statement: Any = sa.insert(self.source).values(values)
        if self.table.by_name[key].field.generated:
            return self.connection.execute(statement).lastrowid
        if getattr(self.connection.dialect, "is_mariadb", False):
            return self.connection.execute(statement.returning(sa.column(key))).scalar_one()
        raise Misconfigured(
            msg("MySQL does not tell the value it gave '{field}'.", field=key),
            msg("Map a value to the field."),
        )


def _slices(records: pl.DataFrame) -> Iterator[pl.DataFrame]:
    """Yield parts that stay far below the size of a packet."""
    width = max(1, int(records.estimated_size()) // max(1, records.height))
    return records.iter_slices(max(1, min(_ROWS, _BYTES // width)))


def _number(own: sa.ColumnElement[Any], column: Column) -> sa.ColumnElement[Any]:
    if column.native == "float":
        return own + sa.literal_column("0e0")
    return own + sa.literal_column("0") if column.native == "bit" else own
