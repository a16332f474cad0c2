"""The catalogue of connectors: what can be connected, and a page about each."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from flask import abort
from flask_babel import force_locale, get_locale, gettext
from werkzeug.wrappers import Response

from connectors import registry
from connectors.presets import find_preset
from connectors.quality import Level
from webapp.connections import catalogue_docs, services
from webapp.connections.catalogue import HUB
from webapp.connections.catalogue_entries import Entry, Wanted, connector_entry, entries, find, grouped, preset_entry
from webapp.connections.catalogue_words import ABILITIES, limits
from webapp.connections.presets import made_with
from webapp.connections.store import ConnectionRow
from webapp.web.views import RoomView, expose, has_access, permission_name


class ConnectorCatalogueView(RoomView):
    """What can be connected."""

    route_base = "/connections/new"
    class_permission_name = "Connections"
    default_view = "about"

    @expose("/<connector>/about")
    @has_access
    @permission_name("read")
    def about(self, connector: str) -> Response:
        """Show one connector: settings, abilities, limits, quality, documentation."""
        entry = _connector(connector)
        page = catalogue_docs.page_of(entry)
        able = limits(entry.able) if entry.able else []
        context: dict[str, Any] = {"entry": entry, "abilities": ABILITIES, "limits": able, "levels": Level}
        context["made"] = self._made(lambda row: row.connector == connector)
        return self.page("connections/catalogue_about.html", page=page, lang=language(), **context)

    @expose("/<connector>/documentation")
    @has_access
    @permission_name("read")
    def documentation(self, connector: str) -> Response:
        """Show the part of the documentation that is about one connector."""
        entry = _connector(connector)
        page = catalogue_docs.page_of(entry)
        text = page.html() if page else None
        if text is None:
            abort(404)
        return self.page("connections/catalogue_documentation.html", entry=entry, text=text, lang=language())

    @expose("/preset/<preset>/about")
    @has_access
    @permission_name("read")
    def about_preset(self, preset: str) -> Response:
        """Show one preset: what it asks for, its objects, its limits, how it was tested."""
        found = find_preset(preset)
        if found is None or found.name != preset:
            abort(404)
        base = connector_entry(found.connector, translate)
        entry = preset_entry(found, base)
        made = self._made(lambda row: made_with(row) == found)
        return self.page("connections/catalogue_preset.html", entry=entry, base=base, made=made, lang=language())

    def _made(self, of: Callable[[ConnectionRow], bool]) -> list[ConnectionRow]:
        """Return the connections that there are already."""
        with self.house.db.read() as tx:
            return [row for row in services.list_connections(tx) if of(row)]


def catalogue_page(args: Mapping[str, str]) -> dict[str, Any]:
    """Return what the catalogue shows for what is looked for."""
    found = entries(translate)
    wanted = Wanted(*(args.get(name, "").strip() for name in ("q", "category", "ability", "level")))
    wanted = wanted if wanted.level in _LEVELS else Wanted(wanted.text, wanted.category, wanted.ability)
    lang = language()
    shown = find(found, wanted)
    categories = sorted({(e.category["en"], e.category[lang]) for e in found}, key=lambda pair: pair[1].casefold())
    return {
        "groups": grouped(shown, lang),
        "count": len(shown),
        "total": len(found),
        "wanted": wanted,
        "categories": categories,
        "abilities": ABILITIES,
        "levels": _LEVELS,
        "lang": lang,
    }


def language() -> str:
    """Return the reader's language, as the entries' texts are kept by it."""
    return "zh" if str(get_locale()).startswith("zh") else "en"


def translate(text: str, lang: str) -> str:
    """Return a text of the product in a language."""
    with force_locale(lang):
        return str(gettext(text))


def _connector(name: str) -> Entry:
    if name == HUB or name not in registry.names():
        abort(404)
    return connector_entry(name, translate)


_LEVELS = tuple(level.word for level in Level if level)
