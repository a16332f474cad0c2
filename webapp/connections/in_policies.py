"""What pages of permissions and approvals ask about connections: their names, the objects known of them, the fields."""

from __future__ import annotations

from collections.abc import Sequence

import sqlalchemy as sa

from rules.schema import Schema
from webapp.approvals import hooks as approvals
from webapp.connections import personal_marks, store
from webapp.connections.models import connection_object
from webapp.connections.permitted import data_object
from webapp.policies import catalogue, hooks
from webapp.policies.catalogue import Named
from webapp.policies.objects import CONNECTION, EVERYTHING, DataObject, PolicyField

_MOST = 5_000
"""So many objects are listed; what is beyond them is found by its name."""


def register() -> None:
    """Answer what pages of permissions ask; once a process."""
    if _named not in catalogue.named:
        catalogue.named.append(_named)
    if _fields not in hooks.fields_of:
        hooks.fields_of.append(_fields)
    if _names not in approvals.connections:
        approvals.connections.append(_names)


def _names(tx: sa.Connection) -> list[str]:
    return [row.name for row in store.list_connections(tx)]


def _named(tx: sa.Connection) -> Sequence[Named]:
    objects: dict[str, list[str]] = {}
    for connection, name in store.known_objects(tx, _MOST):
        objects.setdefault(connection, []).append(name)
    found = []
    for row in store.list_connections(tx):
        if row.builtin:  # the hub: its objects are the entities
            continue
        title = row.title or row.name
        found.append(Named(DataObject.external(row.name, EVERYTHING).text, title))
        found += [Named(data_object(row.name, name).text, f"{title}: {name}") for name in objects.get(row.name, ())]
    return found


def _fields(tx: sa.Connection, data: DataObject) -> Sequence[PolicyField] | None:
    connection, _, name = data.name.partition("/")
    row = store.find_connection(tx, connection) if data.kind == CONNECTION and name else None
    if row is None:
        return None
    table = connection_object
    known = tx.scalar(sa.select(table.c.schema).where(table.c.connection_id == row.id, table.c.name == name))
    if known is None:
        return None
    schema = Schema.from_json(known)
    marks = personal_marks.marked(tx, connection, name)
    keys = {*schema.key} - marks
    return [PolicyField(one.name, one.type, one.name in marks, one.name in keys) for one in schema.fields]
