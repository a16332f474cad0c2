"""Reading the result of a query by COPY in PostgreSQL's binary format."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import psycopg
import sqlalchemy as sa
from psycopg import errors

from connectors.builtin.database_flavor import Fetched
from connectors.builtin.database_types import Column, Decoded
from connectors.builtin.postgresql_unpack import (
    ENDS,
    Cells,
    NotPlainError,
    column_of_cells,
    is_read_as_number,
    text,
    unpack,
)
from rules.schema import FieldType

_PLACES = {"bigint", "integer", "smallint"}
_FORM = "(FORMAT binary)"
_NOTHING: Any = b""
_END_SIZES = set(map(len, ENDS))
_NO_COPY = "syncline no copy"
"""Noted of a connection to a server that speaks PostgreSQL's protocol, but does not know this kind of COPY."""


def copied(
    connection: sa.Connection, statement: sa.Select[Any], columns: Sequence[Column], places: Sequence[Column]
) -> Fetched | None:
    """Return what a query gives, or None if it has to be read as texts.

    Args:
        connection: Where to ask.
        statement: Selects the columns and then the places, each by `Flavor.wire`.
        columns: The columns that become fields.
        places: The columns that say where the last row is.
    """
    if _NO_COPY in connection.info or not all(_is_place(column) for column in places):
        return None
    selected = list(statement.selected_columns)
    wanted = [_selected(*pair) for pair in zip(columns, selected, strict=False)]
    try:
        cells = unpack(
            _messages(connection, statement.with_only_columns(*wanted, *selected[len(columns) :])), len(selected)
        )
        typed = tuple(Decoded(column_of_cells(*pair)) for pair in zip(cells, columns, strict=False))
        last = [_last(cell, column) for cell, column in zip(cells[len(columns) :], places, strict=True)]
    except NotPlainError:
        return None
    except (errors.FeatureNotSupported, errors.SyntaxError):
        connection.info[_NO_COPY] = True
        connection.connection.rollback()
        return None
    return Fetched(typed, len(cells[0].at), last)


def _selected(column: Column, wire: sa.ColumnElement[Any]) -> sa.ColumnElement[Any]:
    """Select a number in its own form; the form on the wire is that of a text, bytes, or here of 8 bytes."""
    own: sa.ColumnElement[Any] = sa.column(column.name)
    if is_read_as_number(column):
        return own.label(wire.key)
    if column.field.type is FieldType.INTEGER:
        return sa.cast(own, sa.BigInteger).label(wire.key)
    if column.field.type is FieldType.FLOAT:  # a single float stands for its shortest text
        return sa.cast(sa.cast(own, sa.Text), sa.Double).label(wire.key)
    return wire


def _messages(connection: sa.Connection, statement: sa.Select[Any]) -> list[Any]:
    compiled = statement.compile(dialect=connection.dialect, compile_kwargs={"render_postcompile": True})
    driver: psycopg.Connection = connection.connection.driver_connection  # type: ignore[assignment]
    query = f"COPY ({compiled}) TO STDOUT {_FORM}".encode()
    with driver.cursor() as cursor, cursor.copy(query, compiled.params) as copy:
        received = list(_received(driver, copy))
        while copy.read():
            pass
    return received


def _received(driver: psycopg.Connection, copy: psycopg.Copy) -> Any:
    """Yield what is there at once straight from libpq, since each wait costs as much as some rows; up to the tail."""
    take, message = driver.pgconn.get_copy_data, _NOTHING
    while True:
        size, message = take(1)
        if size < 0:
            raise _broken(driver)
        if not size and not (message := copy.read()):
            return
        yield message
        if len(message) in _END_SIZES and bytes(message) in ENDS:
            return


def _broken(driver: psycopg.Connection) -> psycopg.Error:
    """Return the error by which the server ended a COPY before its tail."""
    result = driver.pgconn.get_result()
    while driver.pgconn.get_result():
        pass
    assert result is not None  # noqa: S101 - what ends a COPY has a result
    return errors.error_from_result(result)


def _is_place(column: Column) -> bool:
    return column.native in _PLACES or column.field.type not in {
        FieldType.INTEGER,
        FieldType.FLOAT,
        FieldType.BOOLEAN,
        FieldType.BINARY,
    }


def _last(cells: Cells, column: Column) -> Any:
    """Return a field of the last row in its form on the wire."""
    if not len(cells.at) or cells.size[-1] < 0:
        return None
    only = Cells(cells.raw, cells.at[-1:], cells.size[-1:])
    return (
        int.from_bytes(only.raw[only.at[0] : only.at[0] + only.size[0]], signed=True)
        if column.native in _PLACES
        else text(only)[0]
    )
