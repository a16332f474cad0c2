"""What who asks may see of the records that a rule reads and writes: of each side its fields, rows and keys.

A value belongs to the object of its side, and to what it is made of: a field that is mapped from one that may not be
seen is not seen either. Everything that shows what runs have stored goes through here; who is restricted in nothing
gets `everything`, and pays for no more than the question.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import sqlalchemy as sa

from rules.documents import DocumentError, parse_sync
from rules.documents.sync import Direction, SyncRule
from rules.predicate import EVERYTHING
from rules.schema import FieldType, Schema
from rules.text import N_, Message, msg
from webapp.audit.looks import looked
from webapp.connections.catalogue import HUB
from webapp.connections.models import connection, connection_object
from webapp.connections.permitted import asking, free, rights_to, sees_all
from webapp.connections.personal_marks import marked
from webapp.entities import storage
from webapp.policies.errors import NotPermitted
from webapp.policies.levels import HIDE, MASKED, WRITE, Access, Level, least
from webapp.policies.masks import DOTS, masked
from webapp.policies.objects import DataObject
from webapp.policies.rights import Rights
from webapp.policies.services import rights_of
from webapp.policies.who import SYSTEM_WHO
from webapp.rulebook import reading as rulebook
from webapp.runs.models import run
from webapp.runs.origins import SIDES, Origin, origins
from webapp.runs.pair_cases import schemas_of

Document = Mapping[str, Any]
_TYPES = frozenset(kind.value for kind in FieldType)


@dataclass(frozen=True)
class SideSight:
    """What may be seen of the records of one side; `there` are the rights to the other one, whose values it gets."""

    rights: Rights
    there: Rights
    key: str
    made_of: Mapping[str, Origin]
    known: bool = True
    """The rule could be read; where not, nothing tells where values come from, so all are taken to come from there."""

    @cached_property
    def everything(self) -> bool:
        """Tell whether all of every record may be seen."""
        return sees_all(self.rights) and (sees_all(self.there) or (self.known and not self.made_of))

    @cached_property
    def all_rows(self) -> bool:
        """Tell whether every record may be seen."""
        return self.rights.rows() == EVERYTHING

    def level(self, name: str) -> Level:
        """Return how much of a field is seen."""
        if self.everything:
            return WRITE
        own = self.rights.level(name)
        origin = self.made_of.get(name) if self.known else Origin(everything=True)
        if origin is None or sees_all(self.there):
            return own
        if origin.everything:
            return least(own, HIDE)
        found = [self.there.level(one) for one in origin.fields]
        for level in found:
            if level.access < Access.READ:
                copied = origin.copied is not None or level.access is Access.HIDE
                own = least(own, level if copied else MASKED)
        return own

    def knows(self, name: str) -> bool:
        """Tell whether the side has a field of this name."""
        return any(one.name == name for one in self.rights.fields)

    def plain(self, name: str) -> bool:
        """Tell whether the values of a field are seen as they are."""
        return self.level(name).access >= Access.READ

    def values(self, record: Mapping[str, Any]) -> dict[str, Any]:
        """Return what is seen of some fields of a record: hidden ones are left out, others may be masked."""
        self.looked(record)
        if self.everything:
            return dict(record)
        seen = ((name, self.level(name), value) for name, value in record.items())
        return {
            name: value if level.mask is None else masked(level.mask, value, self.rights.key or self.there.key)
            for name, level, value in seen
            if level.access is not Access.HIDE
        }

    @cached_property
    def private(self) -> tuple[str, ...]:
        """Return the personal fields whose values are seen as they are."""
        return tuple(field.name for field in self.rights.fields if field.personal and self.plain(field.name))

    def looked(self, record: Mapping[str, Any] | None = None, key: str | None = None) -> None:
        """Note that this request shows a record; without it, that it shows the one with a key."""
        if not self.private:
            return
        names = [name for name in self.private if record is None or record.get(name) is not None]
        known = key if key is not None else (record or {}).get(self.key)
        looked(self.rights.data.text, names, () if known is None else (known,), records=int(known is None))

    def value(self, name: str, value: Any) -> Any:
        """Return a value as it is seen, dots where it is hidden."""
        return self.values({name: value}).get(name, DOTS)

    def key_text(self, key: str | None) -> str | None:
        """Return a key as it is seen."""
        return key if key is None or self.plain(self.key) else str(self.value(self.key, key) or DOTS)

    def sees(self, record: Mapping[str, Any] | None) -> bool:
        """Tell whether a record may be seen, as far as its values are known; one of which nothing is known may not."""
        return self.all_rows or (record is not None and self.rights.sees(record))

    def require_write(self, fields: Iterable[str]) -> None:
        """Raise `NotPermitted` where a field may not be changed, or is made of what may not be seen."""
        for name in fields:
            self.rights.require_write([name])
            if not self.plain(name):
                text = N_("'{field}' is made of values that you may not see, so you may not change it here.")
                raise NotPermitted(msg(text, field=name))

    def require_sight(self, record: Mapping[str, Any]) -> None:
        """Raise `NotPermitted` where a record would be one that who asks may not see."""
        if not self.sees(record):
            raise NotPermitted(msg("With these values you would not be permitted to see the record."))


@dataclass(frozen=True)
class Sight:
    """What may be seen of a rule's records; `reads` is the side that it reads first."""

    sides: Mapping[str, SideSight]
    reads: str = "left"
    words: frozenset[str] = field(default_factory=frozenset)
    """What sentences may name: fields, objects, connections, rules."""

    @cached_property
    def everything(self) -> bool:
        """Tell whether all may be seen."""
        return all(side.everything for side in self.sides.values())

    @property
    def unbound(self) -> bool:
        """Tell whether all may be seen, and all may be done with it."""
        return self.everything and all(side.rights.everything for side in self.sides.values())

    @cached_property
    def all_rows(self) -> bool:
        """Tell whether every record may be seen on both sides."""
        return all(side.all_rows for side in self.sides.values())

    def looked(self, keys: Mapping[str, str | None]) -> None:
        """Note that this request shows records, by side: those with these keys."""
        for side, key in keys.items():
            if key is not None:
                self.sides[side].looked(key=key)

    @property
    def writes(self) -> str:
        """Return the side that is not read first."""
        return other(self.reads)

    def sees(self, records: Mapping[str, Mapping[str, Any] | None]) -> bool:
        """Tell whether a pair may be seen: on each of the named sides its record."""
        return all(self.sides[side].sees(record) for side, record in records.items())

    def permits(self, action: str) -> bool:
        """Tell whether an action is permitted on the objects of both sides."""
        return all(side.rights.may(action) for side in self.sides.values())

    def require(self, action: str) -> None:
        """Raise `NotPermitted` unless an action is permitted on the objects of both sides."""
        for side in self.sides.values():
            side.rights.require(action)

    def plain(self, name: str) -> bool:
        """Tell whether the values of a field are seen as they are, on whichever side it is."""
        knowing = [side for side in self.sides.values() if side.knows(name)]
        return all(side.plain(name) for side in knowing or self.sides.values())

    def plain_pair(self, label: str) -> bool:
        """Tell whether both fields of a pair are seen as they are; `label` is "left / right", or one name of both."""
        left, slash, right = label.partition(" / ")
        if " / " in right:
            return self.everything
        return self.sides["left"].plain(left) and self.sides["right"].plain(right) if slash else self.plain(label)

    def require_plain(self, name: str) -> None:
        """Raise `NotPermitted` where something is asked by a field that is not seen as it is; none is no field."""
        if name and not self.everything and not self.plain(name):
            raise NotPermitted(msg("'{field}' is hidden from you, so you cannot filter by it.", field=name))

    def text(self, text: str | None, seen: Iterable[Any] = ()) -> str | None:
        """Return a text that may hold any value, dots unless all may be seen or it is among what is seen anyway."""
        if text is None or self.everything or text in self.words or text in {_plain(one) for one in seen}:
            return text
        return DOTS

    def message(self, message: Message, seen: Iterable[Any] = (), *, counts: bool = False) -> Message:
        """Return a sentence about records: of its values those stay that name fields and the like or are seen anyway.

        `counts`: whole numbers in it count something, and are no values.
        """
        if self.everything:
            return message
        known = self.words | {_plain(one) for one in seen}
        return _told(message, known, counts=counts)


