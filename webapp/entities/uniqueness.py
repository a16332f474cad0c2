"""Unique fields: who breaks them is refused alone, before the database refuses the whole batch."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any, TypeVar

import polars as pl
import psycopg
import sqlalchemy as sa

from rules.text import msg
from webapp.entities import bulk, storage
from webapp.entities.model import Entity, EntityField
from webapp.entities.refusals import Refusal

T = TypeVar("T")
ATTEMPTS = 4


def violations(
    tx: sa.Connection, entity: Entity, frame: pl.DataFrame, refused: set[int], names: Sequence[str]
) -> list[Refusal]:
    """Return the rows whose unique value another record has, in the table or further up in the batch.

    Rows in `refused` do not count. The batch has every column; `names` are those that are being set.
    """
    found: list[Refusal] = []
    for field in entity.fields:
        if field.unique and (field.computed or {f.name for f in field.fields} & set(names)):
            found += _of_field(tx, entity, field, frame, refused | {r.row for r in found})
    return found


def guarded(tx: sa.Connection, write: Callable[[], T]) -> T:
    """Run `write` under a savepoint, again when another transaction took a unique value between check and write."""
    for attempt in range(ATTEMPTS):
        try:
            with tx.begin_nested():
                return write()
        except (sa.exc.IntegrityError, psycopg.errors.UniqueViolation):
            if attempt == ATTEMPTS - 1:
                raise
    raise AssertionError("unreachable")


def _of_field(
    tx: sa.Connection, entity: Entity, field: EntityField, frame: pl.DataFrame, refused: set[int]
) -> Iterator[Refusal]:
    columns = [f.name for f in field.fields]
    keys = list(zip(*(frame[c].to_list() for c in columns), strict=True))
    taken = _taken(tx, entity, columns, [k[0] for k in keys if k[0] is not None])
    ids = frame["id"].to_list()
    first: dict[tuple[Any, ...], int] = {}
    for row, key in enumerate(keys):
        if row in refused or key[0] is None:
            continue
        owner = taken.get(key)
        if owner is not None and owner != ids[row]:
            used = msg("The value '{value}' is already used by record {id}.", value=str(key[0]), id=owner)
            yield Refusal(row, used, field.name, veiled=msg("The value '{value}' is already used.", value=str(key[0])))
        elif key in first:
            yield Refusal(row, msg("The value '{value}' stands twice in this batch.", value=str(key[0])), field.name)
        else:
            first[key] = row


def _taken(
    tx: sa.Connection, entity: Entity, columns: Sequence[str], values: Sequence[Any]
) -> dict[tuple[Any, ...], int]:
    if not values:
        return {}
    table = storage.table(tx, entity)
    query = sa.select(*(table.c[c] for c in columns), table.c.id).where(bulk.among(tx, table.c[columns[0]], values))
    return {tuple(row[:-1]): row[-1] for row in tx.execute(query)}
