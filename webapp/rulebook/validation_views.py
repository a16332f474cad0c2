"""The tab "Validations" of a sync rule: what records have to meet, and the decision tables that are asked for them."""

from __future__ import annotations

from copy import deepcopy
from typing import Any

from flask import redirect, request
from flask_babel import gettext as _
from werkzeug.wrappers import Response

from rules.documents import DocumentError
from rules.documents.sync import Direction
from rules.reconcile.agreement import executed_way
from rules.schema import Schema
from rules.text import Message
from webapp.connections import services as connections
from webapp.entities import storage
from webapp.rulebook import decision_form, services, validation_trial, wording
from webapp.rulebook.checking import SIDES, look
from webapp.rulebook.editing import Flow, is_two_way, part_of, set_or_drop
from webapp.rulebook.findings import Findings
from webapp.rulebook.language_help import functions
from webapp.rulebook.library import library
from webapp.rulebook.pages import RulePage
from webapp.rulebook.samples import samples
from webapp.rulebook.scopes import scope_address
from webapp.rulebook.services import RuleRow
from webapp.web import validation_form as form
from webapp.web import validation_words
from webapp.web.language import translated
from webapp.web.storable import natural
from webapp.web.views import can, expose, has_access, permission_name


class ValidationsView(RulePage):
    """The tab "Validations"."""

    @expose("/<name>/validations")
    @has_access
    @permission_name("read")
    def validations(self, name: str) -> Response:
        """Show the validations and decisions of a rule."""
        rule = self.rule(name)
        return self._form(rule, rule.document, form.rows_from(rule.document.get("validations")))

    @expose("/<name>/validations", methods=["POST"])
    @has_access
    @permission_name("update")
    def save_validations(self, name: str) -> Response:
        """Save the validations and decisions, or take one step: add, move or remove one of them."""
        rule = self.rule(name)
        deed = request.form.get("do", "save")
        rows, shown = form.rows_of(request.form), None
        if deed.startswith(("add:", "up:", "down:", "remove:")):
            rows, shown = form.moved(rows, deed)
        document = _document(rule.document, rows, deed)
        if deed != "save":
            return self._form(rule, document, rows, open=shown, unsaved=True)
        if stale := self.save(rule, document):
            return self._form(rule, document, rows, 409, stale=stale)
        return redirect(f"/rules/{name}/validations")

    @expose("/<name>/validations/step", methods=["POST"])
    @has_access
    @permission_name("update")
    def step(self, name: str) -> Response:
        """Return the list after one step in it."""
        rule = self.rule(name)
        rows, shown = form.moved(form.rows_of(request.form), request.form.get("do", ""))
        context = {"rows": rows, "open": shown, "errors": {}, "wrong": set(), **self._choices(rule.document)}
        answer = self.page("rulebook/_validation_list.html", rule=rule, **context)
        answer.headers["HX-Trigger-After-Settle"] = "validations-changed"
        return answer

    @expose("/<name>/validations/try", methods=["POST"])
    @has_access
    @permission_name("read")
    def try_validations(self, name: str) -> Response:
        """Return how many of the first records meet each validation of the submitted form."""
        document = self.rule(name).document
        items = form.documents_of(form.rows_of(request.form))
        if not can("read", "Records"):
            return self.page("rulebook/_validation_counts.html", counts=[], summary="")
        counts, told = self._counted(document, items)
        return self.page("rulebook/_validation_counts.html", counts=counts, summary=told if items else "")

    def _counted(
        self, document: dict[str, Any], items: list[dict[str, Any]]
    ) -> tuple[list[validation_trial.Count], str]:
        """Return how many of the first records of their sides meet the validations, and a sentence about that."""
        first, known = Flow.of(document).source, library(self.house)
        decisions = decision_form.documents_of(request.form)
        counts = [validation_trial.Count()] * len(items)
        told = ""
        for side in dict.fromkeys((first, *SIDES)):
            mine = [number for number, item in enumerate(items) if (item.get("side") or first) == side]
            part = part_of(document, side)
            found = samples(self.house, str(part.get("connection", "")), str(part.get("object", ""))) if mine else None
            if found is None:
                continue
            told = _("Counted in the first %(count)d records.", count=found.many.height)
            if found.problem:
                return [], translated(found.problem)
            asked = [decision for decision in decisions if (decision.get("side") or first) == side]
            given = validation_trial.examples(found, asked, known, self.house.clock())
            tried = validation_trial.counts(self.house, [items[number] for number in mine], given, known)
            for number, count in zip(mine, tried, strict=True):
                counts[number] = count
        return counts, told

    def _form(
        self, rule: RuleRow, document: dict[str, Any], rows: list[form.Row], status: int = 200, **context: Any
    ) -> Response:
        findings = Findings(document, services.check(self.house, document))
        errors = _errors(findings)
        with self.house.db.read() as tx:
            known = decision_form.tables(services.list_rules(tx))
        shown = {
            "rows": rows,
            "errors": errors,
            "wrong": form.wrong_rows(errors),
            "findings": findings,
            "decisions": decision_form.asked(document, known),
            "tables": known,
            "table_choices": [(table.name, table.label or table.name) for table in known.values()],
            "functions": functions(),
            "open": None,
            "unsaved": False,
            "stale": None,
            **self._choices(document),
            **context,
        }
        return self.frame("rulebook/validations.html", rule, "validations", status, document=document, **shown)

    def _choices(self, document: dict[str, Any]) -> dict[str, Any]:
        flow = Flow.of(document)
        schema = look(self.house, document, flow.source).schema or Schema(())
        both = _works_on_both(document)
        other = look(self.house, document, flow.target).schema if both else None
        with self.house.db.read() as tx:
            names = [row.name for row in connections.list_connections(tx)]
            objects = connections.known_objects(tx)
            entities = [(entity.name, _("Entities of Syncline")) for entity in storage.every(tx)]
        return {
            "flow": flow,
            "source_schema": schema,
            "fields": list(
                dict(wording.field_choices(schema)[1:] + wording.field_choices(other or Schema(()))[1:]).items()
            ),
            "sides": _sides(document, flow) if both else [],
            "scopes": {side: scope_address(document, side, decided=True) for side in SIDES},
            "connections": [(name, _("Entities of Syncline") if name == "hub" else name) for name in names],
            "objects": [*entities, *((name, connection) for connection, name in objects)],
            "scope": scope_address(document, flow.source, decided=True),
            "severities": validation_words.in_a_run(),
            "deeds": validation_words.short(),
        }


