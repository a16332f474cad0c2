"""What the pages of one rule share: its head with state and buttons, its tabs or the steps of a new rule."""

from __future__ import annotations

from typing import Any

from flask import abort, flash, request
from flask_babel import gettext as _
from werkzeug.wrappers import Response

from rules.documents import DocumentProblem
from rules.language.writing import field_text
from webapp.rulebook import services, wording
from webapp.rulebook.checking import Seen
from webapp.rulebook.errors import StaleDraft
from webapp.rulebook.findings import Findings, sentence, tab_of
from webapp.rulebook.kind import RuleKind
from webapp.rulebook.kinds import kind_of
from webapp.rulebook.relations import all_before
from webapp.rulebook.services import RuleRow
from webapp.web.language import translated
from webapp.web.request import whole_number
from webapp.web.views import RoomView


class RulePage(RoomView):
    """A page below `/rules/`."""

    route_base = "/rules"
    class_permission_name = "Rules"

    def rule(self, name: str) -> RuleRow:
        """Return the rule of the address, or show that there is none."""
        with self.house.db.read() as tx:
            found = services.find(tx, name)
        if found is None:
            abort(404)
        return found

    def frame(self, template: str, rule: RuleRow, tab: str, status: int = 200, **context: Any) -> Response:
        """Render a page of one rule."""
        document = context.pop("document", None) or rule.document
        if "findings" not in context:
            context["findings"] = Findings(document, services.check(self.house, document))
        shared = {
            "rule": rule,
            "kind": kind_of(rule.document),
            "document": document,
            "draft_version": _draft_version(rule, context.get("stale")),
            "tab": tab,
            "tabs": _tabs(rule, tab),
            "steps": steps(2 if tab == "fields" else 3) if in_setup() else None,
            "setup": in_setup(),
            "comes_after": self._comes_after(rule),
            "wording": wording,
            "field_text": field_text,
            "sentence": sentence,
            "tab_of": tab_of,
        }
        return self.page(template, status, **shared, **context)

    def _comes_after(self, rule: RuleRow) -> list[str]:
        """Return the rules that run before a published one, in their order."""
        with self.house.db.read() as tx:
            return all_before(tx, rule.name, rule.published or {})

    def save(self, rule: RuleRow, document: dict[str, Any]) -> StaleDraft | None:
        """Save the draft that a form was made from; returns what to show when somebody else was faster."""
        expected = request.form.get("draft_version", type=whole_number)
        try:
            saved = services.save_draft(self.house, rule.name, document, self.actor, expected)
        except StaleDraft as error:
            return error
        if saved.draft_version != rule.draft_version and not in_setup():
            flash(_("Draft saved."), "success")
        return None


def in_setup() -> bool:
    """Tell whether the page is a step of a new rule."""
    return request.values.get("setup") == "1"


def steps(active: int) -> list[tuple[str, bool, bool]]:
    """Return the steps of a new rule, done before the active one."""
    labels = [_("Systems"), _("Keys and fields"), _("What happens")]
    return [(label, number < active, number == active) for number, label in enumerate(labels, 1)]


def refusal(error: Exception) -> str:
    """Return the sentence of one of the room's errors in the reader's language."""
    return translated(getattr(error, "message", str(error)))


def problem_json(problem: DocumentProblem) -> dict[str, Any]:
    """Return a problem as the API shows it."""
    return {
        "path": problem.path,
        "detail": translated(problem.message),
        "line": problem.line,
        "column": problem.column,
        "end": None if problem.column is None else problem.column + (problem.length or 0),
        "suggestion": problem.suggestion,
        "severity": problem.severity.value,
    }


def outages(*seen: Seen) -> list[str]:
    """Return why systems do not answer, a sentence each."""
    return [translated(side.problem) for side in seen if side.problem]


def after_saving(name: str, here: str, there: str) -> str:
    """Return where to go after saving: on to the next step of a new rule, or back to the same page."""
    setup = in_setup()
    if not setup or request.form.get("do") == "stay":
        return f"/rules/{name}/{here}" + ("?setup=1" if setup else "")
    return f"/rules/{name}/{there}" + ("?setup=1" if there else "")


def _draft_version(rule: RuleRow, stale: StaleDraft | None) -> int:
    """Return the version that the shown form was made from; a stale form stays stale until it is loaded again."""
    return request.form.get("draft_version", rule.draft_version, type=whole_number) if stale else rule.draft_version


def _tabs(rule: RuleRow, active: str) -> list[tuple[str, str, bool]]:
    kind = kind_of(rule.document)
    named = [*kind.tabs, ("source", _("Source")), ("versions", _("Versions"))]
    first = [] if kind.home else [(home(rule.name, kind), _("Overview"), active == "overview")]
    shown = [(f"/rules/{rule.name}/{name}", _(label), name == active) for name, label in named]
    return [*first, *shown, *([(f"/runs/?rule={rule.name}", _("Runs"), False)] if kind.runs else [])]


def home(name: str, kind: RuleKind) -> str:
    """Return the address of a rule's first page."""
    return f"/rules/{name}/{kind.home}"
