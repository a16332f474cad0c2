"""References between entities: they point to records that exist, and a record goes only if nobody needs it."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any

import polars as pl
import sqlalchemy as sa

from rules.text import msg
from webapp.entities import bulk, storage
from webapp.entities.history import Author
from webapp.entities.model import Entity, EntityField, Kind
from webapp.entities.models import entity as entity_table
from webapp.entities.refusals import Refusal, refuse

Update = Callable[[sa.Connection, Entity, pl.DataFrame, Author], Any]


def violations(tx: sa.Connection, entity: Entity, frame: pl.DataFrame, names: Sequence[str]) -> list[Refusal]:
    """Return the rows that point to a record which does not exist."""
    refusals: list[Refusal] = []
    for field in entity.fields:
        if field.kind is not Kind.REFERENCE or field.name not in names:
            continue
        values = frame[field.name]
        wanted = values.drop_nulls().unique().to_list()
        known = existing(tx, field.entity, wanted) if wanted else set()
        missing = ~values.is_in(sorted(known)) & values.is_not_null()
        refusals += refuse(
            missing, msg("There is no record with this number in '{entity}'.", entity=field.entity), field.name
        )
    return refusals


def existing(tx: sa.Connection, name: str, ids: Sequence[int]) -> set[int]:
    """Return which of the ids exist in an entity."""
    try:
        target = storage.table(tx, storage.current(tx, name))
    except storage.NoEntity:
        return set()
    return set(tx.scalars(sa.select(target.c.id).where(bulk.among(tx, target.c.id, ids))))


def pointing_at(tx: sa.Connection, name: str) -> Iterator[tuple[Entity, EntityField]]:
    """Yield the reference fields of all entities that point to entity `name`."""
    for other in list(
        tx.scalars(sa.select(entity_table.c.name).where(entity_table.c.state == "active").order_by(entity_table.c.name))
    ):
        entity = storage.current(tx, other)
        yield from ((entity, f) for f in entity.fields if f.kind is Kind.REFERENCE and f.entity == name)


def release(
    tx: sa.Connection, entity: Entity, ids: Sequence[int], author: Author, rows: Sequence[int], update: Update
) -> list[Refusal]:
    """Empty or respect what points to the records `ids`; return refusals by the row in `rows`."""
    refusals: list[Refusal] = []
    if not ids:
        return refusals
    place = {record: row for row, record in enumerate(rows)}
    pointing = list(pointing_at(tx, entity.name))
    kept: set[int] = set()
    for other, field in (p for p in pointing if p[1].on_delete == "restrict"):
        for target, source in _pointers(tx, other, field, ids):
            leaving = other.name == entity.name and source in place
            if not leaving and target not in kept:
                kept.add(target)
                sentence = msg(
                    "Record {id} of '{entity}' points to it. Change or delete that one first.",
                    id=source,
                    entity=other.name,
                )
                refusals.append(Refusal(place[target], sentence))
    for other, field in (p for p in pointing if p[1].on_delete == "clear"):
        sources = [s for t, s in _pointers(tx, other, field, [i for i in ids if i not in kept])]
        if sources:
            _clear(tx, other, field, sources, author, update)
    return refusals


def _clear(
    tx: sa.Connection, other: Entity, field: EntityField, sources: Sequence[int], author: Author, update: Update
) -> None:
    update(
        tx,
        other,
        pl.DataFrame({"id": sources, field.name: [None] * len(sources)}, schema={"id": pl.Int64, field.name: pl.Int64}),
        author,
    )


def _pointers(tx: sa.Connection, other: Entity, field: EntityField, ids: Sequence[int]) -> list[tuple[int, int]]:
    if not ids:
        return []
    table = storage.table(tx, other)
    column = table.c[field.name]
    return [(row[0], row[1]) for row in tx.execute(sa.select(column, table.c.id).where(bulk.among(tx, column, ids)))]
