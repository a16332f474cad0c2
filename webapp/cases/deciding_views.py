"""Deciding about a record that waits: what would be written, the decision, and the change of the rule."""

from __future__ import annotations

from typing import Any

import sqlalchemy as sa
from flask import flash, redirect, request
from flask_babel import gettext as _
from werkzeug.wrappers import Response

from webapp.cases import deciding, rule_changes, words
from webapp.cases.case_page import CasePage
from webapp.cases.pair_page import PairView
from webapp.cases.preview import written
from webapp.cases.services import Case, CaseRefused
from webapp.rulebook.errors import RulebookError
from webapp.runs import pair_cases, sight_pairs
from webapp.runs.pair_cases import AnswerRefused
from webapp.runs.pair_choices import FIELDS, RECORD, ChoiceRefused
from webapp.wake import announce
from webapp.web.language import translated
from webapp.web.request import whole_number
from webapp.web.views import can, expose, has_access, permission_name


class DecidingView(CasePage):
    """Decisions about records that wait."""

    @expose("/<int:number>/decide", methods=["POST"])
    @has_access
    @permission_name("update")
    def decide(self, number: int) -> Any:
        """Show what a choice writes, or (`step=do`) keep it and request the run that carries it out."""
        case, view = self.pair_of(number)
        choice = view.choice(request.form)
        if request.form.get("step") == "edit":
            return self.case_page(number, chosen=choice)
        try:
            if request.form.get("step") != "do":
                return self._preview(case, view, choice)
            run_id = deciding.decide(self.house, number, choice, self.actor)
        except ChoiceRefused as refusal:
            told = translated(refusal.message)
            return self.case_page(number, 422, problem=told, chosen=choice, field_error=(refusal.field or "", told))
        except (AnswerRefused, CaseRefused) as refusal:
            return self.case_page(number, 409, problem=translated(refusal.message))
        announce(self.house.settings)
        flash(_run_told(run_id), "success")
        return redirect(f"/cases/{number}")

    @expose("/<int:number>/rule", methods=["GET", "POST"])
    @has_access
    @permission_name("update")
    def rule(self, number: int) -> Any:
        """Show what the decision changes in the rule if it is to hold from now on, and put it into the draft."""
        case, view = self.pair_of(number)
        problem = ""
        with self.house.db.read() as tx:
            proposal = rule_changes.propose(tx, view.pair, view.known.document, view.names)
        if request.method == "POST" and can("update", "Rules"):
            try:
                found = rule_changes.refuse_nothing(proposal)
                version = request.form.get("draft_version", 0, type=whole_number)
                rule_changes.apply(self.house, number, found, version, self.actor)
            except (RulebookError, CaseRefused) as refusal:
                problem = translated(refusal.message)
            else:
                return self._drafted(view.pair.rule_name)
        context = {"case": case, "view": view, "proposal": proposal, "problem": problem}
        allowed = can("update", "Rules")
        return self.page("cases/rule.html", 409 if problem else 200, allowed=allowed, **context)

    def _preview(self, case: Case, view: PairView, choice: dict[str, Any]) -> Response:
        checked = _checked(self.house.db, view, choice)
        context: dict[str, Any] = {
            "writes": written(view.pair, checked, view.known),
            "told": words.answer_told(checked, view.pair, view.names),
            "deed": words.deed_told(checked[RECORD], view.pair, view.names) if RECORD in checked else None,
        }
        return self.page("cases/confirm.html", case=case, view=view, choice=checked, form=_fields(checked), **context)

    def _drafted(self, rule: str) -> Response:
        if can("publish", "Rules"):
            flash(_("The draft of the rule is changed. Look at it once more and publish it."), "success")
            return redirect(f"/rules/{rule}/publish")
        flash(
            _("The draft of the rule is changed. It takes effect when somebody who may do so publishes it."), "success"
        )
        return redirect(f"/rules/{rule}/")


def _checked(db: Any, view: PairView, choice: dict[str, Any]) -> dict[str, Any]:
    """Return a choice as it would be stored; raises what `deciding.decide` raises."""
    tx: sa.Connection
    with db.read() as tx:
        pair = pair_cases.get(tx, view.pair.id)
        checked = pair_cases.checked_choice(tx, pair, choice)
        sight_pairs.require_choice(tx, pair, checked)
        return checked


def _fields(choice: dict[str, Any]) -> list[tuple[str, str]]:
    """Return a choice as the fields of a form that sends it again."""
    if RECORD in choice:
        return [("pick", f"link:{choice['key']}" if choice[RECORD] == "link" else choice[RECORD])]
    fields = []
    for number, take in choice[FIELDS].items():
        fields.append((f"take:{number}", take["take"]))
        if take["take"] == "value":
            fields.append((f"value:{number}", _text(take["value"])))
    return fields


def _text(value: Any) -> str:
    if value is None:
        return ""
    return {True: "true", False: "false"}[value] if isinstance(value, bool) else str(value)


def _run_told(run_id: int | None) -> str:
    if run_id is None:
        return str(_("Decided. The next run of the rule carries it out."))
    return str(_("Decided. Run %(run)d carries it out.", run=run_id))
