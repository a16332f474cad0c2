"""The pages of decision tables: making one, its grid, trying it."""

from __future__ import annotations

from typing import Any

from flask import jsonify, render_template, request
from flask_babel import gettext as _
from werkzeug.wrappers import Response

from rules.documents.decision_table import KIND
from webapp.rulebook import hooks
from webapp.rulebook.editing import part_of
from webapp.rulebook.kind import listed
from webapp.rulebook.wording import aggregations, policies
from webapp.tables import exchange, trial, wording
from webapp.tables.exchange import FileRefused
from webapp.tables.pages import TablePage, asked, head, named, sent
from webapp.web.language import translated
from webapp.web.views import expose, has_access, permission_name


class DecisionTableView(TablePage):
    """Decision tables."""

    @expose("/new/table", methods=["GET", "POST"])
    @has_access
    @permission_name("create")
    def new(self) -> Response:
        """Make a decision table, empty or from a file."""
        errors: dict[str, str] = {}
        if request.method == "POST" and not (errors := named()):
            empty = {
                **head(KIND),
                "inputs": [{"name": "amount", "type": "decimal"}],
                "outputs": [{"name": "result", "type": "text"}],
                "rows": [],
            }
            try:
                made = self.created(exchange.uploaded(empty))
                if not isinstance(made, str):
                    return made
                errors["name"] = made
            except FileRefused as error:
                errors["file"] = translated(error.message)
        shown = {
            "title": _("New decision table"),
            "lead": _("Rows of conditions and what they decide, such as a discount for an amount and a country."),
            "example_label": _("Discount"),
            "example_name": "discount",
            "accept": exchange.accepted(KIND),
            "file_help": exchange.help_on(KIND),
        }
        return self.page("tables/new.html", 422 if errors else 200, form=request.form, errors=errors, **shown)

    @expose("/<name>/table")
    @has_access
    @permission_name("read")
    def table(self, name: str) -> Response:
        """Show the table in a grid."""
        rule = self.rule_of(name, KIND)
        unfit = self.unfit(rule)
        return unfit or self.editor("tables/table.html", rule, rule.document, **self._shown(name, rule.document))

    @expose("/<name>/table", methods=["POST"])
    @has_access
    @permission_name("update")
    def save_table(self, name: str) -> Response:
        """Save the draft."""
        rule = self.rule_of(name, KIND)
        return self.stored(rule, "tables/table.html", **self._shown(name, rule.document))

    @expose("/<name>/table/check", methods=["POST"])
    @has_access
    @permission_name("read")
    def check_table(self, name: str) -> Response:
        """Say what is wrong with the table as it stands in the editor."""
        self.rule_of(name, KIND)
        return self.answer(asked())

    @expose("/<name>/table/try", methods=["POST"])
    @has_access
    @permission_name("read")
    def try_table(self, name: str) -> Response:
        """Return what the table as it stands in the editor decides for some values, and why."""
        self.rule_of(name, KIND)
        body = sent()
        found = trial.tried(self.house, asked(), part_of(body, "given"), str(body.get("day") or ""))
        fields = render_template("tables/_given.html", fields=found.fields, dated=found.dated)
        names = " ".join(field.name for field in found.fields) + str(found.dated)
        html = render_template("tables/_trial.html", error=found.error, outcome=found.outcome)
        return jsonify(fields=fields, names=names, html=html)

    def _shown(self, name: str, document: dict[str, Any]) -> dict[str, Any]:
        dated = any(row.get("since") or row.get("until") for row in listed(document, "rows"))
        with self.house.db.read() as tx:
            hits = hooks.hits_of(tx, name)
        return {
            "words": wording.words(),
            "types": wording.types(),
            "policies": policies(),
            "aggregations": aggregations(),
            "forms": wording.cell_forms(),
            "dated": dated,
            "hits": hits,
        }
