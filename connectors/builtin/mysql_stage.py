"""Records in a temporary table of the session, so that one statement updates, deletes or finds all of them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import polars as pl
import pymysql
import sqlalchemy as sa

from connectors.builtin import mysql_load
from connectors.builtin.database_types import Column, Table
from connectors.builtin.mysql_cells import binary, unpack
from connectors.builtin.mysql_wire import Loaded, Wire
from rules.schema import Field, FieldType

_OWN, _ROW = "syncline_rows", "syncline_row"
_NO_STAGE = "syncline no stage"
"""Noted of a connection: its user may not create temporary tables, or the server has no place for them here."""
_NOT_HERE = {1044, 1142, 1227, 1290, 1786, 1787, 1792, 3159}
_BYTES = {FieldType.TEXT}
"""Keys of these types are also compared byte by byte, which their collation does not."""
_NUMBER = Column(Field(_ROW, FieldType.INTEGER, nullable=False), "int")


class Stage:
    """Records beside the table that they are about; joined by its key, which has an index."""

    def __init__(self, connection: sa.Connection, table: Table, key: str) -> None:
        self._connection = connection
        self._table = table
        self._quote: Callable[[str], str] = connection.dialect.identifier_preparer.quote
        place, column = self._quote(key), table.by_name[key]
        same = f" AND BINARY t.{place} = BINARY s.{place}" if column.field.type in _BYTES else ""
        self._joined = f"{_OWN} s STRAIGHT_JOIN {self._quote(table.name)} t ON t.{place} = s.{place}{same}"

    @staticmethod
    def fits(connection: sa.Connection, table: Table, key: str) -> bool:
        """Tell whether records of a table can be staged by this key."""
        of_type = table.by_name[key].field.type in {FieldType.INTEGER, *_BYTES}
        return of_type and table.key == (key,) and table.kind == "table" and _NO_STAGE not in connection.info

    def put(self, records: pl.DataFrame) -> bool:
        """Load the records; False where they cannot be staged just as they are."""
        columns = [self._table.by_name[name] for name in records.columns]
        names = ", ".join(map(self._quote, records.columns))
        try:
            self._run(f"DROP TEMPORARY TABLE IF EXISTS {_OWN}")
            made = f"CREATE TEMPORARY TABLE {_OWN} ({_ROW} int PRIMARY KEY) ENGINE InnoDB"
            self._run(f"{made} SELECT 0 AS {_ROW}, {names} FROM {self._quote(self._table.name)} WHERE FALSE")  # noqa: S608
            numbers = pl.Series(_ROW, np.arange(records.height))
            content = mysql_load.content(pl.DataFrame([numbers, *records.get_columns()]), [_NUMBER, *columns])
            statement = mysql_load.statement([_ROW, *records.columns], [_NUMBER, *columns], _OWN, self._quote)
            loaded = self._driver.load(statement, content)
        except pymysql.Error as error:
            if not error.args or error.args[0] not in _NOT_HERE | mysql_load.NO_LOADS:
                raise
            self._connection.info[_NO_STAGE] = True
            return False
        return loaded == Loaded(records.height, 0)

    def there(self, count: int) -> pl.Series:
        """Find and lock the records of the table, and return which of the staged ones are among them."""
        received = self._driver.receive(f"SELECT s.{_ROW} FROM {self._joined} FOR UPDATE")  # noqa: S608 - quoted names
        cells = unpack(received, 1) if received is not None else None
        assert cells is not None  # noqa: S101 - short rows
        found = np.zeros(count, bool)
        found[binary(cells[0]).cast(pl.String).cast(pl.Int64).to_numpy()] = True
        return pl.Series(found)

    def update(self, names: list[str]) -> None:
        """Set fields of the table's records to what is staged."""
        quoted = map(self._quote, names)
        values = ", ".join(f"t.{name} = s.{name}" for name in quoted)
        self._run(f"UPDATE {self._joined} SET {values}")  # noqa: S608 - quoted names

    def delete(self) -> None:
        """Delete the table's records with a staged key."""
        self._run(f"DELETE t FROM {self._joined}")

    def drop(self) -> None:
        """Give the room back."""
        self._run(f"DROP TEMPORARY TABLE {_OWN}")

    @property
    def _driver(self) -> Wire:
        driver: Any = self._connection.connection.driver_connection
        assert isinstance(driver, Wire)  # noqa: S101 - what the connector opens
        return driver

    def _run(self, statement: str) -> None:
        with self._driver.cursor() as cursor:
            cursor.execute(statement)
