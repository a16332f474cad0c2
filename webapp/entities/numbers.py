"""Ids of records, given out in ranges before the insert, and how many records there are.

PostgreSQL: the table's identity sequence. SQLite: two counters in the entity's row, under its one write lock.
"""

from __future__ import annotations

import sqlalchemy as sa

from webapp.entities.model import Entity
from webapp.entities.models import entity as entity_table


def take(tx: sa.Connection, entity: Entity, count: int) -> list[int]:
    """Return `count` new ids, ascending, and count the records that will bear them."""
    if not count:
        return []
    if tx.dialect.name == "postgresql":
        query = sa.text("SELECT nextval(pg_get_serial_sequence(:name, 'id')) FROM generate_series(1, :count)")
        return sorted(tx.scalars(query, {"name": entity.table_name, "count": count}))
    last = tx.scalar(
        sa.update(entity_table)
        .where(entity_table.c.name == entity.name)
        .values(last_id=entity_table.c.last_id + count, records=entity_table.c.records + count)
        .returning(entity_table.c.last_id)
    )
    assert last is not None  # noqa: S101 - the entity was read in this transaction
    return list(range(last - count + 1, last + 1))


def returned(tx: sa.Connection, entity: Entity, count: int) -> None:
    """Note that records are gone."""
    if tx.dialect.name == "sqlite":
        gone = sa.update(entity_table).where(entity_table.c.name == entity.name)
        tx.execute(gone.values(records=entity_table.c.records - count))


def records(tx: sa.Connection, entity: Entity) -> tuple[int, bool]:
    """Return how many records there are, and whether that is exact (PostgreSQL: its own estimate where large)."""
    if tx.dialect.name == "sqlite":
        return tx.scalar(sa.select(entity_table.c.records).where(entity_table.c.name == entity.name)) or 0, True
    estimate = tx.scalar(
        sa.text("SELECT reltuples::bigint FROM pg_class WHERE oid = to_regclass(:name)"), {"name": entity.table_name}
    )
    if estimate is not None and estimate > 20_000:
        return estimate, False
    return tx.scalar(sa.select(sa.func.count()).select_from(sa.table(entity.table_name))) or 0, True
