"""What rules use, so that a connection, an entity or a table at work cannot be deleted."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import Any

import sqlalchemy as sa

from rules.documents.build import build
from rules.documents.validation import Validation
from rules.text import N_, Message, msg
from webapp.connections.catalogue import HUB
from webapp.connections.quality import Uses
from webapp.connections.services import User
from webapp.extensions import House
from webapp.rulebook.kind import listed
from webapp.rulebook.library import library
from webapp.rulebook.reading import list_rules, using_connections, using_object
from webapp.rulebook.translation import translate as _


def rules_of_connections(tx: sa.Connection) -> Iterator[tuple[str, User]]:
    """Yield each connection that a rule uses with the rule, as a person knows it."""
    for connection, name, title in using_connections(tx):
        yield connection, User(_("the rule %(name)s", name=title or name), f"/rules/{name}/")


def rules_of_entity(tx: sa.Connection, entity: str) -> list[str]:
    """Return the rules that read or write an entity, as a person knows them."""
    return [_("the rule %(name)s", name=name) for name in using_object(tx, HUB, entity)]


def asked_by_rules(tx: sa.Connection, table: str) -> Message | None:
    """Say which rules ask a decision or lookup table, None where none does."""
    users = [
        row.name
        for row in list_rules(tx)
        if row.name != table and (asks(row.draft, table) or asks(row.published, table))
    ]
    if not users:
        return None
    text = N_("The rule '{user}' asks the table '{name}'. Change that rule first.")
    return msg(text, user=users[0], name=table)


def mapped_fields(tx: sa.Connection, entity: str) -> set[str]:
    """Return the fields of an entity that published sync rules map."""
    found: set[str] = set()
    for row in list_rules(tx):
        document = row.published or {}
        for side in ("left", "right"):
            part = document.get(side)
            if isinstance(part, Mapping) and (part.get("connection"), part.get("object")) == (HUB, entity):
                found |= {str(entry[side]) for entry in document.get("fields") or () if entry.get(side)}
    return found


def uses_of_object(house: House, tx: sa.Connection, connection: str, name: str) -> Uses:
    """Return what published sync rules say of an object: the fields they map, the validations of those that read it."""
    fields: set[str] = set()
    validations: dict[str, Validation] = {}
    for row in list_rules(tx):
        document = row.published or {}
        for side in ("left", "right"):
            part = document.get(side)
            if not isinstance(part, Mapping) or (part.get("connection"), part.get("object")) != (connection, name):
                continue
            fields |= {str(entry[side]) for entry in document.get("fields") or () if entry.get(side)}
            if (document.get("direction") == "right_to_left") == (side == "right"):
                found = (build(Validation, item) for item in document.get("validations") or ())
                validations |= {f"{row.name}.{v.name}": replace(v, name=f"{row.name}.{v.name}") for v in found}
    return Uses(frozenset(fields), tuple(validations.values()), library(house, tx=tx))


def asks(document: Mapping[str, Any] | None, table: str) -> bool:
    """Tell whether a document names the table as a decision, or in a call of lookup()."""
    if document is None:
        return False
    if any(decision.get("table") == table for decision in listed(document, "decisions")):
        return True
    call = rf"""lookup\(\s*\\?['"]{re.escape(table)}\\?['"]"""
    return re.search(call, json.dumps(document, ensure_ascii=False)) is not None
