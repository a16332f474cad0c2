"""Tables for tests, made by plain SQL so that the connectors are not tested with themselves."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import polars as pl
import sqlalchemy as sa

from rules.schema import FieldType, Schema


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


def run(url: str, *statements: str) -> None:
    """Run statements in one transaction."""
    engine = sa.create_engine(url, poolclass=sa.NullPool)
    with engine.begin() as connection:
        for statement in statements:
            connection.exec_driver_sql(statement)
    engine.dispose()


def rows(url: str, statement: str) -> list[tuple[Any, ...]]:
    """Return what a query finds."""
    engine = sa.create_engine(url, poolclass=sa.NullPool)
    with engine.begin() as connection:
        found = [tuple(row) for row in connection.exec_driver_sql(statement)]
    engine.dispose()
    return found


def fill(
    url: str, name: str, schema: Schema, records: pl.DataFrame, types: Mapping[FieldType, str], title: str = "varchar(40)"
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
