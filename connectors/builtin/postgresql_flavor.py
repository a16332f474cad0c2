"""PostgreSQL's SQL: values go over the wire as text, whole columns at a time.

Batches are sent as one array a column (`unnest`) or by COPY, so the cost of a value is the database's, not Python's.
Parameters are cast to the type without its length, because an explicit cast to `varchar(3)` cuts a text silently while
an assignment refuses it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import msgspec
import polars as pl
import psycopg
import sqlalchemy as sa
from psycopg import sql
from sqlalchemy.dialects.postgresql import ARRAY

from connectors.builtin import postgresql_catalog, postgresql_errors
from connectors.builtin.database_flavor import Fetched, Flavor, Limits, Loader, Refusal, RefusedError
from connectors.builtin.database_types import Column, Table, to_text
from connectors.builtin.postgresql_copy import copied
from connectors.builtin.postgresql_filter import PostgreSQLTests
from connectors.builtin.postgresql_pack import HEAD, TAIL, packable, packed
from connectors.errors import ConnectorError
from connectors.spi import ObjectInfo
from rules.schema import FieldType
from rules.text import msg

_AS_TEXT = {
    FieldType.TEXT,
    FieldType.DECIMAL,
    FieldType.DATE,
    FieldType.TIME,
    FieldType.DATETIME,
    FieldType.LOCAL_DATETIME,
}
_SORTED_AS_TEXT = {"json", "xml", "point", "line", "lseg", "box", "path", "polygon", "circle", "xid", "cid", "aclitem"}
_PLAIN_TEXT = {"text", "character varying"}


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


class _Named(sa.types.UserDefinedType[Any]):
    """A type by the name that the catalogue gives it."""

    cache_ok = True

    def __init__(self, name: str) -> None:
        self.name = name

    def get_col_spec(self, **_: Any) -> str:
        """Return the name for CAST."""
        return self.name


class PostgreSQLFlavor(Flavor):
    """How PostgreSQL is read and written."""

    limits = Limits(endless_floats=True, zero_in_text=False)
    lookup = 20_000
    driver_errors = (psycopg.Error,)
    tests = PostgreSQLTests()
    snapshot = "REPEATABLE READ"

    def objects(self, connection: sa.Connection, schema: str | None) -> list[ObjectInfo]:
        """Return tables and views of the schema."""
        return postgresql_catalog.objects(connection, schema or "public")

    def table(self, connection: sa.Connection, schema: str | None, name: str) -> Table | None:
        """Return a table of the schema."""
        return postgresql_catalog.table(connection, schema or "public", name)

    def fault(self, error: BaseException, object_name: str | None) -> ConnectorError:
        """Return a driver's error in our words."""
        return postgresql_errors.fault(error, object_name)

    def refusal(self, error: BaseException) -> Refusal | None:
        """Return why a record is refused."""
        return postgresql_errors.refusal(error)

    def wire(self, column: Column) -> sa.ColumnElement[Any]:
        """Select exact texts instead of types whose Python values cannot hold every value (infinity, years, digits)."""
        own: sa.ColumnElement[Any] = sa.column(column.name)
        if column.native == postgresql_catalog.MONEY:
            return sa.cast(sa.cast(own, sa.Numeric), sa.Text)
        if column.native == "inet":  # a cast adds the length of the whole network
            return sa.func.nullif(sa.func.format("%s", own), "")
        if column.native.endswith("[]"):
            return sa.cast(sa.func.to_json(own), sa.Text)
        if column.field.type is FieldType.JSON or (column.field.type in _AS_TEXT and column.native not in _PLAIN_TEXT):
            return sa.cast(own, sa.Text)
        return own

    def fetch(
        self, connection: sa.Connection, statement: sa.Select[Any], columns: Sequence[Column], places: Sequence[Column]
    ) -> Fetched:
        """Return what a query gives by COPY, or row by row where texts have to tell what is wrong with a value."""
        found = copied(connection, statement, columns, places)
        return super().fetch(connection, statement, columns, places) if found is None else found

    def order_any(self, column: Column) -> sa.ColumnElement[Any]:
        """Sort types without an order of their own by their text."""
        own: sa.ColumnElement[Any] = sa.column(column.name)
        return sa.cast(own, sa.Text) if column.native in _SORTED_AS_TEXT else own

    def nulls_first(self, order: sa.ColumnElement[Any]) -> sa.ColumnElement[Any]:
        """PostgreSQL sorts nulls last."""
        return order.nulls_first()

    def parameter(self, column: Column, value: Any) -> sa.ColumnElement[Any]:
        """Cast a wire value to the column's own type."""
        return _cast(super().parameter(column, _text(value)), column)

    def among(self, column: Column, values: pl.Series) -> sa.ColumnElement[bool]:
        """Compare with the rows of one array parameter: one statement for any number of values, each cast once."""
        array = _array(sa.literal(array_literal(to_text_values(values, column))))
        given = sa.func.unnest(array).table_valued("value", name="wanted").render_derived()
        return sa.column(column.name).in_(sa.select(_cast(given.c.value, column)))

    def begin(self, connection: sa.Connection, timeout: float) -> None:
        """Do not wait for locks for ever, free them if this process stops, and check constraints at once."""
        milliseconds = int(timeout * 1000)
        connection.execute(
            sa.text(
                "SELECT set_config('lock_timeout', :wait, true),"
                " set_config('idle_in_transaction_session_timeout', :idle, true)"
            ),
            {"wait": str(milliseconds), "idle": str(2 * milliseconds)},
        )
        connection.execute(sa.text("SET CONSTRAINTS ALL IMMEDIATE"))

    def loader(self, connection: sa.Connection, source: sa.TableClause, table: Table) -> Loader:
        """Return the writer of batches."""
        return PostgreSQLLoader(connection, source, table)


