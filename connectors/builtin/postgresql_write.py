"""Writing batches into PostgreSQL: by COPY, by COPY into a table of our own and one statement, or as arrays."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import polars as pl
import psycopg
import sqlalchemy as sa
from psycopg import sql

from connectors.builtin import postgresql_errors
from connectors.builtin.database_flavor import Loader, Refusal, RefusedError
from connectors.builtin.database_types import Column, Table
from connectors.builtin.postgresql_literals import cast, rows_of, to_text_values
from connectors.builtin.postgresql_pack import HEAD, TAIL, packable, packed
from rules.schema import FieldType
from rules.text import msg

_PACKED = 200
"""From so many records on the binary form is faster."""
_OWN = "syncline_rows"
_STAGE = (
    "CREATE TEMPORARY TABLE {own} ON COMMIT DROP AS SELECT {fields} FROM {to} WITH NO DATA",
    "ALTER TABLE {own} ADD syncline_row integer GENERATED ALWAYS AS IDENTITY PRIMARY KEY, ADD syncline_refused text[]",
)
_REFUSED = "SELECT syncline_row, syncline_refused FROM {own} WHERE syncline_refused IS NOT NULL"
# a part without a bad record costs one subtransaction, not one a record; no column has a variable's name
_EACH = """DECLARE
  r record; syncline_first integer := 1; syncline_part integer := 31; syncline_most integer;
  syncline_state text; syncline_text text; syncline_detail text;
  syncline_field text; syncline_rule text; syncline_table text;
BEGIN
  SELECT max(syncline_row) INTO syncline_most FROM {own};
  WHILE syncline_first <= syncline_most LOOP
    BEGIN
      INSERT INTO {to} ({fields}) SELECT {fields} FROM {own}
      WHERE syncline_row BETWEEN syncline_first AND syncline_first + syncline_part ORDER BY syncline_row;
    EXCEPTION WHEN OTHERS THEN
      FOR r IN SELECT * FROM {own}
      WHERE syncline_row BETWEEN syncline_first AND syncline_first + syncline_part ORDER BY syncline_row LOOP
        BEGIN
          INSERT INTO {to} ({fields}) VALUES ({values});
        EXCEPTION WHEN OTHERS THEN
          GET STACKED DIAGNOSTICS syncline_state = RETURNED_SQLSTATE, syncline_text = MESSAGE_TEXT,
            syncline_detail = PG_EXCEPTION_DETAIL, syncline_field = COLUMN_NAME,
            syncline_rule = CONSTRAINT_NAME, syncline_table = TABLE_NAME;
          UPDATE {own} SET syncline_refused = ARRAY[syncline_state, syncline_text, syncline_detail,
            syncline_field, syncline_rule, syncline_table] WHERE syncline_row = r.syncline_row;
        END;
      END LOOP;
    END;
    syncline_first := syncline_first + syncline_part + 1;
  END LOOP;
END"""


class PostgreSQLLoader(Loader):
    """Writes batches by COPY, or by statements over arrays where rows have to be told apart."""

    def __init__(
        self,
        connection: sa.Connection,
        source: sa.TableClause,
        table: Table,
        wire: Callable[[Column], sa.ColumnElement[Any]],
    ) -> None:
        super().__init__(connection, source, table)
        self._wire = wire

    def create(self, records: pl.DataFrame) -> None:
        """Insert by COPY; views and tables with row security do not take it."""
        if not self.table.bulk or not records.width:
            self._insert(records, None)
            return
        self._copy(records, sql.Identifier(*filter(None, (self.source.schema, self.table.name))))

    def create_each(self, records: pl.DataFrame) -> Mapping[int, Refusal | None] | None:
        """Insert inside the server, from a table of its own that ends with this."""
        if not self.table.bulk or not records.width:
            return None
        driver: psycopg.Connection = self.connection.connection.driver_connection  # type: ignore[assignment]
        own = sql.Identifier("pg_temp", _OWN)
        names: dict[str, sql.Composable] = {
            "to": sql.Identifier(*filter(None, (self.source.schema, self.table.name))),
            "own": own,
            "fields": sql.SQL(", ").join(map(sql.Identifier, records.columns)),
            "values": sql.SQL(", ").join(sql.Identifier("r", name) for name in records.columns),
        }
        for statement in _STAGE:
            driver.execute(sql.SQL(statement).format(**names))
        self._copy(records, own)
        driver.execute(sql.SQL("DO {}").format(sql.Literal(sql.SQL(_EACH).format(**names).as_string(driver))))
        refused = driver.execute(sql.SQL(_REFUSED).format(**names)).fetchall()
        driver.execute(sql.SQL("DROP TABLE {own}").format(**names))
        return {row - 1: postgresql_errors.noted(postgresql_errors.Diagnosis(*said)) for row, said in refused}

    def _copy(self, records: pl.DataFrame, into: sql.Identifier) -> None:
        names = sql.SQL(", ").join(map(sql.Identifier, records.columns))
        place = sql.SQL("COPY {} ({}) FROM STDIN ").format(into, names)
        driver: psycopg.Connection = self.connection.connection.driver_connection  # type: ignore[assignment]
        if records.height >= _PACKED and packable(records, self.table):
            with driver.cursor() as cursor, cursor.copy(place + sql.SQL("(FORMAT binary)")) as copy:
                copy.write(HEAD)
                for part in packed(records, self.table):
                    copy.write(part)
                copy.write(TAIL)
            return
        texts = pl.DataFrame([self._texts(records[name]) for name in records.columns])
        with driver.cursor() as cursor, cursor.copy(place + sql.SQL("(FORMAT csv, NULL '')")) as copy:
            # every text is quoted and a null is not, so the empty text stays apart from null
            copy.write(texts.write_csv(include_header=False, quote_style="non_numeric", null_value=""))

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
        wire = self._wire(self.table.by_name[key])
        return [row[0] for row in self.connection.execute(statement.returning(wire))]

    def _there(self, statement: Any, count: int) -> pl.Series:
        numbers = [row[0] for row in self.connection.execute(statement)]
        if len(numbers) != len(set(numbers)):
            raise RefusedError(Refusal(msg("More than one record has this key.")))
        found = set(numbers)
        return pl.Series([row + 1 in found for row in range(count)], dtype=pl.Boolean)

    def _given(self, records: pl.DataFrame) -> Any:
        names = [f"c{i}" for i in range(records.width)]
        arrays = rows_of(*(self._texts(records[name]) for name in records.columns))
        return sa.func.unnest(*arrays).table_valued(*names, with_ordinality="n", name="given").render_derived()

    def _value(self, given: Any, records: pl.DataFrame, name: str) -> sa.ColumnElement[Any]:
        return cast(given.c[f"c{records.columns.index(name)}"], self.table.by_name[name])

    def _is_key(self, given: Any, records: pl.DataFrame, key: str) -> sa.ColumnElement[bool]:
        return self.source.c[key] == self._value(given, records, key)

    def _texts(self, values: pl.Series) -> pl.Series:
        return to_text_values(values, self.table.by_name[values.name])
