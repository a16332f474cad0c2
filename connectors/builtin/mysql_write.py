"""Writing into MySQL and MariaDB: many records by a load from memory, few by statements."""

from __future__ import annotations

import itertools
from collections.abc import Mapping, Sequence
from functools import cached_property
from typing import Any

import polars as pl
import pymysql
import sqlalchemy as sa

from connectors.builtin import mysql_errors, mysql_load, mysql_numbers
from connectors.builtin.database_flavor import Refusal
from connectors.builtin.database_rows import RowLoader
from connectors.builtin.mysql_stage import Stage
from connectors.builtin.mysql_wire import Loaded, Wire
from connectors.errors import Misconfigured
from rules.schema import FieldType
from rules.text import msg

_LOADED = 100
"""From so many records on, loading them is faster."""
_STAGED = 500
"""From so many records on, a temporary table is faster."""
_DENSE = 4
"""Keys are looked for between the first and the last of them if there is no more than so much room for others."""
_NO_LOAD, _WARY = "syncline no load", "syncline wary"
"""Noted of a connection: the server takes no load, and the tables that have refused records."""


class MySQLLoader(RowLoader):
    """Writes rows; keys come from AUTO_INCREMENT, in MariaDB from any default."""

    each_first = True

    def create_each(self, records: pl.DataFrame) -> Mapping[int, Refusal | None] | None:
        """Load the records, and insert one by one those that the load left out, for the reason; None if that fails.

        Where some are left out, the others count as inserted only if exactly as many keys are missing as rows.
        """
        if records.height < _LOADED or _NO_LOAD in self.connection.info or not self._is_loadable(records):
            return None
        known = self.table.name in self._wary
        with self.connection.begin_nested() as savepoint:
            held_back = self._loaded(records)
            if held_back is None:
                savepoint.rollback()
        if held_back is not None:
            return self._one_by_one(records, held_back)
        return self.create_each(records) if not known and self.table.name in self._wary else None

    def create_with_keys(self, records: pl.DataFrame, key: str) -> Sequence[Any]:
        """Insert many records at once where their numbers are certain."""
        how = self._how if records.height > 1 and records.width and self._key == key else None
        found = None if how is None else self._numbered(records, key, how)
        return super().create_with_keys(records, key) if found is None else found

    def _numbered(self, records: pl.DataFrame, key: str, how: mysql_numbers.How) -> Sequence[int] | None:
        """Insert records and return their numbers; None where these are not certain, and then nothing is done."""
        loaded = self._loaded_with_keys(records, key, how.step) if how.loads else None
        if loaded is not None:
            return loaded
        table, column = map(self.connection.dialect.identifier_preparer.quote, (self.table.name, key))
        with self.connection.begin_nested() as savepoint:
            made = mysql_numbers.inserted(self.connection, table, column, records, self._values, how.step)
            if made is None:
                savepoint.rollback()
        return made

    def _loaded_with_keys(self, records: pl.DataFrame, key: str, step: int) -> range | None:
        """Load records and return their numbers; None where they are not all loaded."""
        if records.height < _LOADED or _NO_LOAD in self.connection.info or not self._is_loadable(records):
            return None
        quote = self.connection.dialect.identifier_preparer.quote
        with self.connection.begin_nested() as savepoint:
            numbers = None
            if self._load(records) == Loaded(records.height, 0):
                numbers = mysql_numbers.loaded(
                    self.connection, quote(self.table.name), quote(key), step, records.height
                )
            if numbers is None:
                savepoint.rollback()
        return numbers

    def _loaded(self, records: pl.DataFrame) -> pl.Series | None:
        """Load records; return which are not loaded, None where that cannot be told."""
        held_back = self._held_back(records)
        good = records.filter(~held_back)
        loaded = self._load(good) if good.height else Loaded(0, 0)
        if loaded is None or loaded == Loaded(good.height, 0):
            return None if loaded is None else held_back
        self._wary.add(self.table.name)
        left_out = self._left_out(good, loaded)
        if left_out is None:
            return None
        keys = records[self.table.key[0]]
        missing = keys.is_in(left_out.implode())
        # a key that comes again is next if its first record is refused
        return None if (missing & held_back).any() else held_back | missing

    def update(self, records: pl.DataFrame, key: str) -> pl.Series:
        """Set the fields of the records that are there: many by one statement."""
        stage = self._stage(records, key)
        if stage is None:
            return super().update(records, key)
        there = stage.there(records.height)
        stage.update([name for name in records.columns if name != key])
        stage.drop()
        return there

    def delete(self, keys: pl.Series) -> pl.Series:
        """Delete the records that are there: many by one statement."""
        stage = self._stage(keys.to_frame(), keys.name)
        if stage is None:
            return super().delete(keys)
        there = stage.there(keys.len())
        stage.delete()
        stage.drop()
        return there

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
        for part in mysql_numbers.slices(records):
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

    def _stage(self, records: pl.DataFrame, key: str) -> Stage | None:
        fits = records.height >= _STAGED and Stage.fits(self.connection, self.table, key)
        if not fits or not mysql_load.loadable(records, self.table):
            return None
        stage = Stage(self.connection, self.table, key)
        return stage if stage.put(records) else None

    @cached_property
    def _how(self) -> mysql_numbers.How | None:
        """Return how the table gives numbers, as long as this one writes: a connection may outlive what it knew."""
        return mysql_numbers.how(self.connection, self.table, self.table.key[0])

    @property
    def _wary(self) -> set[str]:
        found: set[str] = self.connection.info.setdefault(_WARY, set())
        return found

    def _is_loadable(self, records: pl.DataFrame) -> bool:
        return self.table.kind == "table" and mysql_load.loadable(records, self.table)

    def _held_back(self, records: pl.DataFrame) -> pl.Series:
        """Return which records are not loaded with the others: doubtful values, and keys that are there already."""
        found = mysql_load.doubtful(records, self.table)
        if self._key is None or self._key not in records.columns:
            return found
        keys = records[self._key]
        found |= ~keys.is_first_distinct()
        if self.table.name in self._wary:
            found |= keys.is_in(self._there(keys).implode())
        return found

    @property
    def _key(self) -> str | None:
        return self.table.key[0] if len(self.table.key) == 1 else None

    def _load(self, records: pl.DataFrame) -> Loaded | None:
        """Load records; None where the server or the table does not take them in this way."""
        columns = [self.table.by_name[name] for name in records.columns]
        quote = self.connection.dialect.identifier_preparer.quote
        statement = mysql_load.statement(records.columns, columns, quote(self.table.name), quote)
        driver: Wire = self.connection.connection.driver_connection  # type: ignore[assignment]
        try:
            return driver.load(statement, mysql_load.content(records, columns))
        except pymysql.Error as error:
            if error.args and error.args[0] in mysql_load.NO_LOADS:
                self.connection.info[_NO_LOAD] = True
            elif mysql_errors.refusal(error) is None:
                raise
            return None

    def _left_out(self, records: pl.DataFrame, loaded: Loaded) -> pl.Series | None:
        """Return the keys of the rows that a load left out; None where it may have changed others."""
        if self._key is None or self._key not in records.columns or loaded.rows + loaded.warnings != records.height:
            return None
        warnings = self.connection.exec_driver_sql("SHOW WARNINGS").fetchall()
        if len(warnings) != loaded.warnings or any(number not in mysql_errors.LEFT_OUT for _, number, _ in warnings):
            return None
        keys = records[self._key]
        missing = keys.filter(~keys.is_in(self._there(keys).implode()))
        return missing if missing.len() == records.height - loaded.rows else None

    def _there(self, keys: pl.Series) -> pl.Series:
        """Return those of the keys that are in the table, compared exactly."""
        column = self.table.by_name[keys.name]
        own = sa.select(self._flavor.wire(column)).select_from(self.source)
        if keys.dtype.is_integer() and keys.len():
            first, last = keys.min(), keys.max()
            assert isinstance(first, int)  # noqa: S101 - integers without null
            assert isinstance(last, int)  # noqa: S101
            if last - first < _DENSE * keys.len():
                between = sa.column(column.name).between(sa.literal(first), sa.literal(last))
                return self._flavor.fetch(self.connection, own.where(between), [column], ()).columns[0].values
        found = [keys.clear()]
        for start in range(0, keys.len(), self._flavor.lookup):
            among = own.where(self._flavor.among(column, keys.slice(start, self._flavor.lookup)))
            found.append(self._flavor.fetch(self.connection, among, [column], ()).columns[0].values.cast(keys.dtype))
        return pl.concat(found)

    def _one_by_one(self, records: pl.DataFrame, chosen: pl.Series) -> dict[int, Refusal | None]:
        """Insert records one by one and return why some are refused; None where a later record may be the reason."""
        refused, doubtful = dict[int, Refusal | None](), mysql_load.doubtful(records, self.table)
        for row in chosen.arg_true():
            try:
                self.create(records.slice(row, 1))
            except sa.exc.DBAPIError as error:
                refusal = mysql_errors.refusal(error.orig) if error.orig else None
                if refusal is None:
                    raise
                late = doubtful[row] and mysql_errors.is_repeated(error.orig)
                refused[row] = None if late else refusal
        return refused
