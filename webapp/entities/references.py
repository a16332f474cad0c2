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
from webapp.entities.models import entity_file
from webapp.entities.refusals import Refusal, refuse

Update = Callable[[sa.Connection, Entity, pl.DataFrame, Author], Any]


def violations(tx: sa.Connection, entity: Entity, frame: pl.DataFrame, names: Sequence[str]) -> list[Refusal]:
    """Return the rows that point to a record which does not exist."""
    refusals: list[Refusal] = []
    for field in entity.fields:
        if field.kind not in (Kind.REFERENCE, Kind.FILE) or field.name not in names:
            continue
        values = frame[field.name]
        if field.kind is Kind.FILE:
            refusals += _files(tx, field, values)
            continue
        wanted = values.drop_nulls().unique().to_list()
        known = existing(tx, field.entity, wanted) if wanted else set()
        missing = ~values.is_in(sorted(known)) & values.is_not_null()
        refusals += refuse(
            missing, msg("There is no record with this number in '{entity}'.", entity=field.entity), field.name
        )
    return refusals


def _files(tx: sa.Connection, field: EntityField, values: pl.Series) -> list[Refusal]:
    digests = values.str.head(64)
    wanted = digests.drop_nulls().unique().to_list()
    if not wanted:
        return []
    known = list(tx.scalars(sa.select(entity_file.c.digest).where(bulk.among(tx, entity_file.c.digest, wanted))))
    return refuse(
        ~digests.is_in(known) & digests.is_not_null(), msg("This file is not stored; upload it first."), field.name
    )


def existing(tx: sa.Connection, name: str, ids: Sequence[int]) -> set[int]:
    """Return which of the ids exist in an entity."""
    try:
        target = storage.table(tx, storage.current(tx, name))
    except storage.NoEntity:
        return set()
    return set(tx.scalars(sa.select(target.c.id).where(bulk.among(tx, target.c.id, ids))))


def pointing_at(tx: sa.Connection, name: str) -> Iterator[tuple[Entity, EntityField]]:
    """Yield the reference fields of all entities that point to entity `name`."""
    for entity in storage.every(tx):
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
