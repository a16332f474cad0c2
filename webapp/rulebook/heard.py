"""What an event rule hears of and asks for: its owner has to be permitted to see all of it, as rules tell it on."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import sqlalchemy as sa

from rules.schema import Schema
from rules.text import N_, Message, msg
from webapp.connections.catalogue import HUB
from webapp.connections.permitted import asked_by, require_whole, rights_to, sees_all, whole
from webapp.policies.errors import NotPermitted
from webapp.policies.who import Who
from webapp.rulebook.kind import Document

_RECORD = "record."
QUOTED: Mapping[str, tuple[str, ...]] = {"case": ("title", "subject"), "run": ("message",), "rule": ("message",)}
"""By the first word of a type of events, what may quote values of records."""


def entity_of(type_: str) -> str | None:
    """Return the entity whose records events of a type are about; None where they are about none."""
    return type_.split(".")[1] if type_.startswith(_RECORD) and type_.count(".") >= 2 else None


def types(document: Document) -> Iterator[str]:
    """Yield the types of the events that a rule hears of."""
    events = document.get("events")
    for one in events.values() if isinstance(events, Mapping) else ():
        if isinstance(one, Mapping) and isinstance(one.get("type"), str):
            yield one["type"]


def lacks(tx: sa.Connection, who: Who, document: Document) -> Message | None:
    """Say what a user may not see of what an event rule hears of or asks services for, None where all may be seen."""
    with asked_by(who):
        for type_ in types(document):
            entity = entity_of(type_)
            if entity is not None and not sees_all(rights_to(tx, HUB, entity, Schema(()))):
                text = N_("{who} may not see all of the records of {object}, of which the rule hears.")
                return msg(text, who=who.username, object=f"entity/{entity}")
            if type_.partition(".")[0] in QUOTED and not whole(tx):
                text = N_("{who} may not see all records, which events of the type '{type}' may quote.")
                return msg(text, who=who.username, type=type_)
        for name in _called(document):
            try:
                require_whole(tx, name)
            except NotPermitted:
                text = N_("{who} may not see all records of '{connection}', which the rule sends requests to.")
                return msg(text, who=who.username, connection=name)
    return None


def _called(part: Any) -> Iterator[str]:
    """Yield the connections whose services a document asks."""
    if isinstance(part, Mapping):
        call = part.get("call")
        if isinstance(call, Mapping) and isinstance(call.get("connection"), str):
            yield call["connection"]
        for value in part.values():
            yield from _called(value)
    elif isinstance(part, list):
        for value in part:
            yield from _called(value)
