"""Writing into SQLite: many records at once from a stage, else row by row, which costs no round trips here.

A statement for one row is all or nothing, so after a refused row the next one simply follows.
"""

from __future__ import annotations

import contextlib
import operator
import sqlite3
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import polars as pl
import sqlalchemy as sa

from connectors.builtin import sqlite_errors, sqlite_stage, sqlite_values
from connectors.builtin.database_flavor import Refusal
from connectors.builtin.database_rows import RowLoader
from connectors.builtin.sqlite_joined import Joined

_STAGED = 2000
"""From so many records on, a stage is faster."""
_FEWEST = 2
"""A single record may get its number from SQLite itself."""
_LAST = 2**63 - 1
_WARY = "syncline wary"
"""Noted of a connection: the tables that have refused records."""
# a trigger or a clause may undo or leave out more than the row of a statement
_UNSURE = sa.text("""
SELECT 1 FROM sqlite_master WHERE (type = 'trigger' AND tbl_name = :name COLLATE NOCASE)
OR (type = 'table' AND name = :name COLLATE NOCASE AND upper(sql) LIKE '%CONFLICT%')
""")
# the row's number: https://www.sqlite.org/lang_createtable.html#rowid
_NUMBERED = sa.text("""
SELECT count(*) = 1 AND min(upper(c.type)) = 'INTEGER' AND min(t.wr) = 0
FROM pragma_table_info(:name) c, pragma_table_list(:name) t WHERE c.pk > 0 AND t.schema = 'main'
""")
_REMEMBERED = sa.text("SELECT seq FROM sqlite_sequence WHERE name = :name COLLATE NOCASE")


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
        if records.height >= _STAGED and len(plain) == len(columns):
            rows = self._staged(records, plain)
            if rows is not None:
                return self._row_by_row(records.columns, [values.gather(rows).to_list() for values in plain], rows)
        stored = [
            sqlite_values.stored(column, records[column.name]) if values is None else values.to_list()
            for column, values in zip(columns, found, strict=True)
        ]
        return self._row_by_row(records.columns, stored, range(records.height))

    def numbers(self, count: int, key: str) -> pl.Series | None:
        """Return the numbers behind the last row: while we may write, nobody else gets one."""
        name = {"name": self.table.name}
        if count < _FEWEST or self.table.key != (key,) or not self.connection.execute(_NUMBERED, name).scalar():
            return None
        if self.connection.execute(_UNSURE, name).first() is not None:
            return None
        highest = sa.select(sa.func.max(sa.column(key, sa.Integer))).select_from(self.source)
        last = self.connection.execute(highest).scalar() or 0
        if self.table.by_name[key].field.generated:
            last = max(last, self.connection.execute(_REMEMBERED, name).scalar() or 0)
        return pl.int_range(last + 1, last + 1 + count, eager=True).alias(key) if last <= _LAST - count else None

    def update(self, records: pl.DataFrame, key: str) -> pl.Series:
        """Set the fields of the records that are there: many by one statement."""
        names = [key, *(name for name in records.columns if name != key)]
        columns = self._stageable(records.select(names), key)
        if columns is None:
            return super().update(records, key)
        with self._joined(columns, key) as joined:
            there = joined.there(records.height)
            joined.update(names[1:])
        return there

    def delete(self, keys: pl.Series) -> pl.Series:
        """Delete the records that are there: many by one statement."""
        columns = self._stageable(keys.to_frame(), keys.name)
        if columns is None:
            return super().delete(keys)
        with self._joined(columns, keys.name) as joined:
            there = joined.there(keys.len())
            joined.delete(keys.name)
        return there

    def _stageable(self, records: pl.DataFrame, key: str) -> list[pl.Series] | None:
        """Return the columns as they are staged; None where they are few or have to be looked at one by one."""
        if records.height < _STAGED or not Joined.fits(self.table, key):
            return None
        found = [sqlite_values.plain(self.table.by_name[values.name], values) for values in records.get_columns()]
        plain = [values for values in found if values is not None]
        return plain if len(plain) == len(found) else None

    @contextlib.contextmanager
    def _joined(self, columns: list[pl.Series], key: str) -> Iterator[Joined]:
        sqlite_stage.put(self._driver, columns)
        try:
            yield Joined(self.connection, self.table, key)
        finally:
            sqlite_stage.clear(self._driver)

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

    def _staged(self, records: pl.DataFrame, columns: list[pl.Series]) -> list[int] | None:
        """Insert from a stage; return the rows that are left over, or None if nothing is inserted."""
        wary = self.table.name in self._wary
        key = records.get_column(self.table.key[0], default=None) if len(self.table.key) == 1 else None
        if wary and (key is None or not (key.dtype.is_integer() or key.dtype == pl.String)):
            return None
        first = key.is_first_distinct() if wary and key is not None else None
        sqlite_stage.put(self._driver, columns if first is None else [values.filter(first) for values in columns])
        try:
            with self.connection.begin_nested() as savepoint:
                left = (
                    self._copied(records.columns) if key is None or first is None else self._chosen(records, key, first)
                )
                if left is None:
                    savepoint.rollback()
        except sa.exc.DBAPIError as error:
            if error.orig is None or sqlite_errors.refusal(error.orig) is None:
                raise
            left = None
        finally:
            sqlite_stage.clear(self._driver)
        if left is not None or wary:
            return left
        self._wary.add(self.table.name)
        return self._staged(records, columns)

    def _copied(self, names: list[str]) -> list[int]:
        self.connection.exec_driver_sql(f"{self._into(names)} {_select(len(names))}")
        return []

    def _chosen(self, records: pl.DataFrame, key: pl.Series, first: pl.Series) -> list[int] | None:
        """Insert those that can be inserted; the others are told by their keys, if those do."""
        quote = self.connection.dialect.identifier_preparer.quote
        into = self._into(records.columns).replace("INSERT", "INSERT OR IGNORE", 1)
        made = f"{into} {_select(records.width)} RETURNING {quote(key.name)}"
        keys = [row[0] for row in self.connection.exec_driver_sql(made)]
        inserted = key.is_in(pl.Series(keys, dtype=key.dtype).implode())
        # a key that comes again is next if its first record is refused
        sure = inserted.filter(~first).all() and (first & inserted).sum() == len(keys)
        return (~(first & inserted)).arg_true().to_list() if sure else None

    def _row_by_row(
        self, names: list[str], columns: list[Sequence[Any]], numbers: Sequence[int]
    ) -> dict[int, Refusal | None]:
        """Insert rows and return why some are refused, each by its number."""
        refused = _refused(columns)
        kept = [row for row in range(len(numbers)) if row not in refused] if refused else range(len(numbers))
        if refused:
            columns = [[values[row] for row in kept] for values in columns]
        told: dict[int, Refusal | None] = {numbers[row]: refusal for row, refusal in refused.items()}
        statement = f"{self._into(names)} VALUES ({', '.join('?' * len(names))})"
        first = iter(columns[0])
        left = zip(first, *columns[1:], strict=True)
        while operator.length_hint(first):
            try:
                self._driver.executemany(statement, left)
            except sqlite3.Error as error:
                refusal = sqlite_errors.refusal(error)
                if refusal is None:
                    raise
                # of the row that was taken last
                told[numbers[kept[len(kept) - operator.length_hint(first) - 1]]] = refusal
        return told


def _select(width: int) -> str:
    chosen = ", ".join(f"c{number}" for number in range(width))
    return f"SELECT {chosen} FROM {sqlite_stage.SCHEMA}.{sqlite_stage.TABLE} WHERE true ORDER BY rowid"  # noqa: S608 - our names


def _refused(columns: list[Sequence[Any]]) -> dict[int, Refusal]:
    """Return the rows with a value that SQLite would change, and the first reason of each."""
    found: dict[int, Refusal] = {}
    for values in columns:
        if Refusal in set(map(type, values)):
            for row, value in enumerate(values):
                if isinstance(value, Refusal):
                    found.setdefault(row, value)
    return found
