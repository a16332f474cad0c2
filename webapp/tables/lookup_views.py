"""The pages of lookup tables: making one, and its entries."""

from __future__ import annotations

from typing import Any

from flask import request
from flask_babel import gettext as _
from werkzeug.wrappers import Response

from rules.documents.lookup import KIND
from webapp.rulebook.editing import part_of
from webapp.tables import exchange, wording
from webapp.tables.exchange import FileRefused
from webapp.tables.pages import TablePage, asked, head, named
from webapp.web.language import translated
from webapp.web.views import expose, has_access, permission_name

TYPES = ("text", "integer", "decimal", "float", "boolean", "date", "datetime", "local_datetime")


class LookupView(TablePage):
    """Lookup tables."""

    @expose("/new/lookup", methods=["GET", "POST"])
    @has_access
    @permission_name("create")
    def new(self) -> Response:
        """Make a lookup table, empty or from a file."""
        errors: dict[str, str] = {}
        if request.method == "POST" and not (errors := named()):
            empty = {**head(KIND), "key": {"name": _("code")}, "columns": [{"name": _("name")}], "entries": []}
            try:
                made = self.created(exchange.uploaded(empty))
                if not isinstance(made, str):
                    return made
                errors["name"] = made
            except FileRefused as error:
                errors["file"] = translated(error.message)
        shown = {
            "title": _("New lookup table"),
            "lead": _("A list of codes and what they stand for. Expressions look values up in it."),
            "example_label": _("Countries"),
            "example_name": "countries",
            "accept": exchange.accepted(KIND),
            "file_help": exchange.help_on(KIND),
        }
        return self.page("tables/new.html", 422 if errors else 200, form=request.form, errors=errors, **shown)

    @expose("/<name>/entries")
    @has_access
    @permission_name("read")
    def entries(self, name: str) -> Response:
        """Show the entries in a grid."""
        rule = self.rule_of(name, KIND)
        return self.unfit(rule) or self.editor("tables/lookup.html", rule, rule.document, **_shown(rule.document))

    @expose("/<name>/entries", methods=["POST"])
    @has_access
    @permission_name("update")
    def save_entries(self, name: str) -> Response:
        """Save the draft."""
        rule = self.rule_of(name, KIND)
        return self.stored(rule, "tables/lookup.html", **_shown(rule.document))

    @expose("/<name>/entries/check", methods=["POST"])
    @has_access
    @permission_name("read")
    def check_entries(self, name: str) -> Response:
        """Say what is wrong with the table as it stands in the editor."""
        self.rule_of(name, KIND)
        return self.answer(asked())


def _shown(document: dict[str, Any]) -> dict[str, Any]:
    key = str(part_of(document, "key").get("name") or _("code"))
    return {"words": wording.words(), "types": wording.types(TYPES), "example": key}
