"""What pages of permissions ask about entities: which there are, their fields, their records."""

from __future__ import annotations

from collections.abc import Sequence

import sqlalchemy as sa

from webapp.connections import permitted as connected
from webapp.entities import listing, services, storage
from webapp.entities.model import Entity
from webapp.entities.pages import entity_label
from webapp.entities.permitted import Permit, policy_fields
from webapp.policies import catalogue, hooks
from webapp.policies.catalogue import Counted, Found, Named
from webapp.policies.levels import Access
from webapp.policies.objects import ENTITY, DataObject, PolicyField
from webapp.policies.rights import Rights

_LARGEST = 2**63 - 1


def register() -> None:
    """Answer what pages of permissions ask; once a process."""
    if _named not in catalogue.named:
        catalogue.named.append(_named)
        catalogue.counts.append(_counted)
        catalogue.records.append(_record)
    if _fields not in hooks.fields_of:
        hooks.fields_of.append(_fields)
        connected.veils.append(_veiled)


def _named(tx: sa.Connection) -> Sequence[Named]:
    return [Named(DataObject.entity(one.name).text, entity_label(one)) for one in services.list_entities(tx)]


def _entity(tx: sa.Connection, data: DataObject) -> Entity | None:
    if data.kind != ENTITY:
        return None
    try:
        return storage.current(tx, data.name)
    except storage.NoEntity:
        return None


def _fields(tx: sa.Connection, data: DataObject) -> Sequence[PolicyField] | None:
    entity = _entity(tx, data)
    return None if entity is None else policy_fields(entity)


def _veiled(tx: sa.Connection, rights: Rights) -> Sequence[str]:
    """Return the columns that are hidden because of what they are worked out from, or belong to."""
    entity = _entity(tx, rights.data)
    access = {} if entity is None else Permit(entity, rights, tx.dialect.name).access
    return [name for name, found in access.items() if found is Access.HIDE]


def _counted(tx: sa.Connection, rights: Rights) -> Counted | None:
    entity = _entity(tx, rights.data)
    if entity is None:
        return None
    table = storage.table(tx, entity)
    columns = {name: table.c[name] for name in entity.schema.names}
    rows = rights.where(columns, tx.dialect.name == "sqlite")
    number = sa.select(sa.func.count()).select_from(table)
    records = tx.scalar(number) or 0
    return Counted(records if rows is None else tx.scalar(number.where(rows)) or 0, records)


def _record(tx: sa.Connection, data: DataObject, key: str) -> Found | None:
    entity, digits = _entity(tx, data), key.strip().removeprefix("#")
    if entity is None or not (digits.isascii() and digits.isdecimal()) or int(digits) > _LARGEST:
        return None
    try:
        values = services.get_record(tx, entity, int(digits))
    except services.NoRecord:
        return None
    return Found(values, listing.title(entity, values), f"/records/{entity.name}/{digits}")
