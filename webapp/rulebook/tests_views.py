"""The tab "Tests" of sync rules and decision tables: their examples, their results, and what none of them shows."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from flask import abort, flash, redirect, request
from flask_babel import gettext as _
from werkzeug.wrappers import Response

from rules.documents import decision_table
from rules.documents.example import TO_LEFT, Ending
from rules.schema import Schema
from rules.testing import SyncTests, TestResult
from webapp.rulebook import tests_form as forms
from webapp.rulebook import wording
from webapp.rulebook.editing import part_of
from webapp.rulebook.errors import StaleDraft
from webapp.rulebook.kind import listed
from webapp.rulebook.pages import RulePage
from webapp.rulebook.reading import RuleRow
from webapp.rulebook.samples import samples, shown
from webapp.rulebook.tests_running import KINDS, Tests, Untestable, prepare
from webapp.web.language import translated
from webapp.web.request import whole_number
from webapp.web.views import can, expose, has_access, permission_name

Test = dict[str, Any]
SAMPLES = 20


@dataclass(frozen=True)
class Form:
    """What the form of a test is made from: the fields on both sides, which are read and which are written."""

    tests: Tests
    table: bool
    source: Schema
    target: Schema
    used: frozenset[str]
    written: tuple[str, ...]

    ways: tuple[str, ...] = ()
    way: str = ""

    @classmethod
    def of(cls, tests: Tests, direction: str | None = None) -> Form:
        """Return the form for the tests of a document, of a rule in one of its directions."""
        runner = tests.runner
        if isinstance(runner, SyncTests):
            way, names = runner.way(direction), runner.ways
            chosen = direction if direction in names else names[0]
            return cls(tests, False, way.source, way.target, frozenset(way.read), way.names, names, str(chosen))
        return cls(tests, True, runner.source, runner.target, frozenset(runner.source.names), runner.target.names)

    def read(self) -> Test:
        """Return the test that was submitted."""
        test = forms.read_form(request.form, self.source, self.target, self.written, table=self.table)
        return {**test, "direction": self.way} if self.ways and self.way != self.ways[0] else test

    @property
    def side(self) -> str:
        """Return the side whose records go in."""
        return "right" if self.way == TO_LEFT else "left"


class TestsView(RulePage):
    """List, form, live result."""

    __test__ = False

    @expose("/<name>/tests")
    @has_access
    @permission_name("read")
    def tests(self, name: str) -> Response:
        """Show the tests with their results and what none of them shows."""
        rule = self._rule(name)
        tested, problem = None, ""
        try:
            tested = prepare(self.house, rule.document).run()
        except Untestable as error:
            problem = translated(error.message)
        context: dict[str, Any] = {
            "tested": tested,
            "problem": problem,
            "endings": _endings(rule),
            "shown": forms.text_of,
            "tests": _held(rule),
            "ways": dict(_ways(rule, ("to_right", "to_left"))) if rule.kind != decision_table.KIND else {},
        }
        return self.frame("rulebook/tests.html", rule, "tests", **context)

    @expose("/<name>/tests/new")
    @has_access
    @permission_name("update")
    def new(self, name: str) -> Response:
        """Show the form of a new test; `sample` fills it from a record of the source."""
        rule = self._rule(name)
        chosen, direction = request.args.get("sample", type=whole_number), request.args.get("direction")
        test = {"name": "", "given": {}, **({"direction": direction} if direction else {})}
        return self._form(rule, None, test, sample=chosen, untouched=chosen is None)

    @expose("/<name>/tests/new", methods=["POST"])
    @has_access
    @permission_name("update")
    def add(self, name: str) -> Response:
        """Save a new test in the draft."""
        return self._save(name, None)

    @expose("/<name>/tests/<int:number>")
    @has_access
    @permission_name("read")
    def edit(self, name: str, number: int) -> Response:
        """Show the form of a test."""
        rule = self._rule(name)
        return self._form(rule, number, _test(rule, number))

    @expose("/<name>/tests/<int:number>", methods=["POST"])
    @has_access
    @permission_name("update")
    def change(self, name: str, number: int) -> Response:
        """Save a test in the draft."""
        return self._save(name, number)

    @expose("/<name>/tests/<int:number>/delete", methods=["POST"])
    @has_access
    @permission_name("update")
    def remove(self, name: str, number: int) -> Response:
        """Delete a test from the draft."""
        rule = self._rule(name)
        _test(rule, number)
        document = rule.document
        document["tests"] = [test for place, test in enumerate(document["tests"]) if place != number]
        if not document["tests"]:
            del document["tests"]
        stale = self.save(rule, document)
        if stale:
            flash(translated(stale.message), "warning")
        return redirect(f"/rules/{name}/tests")

    @expose("/<name>/tests/try", methods=["POST"])
    @has_access
    @permission_name("read")
    def attempt(self, name: str) -> Response:
        """Return what the typed test comes to."""
        rule = self._rule(name)
        try:
            form = Form.of(prepare(self.house, rule.document), request.form.get("direction"))
        except Untestable as error:
            return self.page("rulebook/_test_result.html", problem=translated(error.message), result=None)
        result = _result(form, form.read())
        return self.page("rulebook/_test_result.html", result=result, problem="", endings=_endings(rule), plain=shown)

    def _save(self, name: str, number: int | None) -> Response:
        rule = self._rule(name)
        try:
            form = Form.of(prepare(self.house, rule.document), request.form.get("direction"))
        except Untestable as error:
            flash(translated(error.message), "danger")
            return redirect(f"/rules/{name}/tests")
        test = form.read()
        if request.form.get("do") == "expect":
            return self._form(rule, number, _as_found(form, test))
        wrong = _wrong(rule.document, test, number)
        if wrong:
            return self._form(rule, number, test, 422, wrong=wrong)
        document = rule.document
        tests = list(document.get("tests") or [])
        document["tests"] = [*tests, test] if number is None else [*tests[:number], test, *tests[number + 1 :]]
        stale = self.save(rule, document)
        return self._form(rule, number, test, 409, stale=stale) if stale else redirect(f"/rules/{name}/tests")

    def _form(self, rule: RuleRow, number: int | None, test: Test, status: int = 200, **context: Any) -> Response:
        try:
            form = Form.of(prepare(self.house, rule.document), test.get("direction"))
        except Untestable as error:
            flash(translated(error.message), "warning")
            return redirect(f"/rules/{rule.name}/tests")
        records, chosen = self._records(rule, form, context.pop("sample", None))
        test = {**test, "given": chosen} if chosen else test
        stale: StaleDraft | None = context.get("stale")
        untouched = context.pop("untouched", False)
        shared = {
            "number": number,
            "test": test,
            "given": forms.given_cells(form.source, form.used, test),
            "expected": forms.expected_cells(form.target, form.written, test),
            "ending": "error" if form.table and test.get("error") else str(test.get("ending", Ending.MAPPED)),
            "endings": _endings(rule),
            "records": records,
            "result": None if untouched else _result(form, test),
            "is_table": form.table,
            "way": form.way,
            "ways": _ways(rule, form.ways),
            "plain": shown,
            "stale": stale,
        }
        return self.frame("rulebook/test.html", rule, "tests", status, **{**context, **shared})

    def _records(self, rule: RuleRow, form: Form, chosen: int | None) -> tuple[list[str], Test]:
        """Return the source's first records in short, and the values of the chosen one; nothing to who may not look."""
        if form.table or not can("read", "Records"):
            return [], {}
        part = part_of(rule.document, form.side)
        found = samples(self.house, str(part.get("connection", "")), str(part.get("object", ""))).many.head(SAMPLES)
        rows = list(found.iter_rows(named=True))
        short = [" · ".join(str(shown(value)) for value in list(row.values())[:4] if value is not None) for row in rows]
        return short, forms.from_record(rows[chosen], form.used) if chosen is not None and chosen < len(rows) else {}

    def _rule(self, name: str) -> RuleRow:
        rule = self.rule(name)
        if rule.kind not in KINDS:
            abort(404)
        return rule


