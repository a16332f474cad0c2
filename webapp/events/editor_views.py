"""The pages on which event rules are made and edited."""

from __future__ import annotations

from typing import Any

from flask import abort, flash, jsonify, redirect, render_template, request
from flask_babel import gettext as _
from werkzeug.wrappers import Response

from rules.documents import DocumentProblem
from rules.documents.event_rule import KIND
from webapp.events import known, words
from webapp.events.drawing import drawn
from webapp.events.form_document import document_of, form_of, model_of
from webapp.events.form_model import Model, changed, input_of, model_from
from webapp.events.kind import check_form
from webapp.events.starters import FORMS, starter
from webapp.rulebook import services
from webapp.rulebook.errors import BadKind, BadName, RulebookError
from webapp.rulebook.findings import Findings, sentence
from webapp.rulebook.pages import RulePage, refusal
from webapp.rulebook.reading import RuleRow
from webapp.web.views import can, expose, has_access, permission_name

HOME = "event"
MISSING = "The key '{key}' is missing."


class EventRulePage(RulePage):
    """A page of one event rule."""

    def framed(self, template: str, rule: RuleRow, tab: str, status: int = 200, **context: Any) -> Response:
        """Render a page of the rule without trying its examples."""
        findings = Findings(rule.document, check_form(self.house, rule.document))
        return self.frame(template, rule, tab, status, **{"findings": findings, **context})

    def event_rule(self, name: str) -> RuleRow:
        """Return the event rule of the address, or show that there is none."""
        rule = self.rule(name)
        if rule.kind != KIND:
            abort(404)
        return rule


class EventRuleView(EventRulePage):
    """Making an event rule, and its form."""

    @expose("/new/event", methods=["GET", "POST"])
    @has_access
    @permission_name("create")
    def new(self) -> Response:
        """Make an event rule from an example that works at once."""
        errors: dict[str, str] = {}
        if request.method == "POST":
            name, label = (request.form.get(key, "").strip() for key in ("name", "label"))
            form = request.form.get("form", "")
            try:
                rule = services.create(
                    self.house, starter(form if form in FORMS else FORMS[0], name, label), self.actor
                )
                return redirect(f"/rules/{rule.name}/{HOME}")
            except RulebookError as error:
                errors["name"] = refusal(error) if name else _("Give it a name.")
        shown = {"form": request.form, "errors": errors, "starts": words.starts()}
        return self.page("events/new.html", 422 if errors else 200, **shown)

    @expose("/<name>/event")
    @has_access
    @permission_name("read")
    def show(self, name: str) -> Response:
        """Show the rule as a form."""
        rule = self.event_rule(name)
        return self._editor(rule, rule.document, model_of(rule.document))

    @expose("/<name>/event", methods=["POST"])
    @has_access
    @permission_name("update")
    def save_rule(self, name: str) -> Response:
        """Save the draft, or take one step in the form: add, move or remove a part."""
        rule = self.event_rule(name)
        model, deed = model_from(request.form), request.form.get("do", "save")
        if deed != "save":
            model, _opened = changed(model, deed)
            return self._editor(rule, document_of(model, rule.document), model)
        document = document_of(model, rule.document)
        try:
            stale = self.save(rule, document)
        except (BadName, BadKind) as error:
            flash(refusal(error), "danger")
            stale = None
        if stale:
            return self._editor(rule, document, model, 409, stale=stale)
        return redirect(f"/rules/{name}/{HOME}")

    @expose("/<name>/event/step", methods=["POST"])
    @has_access
    @permission_name("update")
    def step(self, name: str) -> Response:
        """Return the form after one step in it."""
        rule = self.event_rule(name)
        model, _opened = changed(model_from(request.form), request.form.get("do", ""))
        document = document_of(model, rule.document)
        return self.page("events/_form.html", rule=rule, document=document, **self._shown(document, model))

    @expose("/<name>/event/check", methods=["POST"])
    @has_access
    @permission_name("read")
    def check(self, name: str) -> Response:
        """Say what is wrong with the rule as it stands in the form, and draw it."""
        rule = self.event_rule(name)
        document = document_of(model_from(request.form), rule.document)
        found = check_form(self.house, document)
        listed = _listed(found, document)
        html = render_template("events/_findings.html", problems=listed)
        chart = render_template("events/_chart.html", drawing=drawn(document))
        return jsonify(errors=_errors(found, document), html=html, chart=chart)

    def _editor(
        self, rule: RuleRow, document: dict[str, Any], model: Model, status: int = 200, **context: Any
    ) -> Response:
        shown = self._shown(document, model)
        return self.frame("events/rule.html", rule, HOME, status, document=document, **shown, **context)

    def _shown(self, document: dict[str, Any], model: Model) -> dict[str, Any]:
        found = check_form(self.house, document)
        return {
            "model": model,
            "form": form_of(document),
            "findings": Findings(document, found),
            "problems": _listed(found, document),
            "errors": _errors(found, document),
            "choices": known.choices(self.house),
            "fields": known.fields(self.house, document, data=can("read", "Events")),
            "drawing": drawn(document),
            "words": words,
        }


def _errors(found: list[DocumentProblem], document: dict[str, Any]) -> dict[str, str]:
    errors: dict[str, str] = {}
    for problem in found:
        if problem.severity == "error":
            errors.setdefault(input_of(problem.path, document), _told(problem))
    return errors


def _listed(found: list[DocumentProblem], document: dict[str, Any]) -> list[dict[str, str]]:
    return [
        {
            "input": input_of(one.path, document),
            "place": words.place(one.path, document),
            "text": _told(one),
            "severity": one.severity.value,
        }
        for one in found
    ]


def _told(problem: DocumentProblem) -> str:
    """Return a problem in words for a form, where nobody sees the keys of the document."""
    if problem.message.template == MISSING:
        return str(_("Something is needed here."))
    return sentence(problem)
