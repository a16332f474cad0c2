"""Where a record is: a system, an object in it and a key; and which sync rules know the record by that key."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import sqlalchemy as sa

from rules.documents import DocumentError
from rules.documents.sync import Direction
from rules.reconcile.agreement import executed_way
from webapp.connections.catalogue import HUB
from webapp.connections.models import connection
from webapp.entities import history, storage
from webapp.rulebook.models import rule_version
from webapp.runs.pipeline.sides import OTHER

ID = "id"
"""The field by which Syncline's own records are known here."""


@dataclass(frozen=True, order=True)
class Place:
    """A record of a system; `field` is the key field that `key` is a value of, empty where any will do."""

    connection: str
    object: str
    field: str
    key: str

    @property
    def own(self) -> bool:
        """Tell whether it is a record of an entity of Syncline."""
        return self.connection == HUB

    @property
    def number(self) -> int:
        """Return the number of a record of ours; -1 where its key is none."""
        return int(self.key) if self.key.isascii() and self.key.isdigit() and len(self.key) < 19 else -1


@dataclass(frozen=True)
class End:
    """One side of a rule: where its records are, and the field that holds their key."""

    connection: str
    object: str
    key: str


@dataclass(frozen=True)
class Ends:
    """Both sides of a sync rule, as one of its versions names them."""

    rule_id: int
    rule_name: str
    left: End
    right: End

    def of(self, side: str) -> End:
        """Return a side."""
        return self.left if side == "left" else self.right

    def beyond(self, side: str) -> End:
        """Return the side opposite to one."""
        return self.of(OTHER[side])


def all_ends(tx: sa.Connection) -> list[Ends]:
    """Return the sides of all sync rules, as all their versions name them; each once, a rule's newest behind others."""
    columns = (rule_version.c.rule_id, rule_version.c.rule_name, rule_version.c.document)
    found: dict[Ends, None] = {}
    for row in tx.execute(sa.select(*columns).order_by(rule_version.c.id)):
        if row.document.get("kind") == "sync":
            ends = ends_of(row.rule_id, row.rule_name, row.document)
            found.pop(ends, None)
            found[ends] = None
    return list(found)


def ends_of(rule_id: int, rule_name: str, document: Mapping[str, Any]) -> Ends:
    """Return the sides of a sync rule as a document names them."""
    left, right = (_end(document, side) for side in ("left", "right"))
    return Ends(rule_id, rule_name, left, right)


def _end(document: Mapping[str, Any], side: str) -> End:
    stated, key = document.get(side) or {}, document.get("key") or {}
    return End(str(stated.get("connection")), str(stated.get("object")), str(key.get(side) or ID))


def source_of(document: dict[str, Any]) -> str:
    """Return the side that a rule reads first."""
    try:
        way: object = executed_way(document)
    except DocumentError:  # of a time when rules could say other things
        way = document.get("direction")
    return "right" if way == Direction.RIGHT_TO_LEFT else "left"


def titles(tx: sa.Connection) -> dict[str, str]:
    """Return what people call the connections."""
    rows = tx.execute(sa.select(connection.c.name, connection.c.label))
    return {HUB: "Syncline", **{row.name: row.label or row.name for row in rows}}


class Keys:
    """Tells how a rule calls a record, and which record it means by a key."""

    def __init__(self, tx: sa.Connection) -> None:
        self._tx = tx

    def of(self, place: Place, end: End) -> str | None:
        """Return the key by which a rule knows a record; None where it does not know it."""
        if (place.connection, place.object) != (end.connection, end.object):
            return None
        if place.field in ("", end.key):
            return place.key
        return self._own_value(place, end.key) if place.own and place.field == ID else None

    def place(self, end: End, key: str) -> Place:
        """Return the record that a rule means by a key."""
        if end.connection == HUB and end.key != ID:
            found = self._own_id(end, key)
            if found is not None:
                return Place(HUB, end.object, ID, str(found))
        return Place(end.connection, end.object, end.key, key)

    def _own_value(self, place: Place, field: str) -> str | None:
        for values in self._known(place):
            if values.get(field) is not None:
                return str(values[field])
        return None

    def _known(self, place: Place) -> Iterator[Mapping[str, Any]]:
        """Yield what is known of a record of ours: as it is, then as its history tells, the latest first."""
        number = place.number
        try:
            table = storage.table(self._tx, storage.current(self._tx, place.object))
        except storage.NoEntity:
            table = None
        if table is not None:
            row = self._tx.execute(sa.select(table).where(table.c.id == number)).mappings().one_or_none()
            yield dict(row) if row else {}
        for entry in history.of_record(self._tx, place.object, number):
            yield from (plain(entry[side]) for side in ("after", "before") if entry[side] is not None)

    def _own_id(self, end: End, key: str) -> int | None:
        try:
            table = storage.table(self._tx, storage.current(self._tx, end.object))
        except storage.NoEntity:
            return None
        if end.key not in table.c:
            return None
        query = sa.select(table.c.id).where(sa.cast(table.c[end.key], sa.Text) == key).limit(1)
        found = self._tx.scalar(query)
        return None if found is None else int(found)


def plain(values: Any) -> dict[str, Any]:
    """Return the values of a history's entry, which some databases give as text."""
    found = json.loads(values) if isinstance(values, str) else values
    return dict(found or {})
