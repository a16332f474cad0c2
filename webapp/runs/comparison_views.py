"""The page that compares two versions of a rule on the values that runs have kept."""

from __future__ import annotations

from typing import Any

from flask import abort, request
from flask_babel import gettext as _
from werkzeug.wrappers import Response

from rules.documents import decision_table
from rules.testing.replay import Kind
from webapp.rulebook import services
from webapp.rulebook.pages import RulePage
from webapp.rulebook.reading import RuleRow
from webapp.rulebook.tests_running import KINDS
from webapp.runs import comparison
from webapp.runs import explanation_words as words
from webapp.runs.comparison import DRAFT, NotComparable, Wish
from webapp.web.language import translated
from webapp.web.request import whole_number
from webapp.web.storable import natural
from webapp.web.views import expose, has_access, permission_name

TESTS = "tests"
PAGE = 50


class ComparisonView(RulePage):
    """Comparison of versions; it shows values of records, so it needs the permission to read runs."""

    class_permission_name = "Runs"

    @expose("/<name>/compare")
    @has_access
    @permission_name("read")
    def compare(self, name: str) -> Response:
        """Show what differs between two versions on the values of the chosen runs."""
        rule = self._rule(name)
        runs = comparison.runs_with_values(self.house, rule)
        versions = self._versions(rule)
        wish = self._wish(rule, versions, [row.id for row in runs])
        found, problem = None, ""
        page = max(request.args.get("page", 1, type=whole_number), 1)
        if wish is not None:
            try:
                found = comparison.compared(self.house, wish, PAGE, (page - 1) * PAGE)
            except NotComparable as error:
                problem = translated(error.message)
        context: dict[str, Any] = {"versions": versions, "runs": runs, "wish": wish, "found": found}
        tests = rule.kind == decision_table.KIND
        return self.frame(
            "rulebook/compare.html",
            rule,
            "versions",
            problem=problem,
            kinds=_kinds(),
            on_tests=tests,
            words=words,
            page=page,
            first=(page - 1) * PAGE + 1,
            more=found is not None and found.differing > page * PAGE,
            **context,
        )

    @expose("/<name>/compare.csv")
    @has_access
    @permission_name("export")
    def download(self, name: str) -> Response:
        """Download all differences."""
        rule = self._rule(name)
        wish = self._wish(rule, self._versions(rule), [row.id for row in comparison.runs_with_values(self.house, rule)])
        if wish is None:
            abort(404)
        try:
            lines = comparison.difference_lines(self.house, wish, self.actor, translated)
        except NotComparable as error:
            return Response(translated(error.message), 409, content_type="text/plain; charset=utf-8")
        file = f'attachment; filename="{name}-{wish.old}-{wish.new}.csv"'
        return Response(lines, content_type="text/csv; charset=utf-8", headers={"Content-Disposition": file})

    def _rule(self, name: str) -> RuleRow:
        rule = self.rule(name)
        if rule.kind not in KINDS:
            abort(404)
        return rule

    def _versions(self, rule: RuleRow) -> list[tuple[str, str]]:
        with self.house.db.read() as tx:
            found = services.versions(tx, rule.name)
        choices = [(str(v.version), _("Version %(number)d", number=v.version)) for v in found]
        return [(DRAFT, _("The draft")), *choices] if rule.changed else choices

    def _wish(self, rule: RuleRow, versions: list[tuple[str, str]], runs: list[int]) -> Wish | None:
        """Return what was asked for, else the published version and the draft on the latest run."""
        known = [key for key, _label in versions]
        if len(known) < 2:
            return None
        new = request.args.get("to") if request.args.get("to") in known else known[0]
        old = request.args.get("from") if request.args.get("from") in known else known[1]
        asked = request.args.get("run", "")
        if asked == TESTS and rule.kind == decision_table.KIND:
            chosen: tuple[int, ...] = ()
        elif (one := natural(asked)) in runs and one is not None:
            chosen = (one,)
        elif asked == "all":
            chosen = tuple(runs)
        else:
            chosen = tuple(runs[:1])
        return None if not chosen and rule.kind != decision_table.KIND else Wish(rule.name, str(old), str(new), chosen)


def _kinds() -> dict[str, tuple[str, str]]:
    return {
        Kind.DIFFERENT.value: (_("Different"), "info"),
        Kind.FAILING.value: (_("Newly refused"), "bad"),
        Kind.FIXED.value: (_("No longer refused"), "ok"),
        Kind.ENTERED.value: (_("Comes into scope"), "warn"),
        Kind.LEFT.value: (_("Leaves the scope"), "warn"),
    }
