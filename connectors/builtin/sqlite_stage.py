"""Records as the bytes of a SQLite database of their own, which the connection to the real file then copies from.

Binding values one by one costs more than SQLite itself needs to store them, so a driver that takes whole columns makes
the table. It never opens the real file: two copies of the SQLite library in one process lose each other's locks on a
file (https://www.sqlite.org/howtocorrupt.html, section 2.2.1).
"""

from __future__ import annotations

import contextlib
import functools
import sqlite3
import tempfile
from pathlib import Path

import adbc_driver_sqlite.dbapi
import polars as pl

SCHEMA, TABLE = "syncline_stage", "records"
"""Where the records are found by the connection."""
# large pages that stay in memory until the end are written at once
_QUICK = (
    "PRAGMA page_size = 65536", "PRAGMA cache_size = -65536", "PRAGMA locking_mode = EXCLUSIVE",
    "PRAGMA journal_mode = OFF", "PRAGMA synchronous = OFF",
)  # fmt: skip


def prepare(connection: sqlite3.Connection) -> None:
    """Give a connection a place in memory for staged records."""
    connection.execute(f"ATTACH ':memory:' AS {SCHEMA}")


def put(connection: sqlite3.Connection, columns: list[pl.Series]) -> None:
    """Stage columns, named c0, c1 and so on, in the order of the rows."""
    connection.deserialize(_made(columns), name=SCHEMA)


def clear(connection: sqlite3.Connection) -> None:
    """Give the memory back."""
    connection.deserialize(_empty(), name=SCHEMA)


@functools.cache
def _empty() -> bytes:
    with contextlib.closing(sqlite3.connect(":memory:")) as connection:
        connection.execute(f"CREATE TABLE {TABLE} (c0)")
        return connection.serialize()


def _made(columns: list[pl.Series]) -> bytes:
    names = [f"c{number}" for number in range(len(columns))]
    frame = pl.DataFrame([values.alias(name) for name, values in zip(names, columns, strict=True)])
    with tempfile.TemporaryDirectory(prefix="syncline-") as folder:
        path = Path(folder) / "stage.db"
        with (
            adbc_driver_sqlite.dbapi.connect(str(path), autocommit=True) as connection,
            connection.cursor() as cursor,
        ):
            for statement in _QUICK:
                cursor.execute(statement)
            # without declared types each value stays what it is
            cursor.execute(f"CREATE TABLE {TABLE} ({', '.join(names)})")
            cursor.adbc_ingest(TABLE, frame.to_arrow(compat_level=pl.CompatLevel.oldest()), mode="append")
        return path.read_bytes()
