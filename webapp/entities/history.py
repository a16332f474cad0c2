"""The history of records: the changed fields before and after, in the transaction of the change."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import msgspec
import sqlalchemy as sa

from rules.schema import FieldType
from webapp.entities import bulk, hooks
from webapp.entities.model import Entity
from webapp.entities.models import entity_history
from webapp.entities.values import to_plain
from webapp.extensions import Actor

_PLAIN = frozenset({FieldType.TEXT, FieldType.INTEGER, FieldType.BOOLEAN})
_encoder = msgspec.json.Encoder()


@dataclass(frozen=True)
class Author:
    """Who changes records, when, and on which run's behalf."""

    actor: Actor
    at: datetime
    run_id: int | None = None


@dataclass(frozen=True)
class Entries:
    """What happened to a batch of records: ids, new versions, and the changed fields of each before and after."""

    ids: Sequence[int]
    versions: Sequence[int]
    before: Sequence[Mapping[str, Any] | None]
    after: Sequence[Mapping[str, Any] | None]


def write(tx: sa.Connection, entity: Entity, entries: Entries, author: Author) -> None:
    """Append the entries."""
    count = len(entries.ids)
    columns: dict[str, Sequence[Any]] = {
        "entity": [entity.name] * count,
        "record_id": entries.ids,
        "version": entries.versions,
        "at": [author.at] * count,
        "actor_kind": [author.actor.kind] * count,
        "actor": [author.actor.name] * count,
        "run_id": [author.run_id] * count,
        "before": _texts(entries.before),
        "after": _texts(entries.after),
    }
    bulk.insert(tx, entity_history, columns)
    for tell in hooks.changed:
        tell(tx, _changed(entity, entries, author))


def _changed(entity: Entity, entries: Entries, author: Author) -> hooks.Changed:
    deed = "updated"
    if entries.ids and (entries.before[0] is None or entries.after[0] is None):
        deed = "created" if entries.before[0] is None else "deleted"
    values = (entries.ids, entries.versions, entries.before, entries.after)
    return hooks.Changed(entity.name, deed, *values, author.actor, author.at)


def of_record(tx: sa.Connection, name: str, record_id: int, limit: int = 200) -> list[sa.RowMapping]:
    """Return what happened to a record, latest first."""
    query = sa.select(entity_history).where(entity_history.c.entity == name, entity_history.c.record_id == record_id)
    return list(
        tx.execute(query.order_by(entity_history.c.version.desc(), entity_history.c.id.desc()).limit(limit)).mappings()
    )


def plain_columns(entity: Entity, columns: Mapping[str, Sequence[Any]]) -> dict[str, Sequence[Any]]:
    """Return the columns with values as JSON holds them."""
    plain: dict[str, Sequence[Any]] = {}
    for name, values in columns.items():
        field = entity.owner_of.get(name)
        if entity.schema[name].type in _PLAIN:
            plain[name] = values
        else:
            owner = field if field and field.name == name else None
            plain[name] = [to_plain(owner, v) for v in values]
    return plain


def whole(entity: Entity, columns: Mapping[str, Sequence[Any]]) -> list[dict[str, Any]]:
    """Return, for each record, its fields that have a value."""
    plain = plain_columns(entity, columns)
    names = list(plain)
    return [
        {n: v for n, v in zip(names, row, strict=True) if v is not None} for row in zip(*plain.values(), strict=True)
    ]


def _texts(values: Sequence[Mapping[str, Any] | None]) -> list[str | None]:
    return [None if value is None else _encoder.encode(value).decode() for value in values]
