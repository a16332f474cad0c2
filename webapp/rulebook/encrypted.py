"""Encrypted fields of entities where rules keep values in clear: as key, as cursor, as what events have in common."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping

import sqlalchemy as sa

from rules.documents import DocumentError, DocumentProblem, SyncRule, parse_sync
from rules.documents.flows import flows
from rules.documents.sync import DetectBy, MatchHow, SideName
from rules.text import N_, msg
from webapp.connections.catalogue import HUB
from webapp.entities import storage
from webapp.entities.model import Entity
from webapp.entities.sealed import unfit
from webapp.rulebook.heard import entity_of
from webapp.rulebook.kind import Document
from webapp.rulebook.reading import asking

SIDES = ("left", "right")
_WORD = re.compile(r"[A-Za-z_]\w*")
_Find = Callable[[str], Entity | None]


def check_encrypted(tx: sa.Connection, rule: SyncRule) -> Iterator[DocumentProblem]:
    """Yield where a rule names or orders records by an encrypted field."""
    return _keyed(rule, lambda name: _entity(tx, name))


def check_heard(tx: sa.Connection, document: Document) -> Iterator[DocumentProblem]:
    """Yield where an event rule brings events together by an encrypted field."""
    return _heard(document, lambda name: _entity(tx, name))


def check_rules(tx: sa.Connection, new: Entity) -> Iterator[DocumentProblem]:
    """Yield which published rules could not go on with the encrypted fields of a definition."""
    for row in asking(tx) if new.encrypted else ():
        found = next(_found(row.document, lambda name: new if name == new.name else None), None)
        if found is not None:
            text = N_("The rule '{rule}' would stop working. {problem} Change that rule first.")
            yield DocumentProblem("fields", msg(text, rule=row.name, problem=found.message))


def _found(document: Document, find: _Find) -> Iterator[DocumentProblem]:
    yield from _heard(document, find)
    try:
        yield from _keyed(parse_sync(document), find)
    except DocumentError:
        return  # of another kind


def _keyed(rule: SyncRule, find: _Find) -> Iterator[DocumentProblem]:
    for side in SIDES:
        place = getattr(rule, side)
        entity = find(place.object) if place.connection == HUB else None
        for path, name in _names(rule, side) if entity else ():
            if entity and name in entity.encrypted:
                yield DocumentProblem(path, unfit(entity.name, name))
    for path, (connection, object_name), name in _looked_up(rule):
        asked = find(object_name) if connection == HUB else None
        if asked and name in asked.encrypted and not asked.by_name[name].exact:
            text = N_(
                "'{name}' of '{entity}' is encrypted without an index for exact values, so no record is found by it."
                " Let the entity keep that index, or choose another field."
            )
            yield DocumentProblem(path, msg(text, name=name, entity=asked.name))


def _looked_up(rule: SyncRule) -> Iterator[tuple[str, tuple[str, str], str]]:
    """Yield the fields by whose exact values records are looked up, with the connection and object of each."""
    targets = {flow.target for flow in flows(rule)}
    for number, tier in enumerate(rule.correlate):
        for place, match in enumerate(tier.match):
            for side in SideName if match.how is MatchHow.EXACT else ():
                if side in targets:
                    end = rule.left if side is SideName.LEFT else rule.right
                    path = f"correlate/{number}/match/{place}/{side.value}"
                    yield path, (end.connection, end.object), getattr(match, side.value)
    for number, one in enumerate(rule.validations):
        if one.reference is not None:
            there = one.reference
            yield f"validations/{number}/reference/key", (there.connection, there.object), there.key


def _names(rule: SyncRule, side: str) -> Iterator[tuple[str, str | None]]:
    yield f"key/{side}", getattr(rule.key, side)
    detect = getattr(rule.detect, side)
    if detect.by is DetectBy.CURSOR:
        yield f"detect/{side}/field", detect.field
        yield f"detect/{side}/tie", detect.tie


def _heard(document: Document, find: _Find) -> Iterator[DocumentProblem]:
    events = document.get("events")
    for name, listen in events.items() if isinstance(events, Mapping) else ():
        told = listen if isinstance(listen, Mapping) else {}
        heard = entity_of(str(told.get("type")))
        entity = find(heard) if heard else None
        words = set(_WORD.findall(str(told.get("by") or document.get("by") or "")))
        for field in sorted(words & entity.encrypted) if entity else ():
            text = N_("'{name}' of '{entity}' is encrypted, so it cannot be what events have in common.")
            path = f"events/{name}/by" if told.get("by") else "by"
            yield DocumentProblem(path, msg(text, name=field, entity=heard))


def _entity(tx: sa.Connection, name: str) -> Entity | None:
    try:
        return storage.current(tx, name)
    except storage.NoEntity:
        return None  # whoever asks for its fields tells of it
