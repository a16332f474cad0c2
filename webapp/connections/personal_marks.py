"""Which fields of the objects of connections are about a person, as admins mark them.

Marks count by the names of connection and object, and stay when the connection is deleted: runs, cases and the log
still show records of it.
"""

from __future__ import annotations

from collections.abc import Collection
from weakref import WeakKeyDictionary

import sqlalchemy as sa

from rules.text import msg
from webapp.audit.services import Event, Subject, record
from webapp.audit.tags import Tag
from webapp.connections.models import connection_personal
from webapp.extensions import Actor, House
from webapp.policies.errors import NotPermitted

LONGEST_NAME = 500


_seen: WeakKeyDictionary[sa.Connection, dict[tuple[str, str], frozenset[str]]] = WeakKeyDictionary()
"""What a reading transaction has asked for: a page of events asks for the same objects again and again."""


def marked(tx: sa.Connection, connection: str, object_name: str) -> frozenset[str]:
    """Return the fields of an object that are marked as personal."""
    if tx.get_execution_options().get("syncline_write"):
        return _marked(tx, connection, object_name)
    seen, place = _seen.setdefault(tx, {}), (connection, object_name)
    if place not in seen:
        seen[place] = _marked(tx, *place)
    return seen[place]


def places(tx: sa.Connection, connection: str) -> frozenset[str]:
    """Return the objects of a connection that have marked fields."""
    table = connection_personal
    return frozenset(tx.scalars(sa.select(table.c.object).where(table.c.connection == connection)))


def _marked(tx: sa.Connection, connection: str, object_name: str) -> frozenset[str]:
    table = connection_personal
    mine = (table.c.connection == connection, table.c.object == object_name)
    return frozenset(tx.scalars(sa.select(table.c.field).where(*mine)))


def mark(house: House, place: tuple[str, str], fields: Collection[str], actor: Actor, *, withheld: bool) -> None:
    """Say which fields of an object are personal, and that no others are.

    Args:
        house: The house.
        place: A connection and an object.
        fields: The personal ones.
        actor: Who says so.
        withheld: Whether a role withholds personal data from who says so.

    Raises:
        NotPermitted: It does; whoever takes a mark away would see what it withholds.
    """
    table, (connection, object_name) = connection_personal, place
    wanted = {name for name in fields if 0 < len(name) <= LONGEST_NAME}
    with house.db.begin() as tx:
        before = marked(tx, connection, object_name)
        if wanted == before:
            return
        if withheld:
            raise NotPermitted(msg("A role of yours withholds personal data, so you cannot say what is personal."))
        mine = (table.c.connection == connection, table.c.object == object_name)
        tx.execute(sa.delete(table).where(*mine))
        for name in sorted(wanted):
            tx.execute(sa.insert(table).values(connection=connection, object=object_name, field=name))
        old, new = ({"object": object_name, "personal": sorted(names)} for names in (before, wanted))
        event = Event(Tag.PERSONAL_MARKED, Subject("connection", connection), old, new)
        record(tx, actor, house.clock(), event)
