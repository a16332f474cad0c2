"""What a rule's own tests come to: a result each, with differences field by field; and how far they reach."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

from rules.documents.example import Ending
from rules.documents.problems import DocumentProblem
from rules.text import N_, Message, msg
from rules.trace import plain


@dataclass(frozen=True)
class Difference:
    """A field or output that did not come out as expected; `note` says what the values cannot."""

    name: str
    expected: Any
    found: Any
    note: Message | None = None

    def to_json(self) -> dict[str, Any]:
        """Return the difference as plain data."""
        note = None if self.note is None else str(self.note)
        return {"name": self.name, "expected": plain(self.expected), "found": plain(self.found), "note": note}


@dataclass(frozen=True)
class TestResult:
    """What one test came to; `problem` says why it failed where no field does, or why it could not be run.

    `found` holds what came out, `reason` why nothing did, `fired` the rows of a decision table that decided.
    """

    __test__ = False  # pytest would take it for a test of ours

    number: int
    name: str
    ending: Ending
    found: Mapping[str, Any] = field(default_factory=dict)
    reason: Message | None = None
    differences: tuple[Difference, ...] = ()
    problem: Message | None = None
    fired: tuple[int, ...] = ()

    @property
    def passed(self) -> bool:
        """Tell whether everything came out as expected."""
        return not self.differences and self.problem is None

    @property
    def sentence(self) -> Message:
        """Return in one sentence why the test failed."""
        if self.problem is not None or not self.differences:
            return self.problem or msg("The test passes.")
        first = self.differences[0]
        values = {"field": first.name, "expected": _shown(first.expected), "found": _shown(first.found)}
        if first.note is not None:
            return msg("'{field}' should be {expected}. {note}", **values, note=first.note)
        return msg("'{field}' should be {expected}, but is {found}.", **values)

    def to_json(self) -> dict[str, Any]:
        """Return the result as plain data."""
        return {
            "test": self.number,
            "name": self.name,
            "passed": self.passed,
            "ending": self.ending.value,
            "found": plain(dict(self.found)),
            "reason": None if self.reason is None else str(self.reason),
            "problem": None if self.problem is None else str(self.problem),
            "differences": [difference.to_json() for difference in self.differences],
        }


class Aspect(StrEnum):
    """What a test can show of a place in a rule."""

    TRUE = "true"
    FALSE = "false"
    CHOSEN = "chosen"
    VALUE = "value"
    FIRED = "fired"


_MISSING = {
    Aspect.TRUE: N_("{text} is never true."),
    Aspect.FALSE: N_("{text} is never false."),
    Aspect.CHOSEN: N_("{text} is never chosen."),
    Aspect.VALUE: N_("'{text}' never gets a value."),
    Aspect.FIRED: N_("Row {text} never decides."),
}


@dataclass(frozen=True)
class Point:
    """One thing that tests should show: a clause true and false, a branch chosen, a field filled, a row deciding."""

    path: str
    text: str
    aspect: Aspect
    start: int = 0
    covered: bool = False

    @property
    def missing(self) -> Message:
        """Return what no test shows."""
        return msg(_MISSING[self.aspect], text=self.text)


@dataclass(frozen=True)
class Coverage:
    """How much of a rule its tests show."""

    points: tuple[Point, ...] = ()

    @property
    def covered(self) -> int:
        """Return how many points are shown."""
        return sum(1 for point in self.points if point.covered)

    @property
    def percent(self) -> int:
        """Return the share in percent, rounded down, so that 100 means all."""
        return 100 * self.covered // len(self.points) if self.points else 100

    @property
    def open(self) -> tuple[Point, ...]:
        """Return the points that no test shows."""
        return tuple(point for point in self.points if not point.covered)

    def to_json(self) -> dict[str, Any]:
        """Return the coverage as plain data."""
        missing = [{"path": point.path, "at": point.start, "detail": str(point.missing)} for point in self.open]
        return {"points": len(self.points), "covered": self.covered, "percent": self.percent, "missing": missing}


@dataclass(frozen=True)
class Tested:
    """The results of all tests of a rule, and their coverage."""

    __test__ = False

    results: tuple[TestResult, ...] = ()
    coverage: Coverage = Coverage()

    @property
    def failed(self) -> tuple[TestResult, ...]:
        """Return the tests that did not come out as expected."""
        return tuple(result for result in self.results if not result.passed)

    def problems(self) -> Iterator[DocumentProblem]:
        """Yield a problem for each failing test, which keeps its rule from being published."""
        for result in self.failed:
            text = N_("The test '{name}' fails. {reason}")
            yield DocumentProblem(f"tests/{result.number}", msg(text, name=result.name, reason=result.sentence))

    def to_json(self) -> dict[str, Any]:
        """Return the results as plain data."""
        return {
            "passed": not self.failed,
            "tests": [result.to_json() for result in self.results],
            "coverage": self.coverage.to_json(),
        }


def _shown(value: Any) -> str:
    return "empty" if value is None else f"'{value}'" if isinstance(value, str) else str(plain(value))