def other(side: str) -> str:
    """Return the other side."""
    return "right" if side == "left" else "left"


def _plain(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False, default=str)


def _told(message: Message, known: frozenset[str] | set[str], *, counts: bool) -> Message:
    values: dict[str, Any] = {}
    for name, value in message.values.items():
        if isinstance(value, Message):
            values[name] = _told(value, known, counts=counts)
        elif (counts and isinstance(value, int)) or value in (None, "") or isinstance(value, bool):
            values[name] = value
        else:
            values[name] = value if _plain(value) in known else DOTS
    return Message(message.template, values)


def sight_of(
    tx: sa.Connection, document: Document, *others: Document, schemas: Mapping[str, Schema] | None = None
) -> Sight:
    """Return what who asks may see of the records of a rule.

    Args:
        tx: a transaction.
        document: the rule, as a run has executed it.
        others: other versions of it, by whose mappings the values may have come too.
        schemas: the fields of the sides as a run has noted them; else as they were found last.
    """
    places = {side: _place(document, side) for side in SIDES}
    found = {side: (schemas or {}).get(side) or known_schema(tx, *places[side]) for side in SIDES}
    named = {side: _named(document, side) for side in SIDES}
    rights = {side: rights_to(tx, *places[side], found[side] or Schema(()), named[side]) for side in SIDES}
    if all(sees_all(one) for one in rights.values()):
        whole = {side: SideSight(rights[side], rights[other(side)], "", {}) for side in SIDES}
        return Sight(whole, _reads(document))
    rules = list(_parsed((document, *others)))
    made = origins(rules, {side: schema for side, schema in found.items() if schema is not None})
    keys = {side: str((document.get("key") or {}).get(side) or "") for side in SIDES}
    sides = {
        side: SideSight(rights[side], rights[other(side)], keys[side], made.of(side), len(rules) == 1 + len(others))
        for side in SIDES
    }
    words = {word for side in SIDES for word in (*places[side], *named[side], *(found[side] or Schema(())).names)}
    return Sight(sides, _reads(document), frozenset({*words, *_TYPES, *_titles(document)}))


