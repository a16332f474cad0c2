"""Tables for tests, made by plain SQL so that the connectors are not tested with themselves."""

from __future__ import annotations

import random
import socket
from collections.abc import Iterator, Mapping
from typing import Any

import polars as pl
import sqlalchemy as sa

from connectors.spi import Connector, ReadRequest
from rules.schema import FieldType, Schema

_PIECES = [
    "a",
    "Z",
    "0",
    " ",
    "'",
    '"',
    "\\",
    "\\N",
    ",",
    ";",
    "\n",
    "\r",
    "\t",
    "%",
    ":x",
    "{",
    "}",
    "NULL",
    "ß",
    "客",
    "😀",
    "\x01",
]


def settings_of(url: str) -> dict[str, Any]:
    """Return the settings of a connection to the database of a URL."""
    parts = sa.make_url(url)
    return {
        "host": parts.host,
        "port": parts.port,
        "database": parts.database,
        "user": parts.username,
        "password": parts.password,
    }


def closed_port() -> int:
    """Return a port where nobody listens."""
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        return int(unused.getsockname()[1])


def run(url: str, *statements: str) -> None:
    """Run statements in one transaction."""
    engine = sa.create_engine(url, poolclass=sa.NullPool)
    with engine.begin() as connection:
        for statement in statements:
            connection.execute(sa.text(_escaped(statement)))
    engine.dispose()


def rows(url: str, statement: str) -> list[tuple[Any, ...]]:
    """Return what a query finds."""
    engine = sa.create_engine(url, poolclass=sa.NullPool)
    with engine.begin() as connection:
        found = [tuple(row) for row in connection.execute(sa.text(_escaped(statement)))]
    engine.dispose()
    return found


def everything(source: Connector, name: str) -> pl.DataFrame:
    """Return all records of an object."""
    return pl.concat([page.records for page in source.read(ReadRequest(name, source.schema(name)))])


def texts(length: int) -> Iterator[list[str | None]]:
    """Yield lists of nasty texts."""
    dice = random.Random(length)
    for _ in range(40):
        yield [
            None if dice.random() < 0.1 else "".join(dice.choices(_PIECES, k=dice.randrange(6))) for _ in range(length)
        ]


def fill(
    url: str,
    name: str,
    schema: Schema,
    records: pl.DataFrame,
    types: Mapping[FieldType, str],
    title: str = "varchar(40)",
) -> None:
    """Create a table with the schema's fields and insert records."""
    columns = [
        f"{field.name} {title if field.length else types[field.type]}{'' if field.nullable else ' NOT NULL'}"
        for field in schema.fields
    ]
    run(url, f"CREATE TABLE {name} ({', '.join(columns)}, PRIMARY KEY ({', '.join(schema.key)}))")
    table = sa.table(name, *[sa.column(field.name) for field in schema.fields])
    engine = sa.create_engine(url, poolclass=sa.NullPool)
    with engine.begin() as connection:
        for row in records.iter_rows(named=True):
            connection.execute(sa.insert(table).values(row))
    engine.dispose()


def promptly(url: str) -> None:
    """Let a PostgreSQL database write its log at once, as all do but those of tests: its readers wait for the disk."""
    run(url, f"ALTER DATABASE {sa.make_url(url).database} SET synchronous_commit = on")


def change(url: str, name: str, schema: Schema, records: pl.DataFrame, removed: pl.Series) -> None:
    """Update records by their key and delete others, in one transaction."""
    table = sa.table(name, *[sa.column(field.name) for field in schema.fields])
    key = table.c[schema.key[0]]
    engine = sa.create_engine(url, poolclass=sa.NullPool)
    with engine.begin() as connection:
        connection.execute(sa.delete(table).where(key.in_(removed.to_list())))
        for row in records.iter_rows(named=True):
            connection.execute(sa.update(table).where(key == row[key.name]).values(row))
    engine.dispose()


def _escaped(statement: str) -> str:
    return statement.replace(":", "\\:")