def _works_on_both(document: dict[str, Any]) -> bool:
    """Tell whether records of both sides are looked at; a draft that is no rule yet is taken at its word."""
    try:
        return executed_way(document) is Direction.TWO_WAY
    except DocumentError:
        return is_two_way(document)


def _sides(document: dict[str, Any], flow: Flow) -> list[tuple[str, str]]:
    """Return the sides whose records can be asked; the one that is read first needs not be named."""
    return [("", wording.side_name(document, flow.source)), (flow.target, wording.side_name(document, flow.target))]


def _document(document: dict[str, Any], rows: list[form.Row], deed: str) -> dict[str, Any]:
    new = deepcopy(document)
    decisions = decision_form.documents_of(request.form)
    word, _colon, rest = deed.partition(":")
    if word == "ask" and request.form.get("new_decision"):
        decisions.append({"table": request.form["new_decision"]})
    if word == "forget":
        decisions = [decision for number, decision in enumerate(decisions) if number != natural(rest)]
    set_or_drop(new, "decisions", decisions, [])
    set_or_drop(new, "validations", form.documents_of(rows), [])
    return new


def _errors(findings: Findings) -> dict[str, Message]:
    errors: dict[str, Message] = {}
    for problem in findings.under("validations"):
        errors.setdefault(form.input_of(problem.path), problem.message)
    return errors
