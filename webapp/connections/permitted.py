"""What who asks may see of the objects of connections; entities are the objects of the hub.

Everything that shows records of connected systems asks here, with the connection and the object that they belong to.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, fields
from typing import TypeVar

import polars as pl
import sqlalchemy as sa
from flask import g, has_request_context

from connectors.spi import Reject
from rules.schema import Field, Schema
from rules.text import N_, msg
from webapp.audit import looks
from webapp.connections import personal_marks
from webapp.connections.catalogue import HUB
from webapp.connections.store import known_objects
from webapp.policies import hooks, services
from webapp.policies.documents import Policy
from webapp.policies.errors import NotPermitted
from webapp.policies.grants import Rooms, of_rooms
from webapp.policies.levels import HIDE, Access, Level
from webapp.policies.objects import READ, DataObject, PolicyField
from webapp.policies.rights import Rights
from webapp.policies.services import rights_of
from webapp.policies.who import Who, current_who

UNREADABLE = msg("It could not be read. You may not see its text, as you may not see all of such records.")

veils: list[Callable[[sa.Connection, Rights], Collection[str]]] = []
"""Each returns the columns of an entity that are hidden because of what they are made of; entities hang in here."""
MOST_OBJECTS = 10_000
T = TypeVar("T")
_UNHEARD_OF = "\0"
_ID = "id"
_NO_OBJECT = ""
"""No connection, object or entity is called so, and every database can look for it."""
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
    told = hooks.known_fields(tx, data) if connection == HUB else None
    asked = {field.name: field for field in told or ()}
    marks = frozenset() if connection == HUB else personal_marks.marked(tx, connection, object_name)
    for field in (*schema.fields, *map(Field, more), *map(Field, sorted(marks))):
        personal = field.name in marks
        key = field.name in schema.key and not personal
        asked.setdefault(field.name, PolicyField(field.name, field.type, personal, key))
    found = _rights(tx, who, data, tuple(asked.values()))
    unknown = sorted(_named(found) - {*asked})  # of an object whose fields nobody has looked up
    if unknown:
        found = _rights(tx, who, data, (*asked.values(), *map(PolicyField, unknown)))
    hidden = frozenset(name for veil in veils for name in veil(tx, found)) if connection == HUB else frozenset[str]()
    if not hidden:
        return found
    return Veiled(**{one.name: getattr(found, one.name) for one in fields(Rights)}, veiled=hidden)


@dataclass(frozen=True)
class Veiled(Rights):
    """Rights with some fields hidden besides: those that are worked out from what may not be seen."""

    veiled: frozenset[str] = frozenset()

    def level(self, field: str) -> Level:
        """Return how much of a field is seen, with the mask."""
        return HIDE if field in self.veiled else super().level(field)

    def _level(self, field: PolicyField) -> Level:
        return HIDE if field.name in self.veiled else super()._level(field)


def _rights(tx: sa.Connection, who: Who, data: DataObject, fields: Sequence[PolicyField]) -> Rights:
    return rights_of(tx, who, data, fields) if _as.get() else services.rights(data, fields)


def _named(rights: Rights) -> set[str]:
    named = {name for grant in rights.grants if grant.line is not None for name in grant.line.fields}
    return named | (_named(rights.limit) if rights.limit is not None else set())


def sees_all(rights: Rights) -> bool:
    """Tell whether every record is seen with all its fields, also such as nobody has looked up yet."""
    return rights.sees_everything and rights.access(_UNHEARD_OF) >= Access.READ


def shown_rejects(rights: Rights, rejects: Iterable[Reject]) -> tuple[Reject, ...]:
    """Return what could not be read as far as it may be seen: its text may hold any field of any record."""
    if sees_all(rights):
        return tuple(rejects)
    return tuple(Reject(one.place, "", UNREADABLE) for one in rejects)


def looked(rights: Rights, records: pl.DataFrame) -> None:
    """Note that this request shows records: of the personal fields of an entity, those that are seen as they are."""
    private = [one.name for one in rights.fields if one.personal and rights.access(one.name) >= Access.READ]
    names = [name for name in private if name in records.columns and records[name].is_not_null().any()]
    keys = records[_ID].to_list() if _ID in records.columns else []
    looks.looked(rights.data.text, names, keys, 0 if keys else records.height)


def blanked(rights: Rights, records: pl.DataFrame) -> pl.DataFrame:
    """Return the records that may be seen, with nothing in the place of values that are not seen as they are.

    Types stay, so that expressions can be tried on them; what comes out tells nothing of what is withheld.
    """
    if sees_all(rights):
        return records
    seen = [rights.sees(record) for record in records.iter_rows(named=True)]
    blank = [pl.lit(None, records.schema[name]).alias(name) for name in withheld(rights, records.columns)]
    return records.filter(pl.Series(seen, dtype=pl.Boolean)).with_columns(blank)


def withheld(rights: Rights, names: Iterable[str]) -> frozenset[str]:
    """Return the fields whose values are not seen as they are."""
    return frozenset(name for name in names if rights.access(name) < Access.READ)


def require_whole(tx: sa.Connection, connection_name: str) -> None:
    """Raise `NotPermitted` unless who asks sees everything in a connection: its answers may hold any record."""
    if not sees_whole(tx, connection_name):
        text = N_("You may not see all records of '{connection}', so its answers cannot be shown to you as they are.")
        raise NotPermitted(msg(text, connection=connection_name))


def sees_whole(tx: sa.Connection, connection_name: str) -> bool:
    """Tell whether who asks sees all records of a connection with all their fields."""
    return asking().system or all(map(sees_all, _all_rights(tx, connection_name)))


def sees_part(tx: sa.Connection, connection_name: str) -> bool:
    """Tell whether who asks sees something of a connection's records, and something not."""
    return not sees_whole(tx, connection_name) and any(one.may(READ) for one in _all_rights(tx, connection_name))


