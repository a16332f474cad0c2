"""Runs the tests of a decision table: for these inputs, these outputs or this error."""

from __future__ import annotations

from datetime import date
from typing import Any

from rules.decisions import CompiledTable, compile_table
from rules.decisions.cells import CellError
from rules.decisions.explaining import Explanation
from rules.documents.decision_table import DecisionTable, Example
from rules.documents.example import Ending
from rules.language.library import EMPTY, Library
from rules.schema import Field, FieldType, Schema
from rules.testing.given import Misfit, same, unknown, value_of
from rules.testing.results import Aspect, Coverage, Difference, Point, Tested, TestResult
from rules.text import N_, Message, msg


class TableTests:
    """The tests of one table, ready to be run; raises `DocumentError` where the table cannot be executed.

    `today` is the day on which examples are decided that do not name one.
    """

    def __init__(self, table: DecisionTable, today: date, library: Library = EMPTY) -> None:
        self._table = table
        self._today = today
        self._compiled: CompiledTable = compile_table(table, library=library)

    @property
    def source(self) -> Schema:
        """Return the fields that a test may give."""
        fields = {field.name: field for field in self._compiled.parts.front.record.fields}
        return Schema(tuple(fields[name] for name in fields if name in self._compiled.fields))

    @property
    def target(self) -> Schema:
        """Return the outputs that a test may expect."""
        return Schema(tuple(Field(output.name, output.type, label=output.label) for output in self._table.outputs))

    def run(self) -> Tested:
        """Return the results of all tests, and which rows they let decide."""
        results = tuple(self.one(number, test) for number, test in enumerate(self._table.tests))
        fired = {row for result in results for row in result.fired}
        names = [self._table.row_name(row) for row in range(len(self._table.rows))]
        points = (Point(f"rows/{row}", name, Aspect.FIRED, 0, row in fired) for row, name in enumerate(names))
        return Tested(results, Coverage(tuple(points)))

    def one(self, number: int, test: Example) -> TestResult:
        """Return the result of one test."""
        wrong = next((name for name in test.given if name not in self.source), None)
        if wrong is not None:
            return _refused(number, test, unknown(wrong, self.source))
        try:
            story = self._compiled.explain(self._given(test), self._day(test))
        except (CellError, Misfit) as error:
            return _refused(number, test, error.message)
        ending = Ending.MAPPED if story.error is None else Ending.QUARANTINED
        outputs = dict(story.outputs) if story.error is None else {}
        differences = () if story.error is not None else tuple(self._differences(test, outputs))
        problem = _problem(test, story)
        return TestResult(number, test.name, ending, outputs, story.error, differences, problem, story.fired)

    def _given(self, test: Example) -> dict[str, Any]:
        return {name: value_of(self.source[name], value) for name, value in test.given.items()}

    def _day(self, test: Example) -> date:
        return date.fromisoformat(test.day) if test.day is not None else self._today

    def _differences(self, test: Example, outputs: dict[str, Any]) -> list[Difference]:
        found = [self._difference(name, wanted, outputs) for name, wanted in (test.expect or {}).items()]
        return [difference for difference in found if difference is not None]

    def _difference(self, name: str, wanted: Any, outputs: dict[str, Any]) -> Difference | None:
        field, found = self._field(name, wanted, outputs[name]), outputs[name]
        try:
            parts = [value_of(field, part) for part in (wanted if isinstance(found, list) else [wanted])]
        except (Misfit, TypeError) as misfit:
            return Difference(name, wanted, found, getattr(misfit, "message", None))
        expected = parts if isinstance(found, list) else parts[0]
        return None if same(field, expected, found) else Difference(name, expected, found)

    def _field(self, name: str, wanted: Any, found: Any) -> Field:
        """Return how an output's values are read: counts are whole numbers whatever the output's type is."""
        if isinstance(found, int) and not isinstance(found, bool) and isinstance(wanted, int):
            return Field(name, FieldType.INTEGER)
        return self.target[name]


def _refused(number: int, test: Example, problem: Message) -> TestResult:
    return TestResult(number, test.name, Ending.QUARANTINED, problem=problem)


def _problem(test: Example, story: Explanation) -> Message | None:
    if test.error is None:
        text = N_("The table gives no outputs: {reason}")
        return None if story.error is None else msg(text, reason=story.error)
    if story.error is None:
        return msg("An error with '{wanted}' in it is expected, but the table decides.", wanted=test.error)
    if test.error.casefold() in str(story.error).casefold():
        return None
    return msg("The error should have '{wanted}' in it, but is: {reason}", wanted=test.error, reason=story.error)
