"""What an event rule hears of and asks for: its owner has to be permitted to see all of it, as rules tell it on."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import sqlalchemy as sa

from rules.schema import Schema
from rules.text import N_, Message, msg
from webapp.access.services import permissions_of
from webapp.connections.catalogue import HUB
from webapp.connections.permitted import asked_by, require_whole, rights_to, sees_all, whole
from webapp.policies.errors import NotPermitted
from webapp.policies.who import Who
from webapp.rulebook.kind import Document

RUNNING = ("can_run", "Runs")
"""The permission that lets people run rules."""
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
        for name in _named(document, "call", "connection"):
            try:
                require_whole(tx, name)
            except NotPermitted:
                text = N_("{who} may not see all records of '{connection}', which the rule sends requests to.")
                return msg(text, who=who.username, connection=name)
    started = next(_named(document, "run", "rule"), None)
    if started is not None and not _may_run(tx, who):
        return msg(N_("{who} may not run rules, and the rule runs '{started}'."), who=who.username, started=started)
    return None


def _may_run(tx: sa.Connection, who: Who) -> bool:
    return who.system or (who.user_id is not None and RUNNING in permissions_of(tx, who.user_id))


def _named(part: Any, deed: str, word: str) -> Iterator[str]:
    """Yield what deeds of a document name, such as the connections of its calls."""
    if isinstance(part, Mapping):
        done = part.get(deed)
        if isinstance(done, Mapping) and isinstance(done.get(word), str):
            yield done[word]
        for value in part.values():
            yield from _named(value, deed, word)
    elif isinstance(part, list):
        for value in part:
            yield from _named(value, deed, word)
