"""The editors of a rule's draft: fields, behaviour and the document itself as text."""

from __future__ import annotations

from typing import Any

from flask import redirect, request
from flask_babel import gettext as _
from werkzeug.wrappers import Response

from rules.documents import Located
from rules.schema import Schema
from webapp.connections import services as connections
from webapp.rulebook import services, source, timetable, wording
from webapp.rulebook.checking import look
from webapp.rulebook.deletions_form import with_deletes
from webapp.rulebook.editing import (
    EXPRESSION,
    Flow,
    entries,
    is_two_way,
    part_of,
    rows,
    with_behaviour,
    with_mapping,
    with_suggestions,
)
from webapp.rulebook.errors import BadName
from webapp.rulebook.findings import Findings
from webapp.rulebook.guarantee import with_transaction
from webapp.rulebook.language_help import functions
from webapp.rulebook.limits_form import with_limits
from webapp.rulebook.pages import RulePage, after_saving, in_setup, outages, refusal
from webapp.rulebook.pairs_views import save_pairs, show_pairs
from webapp.rulebook.promises_form import with_promises
from webapp.rulebook.saga_form import anchor, own_back, own_undo, saga_rows, with_saga
from webapp.rulebook.scopes import scope_address
from webapp.rulebook.services import RuleRow
from webapp.rulebook.situations import choices, defaults_of
from webapp.rulebook.source import Mark, SyntaxProblem
from webapp.rulebook.two_way_form import with_direction
from webapp.rulebook.two_way_views import (
    behaviour_context,
    deletes_context,
    referable,
    save_two_way,
    schemas_of,
    show_two_way,
    with_after,
)
from webapp.web.language import translated
from webapp.web.views import expose, has_access, permission_name


class FieldsView(RulePage):
    """The tab "Fields", and step 2 of a new rule."""

    @expose("/<name>/fields")
    @has_access
    @permission_name("read")
    def fields(self, name: str) -> Response:
        """Show the mapping table."""
        rule = self.rule(name)
        if is_two_way(rule.document):
            return show_pairs(self, rule, rule.document)
        return self._table(rule, rule.document)

    @expose("/<name>/fields", methods=["POST"])
    @has_access
    @permission_name("update")
    def save_fields(self, name: str) -> Response:
        """Save the mapping table; "suggest" fills in open fields first."""
        rule = self.rule(name)
        if is_two_way(rule.document):
            return save_pairs(self, rule)
        flow = Flow.of(rule.document)
        seen = {side: look(self.house, rule.document, side) for side in ("left", "right")}
        document = with_mapping(rule.document, request.form, _generated(seen[flow.target].schema))
        suggested: set[str] = set()
        source_schema, target_schema = seen[flow.source].schema, seen[flow.target].schema
        if request.form.get("do") == "suggest" and source_schema and target_schema:
            document, suggested = with_suggestions(document, source_schema, target_schema)
            return self._table(rule, document, suggested=suggested, unsaved=True)
        if stale := self.save(rule, document):
            return self._table(rule, document, 409, stale=stale)
        return redirect(after_saving(name, "fields", "behaviour"))

    def _table(self, rule: RuleRow, document: dict[str, Any], status: int = 200, **context: Any) -> Response:
        flow = Flow.of(document)
        source_seen, target_seen = look(self.house, document, flow.source), look(self.house, document, flow.target)
        found = rows(document, target_seen.schema)
        shown = {
            "flow": flow,
            "key": part_of(document, "key"),
            "rows": found,
            "source_schema": source_seen.schema or Schema(()),
            "target_schema": target_seen.schema or Schema(()),
            "outages": outages(source_seen, target_seen),
            "source_choices": _source_choices(source_seen.schema, document, flow),
            "functions": functions(),
            "scope": scope_address(document, flow.source, decided=True),
            "references": referable(self, document),
            "suggested": context.pop("suggested", set()),
            "stale": context.pop("stale", None),
            "unsaved": context.pop("unsaved", False),
        }
        return self.frame("rulebook/fields.html", rule, "fields", status, document=document, **shown, **context)


