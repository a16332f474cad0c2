"""Rows of whole numbers only (keys and digests): the server puts them together, so that no row costs a message."""

from __future__ import annotations

from collections.abc import Sequence
from functools import reduce
from typing import Any

import numpy as np
import polars as pl
import psycopg
import sqlalchemy as sa

from connectors.builtin.database_flavor import Fetched
from connectors.builtin.database_types import Column, Decoded

_WHOLE = {"bigint", "integer", "smallint"}


def numbers(
    connection: sa.Connection, statement: sa.Select[Any], columns: Sequence[Column], places: Sequence[Column]
) -> Fetched | None:
    """Return what a query gives of whole numbers without nulls, in its order; None where it has other columns.

    Args:
        connection: Where to ask.
        statement: Selects the columns and then the places.
        columns: The columns that become fields.
        places: The columns that say where the last row is.
    """
    width = len(columns)
    if len(places) > 1 or not all(
        column.native in _WHOLE and not column.field.nullable for column in (*columns, *places)
    ):
        return None
    rows = statement.subquery("numbers")
    sent: list[sa.ColumnElement[Any]] = [sa.func.int8send(sa.cast(value, sa.BigInteger)) for value in rows.c]
    row = reduce(_behind, sent[1:], sent[0])
    packed = sa.select(sa.func.string_agg(row, sa.text("''::bytea")))
    compiled = packed.compile(dialect=connection.dialect, compile_kwargs={"render_postcompile": True})
    driver: psycopg.Connection = connection.connection.driver_connection  # type: ignore[assignment]
    with driver.cursor(binary=True) as cursor:
        found = cursor.execute(str(compiled).encode(), compiled.params).fetchone()
    table = np.frombuffer((found and found[0]) or b"", ">i8").reshape(-1, width + len(places)).astype(np.int64)
    # an aggregate usually sees a sorted subquery in its order, as PostgreSQL's manual says; usually is not enough
    if places and (np.diff(table[:, width]) <= 0).any():
        return None
    fields = tuple(Decoded(pl.Series(column.name, table[:, at])) for at, column in enumerate(columns))
    return Fetched(fields, len(table), table[-1, width:].tolist() if len(table) else ())


def _behind(one: sa.ColumnElement[Any], other: sa.ColumnElement[Any]) -> sa.ColumnElement[Any]:
    return one.op("||")(other)
