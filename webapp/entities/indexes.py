"""Indexes of large PostgreSQL tables, built beside the readers and writers (CREATE INDEX CONCURRENTLY)."""

from __future__ import annotations

import sqlalchemy as sa

from webapp.entities import numbers, storage
from webapp.entities.model import Entity
from webapp.extensions import House

LARGE = 100_000
"""From this many records on, plain indexes come after the transaction of the definition."""


def waits(tx: sa.Connection, entity: Entity) -> bool:
    """Tell whether the entity's plain indexes are built after the transaction."""
    return tx.dialect.name == "postgresql" and numbers.records(tx, entity)[0] >= LARGE


def missing(tx: sa.Connection, entity: Entity) -> list[str]:
    """Return the names of indexes that the definition wants and the table lacks (or has only half built)."""
    have = {i["name"] for i in sa.inspect(tx).get_indexes(entity.table_name)}
    half = set(
        tx.scalars(
            sa.text("SELECT c.relname FROM pg_index i JOIN pg_class c ON c.oid = i.indexrelid WHERE NOT i.indisvalid")
        )
    )
    wanted = [str(i.name) for i in storage.stored(tx, entity).indexes]
    return [name for name in wanted if name not in have or name in half]


def build(house: House, name: str) -> list[str]:
    """Build what is missing and return the names; safe to call at any time and again after a crash."""
    if house.db.is_sqlite:
        return []
    with house.db.engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
        entity = storage.current(connection, name)
        names = missing(connection, entity)
        table = storage.build_stored(entity, "postgresql")
        for index in [i for i in table.indexes if i.name in names]:
            connection.exec_driver_sql(f'DROP INDEX CONCURRENTLY IF EXISTS "{index.name}"')
            index.dialect_options["postgresql"]["concurrently"] = True
            connection.execute(sa.schema.CreateIndex(index))
            index.dialect_options["postgresql"]["concurrently"] = False
        return names
