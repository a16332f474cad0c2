"""Staged records beside the table that they are about, joined by its key, which has an index."""

from __future__ import annotations

from collections.abc import Callable

import polars as pl
import sqlalchemy as sa

from connectors.builtin import sqlite_catalog, sqlite_stage
from connectors.builtin.database_types import Table
from rules.schema import FieldType

_STAGE = f"{sqlite_stage.SCHEMA}.{sqlite_stage.TABLE}"
_KEYS = {FieldType.INTEGER: sqlite_catalog.INTEGER, FieldType.TEXT: sqlite_catalog.TEXT}
"""Keys that are compared as they are stored, by the affinity of their column."""


class Joined:
    """Records that are staged, the key in the first column, and those of the table that have the same one."""

    def __init__(self, connection: sa.Connection, table: Table, key: str) -> None:
        self._connection = connection
        quote: Callable[[str], str] = connection.dialect.identifier_preparer.quote
        self._quote = quote
        self._table = f"main.{quote(table.name)}"
        # the first finds by the index of the key, whatever this takes for equal, the second compares exactly
        self._same = f"t.{quote(key)} = s.c0 AND t.{quote(key)} = s.c0 COLLATE BINARY"

    @staticmethod
    def fits(table: Table, key: str) -> bool:
        """Tell whether records of a table can be joined by this key."""
        column = table.by_name[key]
        return table.key == (key,) and table.kind == "table" and _KEYS.get(column.field.type) == column.native

    def there(self, count: int) -> pl.Series:
        """Return which of the staged records are among those of the table."""
        # CROSS keeps SQLite from reading the whole table
        found = self._connection.exec_driver_sql(
            f"SELECT s.rowid FROM {_STAGE} s CROSS JOIN {self._table} t ON {self._same}"  # noqa: S608 - quoted names
        )
        numbers = pl.Series([row[0] - 1 for row in found], dtype=pl.Int64)
        return pl.int_range(count, eager=True).is_in(numbers.implode())

    def update(self, names: list[str]) -> None:
        """Set fields of the table's records to what is staged behind the key."""
        values = ", ".join(f"{self._quote(name)} = s.c{number}" for number, name in enumerate(names, 1))
        # with an index of the stage, made for this, all of the table would be read
        self._connection.exec_driver_sql("PRAGMA automatic_index = OFF")
        try:
            self._connection.exec_driver_sql(
                f"UPDATE {self._table} AS t SET {values} FROM {_STAGE} s WHERE {self._same}"  # noqa: S608 - quoted names
            )
        finally:
            self._connection.exec_driver_sql("PRAGMA automatic_index = ON")

    def delete(self, key: str) -> None:
        """Delete the table's records with a staged key."""
        self._connection.exec_driver_sql(
            f"DELETE FROM {self._table} WHERE {self._quote(key)} IN"  # noqa: S608 - quoted names
            f" (SELECT t.{self._quote(key)} FROM {_STAGE} s CROSS JOIN {self._table} t ON {self._same})"
        )
