"""Ids of records, given out in ranges before the insert, and how many records there are.

PostgreSQL: the table's identity sequence. SQLite: two counters in the entity's row, under its one write lock.
"""

from __future__ import annotations

from collections.abc import Sequence

import sqlalchemy as sa

from webapp.entities.model import Entity
from webapp.entities.models import entity as entity_table

ESTIMATED = 20_000
"""PostgreSQL's own estimate is told of tables with more records than this; smaller ones are counted."""


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
    return every(tx, [entity]).get(entity.name, (0, True))


def every(tx: sa.Connection, entities: Sequence[Entity]) -> dict[str, tuple[int, bool]]:
    """Return the same of many entities, by their names."""
    names = [entity.name for entity in entities]
    if tx.dialect.name == "sqlite":
        found = tx.execute(sa.select(entity_table.c.name, entity_table.c.records).where(entity_table.c.name.in_(names)))
        return {row.name: (row.records, True) for row in found}
    some = "SELECT to_regclass(name) FROM unnest(CAST(:names AS text[])) name"
    asked = sa.text(f"SELECT relname, reltuples::bigint FROM pg_class WHERE oid IN ({some})")  # noqa: S608 - of our own words
    tables = {entity.table_name: entity.name for entity in entities}
    estimates = {tables[name]: number for name, number in tx.execute(asked, {"names": [*tables]})}
    large = {name: (number, False) for name, number in estimates.items() if number > ESTIMATED}
    return large | _counted(tx, [entity for entity in entities if entity.name not in large])


def _counted(tx: sa.Connection, entities: Sequence[Entity]) -> dict[str, tuple[int, bool]]:
    if not entities:
        return {}
    number = sa.func.count().label("number")
    parts = [sa.select(sa.literal(e.name).label("name"), number).select_from(sa.table(e.table_name)) for e in entities]
    return {row.name: (row.number, True) for row in tx.execute(sa.union_all(*parts))}