def sight_of_run(tx: sa.Connection, run_id: int, rule_name: str | None = None, *, doing: bool = False) -> Sight:
    """Return what who asks may see of what a run has stored; by the rule as it is now where the run is gone.

    `doing`: more shall be done than to look, so that it has to tell what is permitted besides.
    """
    if asking().system:
        return _whole(tx)
    document = dict(tx.scalar(sa.select(run.c.document).where(run.c.id == run_id)) or {})
    if not document and rule_name is not None:
        document = rulebook.draft(tx, rule_name) or {}
    places = (_place(document, side) for side in SIDES)
    untold = not any(place[0] == HUB or marked(tx, *place) for place in places)  # or it is told who looks at persons
    if untold and not doing and free(tx):
        return _whole(tx)
    return sight_of(tx, document, schemas=schemas_of(tx, run_id, document) if document else None)


def _whole(tx: sa.Connection) -> Sight:
    rights = rights_of(tx, SYSTEM_WHO, DataObject.external("", ""), ())
    return Sight({side: SideSight(rights, rights, "", {}) for side in SIDES})


class Sights:
    """What who asks may see of many runs, each looked up once; `doing`: and may do besides."""

    def __init__(self, tx: sa.Connection, *, doing: bool = False) -> None:
        self._tx = tx
        self._doing = doing
        self._known: dict[tuple[int, str | None], Sight] = {}

    def of_run(self, run_id: int, rule_name: str | None = None) -> Sight:
        """Return what may be seen of what a run has stored."""
        asked = (run_id, rule_name)
        if asked not in self._known:
            self._known[asked] = sight_of_run(self._tx, run_id, rule_name, doing=self._doing)
        return self._known[asked]


def _place(document: Document, side: str) -> tuple[str, str]:
    part = document.get(side) or {}
    return str(part.get("connection") or ""), str(part.get("object") or "")


def _named(document: Document, side: str) -> list[str]:
    key = (document.get("key") or {}).get(side)
    names = [pair.get(side) for pair in document.get("fields") or [] if isinstance(pair, Mapping)]
    return [str(name) for name in dict.fromkeys((key, *names)) if name]


def _titles(document: Document) -> Iterator[str]:
    """Yield what a rule calls itself, its validations and the tables that it asks."""
    yield str(document.get("name") or "")
    yield from map(str, document.get("after") or ())
    for part, word in (("validations", "name"), ("decisions", "table"), ("decisions", "name"), ("fields", "reference")):
        yield from (str(one[word]) for one in document.get(part) or [] if isinstance(one, Mapping) and one.get(word))


def _reads(document: Document) -> str:
    return "right" if document.get("direction") == Direction.RIGHT_TO_LEFT else "left"


def _parsed(documents: Sequence[Document]) -> Iterator[SyncRule]:
    for document in documents:
        try:
            yield parse_sync(document)
        except DocumentError:
            continue


def known_schema(tx: sa.Connection, name: str, object_name: str) -> Schema | None:
    """Return the fields of an object as they were found last; None where nobody has looked."""
    if name == HUB:
        try:
            return storage.current(tx, object_name).schema
        except storage.NoEntity:
            return None
    query = sa.select(connection_object.c.schema).join(connection, connection.c.id == connection_object.c.connection_id)
    found = tx.scalar(query.where(connection.c.name == name, connection_object.c.name == object_name))
    return None if found is None else Schema.from_json(found)
