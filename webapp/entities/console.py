"""What the room adds to the console when it starts: the hub, the side bar's entities, words for its templates."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Sequence
from itertools import islice
from typing import Any
from urllib.parse import urlencode

from flask import Flask

from webapp.access.roles import READ
from webapp.entities import hub, openapi, services
from webapp.entities.pages import entity_label
from webapp.entities.permitted import permit_of
from webapp.entities.values import Masked, canonical_json
from webapp.extensions import House
from webapp.policies.who import current_who
from webapp.web.menu import Item
from webapp.web.request import house

MENU_CAP = 12


def register(app: Flask) -> None:
    """Install what the room needs."""
    opened: House = app.extensions["syncline"]
    hub.register(opened)
    app.extensions["syncline_menu"].append(menu_items)
    app.extensions["syncline_openapi"].append(openapi.paths)
    app.jinja_env.tests["masked"] = lambda value: isinstance(value, Masked)
    app.jinja_env.filters.update(from_json=json.loads, json_lines=json_lines, urlencode_pairs=encoded, without=without)


def menu_items() -> Iterator[Item]:
    """Yield a line of the side bar for each entity."""
    who = current_who()
    with house().db.read() as tx:
        seen = (entity for entity in services.list_entities(tx) if permit_of(tx, who, entity).may(READ))
        for entity in islice(seen, MENU_CAP):
            yield Item("data", entity_label(entity), f"/records/{entity.name}/", "table", "Records", child=True)


def json_lines(text: str) -> str:
    """Return stored JSON over several lines; as it is where numbers would lose digits on the way."""
    value = json.loads(text)
    if canonical_json(value) != text:
        return text
    return json.dumps(value, ensure_ascii=False, indent=2)


def encoded(parts: Iterable[Sequence[str]]) -> str:
    """Return an address's parameters."""
    return urlencode([(part[0], part[1]) for part in parts])


def without(parts: Iterable[tuple[str, str]], gone: tuple[str, str]) -> list[tuple[Any, Any]]:
    """Return the parameters but one."""
    return [part for part in parts if tuple(part) != tuple(gone)]
