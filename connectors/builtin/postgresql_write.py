"""Writing batches into PostgreSQL: by COPY, and where there is more to do than to insert, by way of a `Stage`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import polars as pl
import psycopg
import sqlalchemy as sa
from psycopg import errors, sql

from connectors.builtin import postgresql_stage
from connectors.builtin.database_flavor import Refusal
from connectors.builtin.database_types import Table
from connectors.builtin.postgresql_arrays import ArrayLoader, Wire, present_of
from connectors.builtin.postgresql_each import Doubtful
from connectors.builtin.postgresql_stage import Names, Stage, copy_in

TEMPORARY = "syncline temporary"
"""Noted of a connection: whether its user may make temporary tables."""
_MAY_MAKE = sa.text("SELECT has_database_privilege(current_database(), 'TEMPORARY')")
_MERGED_KEYS = 16
"""From so many records on, keys that are no numbers are asked for at once."""
_MERGE_VERSION = 170_000
"""MERGE tells since PostgreSQL 17 what it has inserted."""
_DONE = """WITH done AS ({change})
SELECT (SELECT count(*) FROM done), ARRAY(SELECT {number} FROM {own} AS o
  WHERE NOT EXISTS (SELECT FROM done WHERE done.{number} = o.{number}) ORDER BY 1)"""
_UPDATE = """UPDATE {to} AS syncline_to SET {values} FROM {own} AS syncline_given
  WHERE syncline_to.{key} = syncline_given.{key} RETURNING syncline_given.{number}"""
_DELETE = """DELETE FROM {to} AS syncline_to USING {own} AS syncline_given
  WHERE syncline_to.{key} = syncline_given.{key} RETURNING syncline_given.{number}"""
_PRESENT = """SELECT syncline_given.{number} FROM {to} AS syncline_to, {own} AS syncline_given
  WHERE syncline_to.{key} = syncline_given.{key} FOR UPDATE OF syncline_to"""
_MERGE = """MERGE INTO {to} AS syncline_to USING (SELECT * FROM {own} ORDER BY {number}) AS syncline_given ON false
  WHEN NOT MATCHED THEN INSERT ({fields}) VALUES ({given}) RETURNING syncline_given.{number}, {wire}"""


class PostgreSQLLoader(ArrayLoader):
    """Writes batches by COPY, or few records as arrays."""

    def __init__(self, connection: sa.Connection, source: sa.TableClause, table: Table, wire: Wire) -> None:
        super().__init__(connection, source, table, wire)
        self._driver: psycopg.Connection = connection.connection.driver_connection  # type: ignore[assignment]
        self._stage = Stage(self._driver, source.schema, table)
        self._doubtful = Doubtful(connection, self._stage, table)
        self.each_first = self._doubtful.expected

    def create(self, records: pl.DataFrame) -> None:
        """Insert by COPY; views and tables with row security do not take it."""
        if not self.table.bulk or not records.width:
            super().create(records)
            return
        copy_in(self._driver, records, self.table, self._stage.to)

    def create_each(self, records: pl.DataFrame) -> Mapping[int, Refusal | None] | None:
        """Insert the records that nothing speaks against by COPY, and the others one by one inside the server."""
        if not self.table.bulk or not records.width or not self._may_stage():
            return None
        return self._doubtful.create(records, self.create)

    def create_with_keys(self, records: pl.DataFrame, key: str) -> Sequence[Any]:
        """Insert and return the keys, each with the number of its record."""
        wire = self._key_text(key) if self._driver.info.server_version >= _MERGE_VERSION else None
        if wire is None or not records.width or not self._is_staged(records.height, _MERGED_KEYS):
            return super().create_with_keys(records, key)
        given = sql.SQL(", ").join(sql.Identifier("syncline_given", name) for name in records.columns)
        try:
            with self.connection.begin_nested(), self._stage.holding(records) as names:
                rows = self._stage.rows(_MERGE, {**names, "given": given, "wire": wire})
        except errors.FeatureNotSupported:  # a table with rules
            return super().create_with_keys(records, key)
        return [made for _, made in sorted(rows, key=lambda row: row[0])]

    def update(self, records: pl.DataFrame, key: str) -> pl.Series:
        """Update from a stage."""
        if not self._is_staged(records.height):
            return super().update(records, key)
        pair = sql.SQL("{} = {}")
        values = [
            pair.format(sql.Identifier(name), sql.Identifier("syncline_given", name))
            for name in records.columns
            if name != key
        ]
        return self._merged(records, key, _UPDATE, {"values": sql.SQL(", ").join(values)})

    def present(self, keys: pl.Series) -> pl.Series:
        """Find and lock records by key."""
        if not self._is_staged(keys.len()):
            return super().present(keys)
        return self._merged(keys.to_frame(), keys.name, _PRESENT)

    def delete(self, keys: pl.Series) -> pl.Series:
        """Delete by the keys in a stage."""
        if not self._is_staged(keys.len()):
            return super().delete(keys)
        return self._merged(keys.to_frame(), keys.name, _DELETE)

    def _merged(self, records: pl.DataFrame, key: str, change: str, more: Names | None = None) -> pl.Series:
        with self._stage.holding(records, [key]) as own:
            names = {**own, **(more or {}), "key": sql.Identifier(key)}
            ((done, missing),) = self._stage.rows(_DONE, {**names, "change": sql.SQL(change).format(**names)})
        return present_of(done, missing, records.height)

    def _key_text(self, key: str) -> sql.Composable | None:
        """Return a key in its form on the wire, or None if that is more than a text."""
        column = self.table.by_name[key]
        wire = self.wire(column)
        own = sql.Identifier("syncline_to", key)
        if isinstance(wire, sa.ColumnClause):
            return own
        plain = isinstance(wire, sa.Cast) and isinstance(wire.clause, sa.ColumnClause)
        return sql.SQL("CAST({} AS text)").format(own) if plain else None

    def _is_staged(self, height: int, least: int | None = None) -> bool:
        return height >= (postgresql_stage.PACKED if least is None else least) and self.table.bulk and self._may_stage()

    def _may_stage(self) -> bool:
        known = self.connection.info
        if TEMPORARY not in known:
            known[TEMPORARY] = bool(self.connection.execute(_MAY_MAKE).scalar())
        return bool(known[TEMPORARY])
