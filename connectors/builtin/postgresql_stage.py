"""A table of our own beside the data: records come in by COPY, and one statement takes them from there.

It has the types of the table that the records are for, numbers them, and ends at the latest with the transaction.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import Any

import polars as pl
import psycopg
from psycopg import sql

from connectors.builtin.database_types import Column, Table
from connectors.builtin.postgresql_literals import to_text_values
from connectors.builtin.postgresql_pack import HEAD, TAIL, packable, packed
from connectors.builtin.postgresql_wire import copied
from rules.schema import Field, FieldType

PACKED = 200
"""From so many records on the binary form is faster."""
NUMBER = "syncline_row"
"""The column that numbers the records from 0 on; no field is called like that."""
_OWN = sql.Identifier("pg_temp", "syncline_rows")
_MAKE = "CREATE TEMPORARY TABLE {own} ON COMMIT DROP AS SELECT 0 AS {number}, {fields} FROM {to} WITH NO DATA"
_COLUMN = Column(Field(NUMBER, FieldType.INTEGER), "integer")

Names = dict[str, sql.Composable]


def copy_in(driver: psycopg.Connection, records: pl.DataFrame, table: Table, into: sql.Composable) -> None:
    """Send records by COPY, in the binary form where that is exact.

    Args:
        driver: The connection.
        records: The records.
        table: What is known of the columns.
        into: The name of the table.
    """
    binary = records.height >= PACKED and packable(records, table)
    came = copied(records, table) if binary else None
    names = sql.SQL(", ").join(map(sql.Identifier, records.columns if came is None else came.names))
    place = sql.SQL("COPY {} ({}) FROM STDIN ").format(into, names)
    if binary:
        with driver.cursor() as cursor, cursor.copy(place + sql.SQL("(FORMAT binary)")) as copy:
            copy.write(HEAD)
            for part in packed(records, table) if came is None else [came.rows]:
                copy.write(part)
            copy.write(TAIL)
        return
    texts = pl.DataFrame([to_text_values(values, table.by_name[values.name]) for values in records])
    with driver.cursor() as cursor, cursor.copy(place + sql.SQL("(FORMAT csv, NULL '')")) as copy:
        # every text is quoted and a null is not, so the empty text stays apart from null
        copy.write(texts.write_csv(include_header=False, quote_style="non_numeric", null_value=""))


class Stage:
    """Makes tables of our own for records that are meant for one table."""

    def __init__(self, driver: psycopg.Connection, schema: str | None, table: Table) -> None:
        self.driver = driver
        self.to = sql.Identifier(*filter(None, (schema, table.name)))
        self._table = replace(table, columns=(*table.columns, _COLUMN))

    @contextlib.contextmanager
    def holding(self, records: pl.DataFrame, joined: Sequence[str] = ()) -> Iterator[Names]:
        """Hold records in a table for a while; yields names for statements: `own`, `to`, `number`, `fields`.

        Without a look at the fields by which the table is joined, the database reads all of the other one instead.
        """
        names: Names = {
            "own": _OWN,
            "to": self.to,
            "number": sql.Identifier(NUMBER),
            "fields": sql.SQL(", ").join(map(sql.Identifier, records.columns)),
        }
        self.run(_MAKE, names)
        copy_in(self.driver, records.with_row_index(NUMBER).cast({NUMBER: pl.Int64}), self._table, _OWN)
        if joined:
            self.run("ANALYZE {own} ({joined})", {**names, "joined": sql.SQL(", ").join(map(sql.Identifier, joined))})
        yield names
        self.run("DROP TABLE {own}", names)

    def run(self, statement: str, names: Names) -> psycopg.Cursor[Any]:
        """Run a statement in which names stand."""
        return self.driver.execute(sql.SQL(statement).format(**names))

    def rows(self, statement: str, names: Names) -> Sequence[Any]:
        """Return what a statement gives."""
        return self.run(statement, names).fetchall()
