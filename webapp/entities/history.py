"""The history of records: the changed fields before and after, in the transaction of the change."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import msgspec
import sqlalchemy as sa

from rules.schema import FieldType
from webapp.entities import bulk, hooks
from webapp.entities.model import SYSTEM_NAMES, Entity
from webapp.entities.models import entity_history
from webapp.entities.permitted import Permit
from webapp.entities.sealed import owner_of
from webapp.entities.values import BadValue, from_plain, to_plain
from webapp.extensions import Actor
from webapp.vault.at_rest import ring

_PLAIN = frozenset({FieldType.TEXT, FieldType.INTEGER, FieldType.BOOLEAN})
SIDES = ("before", "after")
SEALED = "$sealed"
"""Where an entry keeps what is encrypted; no field is called so."""
_encoder = msgspec.json.Encoder()


@dataclass(frozen=True)
class Author:
    """Who changes records, when, on which run's behalf, and what they are permitted (None: Syncline itself, all)."""

    actor: Actor
    at: datetime
    run_id: int | None = None
    permit: Permit | None = None


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
    places = list(zip(entries.ids, entries.versions, strict=True))
    columns: dict[str, Sequence[Any]] = {
        "entity": [entity.name] * count,
        "record_id": entries.ids,
        "version": entries.versions,
        "at": [author.at] * count,
        "actor_kind": [author.actor.kind] * count,
        "actor": [author.actor.name] * count,
        "run_id": [author.run_id] * count,
        **{side: texts(tx, entity, side, places, getattr(entries, side)) for side in SIDES},
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


def of_record(tx: sa.Connection, name: str, record_id: int, limit: int = 200) -> list[dict[str, Any]]:
    """Return what happened to a record, latest first; `shown` leaves out what may not be seen."""
    query = sa.select(entity_history).where(entity_history.c.entity == name, entity_history.c.record_id == record_id)
    latest = query.order_by(entity_history.c.version.desc(), entity_history.c.id.desc())
    return [opened(tx, row) for row in tx.execute(latest.limit(limit)).mappings()]


def opened(tx: sa.Connection, row: sa.RowMapping) -> dict[str, Any]:
    """Return an entry, selected as it is stored, with its encrypted values in clear."""
    found: dict[str, Any] = dict(row)
    for side in SIDES:
        values = found[side]
        if values and SEALED in values:
            token = values[SEALED]
            place = _place(row["record_id"], row["version"], side)
            hidden = json.loads(ring(tx.dialect).decrypt(owner_of(row["entity"]), token, place))
            found[side] = {**{name: value for name, value in values.items() if name != SEALED}, **hidden}
    return found


def texts(
    tx: sa.Connection,
    entity: Entity,
    side: str,
    places: Sequence[tuple[int, int]],
    values: Sequence[Mapping[str, Any] | None],
) -> list[str | None]:
    """Return one side of entries as it is stored: as JSON, with what is encrypted as one token.

    `places` are the records and versions that the entries belong to. Fields that the definition does not have (any
    more) may be encrypted ones under a former name, so they are, too, once a field of the entity is.
    """
    if entity.key:
        values = [_closed(tx, entity, _place(*place, side), held) for place, held in zip(places, values, strict=True)]
    return [None if value is None else _encoder.encode(value).decode() for value in values]


def _closed(tx: sa.Connection, entity: Entity, place: str, values: Mapping[str, Any] | None) -> Any:
    hidden = {name: value for name, value in (values or {}).items() if name not in entity.clear}
    if not hidden:
        return values
    text = _encoder.encode(hidden).decode()
    token = ring(tx.dialect).encrypt(owner_of(entity.name), entity.key, text, place)
    return {**{name: value for name, value in (values or {}).items() if name in entity.clear}, SEALED: token}


def _place(record: int, version: int, side: str) -> str:
    return f"history/{record}/{version}/{side}"


def shown(permit: Permit, entries: Iterable[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """Return a record's history as far as its values may be seen; changes of which nothing is seen are left out.

    Of a record that is deleted the last values decide whether it may be seen at all. A field that the definition no
    longer has may have been the one that is hidden now, under another name: it is shown only to who sees all.
    """
    held = [dict(entry) for entry in entries]
    if permit.unrestricted:
        return held
    if held and held[0]["after"] is None and not _last_seen(permit, held):
        return []
    told = [
        {**entry, "before": _veiled(permit, entry["before"]), "after": _veiled(permit, entry["after"])}
        for entry in held
    ]
    return [entry for entry in told if entry["before"] != {} or entry["after"] != {}]


def _veiled(permit: Permit, values: Mapping[str, Any] | None) -> dict[str, Any] | None:
    if values is None:
        return None
    known = {name: value for name, value in values.items() if name in permit.entity.schema}
    return {name: to_plain(None, value) for name, value in permit.shown(known).items()}


def _last_seen(permit: Permit, entries: Sequence[Mapping[str, Any]]) -> bool:
    """Tell whether a deleted record could be seen as it was last."""
    if permit.rows is None:
        return True
    last, first = entries[0], entries[-1]
    held = dict(last["before"] or {})
    try:
        stored = {name: from_plain(field, held.get(name)) for name, field in permit.entity.by_name.items()}
    except BadValue:
        return False
    stored |= {name: held.get(name) for name in permit.entity.data_names if name not in stored}
    made = {"created_at": first["at"], "created_by": first["actor"]} if first["before"] is None else {}
    system = {**dict.fromkeys(SYSTEM_NAMES), **made, "id": last["record_id"], "version": last["version"]}
    return permit.rights.sees({**stored, **system})


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
