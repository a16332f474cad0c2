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
from rules.schema import Schema
from webapp.rulebook import timetable
from webapp.rulebook.checking import look
from webapp.rulebook.editing import EXPRESSION, Flow, Row, is_two_way, listed, part_of, rows, with_mapping
from webapp.rulebook.library import library
from webapp.rulebook.pages import RulePage
from webapp.rulebook.pairs import SIDES
from webapp.rulebook.pairs_live import summary, tried_pairs
from webapp.rulebook.relations_form import connections_of
from webapp.rulebook.samples import COUNT, Samples, samples
from webapp.rulebook.trial import Objects, Result, try_row
from webapp.rulebook.validation_trial import Examples, examples
from webapp.web.language import translated
from webapp.web.request import whole_number
from webapp.web.views import can, expose, has_access, permission_name


@dataclass(frozen=True)
class ShownRow:
    """What the page shows beside one line of the mapping table."""

    number: int
    results: tuple[Result, ...]
    problems: tuple[Problem, ...]
    text: str
    failed: int
    missing: bool


class LiveView(RulePage):
    """Parts of pages; none of them changes anything."""

    @expose("/<name>/fields/try", methods=["POST"])
    @has_access
    @permission_name("read")
    def try_fields(self, name: str) -> Response:
        """Return the examples of all lines of the submitted mapping table."""
        rule = self.rule(name)
        if is_two_way(rule.document):
            return self._try_pairs(rule.document)
        document = with_mapping(rule.document, request.form)
        flow = Flow.of(document)
        found = self._samples(document, flow.source)
        target = look(self.house, document, flow.target).schema or Schema(())
        known = library(self.house)
        given = examples(found, listed(document, "decisions"), known, self.house.clock())
        tried = given.records.head(COUNT)
        objects = Objects(given.schema, target, tried, known, connections_of(document), found.withheld)
        lines = rows(document, target)
        typed = {request.form[key]: key.removeprefix("target-") for key in request.form if key.startswith("target-")}
        shown = [
            _shown(int(typed[row.name]), _as_typed(row, typed[row.name]), flow, objects)
            for row in lines
            if row.name in typed
        ]
        chosen = min(max(request.form.get("sample", 0, type=whole_number), 0), max(found.records.height - 1, 0))
        summary = translated(found.problem) if found.problem else _summary(shown, found.records.height)
        return self.page("rulebook/_trial.html", shown=shown, chosen=chosen, summary=summary)

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

    def _try_pairs(self, document: dict[str, Any]) -> Response:
        known = library(self.house)
        found = {side: self._samples(document, side) for side in SIDES}
        decided = examples(found["left"], listed(document, "decisions"), known, self.house.clock())
        right = Examples(found["right"].schema, found["right"].many, found["right"].withheld)
        given = {"left": replace(decided, withheld=found["left"].withheld), "right": right}
        shown = tried_pairs(request.form, given, known, connections_of(document))
        most = max(side.records.height for side in found.values())
        chosen = min(max(request.form.get("sample", 0, type=whole_number), 0), max(most - 1, 0))
        problem = next((side.problem for side in found.values() if side.problem), None)
        text = translated(problem) if problem else summary(shown, most, can("read", "Records"))
        return self.page("rulebook/_pair_trial.html", shown=shown, chosen=chosen, summary=text)

    def _samples(self, document: dict[str, Any], side: str) -> Samples:
        part = part_of(document, side)
        found = samples(self.house, str(part.get("connection", "")), str(part.get("object", "")))
        return found if can("read", "Records") else replace(found, many=found.many.clear())


def _as_typed(row: Row, number: str) -> Row:
    """Return the row with what is typed, also while it is too little to be kept in the document."""
    source = request.form.get(f"source-{number}", "")
    return replace(
        row,
        source=source,
        expression=request.form.get(f"expression-{number}", "").strip() if source == EXPRESSION else "",
        reference=request.form.get(f"reference-{number}", row.reference),
    )


def _shown(number: int, row: Row, flow: Flow, objects: Objects) -> ShownRow:
    tried = try_row(row, flow, objects)
    missing = row.required and not row.source
    return ShownRow(number, tried.results, tried.problems, tried.text, tried.failed, missing)


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
    if not can("read", "Records"):
        text += " " + _("You may not look at records, so there are no examples.")
    elif not count:
        text += " " + _("The source has no records yet, so there are no examples.")
    return str(text)
