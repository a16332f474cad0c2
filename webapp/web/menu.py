"""The side bar. A room adds to it with a function in `app.extensions["syncline_menu"]`."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from functools import lru_cache

from flask import Flask, current_app, request
from flask_babel import gettext as _
from werkzeug.routing import Map

from webapp.web.views import can


@dataclass(frozen=True)
class Item:
    """One line of the side bar.

    `room` is whose read permission shows it (empty: everybody sees it), `group` is where it stands, and `child` puts it
    below the group's list of entities. `count` is how many wait there for somebody.
    """

    group: str
    label: str
    url: str
    icon: str
    room: str
    child: bool = False
    count: int = 0

    @property
    def active(self) -> bool:
        """Tell whether the page at hand belongs to it."""
        return request.path == self.url or (self.url != "/" and request.path.startswith(self.url))


@dataclass(frozen=True)
class Group:
    """A titled part of the side bar."""

    name: str
    label: str
    items: tuple[Item, ...]


MenuHook = Callable[[], Iterable[Item]]


def register(app: Flask) -> None:
    """Prepare the hooks and show the menu to templates."""
    app.extensions["syncline_menu"] = []
    app.jinja_env.globals.update(menu=menu, can=can)


def menu() -> list[Group]:
    """Return the groups that the reader may see; only addresses that exist are shown."""
    hooks: list[MenuHook] = current_app.extensions["syncline_menu"]
    added = [item for hook in hooks for item in hook()]
    groups = []
    for name, label in _groups():
        items = [line for item in _items() if item.group == name for line in (item, *_below(item, added))]
        items += [item for item in added if item.group == name and not item.child]
        seen = tuple(item for item in items if (not item.room or can("read", item.room)) and _exists(item.url))
        if seen:
            groups.append(Group(name, label, seen))
    return groups


def _below(item: Item, added: list[Item]) -> list[Item]:
    return [line for line in added if line.child and line.group == item.group and item.url == "/entities/"]


def _groups() -> list[tuple[str, str]]:
    return [
        ("home", ""),
        ("data", _("Data")),
        ("automation", _("Automation")),
        ("trust", _("Trust")),
        ("administration", _("Administration")),
    ]


def _items() -> list[Item]:
    return [
        Item("home", _("Home"), "/", "house", ""),
        Item("data", _("Entities"), "/entities/", "table", "Entities"),
        Item("data", _("Connections"), "/connections/", "plug", "Connections"),
        Item("automation", _("Rules"), "/rules/", "diagram-3", "Rules"),
        Item("automation", _("Runs"), "/runs/", "play-circle", "Runs"),
        Item("automation", _("Events"), "/events/", "lightning-charge", "Events"),
        Item("automation", _("Quarantine"), "/quarantine/", "exclamation-octagon", "Quarantine"),
        Item("trust", _("Audit log"), "/audit/", "shield-check", "Audit"),
        Item("administration", _("Users"), "/users/", "people", "Users"),
        Item("administration", _("Groups"), "/groups/", "collection", "Users"),
        Item("administration", _("Roles"), "/roles/", "person-badge", "Roles"),
        Item("administration", _("What may they do?"), "/permissions/", "question-circle", "Roles"),
        Item("administration", _("API keys"), "/keys/", "key", "Keys"),
        Item("administration", _("Service accounts"), "/service-accounts/", "cpu", "Keys"),
        Item("administration", _("Provisioning"), "/provisioning/", "person-check", "Provisioning"),
    ]


def _exists(url: str) -> bool:
    return _mapped(current_app.url_map, url.partition("?")[0])


@lru_cache(maxsize=4096)
def _mapped(addresses: Map, path: str) -> bool:
    """Tell whether there is a page at a path; an application has all its addresses from the beginning."""
    return addresses.bind("").test(path, "GET")