def _test(rule: RuleRow, number: int) -> Test:
    tests = _held(rule)
    if number >= len(tests):
        abort(404)
    return dict(tests[number])


def _held(rule: RuleRow) -> Sequence[Mapping[str, Any]]:
    """Return the tests of a rule; none where its draft, written as text, holds something else."""
    held = rule.document.get("tests") or []
    found = listed(rule.document, "tests")
    parts = [test.get(part) for test in found for part in ("given", "expect")]
    return found if held == found and all(part is None or isinstance(part, Mapping) for part in parts) else []


def _result(form: Form, test: Test) -> TestResult:
    return form.tests.one({**test, "name": test.get("name") or "?"})


def _as_found(form: Form, test: Test) -> Test:
    """Return the test that expects what comes out now."""
    result = _result(form, test)
    kept: Test = {name: test[name] for name in ("name", "given", "day", "direction") if name in test}
    if result.problem is not None and not result.found and result.reason is None:
        return test
    if result.ending is Ending.MAPPED:
        return forms.expecting(kept, result.found)
    ending = {} if form.table else {"ending": result.ending.value}
    return {**kept, **ending, **({"error": str(result.reason)[:200]} if result.reason else {})}


def _wrong(document: Test, test: Test, number: int | None) -> dict[str, str]:
    """Return field of the form -> what is wrong with it."""
    others = [t.get("name") for place, t in enumerate(document.get("tests") or []) if place != number]
    if not test["name"]:
        return {"name": _("Say in a few words what the example shows.")}
    if test["name"] in others:
        return {"name": _("There is another test with this name.")}
    if document.get("kind") == decision_table.KIND and "expect" not in test and not test.get("error"):
        return {"error": _("Write a part of the error that is expected.")}
    return {}


def _ways(rule: RuleRow, ways: Sequence[str]) -> list[tuple[str, str]]:
    """Return the directions to choose from; none where there is only one."""
    sides = {"to_right": ("left", "right"), "to_left": ("right", "left")}
    places = {way: [wording.side_name(rule.document, side) for side in sides[way]] for way in ways}
    label = _("From %(source)s to %(target)s")
    return (
        [(way, label % {"source": places[way][0], "target": places[way][1]}) for way in ways] if len(ways) > 1 else []
    )


def _endings(rule: RuleRow) -> list[tuple[str, str]]:
    if rule.kind == decision_table.KIND:
        return [("mapped", _("The table decides")), ("error", _("It is an error"))]
    return wording.endings()


VIEWS = (TestsView,)
