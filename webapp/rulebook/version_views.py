"""The versions of a rule: list, differences, roll back."""

from __future__ import annotations

from typing import Any

from flask import abort, flash, redirect, request
from flask_babel import gettext as _
from werkzeug.wrappers import Response

from webapp.rulebook import services
from webapp.rulebook.comparing import compared
from webapp.rulebook.errors import NotPublishable
from webapp.rulebook.findings import sentence
from webapp.rulebook.pages import RulePage
from webapp.rulebook.services import RuleRow, VersionRow
from webapp.web.views import expose, has_access, permission_name

DRAFT = "draft"
SHOWN = 3
"""Reasons that one message tells."""


class VersionsView(RulePage):
    """The tab "Versions"."""

    @expose("/<name>/versions")
    @has_access
    @permission_name("read")
    def versions(self, name: str) -> Response:
        """List the versions and show the difference of two of them."""
        rule = self.rule(name)
        with self.house.db.read() as tx:
            found = services.versions(tx, name)
        choices = [(str(v.version), _("Version %(number)d", number=v.version)) for v in found]
        if rule.changed:
            choices.insert(0, (DRAFT, _("The draft")))
        newest = [key for key, _label in choices[:2]]
        new = request.args.get("to") or (newest[0] if newest else "")
        old = request.args.get("from") or (newest[-1] if newest else "")
        changes = compared(self._document(rule, found, old), self._document(rule, found, new)) if choices else None
        context: dict[str, Any] = {"choices": choices, "old": old, "new": new, "changes": changes}
        return self.frame("rulebook/versions.html", rule, "versions", versions=found, **context)

    @expose("/<name>/versions/<int:number>/roll-back", methods=["POST"])
    @has_access
    @permission_name("publish")
    def roll_back(self, name: str, number: int) -> Response:
        """Publish an old version again."""
        self.rule(name)
        with self.house.db.read() as tx:
            if services.version(tx, name, number) is None:
                abort(404)
        try:
            made = services.roll_back(self.house, name, number, self.actor)
        except NotPublishable as error:
            reasons = " ".join(sentence(problem) for problem in error.problems[:SHOWN])
            text = _("Version %(number)d cannot be published again. %(reasons)s", number=number, reasons=reasons)
            flash(text, "danger")
            return redirect(f"/rules/{name}/versions")
        text = _("Version %(made)d is published; it says the same as version %(number)d.", made=made, number=number)
        flash(text, "success")
        return redirect(f"/rules/{name}/versions")

    def _document(self, rule: RuleRow, versions: list[VersionRow], which: str) -> dict[str, Any]:
        documents = {str(version.version): version.document for version in versions}
        if which != DRAFT and which not in documents:
            abort(404)
        return rule.document if which == DRAFT else documents[which]
