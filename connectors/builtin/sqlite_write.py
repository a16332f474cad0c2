"""Writing into SQLite: many records at once from a stage, else row by row, which costs no round trips here.

A statement for one row is all or nothing, so after a refused row the next one simply follows.
"""

from __future__ import annotations

import operator
import sqlite3
from collections.abc import Mapping, Sequence
from typing import Any

import polars as pl
import sqlalchemy as sa

from connectors.builtin import sqlite_errors, sqlite_stage, sqlite_values
from connectors.builtin.database_flavor import Refusal
from connectors.builtin.database_rows import RowLoader

_STAGED = 2000
"""From so many records on, a stage is faster."""
_WARY = "syncline wary"
"""Noted of a connection: the tables that have refused records."""
# a trigger or a clause may undo or leave out more than the row of a statement
_UNSURE = sa.text("""
SELECT 1 FROM sqlite_master WHERE (type = 'trigger' AND tbl_name = :name COLLATE NOCASE)
OR (type = 'table' AND name = :name COLLATE NOCASE AND upper(sql) LIKE '%CONFLICT%')
""")


class SQLiteLoader(RowLoader):
    """Writes rows."""

    each_first = True

    def create_each(self, records: pl.DataFrame) -> Mapping[int, Refusal | None] | None:
        """Insert all that can be inserted; None where a row may do more than be inserted or refused."""
        if not records.width or self.connection.execute(_UNSURE, {"name": self.table.name}).first() is not None:
            return None
        columns = [self.table.by_name[name] for name in records.columns]
        found = [sqlite_values.plain(column, records[column.name]) for column in columns]
        plain = [values for values in found if values is not None]
        if len(plain) == len(columns) and self._staged(records.columns, plain):
            return {}
        stored = [
            sqlite_values.stored(column, records[column.name]) if values is None else values.to_list()
            for column, values in zip(columns, found, strict=True)
        ]
        return self._row_by_row(records.columns, stored)

    def create_one(self, record: dict[str, Any], key: str) -> Any:
        """Insert a record and return its key."""
        values = {name: sa.bindparam(None, value, type_=sa.types.NullType()) for name, value in record.items()}
        return self.connection.execute(sa.insert(self.source).values(values).returning(sa.column(key))).scalar_one()

    @property
    def _driver(self) -> sqlite3.Connection:
        driver: sqlite3.Connection = self.connection.connection.driver_connection  # type: ignore[assignment]
        return driver

    @property
    def _wary(self) -> set[str]:
        found: set[str] = self.connection.info.setdefault(_WARY, set())
        return found

    def _into(self, names: list[str]) -> str:
        quote = self.connection.dialect.identifier_preparer.quote
        return f"INSERT INTO main.{quote(self.table.name)} ({', '.join(map(quote, names))})"

    def _staged(self, names: list[str], columns: list[pl.Series]) -> bool:
        """Insert from a stage; False if some record is refused, and then none is inserted."""
        if columns[0].len() < _STAGED or self.table.name in self._wary:
            return False
        chosen = ", ".join(f"c{number}" for number in range(len(columns)))
        source = f"{sqlite_stage.SCHEMA}.{sqlite_stage.TABLE}"
        sqlite_stage.put(self._driver, columns)
        try:
            self._driver.execute(f"{self._into(names)} SELECT {chosen} FROM {source} ORDER BY rowid")  # noqa: S608 - quoted
        except sqlite3.Error as error:
            if sqlite_errors.refusal(error) is None:
                raise
            self._wary.add(self.table.name)
            return False
        finally:
            sqlite_stage.clear(self._driver)
        return True

    def _row_by_row(self, names: list[str], columns: list[Sequence[Any]]) -> dict[int, Refusal | None]:
        """Insert the rows and return why some are refused."""
        refused = _refused(columns)
        rows = [row for row in range(len(columns[0])) if row not in refused] if refused else None
        if rows is not None:
            columns = [[values[row] for row in rows] for values in columns]
        statement = f"{self._into(names)} VALUES ({', '.join('?' * len(names))})"
        first, count = iter(columns[0]), len(columns[0])
        left = zip(first, *columns[1:], strict=True)
        while operator.length_hint(first):
            try:
                self._driver.executemany(statement, left)
            except sqlite3.Error as error:
                refusal = sqlite_errors.refusal(error)
                if refusal is None:
                    raise
                # the row that was taken last
                row = count - operator.length_hint(first) - 1
                refused[row if rows is None else rows[row]] = refusal
        return refused


def _refused(columns: list[Sequence[Any]]) -> dict[int, Refusal | None]:
    """Return the rows with a value that SQLite would change, and the first reason of each."""
    found: dict[int, Refusal | None] = {}
    for values in columns:
        if Refusal in set(map(type, values)):
            for row, value in enumerate(values):
                if isinstance(value, Refusal):
                    found.setdefault(row, value)
    return found