class BehaviourView(RulePage):
    """The tab "Behaviour", and step 3 of a new rule."""

    @expose("/<name>/behaviour")
    @has_access
    @permission_name("read")
    def behaviour(self, name: str) -> Response:
        """Show what happens, when, and what about errors."""
        rule = self.rule(name)
        if is_two_way(rule.document):
            return show_two_way(self, rule, rule.document)
        return self._form(rule, rule.document)

    @expose("/<name>/behaviour", methods=["POST"])
    @has_access
    @permission_name("update")
    def save_behaviour(self, name: str) -> Response:
        """Save what happens, when, and what about errors."""
        rule = self.rule(name)
        if is_two_way(rule.document):
            return save_two_way(self, rule)
        plan = timetable.plan_from_form(request.form, request.form.getlist("schedule_days"))
        document = with_behaviour(rule.document, request.form, timetable.cron_of(plan))
        document = with_transaction(with_promises(with_limits(document, request.form), request.form), request.form)
        document = with_deletes(document, request.form, schemas_of(self, document))
        document = with_saga(with_direction(with_after(document), request.form), request.form)
        if stale := self.save(rule, document):
            return self._form(rule, document, 409, stale)
        if place := anchor(request.form.get("do", ""), len(saga_rows(document))):
            return redirect(f"/rules/{name}/behaviour" + ("?setup=1" if in_setup() else "") + place)
        return redirect(after_saving(name, "behaviour", ""))

    def _saga(self, document: dict[str, Any]) -> dict[str, Any]:
        with self.house.db.read() as tx:
            names = [row.name for row in connections.list_connections(tx)]
        choices = [("", _("– choose –")), *((name, name) for name in names)]
        own = {"saga_back": own_back(document), "saga_undo": own_undo(document)}
        return {"saga_rows": saga_rows(document), **own, "saga_connections": choices}

    def _form(self, rule: RuleRow, document: dict[str, Any], status: int = 200, stale: Any = None) -> Response:
        flow = Flow.of(document)
        seen = look(self.house, document, flow.source)
        schema = seen.schema or Schema(())
        shown = {
            **behaviour_context(self, document),
            **deletes_context(self, document, flow.source, flow.target),
            "flow": flow,
            "where": part_of(document, flow.source).get("where") or "",
            "source_schema": schema,
            "outages": outages(seen),
            "situations": wording.situations(document, choices(), defaults_of(document)),
            "detect": part_of(part_of(document, "detect"), flow.source),
            "functions": functions(),
            "scope": scope_address(document, flow.source),
            "stale": stale,
            **self._saga(document),
        }
        return self.frame("rulebook/behaviour.html", rule, "behaviour", status, document=document, **shown)


class SourceView(RulePage):
    """The tab "Source": the draft as YAML or JSON."""

    @expose("/<name>/source")
    @has_access
    @permission_name("read")
    def source(self, name: str) -> Response:
        """Show the document as text."""
        rule = self.rule(name)
        form = "json" if request.args.get("format") == "json" else "yaml"
        return self._editor(rule, source.written(rule.document, form), form)

    @expose("/<name>/source", methods=["POST"])
    @has_access
    @permission_name("update")
    def save_source(self, name: str) -> Response:
        """Save the document from text; "show" only writes it in the other form."""
        rule = self.rule(name)
        form = "json" if request.form.get("format") == "json" else "yaml"
        text = request.form.get("text", "").replace("\r\n", "\n")
        located, problem = source.read(text, form)
        if located is None:
            return self._editor(rule, text, form, 422, syntax=problem)
        other = request.form.get("show")
        if other in {"yaml", "json"}:
            again = source.written(located.document, other)
            return self._editor(
                rule, again, other, document=located.document, unsaved=located.document != rule.document
            )
        try:
            stale = self.save(rule, located.document)
        except BadName as error:
            return self._editor(rule, text, form, 422, refused=refusal(error))
        if stale:
            return self._editor(rule, text, form, 409, stale=stale)
        return redirect(f"/rules/{name}/source?format={form}")

    def _editor(self, rule: RuleRow, text: str, form: str, status: int = 200, **context: Any) -> Response:
        located, problem = source.read(text, form)
        place = (lambda found: located.place(found.path)) if located else (lambda _found: (1, 1))
        findings = Findings(rule.document, services.check(self.house, context.get("document") or rule.document))
        problems = [] if problem else sorted(findings.problems, key=place)
        shown = {"text": text, "form": form, "line_of": place, "findings": findings, "problems": problems}
        shown["marks"] = self._marks(text, located, problem, findings)
        return self.frame("rulebook/source.html", rule, "source", status, **{**shown, **context})

    def _marks(
        self, text: str, located: Located | None, problem: SyntaxProblem | None, findings: Findings
    ) -> list[Mark]:
        if located:
            return source.marks(located, text, findings.problems, translated)
        if problem is None:
            return []
        return [Mark(problem.line, problem.column, problem.column, translated(problem.message), "error")]


def _generated(schema: Schema | None) -> list[str]:
    return [field.name for field in schema.fields if field.generated] if schema else []


def _source_choices(schema: Schema | None, document: dict[str, Any], flow: Flow) -> list[tuple[str, str]]:
    """Return what a target field can be filled from, also fields that the document names and the source has lost."""
    fields = [(f.name, f"{f.label or f.name} · {wording.type_name(f.type)}") for f in schema.fields] if schema else []
    names = {name for name, _label in fields}
    used = [str(entry[flow.source]) for entry in entries(document) if entry.get(flow.source)]
    lost = [(name, _("%(name)s (not found)", name=name)) for name in dict.fromkeys(used) if name not in names]
    return [("", _("– leave alone –")), *fields, *lost, (EXPRESSION, _("Expression …"))]
