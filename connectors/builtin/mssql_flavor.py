"""The SQL of SQL Server."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

import polars as pl
import pytds
import sqlalchemy as sa

from connectors.builtin import dialect_catalog
from connectors.builtin.database_check import NoDatabase
from connectors.builtin.database_flavor import Loader, Refusal
from connectors.builtin.database_queries import Query, unusable
from connectors.builtin.database_types import Column, Table
from connectors.builtin.dialect_errors import (
    BUSY,
    GONE,
    MISSING,
    NO_PERMISSION,
    NOT_LET_IN,
    NOT_NOW,
    refused,
    told,
)
from connectors.builtin.dialect_flavor import DialectFlavor
from connectors.builtin.dialect_write import DialectLoader, bound
from connectors.errors import AuthFailed, ConnectorError, Forbidden, ObjectMissing, Unavailable
from rules.schema import FieldType
from rules.text import Message, msg

_ROWS, _VALUES = 1000, 2000
"""So many rows, and so many parameters, does one statement take."""
_DESCRIBED = sa.text("""
SELECT name, system_type_name AS native, is_nullable AS nullable
FROM sys.dm_exec_describe_first_result_set(:statement, NULL, 0) WHERE is_hidden = 0 ORDER BY column_ordinal
""")
_NATIVE = re.compile(r"(\w+)(?:\((\d+|max)(?:,(\d+))?\))?")
_FAULTS: Mapping[int, tuple[type[ConnectorError], Message]] = {
    18456: (AuthFailed, NOT_LET_IN),
    4060: (NoDatabase, msg("The server has no such database, or this user may not open it.")),
    **dict.fromkeys((207, 208), (ObjectMissing, MISSING)),
    **dict.fromkeys((229, 230, 262, 297), (Forbidden, NO_PERMISSION)),
    **dict.fromkeys((1204, 1205, 1222, 3960), (Unavailable, BUSY)),
    **dict.fromkeys((1105, 9002, 40501, 40613), (Unavailable, NOT_NOW)),
}
_REFUSALS = frozenset((220, 241, 242, 245, 248, 295, 515, 547, 2601, 2627, 2628, 8114, 8115, 8152))
"""Errors about a record: https://learn.microsoft.com/sql/relational-databases/errors-events/database-engine-events-and-errors."""


class MSSQLFlavor(DialectFlavor):
    """How SQL Server is read and written."""

    driver_errors = (pytds.Error, OSError, sa.exc.SQLAlchemyError)
    kinds: ClassVar[Mapping[str, FieldType]] = {
        "BIT": FieldType.BOOLEAN,
        "MONEY": FieldType.DECIMAL,
        "SMALLMONEY": FieldType.DECIMAL,
        "REAL": FieldType.FLOAT,
        "DATETIMEOFFSET": FieldType.DATETIME,
        "TIMESTAMP": FieldType.BINARY,  # the number of a row's version
        "ROWVERSION": FieldType.BINARY,
    }

    def nulls_first(self, order: sa.ColumnElement[Any]) -> sa.ColumnElement[Any]:
        """Return the order: nulls are first."""
        return order

    def described(self, connection: sa.Connection, query: Query) -> tuple[Column, ...]:
        """Ask the server which types the query gives."""
        known = connection.dialect.ischema_names  # type: ignore[attr-defined]
        found = connection.execute(_DESCRIBED, {"statement": query.wrapped()}).fetchall()
        if not found or any(row.native is None for row in found):
            raise unusable(query.name, msg("The database cannot tell its fields; try it there."))
        return tuple(_column(row, known) for row in found)

    def fault(self, error: BaseException, object_name: str | None) -> ConnectorError:
        """Return an error by its number."""
        if isinstance(error, (OSError, pytds.InterfaceError)):
            return Unavailable(GONE, told(error), object_name=object_name)
        found = _FAULTS.get(getattr(error, "number", 0))
        if found is None:
            return super().fault(error, object_name)
        kind, message = found
        return kind(message, told(error), object_name=object_name)

    def refusal(self, error: BaseException) -> Refusal | None:
        """Return why a record is refused, by the number of the error."""
        about = getattr(error, "number", 0) in _REFUSALS
        return refused(error) if about else None

    def begin(self, connection: sa.Connection, timeout: float) -> None:
        """Do not wait for locks for ever."""
        connection.exec_driver_sql(f"SET LOCK_TIMEOUT {round(timeout * 1000)}")

    def loader(self, connection: sa.Connection, source: sa.TableClause, table: Table) -> Loader:
        """Return the writer of batches."""
        return MSSQLLoader(self, connection, source, table)


class MSSQLLoader(DialectLoader):
    """Writes many rows by one statement, since each one is a round trip."""

    def create(self, records: pl.DataFrame) -> None:
        """Insert records, also with keys that the database gives out otherwise."""
        given = [self.table.by_name[name] for name in records.columns]
        own = any(column.field.generated and not column.computed for column in given)
        name = self.connection.dialect.identifier_preparer.format_table(self.source)
        if own:
            self.connection.exec_driver_sql(f"SET IDENTITY_INSERT {name} ON")
        columns = {column.name: self._values(records[column.name]) for column in given}
        size = max(1, min(_ROWS, _VALUES // max(1, len(columns))))
        for start in range(0, records.height, size):
            stop = min(start + size, records.height)
            self.connection.execute(_rows(self.source, columns, range(start, stop)))
        if own:
            self.connection.exec_driver_sql(f"SET IDENTITY_INSERT {name} OFF")

    def locked(self, statement: sa.Select[Any]) -> sa.Select[Any]:
        """Lock what is found until the end of the transaction."""
        return statement.with_hint(self.source, "WITH (UPDLOCK, ROWLOCK)", "mssql")


def _rows(source: sa.TableClause, columns: Mapping[str, Sequence[Any]], rows: range) -> sa.Insert:
    return sa.insert(source).values([{name: bound(values[row]) for name, values in columns.items()} for row in rows])


def _column(row: Any, known: Mapping[str, Any]) -> Column:
    found = _NATIVE.match(row.native)
    assert found is not None  # noqa: S101 - every type has a name
    base, first, second = found.groups()
    kind = known.get(base, sa.String)
    number = int(first) if first and first.isdigit() else None
    native = kind(number, int(second)) if second is not None else kind()
    if issubclass(kind, (sa.String, sa.LargeBinary)) and number is not None:
        native = kind(number)
    return dialect_catalog.column(
        {"name": row.name, "type": native, "nullable": bool(row.nullable)}, None, MSSQLFlavor.kinds
    )
