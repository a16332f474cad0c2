"""The SQL of MySQL and MariaDB. Sessions run in UTC and in strict mode, so that nothing is rounded or cut silently."""

from __future__ import annotations

from collections.abc import Sequence
from decimal import Decimal
from typing import Any

import polars as pl
import pymysql
import sqlalchemy as sa

from connectors.builtin import mysql_catalog, mysql_errors
from connectors.builtin.database_flavor import Fetched, Flavor, Loader, Refusal, many
from connectors.builtin.database_queries import Query
from connectors.builtin.database_types import Column, Decoded, Table, decode, to_wire, truths
from connectors.builtin.mysql_cells import Rows, column_of_cells, unpack
from connectors.builtin.mysql_filter import MySQLTests
from connectors.builtin.mysql_load import GEOMETRIES
from connectors.builtin.mysql_wire import Received, Wire
from connectors.builtin.mysql_write import MySQLLoader
from connectors.errors import ConnectorError
from connectors.spi import ObjectInfo
from rules.schema import Field, FieldType

_SORTED_AS_TEXT = {"enum", "set", "json"}
_SHA256 = 256


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

    def described(self, connection: sa.Connection, query: Query) -> tuple[Column, ...]:
        """Return the columns of an own query."""
        return mysql_catalog.described(connection, query)

    def fault(self, error: BaseException, object_name: str | None) -> ConnectorError:
        """Return a driver's error in our words."""
        return mysql_errors.fault(error, object_name)

    def refusal(self, error: BaseException) -> Refusal | None:
        """Return why a record is refused."""
        return mysql_errors.refusal(error)

    def wire(self, column: Column) -> sa.ColumnElement[Any]:
        """Select single floats with all their digits and geometries as text."""
        own: sa.ColumnElement[Any] = sa.column(column.name)
        if column.native in GEOMETRIES:
            return sa.func.ST_AsText(own)
        return _number(own, column)

    def order(self, column: Column) -> sa.ColumnElement[Any]:
        """Sort enumerations by their text, because that is how they compare with a parameter."""
        own: sa.ColumnElement[Any] = sa.column(column.name)
        return sa.cast(own, sa.CHAR) if column.native in _SORTED_AS_TEXT else _number(own, column)

    def plain(self, column: Column) -> sa.ColumnElement[Any]:
        """Mark values that are not null; a collation may take A for a."""
        marked = sa.func.concat(sa.literal_column("'='"), sa.cast(self.wire(column), sa.BINARY))
        return sa.func.coalesce(marked, sa.literal_column("''"))

    def sha256(self, text: sa.ColumnElement[Any]) -> sa.ColumnElement[Any]:
        """Return the digest as bytes."""
        return sa.cast(sa.func.sha2(text, _SHA256), sa.BINARY)

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

    def fetch(
        self, connection: sa.Connection, statement: sa.Select[Any], columns: Sequence[Column], places: Sequence[Column]
    ) -> Fetched:
        """Return what a query gives as columns made of what came over the wire."""
        found = received(connection, statement)
        cells = None if found is None else unpack(found, len(columns) + len(places))
        if found is None or cells is None:
            return super().fetch(connection, statement, columns, places)
        typed = tuple(column_of_cells(*pair) for pair in zip(cells, columns, strict=False))
        rows = Rows(cells, found)
        return Fetched(typed, len(rows), rows[-1][len(columns) :] if len(rows) else (), rows)

    def begin(self, connection: sa.Connection, timeout: float) -> None:
        """Do not wait for locks for ever, and free them if this process stops."""
        seconds = max(1, round(timeout))
        connection.exec_driver_sql(f"SET SESSION innodb_lock_wait_timeout = {seconds}")

    def loader(self, connection: sa.Connection, source: sa.TableClause, table: Table) -> Loader:
        """Return the writer of batches."""
        return MySQLLoader(self, connection, source, table)


def received(connection: sa.Connection, statement: sa.Select[Any]) -> Received | None:
    """Return the result of a query as it comes over the wire."""
    compiled = statement.compile(dialect=connection.dialect, compile_kwargs={"render_postcompile": True})
    given = tuple(compiled.params[name] for name in compiled.positiontup or ())
    driver: Wire = connection.connection.driver_connection  # type: ignore[assignment]
    with driver.cursor() as cursor:
        return driver.receive(cursor.mogrify(str(compiled), given))


def _number(own: sa.ColumnElement[Any], column: Column) -> sa.ColumnElement[Any]:
    if column.native == "float":
        return own + sa.literal_column("0e0")
    return own + sa.literal_column("0") if column.native == "bit" else own
