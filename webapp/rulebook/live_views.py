"""What the pages ask while somebody types: examples for the mapping, checks of expressions, schedules in words."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any
from zoneinfo import ZoneInfo

from flask import request
from flask_babel import gettext as _
from flask_babel import ngettext
from werkzeug.wrappers import Response

from rules.language import Problem
from rules.schema import FieldType, Schema
from webapp.rulebook import timetable, wording
from webapp.rulebook.checking import look
from webapp.rulebook.editing import EXPRESSION, Flow, Row, part_of, rows, with_mapping
from webapp.rulebook.pages import RulePage
from webapp.rulebook.samples import Samples, samples
from webapp.rulebook.trial import Objects, Result, Tried, try_condition, try_expression, try_row
from webapp.web.language import translated
from webapp.web.views import expose, has_access, permission_name


@dataclass(frozen=True)
class ShownRow:
    """What the page shows beside one line of the mapping table."""

    number: int
    results: tuple[Result, ...]
    problems: tuple[Problem, ...]
    text: str
    failed: int
    type: str
    missing: bool
    when: Tried


class LiveView(RulePage):
    """Parts of pages; none of them changes anything."""

    @expose("/<name>/fields/try", methods=["POST"])
    @has_access
    @permission_name("read")
    def try_fields(self, name: str) -> Response:
        """Return the examples of all lines of the submitted mapping table."""
        rule = self.rule(name)
        document = with_mapping(rule.document, request.form)
        flow = Flow.of(document)
        found = self._samples(document, flow.source)
        target = look(self.house, document, flow.target).schema or Schema(())
        objects = Objects(found.schema, target, found.records)
        lines = rows(document, target)
        typed = {request.form[key]: key.removeprefix("target-") for key in request.form if key.startswith("target-")}
        shown = [
            _shown(int(typed[row.name]), _as_typed(row, typed[row.name]), flow, objects)
            for row in lines
            if row.name in typed
        ]
        chosen = min(max(request.form.get("sample", 0, type=int), 0), max(found.records.height - 1, 0))
        summary = translated(found.problem) if found.problem else _summary(shown, found.records.height)
        return self.page("rulebook/_trial.html", shown=shown, chosen=chosen, summary=summary)

    @expose("/<name>/where", methods=["POST"])
    @has_access
    @permission_name("read")
    def where(self, name: str) -> Response:
        """Return how many example records a condition matches."""
        document = self.rule(name).document
        found = self._samples(document, Flow.of(document).source)
        text = request.form.get("where", "").strip()
        tried = try_condition(text, found.schema, found.records) if text and not found.problem else Tried(text)
        outage = translated(found.problem) if found.problem and text else ""
        return self.page("rulebook/_where.html", tried=tried, outage=outage)

    @expose("/check-expression", methods=["POST"])
    @has_access
    @permission_name("read")
    def check_expression(self) -> Response:
        """Return what an expression gives over an object: `connection`, `object`, `expression`, `expect`."""
        chosen = (request.form.get("connection", ""), request.form.get("object", ""))
        found = samples(self.house, *chosen)
        text = request.form.get("expression", "").strip()
        expect = request.form.get("expect", "")
        wanted = FieldType(expect) if expect in set(FieldType) else None
        tried = try_expression(text, found.schema, found.records, wanted) if text and not found.problem else Tried(text)
        outage = translated(found.problem) if found.problem else ""
        return self.page("rulebook/_expression.html", tried=tried, outage=outage, wording=wording)

    @expose("/schedule-words")
    @has_access
    @permission_name("read")
    def schedule_words(self) -> Response:
        """Return a schedule in words, with the next times that it fires."""
        plan = timetable.plan_from_form(request.args, request.args.getlist("schedule_days"))
        cron, zone = timetable.cron_of(plan), request.args.get("timezone", "UTC")
        times = timetable.upcoming(cron, zone, self.house.clock()) if cron else []
        words = timetable.words({"cron": cron, "timezone": zone}) if cron else ""
        shown = [f"{at.astimezone(ZoneInfo(zone)):%Y-%m-%d %H:%M}" for at in times]
        return self.page("rulebook/_schedule.html", words=words, times=shown, cron=cron)

    def _samples(self, document: dict[str, Any], side: str) -> Samples:
        part = part_of(document, side)
        return samples(self.house, str(part.get("connection", "")), str(part.get("object", "")))


def _as_typed(row: Row, number: str) -> Row:
    """Return the row with what is typed, also while it is too little to be kept in the document."""
    source = request.form.get(f"source-{number}", "")
    return replace(
        row,
        source=source,
        expression=request.form.get(f"expression-{number}", "").strip() if source == EXPRESSION else "",
    )


def _shown(number: int, row: Row, flow: Flow, objects: Objects) -> ShownRow:
    tried = try_row(row, flow, objects)
    type_ = wording.type_name(tried.type) if tried.type and row.source == EXPRESSION else ""
    text = request.form.get(f"when-{number}", "").strip()
    when = try_condition(text, objects.source, objects.records) if text else Tried(text)
    missing = row.required and not row.source
    return ShownRow(number, tried.results, tried.problems, tried.text, tried.failed, type_, missing, when)


def _summary(shown: list[ShownRow], count: int) -> str:
    filled = sum(1 for row in shown if row.text)
    text = _("%(filled)d of %(count)d fields are filled.", filled=filled, count=len(shown))
    missing = sum(1 for row in shown if row.missing)
    if missing:
        text += " " + ngettext(
            "%(num)d required field is still open.", "%(num)d required fields are still open.", missing
        )
    wrong = sum(1 for row in shown if row.problems or row.failed)
    if wrong:
        text += " " + ngettext("%(num)d needs a look.", "%(num)d need a look.", wrong)
    if not count:
        text += " " + _("The source has no records yet, so there are no examples.")
    return str(text)
