"""Writing rows for databases without arrays: the driver's own way to run a statement for many rows."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Sequence
from typing import Any

import polars as pl
import sqlalchemy as sa

from connectors.builtin.database_flavor import Flavor, Loader, Refusal, RefusedError
from connectors.builtin.database_types import Table
from rules.text import msg

_KEYS = 500


class RowLoader(Loader):
    """Inserts, updates and deletes with one prepared statement for all rows."""

    def __init__(self, flavor: Flavor, connection: sa.Connection, source: sa.TableClause, table: Table) -> None:
        super().__init__(connection, source, table)
        self._flavor = flavor

    def create(self, records: pl.DataFrame) -> None:
        """Insert records."""
        names = [f"v{i}" for i in range(records.width)]
        statement = sa.insert(self.source).values(dict(zip(records.columns, map(_bound, names), strict=True)))
        self._many(statement, dict(zip(names, map(self._values, records.get_columns()), strict=True)))

    def create_with_keys(self, records: pl.DataFrame, key: str) -> Sequence[Any]:
        """Insert one by one, since neither database tells the keys of many rows for certain."""
        columns = {name: self._values(records[name]) for name in records.columns}
        return [
            self.create_one({name: values[row] for name, values in columns.items()}, key)
            for row in range(records.height)
        ]

    @abstractmethod
    def create_one(self, record: dict[str, Any], key: str) -> Any:
        """Insert a record and return the key that the database made."""

    def update(self, records: pl.DataFrame, key: str) -> pl.Series:
        """Set the fields of the records that are there."""
        there = self.present(records[key])
        if there.any():
            self.update_found(records.filter(there), key)
        return there

    def update_found(self, records: pl.DataFrame, key: str) -> None:
        """Update records that are known to be there."""
        names = {name: f"v{i}" for i, name in enumerate(records.columns)}
        values = {self.source.c[name]: _bound(bound) for name, bound in names.items() if name != key}
        statement = sa.update(self.source).values(values).where(self.source.c[key] == _bound(names[key]))
        self._many(statement, {names[name]: self._values(records[name]) for name in records.columns})

    def present(self, keys: pl.Series) -> pl.Series:
        """Find and lock records by key; texts are compared exactly, whatever the database takes for equal."""
        column, wanted = self.table.by_name[keys.name], keys.unique()
        found: list[Any] = []
        for start in range(0, wanted.len(), _KEYS):
            condition = self._flavor.among(column, wanted.slice(start, _KEYS))
            statement = sa.select(self._flavor.wire(column)).select_from(self.source).where(condition)
            found += [row[0] for row in self.connection.execute(self.locked(statement))]
        there = self._flavor.decode(column, found).values
        if there.filter(there.is_in(wanted.implode())).is_duplicated().any():
            raise RefusedError(Refusal(msg("More than one record has this key.")))
        return keys.is_in(there.implode())

    def locked(self, statement: sa.Select[Any]) -> sa.Select[Any]:
        """Return a query that locks what it finds until the end of the transaction."""
        return statement.with_for_update()

    def delete(self, keys: pl.Series) -> pl.Series:
        """Delete the records that are there."""
        there = self.present(keys)
        column, found = self.table.by_name[keys.name], keys.filter(there)
        for start in range(0, found.len(), _KEYS):
            condition = self._flavor.among(column, found.slice(start, _KEYS))
            self.connection.execute(sa.delete(self.source).where(condition))
        return there

    def _values(self, values: pl.Series) -> Sequence[Any]:
        return self._flavor.parameters(self.table.by_name[values.name], values)

    def _many(self, statement: Any, values: dict[str, Sequence[Any]]) -> None:
        compiled = statement.compile(dialect=self.connection.dialect)
        rows = list(zip(*(values[name] for name in compiled.positiontup), strict=True))
        if rows:
            self.connection.exec_driver_sql(str(compiled), rows)


def _bound(name: str) -> sa.BindParameter[Any]:
    return sa.bindparam(name, type_=sa.types.NullType())
