"""References between entities: they point to records that exist, and a record goes only if nobody needs it."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from typing import Any

import polars as pl
import sqlalchemy as sa

from rules.text import Message, msg
from webapp.access.roles import READ
from webapp.entities import bulk, storage
from webapp.entities.history import Author
from webapp.entities.model import Entity, EntityField, Kind
from webapp.entities.models import entity_file
from webapp.entities.permitted import Permit
from webapp.entities.refusals import Refusal, refuse

Update = Callable[[sa.Connection, Entity, pl.DataFrame, Author], Any]


def violations(
    tx: sa.Connection,
    entity: Entity,
    frame: pl.DataFrame,
    names: Sequence[str],
    permit: Permit | None = None,
    before: pl.DataFrame | None = None,
) -> list[Refusal]:
    """Return the rows that point to a record which does not exist, or newly to one that the writer may not see."""
    refusals: list[Refusal] = []
    for field in entity.fields:
        if field.kind not in (Kind.REFERENCE, Kind.FILE) or field.name not in names:
            continue
        values = frame[field.name]
        if field.kind is Kind.FILE:
            refusals += _files(tx, field, values)
            continue
        missing = ~values.is_in(_known(tx, field, values, None)) & values.is_not_null()
        if permit is not None:
            moved = values.ne_missing(before[field.name]) if before is not None else values.is_not_null()
            missing |= moved & values.is_not_null() & ~values.is_in(_known(tx, field, values, permit))
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


def _known(tx: sa.Connection, field: EntityField, values: pl.Series, permit: Permit | None) -> list[int]:
    wanted = values.drop_nulls().unique().to_list()
    return sorted(existing(tx, field.entity, wanted, permit)) if wanted else []


def existing(tx: sa.Connection, name: str, ids: Sequence[int], permit: Permit | None = None) -> set[int]:
    """Return which of the ids exist in an entity, with `permit` only those that the same person may see."""
    try:
        other = storage.current(tx, name)
    except storage.NoEntity:
        return set()
    target = storage.table(tx, other)
    query = sa.select(target.c.id).where(bulk.among(tx, target.c.id, ids))
    if permit is not None:
        theirs = permit.of(tx, other)
        if not theirs.may(READ):
            return set()
        query = query if theirs.rows is None else query.where(theirs.rows)
    return set(tx.scalars(query))


def pointing_at(tx: sa.Connection, name: str) -> Iterator[tuple[Entity, EntityField]]:
    """Yield the reference fields of all entities that point to entity `name`."""
    for entity in storage.every(tx):
        yield from ((entity, f) for f in entity.fields if f.kind is Kind.REFERENCE and f.entity == name)


def release(
    tx: sa.Connection, entity: Entity, ids: Sequence[int], author: Author, rows: Sequence[int], update: Update
) -> list[Refusal]:
    """Empty or respect what points to the records `ids`; return refusals by the row in `rows`."""
    if not ids:
        return []
    place = {record: row for row, record in reversed(list(enumerate(rows)))}
    pointing = list(pointing_at(tx, entity.name))
    held = [
        (target, other, source)
        for other, field in pointing
        if field.on_delete == "restrict"
        for target, source in _pointers(tx, other, field, ids)
    ]
    kept = _kept(entity, held, set(ids))
    refusals = [Refusal(place[target], _pointed(tx, kept[target], author)) for target in kept]
    for other, field in (p for p in pointing if p[1].on_delete == "clear"):
        sources = [s for t, s in _pointers(tx, other, field, [i for i in ids if i not in kept])]
        if sources:
            _clear(tx, other, field, sources, replace(author, permit=None), update)
    return refusals


def _kept(entity: Entity, held: Sequence[tuple[int, Entity, int]], leaving: set[int]) -> dict[int, tuple[Entity, int]]:
    """Return the records that stay, with one that points to each: it does not leave, or stays for the same reason."""
    kept: dict[int, tuple[Entity, int]] = {}
    while True:
        before = len(kept)
        for target, other, source in held:
            goes = other.name == entity.name and source in leaving and source not in kept
            if not goes and target not in kept:
                kept[target] = (other, source)
        if len(kept) == before:
            return kept


def _pointed(tx: sa.Connection, pointer: tuple[Entity, int], author: Author) -> Message:
    """Return which record points to the one that shall go, to those who may see all of them."""
    other, source = pointer
    if author.permit is not None and not author.permit.of(tx, other).unrestricted:
        return msg("Another record points to it. Ask who may see that one to change it first.")
    return msg("Record {id} of '{entity}' points to it. Change or delete that one first.", id=source, entity=other.name)


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
