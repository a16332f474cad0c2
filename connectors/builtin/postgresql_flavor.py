"""PostgreSQL's SQL; `connectors.builtin.postgresql_write` says how batches are written."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import polars as pl
import psycopg
import sqlalchemy as sa

from connectors.builtin import postgresql_catalog, postgresql_errors
from connectors.builtin.database_flavor import Fetched, Flavor, Limits, Loader, Refusal
from connectors.builtin.database_queries import Query
from connectors.builtin.database_types import Column, Table
from connectors.builtin.postgresql_copy import copied
from connectors.builtin.postgresql_filter import PostgreSQLTests
from connectors.builtin.postgresql_literals import WHOLE, any_of, cast, own_text, to_text_values
from connectors.builtin.postgresql_numbers import numbers
from connectors.builtin.postgresql_write import PostgreSQLLoader
from connectors.errors import ConnectorError
from connectors.spi import ObjectInfo
from rules.schema import FieldType

_AS_TEXT = {
    FieldType.TEXT,
    FieldType.DECIMAL,
    FieldType.DATE,
    FieldType.TIME,
    FieldType.DATETIME,
    FieldType.LOCAL_DATETIME,
}
_PLAIN_TEXT = {"text", "character varying"}
_SENT = {"real": sa.func.float4send, "double precision": sa.func.float8send}
_BY_INDEX = (
    "SELECT set_config('enable_seqscan', 'off', true), set_config('enable_sort', 'off', true),"
    " set_config('jit', 'off', true)"
)
_BOUND_VERSION, _LONGEST = 170_000, 120
"""Since PostgreSQL 17 a transaction can be bounded: who stands still in the middle of a COPY counts as busy."""
_NO_PLANS = "syncline no plans"
"""Noted of a connection to a server whose planner cannot be told anything."""
_HASHED = {
    "bigint", "integer", "smallint", "numeric", "boolean", "date", "time without time zone", "uuid", "bytea",
    "timestamp without time zone", "timestamp with time zone",
}  # fmt: skip


class PostgreSQLFlavor(Flavor):
    """How PostgreSQL is read and written."""

    limits = Limits(endless_floats=True, zero_in_text=False)
    lookup = 20_000
    driver_errors = (psycopg.Error,)
    tests = PostgreSQLTests()
    snapshot = "REPEATABLE READ"

    def objects(self, connection: sa.Connection, schema: str | None) -> list[ObjectInfo]:
        """Return tables and views of the schema."""
        return postgresql_catalog.objects(connection, schema or "public")

    def table(self, connection: sa.Connection, schema: str | None, name: str) -> Table | None:
        """Return a table of the schema."""
        return postgresql_catalog.table(connection, schema or "public", name)

    def described(self, connection: sa.Connection, query: Query) -> tuple[Column, ...]:
        """Return the columns of an own query."""
        return postgresql_catalog.described(connection, query)

    def fault(self, error: BaseException, object_name: str | None) -> ConnectorError:
        """Return a driver's error in our words."""
        return postgresql_errors.fault(error, object_name)

    def refusal(self, error: BaseException) -> Refusal | None:
        """Return why a record is refused."""
        return postgresql_errors.refusal(error)

    def wire(self, column: Column) -> sa.ColumnElement[Any]:
        """Select exact texts instead of types whose Python values cannot hold every value (infinity, years, digits)."""
        own: sa.ColumnElement[Any] = sa.column(column.name)
        if column.native == postgresql_catalog.MONEY:
            return sa.cast(sa.cast(own, sa.Numeric), sa.Text)
        if column.native == "inet":  # a cast adds the length of the whole network
            return sa.func.nullif(sa.func.format("%s", own), "")
        if column.native.endswith("[]"):
            return sa.cast(sa.func.to_json(own), sa.Text)
        if column.field.type is FieldType.JSON or (column.field.type in _AS_TEXT and column.native not in _PLAIN_TEXT):
            return sa.cast(own, sa.Text)
        return own

    def digest(self, of: Sequence[Column]) -> sa.ColumnElement[Any]:
        """Hash values with the functions that PostgreSQL hashes the values of each type with."""
        return sa.func.hash_record_extended(sa.func.row(*map(self._hashed, of)), sa.cast(0, sa.BigInteger))

    def _hashed(self, column: Column) -> sa.ColumnElement[Any]:
        """Select a value so that values that are read as different ones have different hashes."""
        own: sa.ColumnElement[Any] = sa.column(column.name)
        if column.native in _SENT:  # to the function of its type 0 is the same as -0
            return _SENT[column.native](own)
        if column.native in _HASHED:
            return own
        return sa.collate(sa.cast(self.wire(column), sa.Text), "C")  # others may take A for a

    def by_index(self, connection: sa.Connection) -> None:
        """Keep the planner from reading and sorting a whole table for each page while it has no statistics of it."""
        driver: psycopg.Connection = connection.connection.driver_connection  # type: ignore[assignment]
        if _NO_PLANS in connection.info:
            return
        try:
            driver.execute(_BY_INDEX)
        except psycopg.Error:  # a server that only speaks the protocol
            connection.info[_NO_PLANS] = True
            driver.rollback()

    def fetch(
        self, connection: sa.Connection, statement: sa.Select[Any], columns: Sequence[Column], places: Sequence[Column]
    ) -> Fetched:
        """Return what a query gives by COPY, or row by row where texts have to tell what is wrong with a value."""
        found = numbers(connection, statement, columns, places) or copied(connection, statement, columns, places)
        return super().fetch(connection, statement, columns, places) if found is None else found

    def plain(self, column: Column) -> sa.ColumnElement[Any]:
        """Mark values that are not null; a collation of the column's own may take A for a."""
        text = sa.literal("=").concat(sa.cast(self.wire(column), sa.Text))
        return sa.collate(sa.func.coalesce(text, ""), "C")

    def sha256(self, text: sa.ColumnElement[Any]) -> sa.ColumnElement[Any]:
        """Return the digest of a text, whatever encoding the database has."""
        digest = sa.func.encode(sa.func.sha256(sa.func.convert_to(text, "UTF8")), "hex")
        return sa.collate(digest, "C")

    def nulls_first(self, order: sa.ColumnElement[Any]) -> sa.ColumnElement[Any]:
        """PostgreSQL sorts nulls last."""
        return order.nulls_first()

    def parameter(self, column: Column, value: Any) -> sa.ColumnElement[Any]:
        """Cast a wire value to the column's own type."""
        return cast(super().parameter(column, own_text(value)), column)

    def among(self, column: Column, values: pl.Series) -> sa.ColumnElement[bool]:
        """Compare with one array parameter: one statement for any number of values, each found by the index.

        A number that the column's type cannot hold is in none of its records.
        """
        if column.native in WHOLE and values.dtype.is_integer():
            values = values.filter(values.is_between(*WHOLE[column.native]))
        return any_of(column, to_text_values(values, column))

    def begin(self, connection: sa.Connection, timeout: float) -> None:
        """Do not wait for locks for ever, free them if this process stops, and check constraints at once."""
        driver: psycopg.Connection = connection.connection.driver_connection  # type: ignore[assignment]
        limits = {"lock_timeout": timeout, "idle_in_transaction_session_timeout": 2 * timeout}
        if driver.info.server_version >= _BOUND_VERSION:
            limits["transaction_timeout"] = _LONGEST * timeout
        settings = ", ".join(f"set_config('{name}', '{int(1000 * seconds)}', true)" for name, seconds in limits.items())
        connection.execute(sa.text(f"SELECT {settings}"))
        connection.execute(sa.text("SET CONSTRAINTS ALL IMMEDIATE"))

    def loader(self, connection: sa.Connection, source: sa.TableClause, table: Table) -> Loader:
        """Return the writer of batches."""
        return PostgreSQLLoader(connection, source, table, self.wire)