def _all_rights(tx: sa.Connection, connection_name: str) -> list[Rights]:
    said = services.roles_said(tx, asking().roles)
    named = [line.on.split("/", 2) for _name, _rooms, policy in said for line in policy.data]
    known = {object_name for name, object_name in known_objects(tx, MOST_OBJECTS) if name == connection_name}
    known |= {parts[2] for parts in named if len(parts) == 3 and parts[1] == connection_name}
    known |= personal_marks.places(tx, connection_name)
    return [rights_to(tx, connection_name, one, Schema(())) for one in sorted({*known, _NO_OBJECT})]


def free(tx: sa.Connection) -> bool:
    """Tell whether who asks may see everything there is; worked out once a request, it spares all other questions."""
    who = asking()
    if who.system:
        return True
    kept: dict[int, bool] = g.setdefault("free", {}) if has_request_context() else {}
    if id(who) not in kept:
        held = (who, who.limit) if who.limit is not None else (who,)
        kept[id(who)] = all(_free(services.roles_said(tx, one.roles)) for one in held)
    return kept[id(who)]


def _free(said: Sequence[tuple[str, Rooms, Policy]]) -> bool:
    """Tell whether roles without any restriction permit to see the records of entities and of systems."""
    places = (DataObject.entity(""), DataObject.external("", ""))
    seen = all(any(READ in of_rooms(rooms, place) for _name, rooms, _policy in said) for place in places)
    return seen and all(policy.empty for _name, _rooms, policy in said)


def whole(tx: sa.Connection) -> bool:
    """Tell whether who asks sees all records of all systems, apart from what entities mark as personal."""
    who = asking()
    if who.system:
        return True
    held = (who, who.limit) if who.limit is not None else (who,)
    if any(policy.data for one in held for _name, _rooms, policy in services.roles_said(tx, one.roles)):
        return False
    places = ((HUB, _NO_OBJECT), (_NO_OBJECT, _NO_OBJECT))
    return all(rights_to(tx, *place, Schema(())).may(READ) for place in places)


def withholds_personal(tx: sa.Connection) -> bool:
    """Tell whether a role of who asks withholds what entities mark as personal."""
    who = asking()
    return not who.system and any(
        policy.personal.access < Access.READ for _name, _rooms, policy in services.roles_said(tx, who.roles)
    )