class PostgreSQLLoader(Loader):
    """Writes batches by COPY, or by statements over arrays where rows have to be told apart."""

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
        wire = PostgreSQLFlavor().wire(self.table.by_name[key])
        return [row[0] for row in self.connection.execute(statement.returning(wire))]

    def _there(self, statement: Any, count: int) -> pl.Series:
        numbers = [row[0] for row in self.connection.execute(statement)]
        if len(numbers) != len(set(numbers)):
            raise RefusedError(Refusal(msg("More than one record has this key.")))
        found = set(numbers)
        return pl.Series([row + 1 in found for row in range(count)], dtype=pl.Boolean)

    def _given(self, records: pl.DataFrame) -> Any:
        names = [f"c{i}" for i in range(records.width)]
        arrays = [_array(sa.literal(array_literal(self._texts(records[name])))) for name in records.columns]
        return sa.func.unnest(*arrays).table_valued(*names, with_ordinality="n", name="given").render_derived()

    def _value(self, given: Any, records: pl.DataFrame, name: str) -> sa.ColumnElement[Any]:
        return _cast(given.c[f"c{records.columns.index(name)}"], self.table.by_name[name])

    def _is_key(self, given: Any, records: pl.DataFrame, key: str) -> sa.ColumnElement[bool]:
        return self.source.c[key] == self._value(given, records, key)

    def _texts(self, values: pl.Series) -> pl.Series:
        return to_text_values(values, self.table.by_name[values.name])


def to_text_values(values: pl.Series, column: Column) -> pl.Series:
    """Return typed values as the texts that PostgreSQL reads for the column's type."""
    text = to_text(values)
    if column.native.endswith("[]"):
        return pl.Series(values.name, [None if t is None else _array_text(t) for t in text], dtype=pl.String)
    if values.dtype == pl.Binary:
        return ("\\x" + text).alias(values.name)
    return (text + "+00").alias(values.name) if _is_instant(values.dtype) else text


def array_literal(texts: pl.Series) -> str:
    """Return a column of texts as one array literal."""
    escaped = texts.str.replace_all("\\", "\\\\", literal=True).str.replace_all('"', '\\"', literal=True)
    quoted = ('"' + escaped + '"').fill_null("NULL")
    return "{" + ",".join(quoted) + "}"


def _cast(text: sa.ColumnElement[Any], column: Column) -> sa.ColumnElement[Any]:
    number = sa.cast(text, sa.Numeric) if column.native == postgresql_catalog.MONEY else text
    return sa.cast(number, _Named(column.cast))


def _array(literal: sa.ColumnElement[Any]) -> sa.ColumnElement[Any]:
    return sa.cast(literal, ARRAY(sa.Text))


def _array_text(text: str) -> str:
    """Return a JSON list as an array literal; what is no list is left for PostgreSQL to refuse."""
    value = msgspec.json.decode(text)
    return _literal(value) if isinstance(value, list) else text


def _literal(value: Any) -> str:
    if value is None:
        return "NULL"
    if isinstance(value, list):
        return "{" + ",".join(map(_literal, value)) + "}"
    plain = value if isinstance(value, str) else msgspec.json.encode(value).decode()
    return '"' + plain.replace("\\", "\\\\").replace('"', '\\"') + '"'


def _text(value: Any) -> str | None:
    if value is None:
        return None
    if isinstance(value, bool):
        return "true" if value else "false"
    return f"\\x{value.hex()}" if isinstance(value, bytes) else str(value)


def _is_instant(kind: pl.DataType) -> bool:
    return isinstance(kind, pl.Datetime) and kind.time_zone is not None
