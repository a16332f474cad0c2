"""Writing batches into PostgreSQL as one array a column: for few records, and where a table takes no COPY."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import polars as pl
import sqlalchemy as sa

from connectors.builtin.database_flavor import Loader, Refusal, RefusedError
from connectors.builtin.database_types import Column, Table
from connectors.builtin.postgresql_literals import cast, rows_of, to_text_values
from rules.schema import FieldType
from rules.text import msg

Wire = Callable[[Column], sa.ColumnElement[Any]]


class ArrayLoader(Loader):
    """Writes batches by `unnest`, so the cost of a value is the database's, not Python's."""

    def __init__(self, connection: sa.Connection, source: sa.TableClause, table: Table, wire: Wire) -> None:
        super().__init__(connection, source, table)
        self.wire = wire

    def create(self, records: pl.DataFrame) -> None:
        """Insert from arrays."""
        self._insert(records, None)

    def create_with_keys(self, records: pl.DataFrame, key: str) -> Sequence[Any]:
        """Insert and return the keys; serial numbers ascend in the order of the records, others come one by one."""
        if self.table.by_name[key].field.type is FieldType.INTEGER:
            return sorted(self._insert(records, key))
        return [self._insert(records.slice(row, 1), key)[0] for row in range(records.height)]

    def update(self, records: pl.DataFrame, key: str) -> pl.Series:
        """Update from arrays; each record tells by its number whether it was there."""
        given = self._given(records)
        values = {self.source.c[name]: self._value(given, records, name) for name in records.columns if name != key}
        statement = sa.update(self.source).values(values)
        return self._there(statement.where(self._is_key(given, records, key)).returning(given.c.n), records.height)

    def present(self, keys: pl.Series) -> pl.Series:
        """Find and lock records by key."""
        given = self._given(keys.to_frame())
        condition = self._is_key(given, keys.to_frame(), keys.name)
        statement = sa.select(given.c.n).select_from(self.source, given).where(condition)
        return self._there(statement.with_for_update(of=self.source), keys.len())

    def delete(self, keys: pl.Series) -> pl.Series:
        """Delete from an array of keys."""
        given = self._given(keys.to_frame())
        condition = self._is_key(given, keys.to_frame(), keys.name)
        return self._there(sa.delete(self.source).where(condition).returning(given.c.n), keys.len())

    def _insert(self, records: pl.DataFrame, key: str | None) -> list[Any]:
        given = self._given(records)
        chosen = [self._value(given, records, name) for name in records.columns]
        statement: Any = sa.insert(self.source).from_select(
            records.columns, sa.select(*chosen).select_from(given).order_by(given.c.n)
        )
        if key is None:
            self.connection.execute(statement)
            return []
        wire = self.wire(self.table.by_name[key])
        return [row[0] for row in self.connection.execute(statement.returning(wire))]

    def _there(self, statement: Any, count: int) -> pl.Series:
        numbers = [row[0] for row in self.connection.execute(statement)]
        return present_of(len(numbers), sorted(set(range(1, count + 1)) - set(numbers)), count, first=1)

    def _given(self, records: pl.DataFrame) -> Any:
        names = [f"c{i}" for i in range(records.width)]
        arrays = rows_of(*(to_text_values(values, self.table.by_name[values.name]) for values in records))
        return sa.func.unnest(*arrays).table_valued(*names, with_ordinality="n", name="given").render_derived()

    def _value(self, given: Any, records: pl.DataFrame, name: str) -> sa.ColumnElement[Any]:
        return cast(given.c[f"c{records.columns.index(name)}"], self.table.by_name[name])

    def _is_key(self, given: Any, records: pl.DataFrame, key: str) -> sa.ColumnElement[bool]:
        return self.source.c[key] == self._value(given, records, key)


def present_of(done: int, missing: Sequence[int], count: int, first: int = 0) -> pl.Series:
    """Return which records were there; raises `RefusedError` where a key has more than one record.

    Args:
        done: How many records of the table were touched.
        missing: The numbers of those that were given and not there.
        count: How many were given.
        first: The number of the first one given.
    """
    if done > count - len(missing):
        raise RefusedError(Refusal(msg("More than one record has this key.")))
    there = pl.repeat(value=True, n=count, dtype=pl.Boolean, eager=True)
    return there.scatter([number - first for number in missing], False) if missing else there
