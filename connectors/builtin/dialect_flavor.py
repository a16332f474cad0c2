"""The SQL of any database that SQLAlchemy has a dialect for: nothing that is not the same everywhere.

Values go to and come from the driver as Python's own types. Where a database needs more than that, its own flavor says.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

import polars as pl
import sqlalchemy as sa
from sqlalchemy.sql.elements import ClauseList

from connectors.builtin import dialect_catalog, dialect_errors, dialect_read_only, dialect_values
from connectors.builtin.database_filter import CannotTest, ColumnTests
from connectors.builtin.database_flavor import Fetched, Flavor, Loader, Refusal, many
from connectors.builtin.database_queries import Query
from connectors.builtin.database_types import Column, Decoded, Table
from connectors.builtin.dialect_write import DialectLoader
from connectors.errors import ConnectorError, Misconfigured
from connectors.spi import ObjectInfo
from rules.schema import FieldType
from rules.text import msg


def _refuse(*_: Any, **__: Any) -> Any:
    raise CannotTest


class NoTests(ColumnTests):
    """Tests nothing: how a database compares texts and numbers is not the same everywhere."""

    operand = value = has = odd = plain = _refuse


class DialectFlavor(Flavor):
    """How a database of some dialect is read and written."""

    row_values = False
    lookup = 500
    driver_errors: ClassVar[tuple[type[Exception], ...]] = (sa.exc.SQLAlchemyError,)
    tests = NoTests()
    kinds: ClassVar[Mapping[str, FieldType]] = {}
    """Types that the dialect has beside those of SQLAlchemy, by their names."""

    def objects(self, connection: sa.Connection, schema: str | None) -> list[ObjectInfo]:
        """Return tables and views."""
        return dialect_catalog.objects(connection, schema)

    def table(self, connection: sa.Connection, schema: str | None, name: str) -> Table | None:
        """Return a table as the inspector shows it."""
        return dialect_catalog.table(connection, schema, name, self.kinds)

    def described(self, connection: sa.Connection, query: Query) -> tuple[Column, ...]:
        """Return the columns of an own query."""
        return dialect_catalog.described(connection, query)

    def fault(self, error: BaseException, object_name: str | None) -> ConnectorError:
        """Return a driver's error in our words."""
        return dialect_errors.fault(error, object_name)

    def refusal(self, error: BaseException) -> Refusal | None:
        """Return why a record is refused."""
        return dialect_errors.refusal(error)

    def wire(self, column: Column) -> sa.ColumnElement[Any]:
        """Select JSON as its text: drivers read it as values of Python, which lose digits."""
        own = super().wire(column)
        return sa.cast(own, sa.Text) if column.field.type is FieldType.JSON else own

    def plain(self, column: Column) -> sa.ColumnElement[Any]:  # noqa: ARG002 - all alike
        """Refuse: what tells records apart has to be named where there is no key."""
        raise Misconfigured(
            msg("The object has no key, so its records cannot be told apart."),
            msg("Name the fields that tell them apart in the setting 'Keys' of the connection."),
        )

    def sha256(self, text: sa.ColumnElement[Any]) -> sa.ColumnElement[Any]:
        """Return the text: `plain` is asked first."""
        return text

    def nulls_first(self, order: sa.ColumnElement[Any]) -> sa.ColumnElement[Any]:
        """Say where nulls stand, which is not the same everywhere."""
        return ClauseList(sa.case((order.is_(None), 0), else_=1), order)  # type: ignore[return-value]

    def parameter(self, column: Column, value: Any) -> sa.ColumnElement[Any]:
        """Return a value of Python's own type as a parameter."""
        return super().parameter(column, dialect_values.value_of(column, value))

    def among(self, column: Column, values: pl.Series) -> sa.ColumnElement[bool]:
        """Return the condition that a column holds one of the values."""
        return sa.column(column.name).in_(many(self.parameters(column, values)))

    def parameters(self, column: Column, values: pl.Series) -> Sequence[Any]:  # noqa: ARG002 - all types alike
        """Return typed values as drivers take them: the types of Python."""
        return values.to_list()

    def decode(self, column: Column, values: Sequence[Any]) -> Decoded:
        """Return the values of a column."""
        return dialect_values.decoded(column, values)

    def fetched(self, rows: Sequence[Sequence[Any]], columns: Sequence[Column]) -> Fetched:
        """Return rows as typed columns; the place of the last one as values that JSON can hold."""
        found = super().fetched(rows, columns)
        return Fetched(found.columns, found.height, [dialect_values.text_of(value) for value in found.last], found.rows)

    def only_reads(self, connection: sa.Connection) -> None:
        """Let the next transaction change nothing, by a statement or by the driver."""
        begin = dialect_read_only.BEGIN.get(connection.dialect.driver)
        if begin is None:
            super().only_reads(connection)
        else:
            begin(connection)

    def begin(self, connection: sa.Connection, timeout: float) -> None:
        """Nothing that would be the same everywhere."""

    def loader(self, connection: sa.Connection, source: sa.TableClause, table: Table) -> Loader:
        """Return the writer of batches."""
        return DialectLoader(self, connection, source, table)
