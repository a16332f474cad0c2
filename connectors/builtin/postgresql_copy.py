"""Reading the result of a query by COPY in PostgreSQL's binary format."""

from __future__ import annotations

import itertools
import selectors
from collections.abc import Sequence
from typing import Any

import polars as pl
import psycopg
import sqlalchemy as sa
from psycopg import errors

from connectors.builtin.database_cells import PADDING, Cells, NotPlainError, text
from connectors.builtin.database_flavor import Fetched
from connectors.builtin.database_types import Column, Decoded
from connectors.builtin.postgresql_pack import HEAD, TAIL
from connectors.builtin.postgresql_unpack import JSONB, column_of_cells, held, is_read_as_number, unpack
from connectors.builtin.postgresql_wire import remember
from rules.schema import FieldType

_PLACES = {"bigint", "integer", "smallint"}
_FORM = "(FORMAT binary)"
_ENDS = {TAIL, HEAD + TAIL}
"""The last message, of some rows and of none."""
_END_SIZES = set(map(len, _ENDS))
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
    apart = [place for place in places if not _is_sent(place, columns)]
    behind = (s for s, place in zip(selected[len(columns) :], places, strict=True) if place in apart)
    try:
        raw, sizes = _received(connection, statement.with_only_columns(*wanted, *behind))
        if not sizes:
            return Fetched(tuple(Decoded(pl.Series(c.name, [], c.field.dtype)) for c in columns), 0)
        sent = [*columns, *apart]
        cells = unpack(raw, sizes, [held(column) for column in sent])
        typed = tuple(Decoded(column_of_cells(*pair)) for pair in zip(cells, columns, strict=False))
        last = [_last(cells[sent.index(p, len(columns) if p in apart else 0)], p) for p in places]
        remember(memoryview(raw)[len(HEAD) : -len(PADDING)], sent, [column.values for column in typed])
    except NotPlainError:
        return None
    except (errors.FeatureNotSupported, errors.SyntaxError):
        connection.info[_NO_COPY] = True
        connection.connection.rollback()
        return None
    return Fetched(typed, len(cells[0].at), last)


def _selected(column: Column, wire: sa.ColumnElement[Any]) -> sa.ColumnElement[Any]:
    """Select a number in its own form; the form on the wire is that of a text, bytes, or here of 8 bytes."""
    if column.made is not None:
        return wire
    own: sa.ColumnElement[Any] = sa.column(column.name)
    if is_read_as_number(column) or column.native == JSONB:
        return own.label(wire.key)
    if column.field.type is FieldType.INTEGER:
        return sa.cast(own, sa.BigInteger).label(wire.key)
    if column.field.type is FieldType.FLOAT:  # a single float stands for its shortest text
        return sa.cast(sa.cast(own, sa.Text), sa.Double).label(wire.key)
    return wire


def _received(connection: sa.Connection, statement: sa.Select[Any]) -> tuple[bytearray, list[int]]:
    """Return the bytes of a COPY and the length of each row; the first one's includes the header's."""
    compiled = statement.compile(dialect=connection.dialect, compile_kwargs={"render_postcompile": True})
    driver: psycopg.Connection = connection.connection.driver_connection  # type: ignore[assignment]
    query = f"COPY ({compiled}) TO STDOUT {_FORM}".encode()
    with driver.cursor() as cursor, cursor.copy(query, compiled.params) as copy:
        raw, sizes = _rows(driver)
        while copy.read():
            pass
    raw += PADDING
    return raw, sizes


def _rows(driver: psycopg.Connection) -> tuple[bytearray, list[int]]:
    """Take rows straight from libpq up to the tail, each added to one buffer at once: keeping them costs far more."""
    raw, sizes, consume = bytearray(), list[int](), driver.pgconn.consume_input
    with selectors.DefaultSelector() as waiting:
        waiting.register(driver.pgconn.socket, selectors.EVENT_READ)
        for size, message in map(driver.pgconn.get_copy_data, itertools.repeat(1)):
            if size > 0:
                if size in _END_SIZES and bytes(message) in _ENDS:
                    return raw, sizes
                raw += message
                sizes.append(size)
            elif size == 0:
                waiting.select()
                consume()
            else:
                break
    raise _broken(driver)


def _broken(driver: psycopg.Connection) -> psycopg.Error:
    """Return the error by which the server ended a COPY before its tail."""
    result = driver.pgconn.get_result()
    while driver.pgconn.get_result():
        pass
    assert result is not None  # noqa: S101 - what ends a COPY has a result
    return errors.error_from_result(result)


def _is_sent(place: Column, columns: Sequence[Column]) -> bool:
    """Tell whether a place is one of the columns as well, and has the same form as one of these."""
    return place.native in _PLACES and place in columns


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
    only = Cells(cells.raw, cells.at[-1:], cells.size[-1:], cells.held[-1:], cells.lead)
    return (
        int.from_bytes(only.raw[only.at[0] : only.at[0] + only.size[0]], signed=True)
        if column.native in _PLACES
        else text(only)[0]
    )
