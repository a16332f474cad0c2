"""What the pages of both kinds of tables share: making one, its editor, saving the draft, answering the script."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from flask import abort, flash, jsonify, redirect, render_template, request
from werkzeug.wrappers import Response

from webapp.rulebook import kinds, services
from webapp.rulebook.editing import part_of
from webapp.rulebook.errors import BadKind, BadName, RulebookError
from webapp.rulebook.findings import Findings
from webapp.rulebook.pages import RulePage, refusal
from webapp.rulebook.reading import RuleRow
from webapp.rulebook.translation import translate as _
from webapp.tables.editor import cell_problems, fits
from webapp.web.storable import read_json

Document = Mapping[str, Any]


class TablePage(RulePage):
    """A page of a table."""

    def rule_of(self, name: str, kind: str) -> RuleRow:
        """Return the table of the address, or show that there is none."""
        rule = self.rule(name)
        if rule.kind != kind:
            abort(404)
        return rule

    def unfit(self, rule: RuleRow) -> Response | None:
        """Return the way to the source of a draft that the grid cannot show, None for all others."""
        if fits(rule.document):
            return None
        flash(_("The draft is not a table that the grid can show. Correct it here."), "warning")
        return redirect(f"/rules/{rule.name}/source")

    def editor(
        self, template: str, rule: RuleRow, document: dict[str, Any], status: int = 200, **context: Any
    ) -> Response:
        """Show the editor of a table with what is wrong with it."""
        found = services.check(self.house, document)
        shown = {"problems": cell_problems(found, document), "findings": Findings(document, found), "fine": _fine()}
        home = kinds.kind_of(rule.document).home
        return self.frame(template, rule, home, status, document=document, **shown, **context)

    def answer(self, document: Document) -> Response:
        """Return what is wrong with a table that is being edited: cells to underline, and the list below the grid."""
        problems = cell_problems(services.check(self.house, document), document)
        html = render_template("tables/_findings.html", problems=problems, fine=_fine())
        return jsonify(cells=[problem.to_json() for problem in problems if problem.row is not None], html=html)

    def stored(self, rule: RuleRow, template: str, **context: Any) -> Response:
        """Save the draft and go back to the editor; shows what was typed again when somebody else was faster."""
        document, home = posted(), kinds.kind_of(rule.document).home
        try:
            stale = self.save(rule, document)
        except (BadName, BadKind) as error:
            flash(refusal(error), "danger")
            stale = None
        if stale:
            return self.editor(template, rule, document, 409, stale=stale, **context)
        return redirect(f"/rules/{rule.name}/{home}")

    def created(self, document: Document) -> Response | str:
        """Create the table and open its editor; returns what is wrong with its name."""
        try:
            rule = services.create(self.house, document, self.actor)
        except RulebookError as error:
            return refusal(error)
        return redirect(f"/rules/{rule.name}/{kinds.kind_of(document).home}")


def posted() -> dict[str, Any]:
    """Return the document that the editor's form holds; refuses what no editor sends."""
    try:
        found = read_json(request.form["document"])
    except ValueError:
        abort(422)
    if not isinstance(found, dict) or not fits(found):
        abort(422)
    return found


def asked() -> dict[str, Any]:
    """Return the document that the editor's script asks about."""
    return part_of(sent(), "document")


def sent() -> dict[str, Any]:
    """Return the object that a script sends; an empty one for anything else."""
    found = request.get_json(silent=True)
    return found if isinstance(found, dict) else {}


def head(kind: str) -> dict[str, Any]:
    """Return kind, name and title as the form of a new table states them."""
    label = request.form.get("label", "").strip()
    return {"kind": kind, "name": request.form.get("name", "").strip(), **({"label": label} if label else {})}


def named() -> dict[str, str]:
    """Return what is missing in the form of a new table."""
    return {} if request.form.get("name", "").strip() else {"name": _("Give it a name.")}


def _fine() -> str:
    return _("Everything fits together.")
