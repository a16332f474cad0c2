"""What who asks may see of the objects of connections; entities are the objects of the hub.

Everything that shows records of connected systems asks here, with the connection and the object that they belong to.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from typing import TypeVar

import sqlalchemy as sa

from connectors.spi import Reject
from rules.schema import Field, Schema
from rules.text import msg
from webapp.connections.catalogue import HUB
from webapp.policies import services
from webapp.policies.levels import Access
from webapp.policies.objects import DataObject, PolicyField
from webapp.policies.rights import Rights
from webapp.policies.services import rights_of
from webapp.policies.who import Who, current_who

UNREADABLE = msg("It could not be read. You may not see its text, as you may not see all of such records.")

personal: list[Callable[[sa.Connection, str], Collection[str]]] = []
"""Each returns the personal fields of an entity; the entities hang in here."""
T = TypeVar("T")
_UNHEARD_OF = "\0"
_as: ContextVar[Who | None] = ContextVar("asked_by", default=None)


def asking() -> Who:
    """Return who asks: of the request, or for whom a command shows things; Syncline itself where nobody is told."""
    return _as.get() or current_who()


@contextmanager
def asked_by(who: Who) -> Iterator[None]:
    """Show everything as `who` may see it."""
    token = _as.set(who)
    try:
        yield
    finally:
        _as.reset(token)


def as_asked(lines: Iterable[T]) -> Iterator[T]:
    """Return what is made while it is sent, after its request is over, made for who asks now."""
    who, made = asking(), iter(lines)

    def each() -> Iterator[T]:
        while True:
            with asked_by(who):
                try:
                    line = next(made)
                except StopIteration:
                    return
            yield line

    return each()


def data_object(connection: str, object_name: str) -> DataObject:
    """Return what the records of an object belong to."""
    return DataObject.entity(object_name) if connection == HUB else DataObject.external(connection, object_name)


def rights_to(tx: sa.Connection, connection: str, object_name: str, schema: Schema, more: Iterable[str] = ()) -> Rights:
    """Return what who asks may do with the records of an object; `more` names fields that its schema may not have."""
    data, who = data_object(connection, object_name), asking()
    if who.system:
        return rights_of(tx, who, data, ())
    known = {field.name: field for field in schema.fields}
    fields = [*known.values(), *(Field(name) for name in dict.fromkeys(more) if name not in known)]
    private = set(_personal(tx, object_name)) if connection == HUB else set()
    asked = [PolicyField(f.name, f.type, f.name in private, f.name in schema.key) for f in fields]
    found = _rights(tx, who, data, asked)
    unknown = sorted(_named(found) - {field.name for field in asked})  # of an object whose fields nobody has looked up
    return _rights(tx, who, data, [*asked, *map(PolicyField, unknown)]) if unknown else found


def _rights(tx: sa.Connection, who: Who, data: DataObject, fields: Sequence[PolicyField]) -> Rights:
    return rights_of(tx, who, data, fields) if _as.get() else services.rights(data, fields)


def _named(rights: Rights) -> set[str]:
    return {name for grant in rights.grants if grant.line is not None for name in grant.line.fields}


def sees_all(rights: Rights) -> bool:
    """Tell whether every record is seen with all its fields, also such as nobody has looked up yet."""
    return rights.sees_everything and rights.access(_UNHEARD_OF) >= Access.READ


def _personal(tx: sa.Connection, entity: str) -> Iterator[str]:
    for names in personal:
        yield from names(tx, entity)


def shown_rejects(rights: Rights, rejects: Iterable[Reject]) -> tuple[Reject, ...]:
    """Return what could not be read as far as it may be seen: its text may hold any field of any record."""
    if sees_all(rights):
        return tuple(rejects)
    return tuple(Reject(one.place, "", UNREADABLE) for one in rejects)
