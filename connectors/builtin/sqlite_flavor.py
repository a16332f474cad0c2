"""SQLite's SQL. Any column may hold a value of any type, so each value is looked at before it is believed.

Dates and times are ISO texts, instants are texts in UTC, decimals are integers or floats and therefore exact up to 15
digits. A date-time cursor works over texts, so its column has to be written in one form, instants in UTC.
"""

from __future__ import annotations

import hashlib
import sqlite3
from collections.abc import Generator, Sequence
from typing import Any

import polars as pl
import sqlalchemy as sa

from connectors.builtin import sqlite_catalog, sqlite_errors
from connectors.builtin.database_flavor import Fetched, Flavor, Loader, Refusal, RefusedError, many
from connectors.builtin.database_queries import Query
from connectors.builtin.database_types import Column, Decoded, Table
from connectors.builtin.sqlite_filter import SQLiteTests
from connectors.builtin.sqlite_values import decoded, stored
from connectors.builtin.sqlite_write import SQLiteLoader
from connectors.errors import ConnectorError
from connectors.spi import ObjectInfo
from rules.schema import FieldType

_DIGEST = "syncline_sha256"
_COPY = "syncline copy"
_NO_UTF8 = "Could not decode to UTF-8"
_STAMPS = {FieldType.DATETIME, FieldType.LOCAL_DATETIME, FieldType.TIME}


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

    def described(self, connection: sa.Connection, query: Query) -> tuple[Column, ...]:
        """Return the columns of an own query."""
        return sqlite_catalog.described(connection, query)

    def fault(self, error: BaseException, object_name: str | None) -> ConnectorError:
        """Return a driver's error in our words."""
        return sqlite_errors.fault(error, object_name)

    def refusal(self, error: BaseException) -> Refusal | None:
        """Return why a record is refused."""
        return sqlite_errors.refusal(error)

    def plain(self, column: Column) -> sa.ColumnElement[Any]:
        """Tell apart values of different types and texts by their bytes, which may be no UTF-8 and hold zeros."""
        own: sa.ColumnElement[Any] = sa.column(column.name)
        kinds = {"text": sa.literal("t").concat(own), "blob": sa.literal("b").concat(sa.func.hex(own))}
        text = sa.case(kinds, value=sa.func.typeof(own), else_=sa.func.quote(own))
        return sa.cast(text, sa.BLOB)

    def sha256(self, text: sa.ColumnElement[Any]) -> sa.ColumnElement[Any]:
        """Ask our own function, because SQLite has none."""
        return sa.Function(_DIGEST, sa.cast(text, sa.BLOB))

    def start(self, column: Column, since: Any) -> sa.ColumnElement[Any]:
        """Cut a date-time to what every way of writing it begins with: 10:00 before 10:00:00 before 10:00:00.5."""
        if column.field.type in _STAMPS:
            since = since.rstrip("0").rstrip(".").removesuffix(":00") if "." in since else since
        return self.parameter(column, since)

    def among(self, column: Column, values: pl.Series) -> sa.ColumnElement[bool]:
        """Compare with the values that SQLite can hold; the others cannot be there."""
        return sa.column(column.name).in_(many([v for v in stored(column, values) if not isinstance(v, Refusal)]))

    def parameters(self, column: Column, values: pl.Series) -> Sequence[Any]:
        """Return typed values as SQLite stores them; raises `RefusedError` for those it would change."""
        found = stored(column, values)
        for value in found:
            if isinstance(value, Refusal):
                raise RefusedError(value)
        return found

    def decode(self, column: Column, values: Sequence[Any]) -> Decoded:
        """Return the values of a column, where each is of the type that the column declares."""
        return decoded(column, values)

    def fetch(
        self, connection: sa.Connection, statement: sa.Select[Any], columns: Sequence[Column], places: Sequence[Column]
    ) -> Fetched:
        """Return what a query gives, where all texts are UTF-8, which need not be asked of each text then."""
        driver: sqlite3.Connection = connection.connection.driver_connection  # type: ignore[assignment]
        own, driver.text_factory = driver.text_factory, str
        try:
            rows = driver.execute(*_asked(connection, statement)).fetchall()
        except sqlite3.OperationalError as error:
            if not str(error).startswith(_NO_UTF8):
                raise
        else:
            return self.fetched(rows, columns)
        finally:
            driver.text_factory = own
        return super().fetch(connection, statement, columns, places)

    def begin(self, connection: sa.Connection, timeout: float) -> None:
        """Nothing: the driver waits for the lock, which `BEGIN IMMEDIATE` has taken."""

    def stream(
        self, connection: sa.Connection, statement: sa.Select[Any], size: int
    ) -> Generator[Sequence[Sequence[Any]]]:
        """Read from a copy of the result: a query that stays open keeps all others from writing to the file."""
        asked, given = _asked(connection, statement)
        connection.exec_driver_sql(f'DROP TABLE IF EXISTS temp."{_COPY}"')
        connection.exec_driver_sql(f'CREATE TEMP TABLE "{_COPY}" AS {asked}', given)
        connection.commit()
        copied = sa.select(sa.text("*")).select_from(sa.table(_COPY, schema="temp")).order_by(sa.column("rowid"))
        yield from super().stream(connection, copied, size)

    def loader(self, connection: sa.Connection, source: sa.TableClause, table: Table) -> Loader:
        """Return the writer of batches."""
        return SQLiteLoader(self, connection, source, table)


def prepare(connection: sqlite3.Connection) -> None:
    """Give a connection the function that makes digests."""
    connection.create_function(_DIGEST, 1, _sha256, deterministic=True)


def _sha256(raw: bytes) -> bytes:
    return hashlib.sha256(raw).hexdigest().encode()


def _asked(connection: sa.Connection, statement: sa.Select[Any]) -> tuple[str, tuple[Any, ...]]:
    """Return a statement and its parameters as the driver takes them."""
    compiled = statement.compile(connection.engine, compile_kwargs={"render_postcompile": True})
    values = compiled.params  # made anew each time it is asked for
    return str(compiled), tuple(values[name] for name in compiled.positiontup or ())
