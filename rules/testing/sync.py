"""Runs the tests of a sync rule: a record of the source goes in, the record for the target has to come out."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

from rules.documents.example import Ending, RuleTest
from rules.documents.sync import SideName, SyncRule
from rules.language.library import EMPTY, Library
from rules.mapping.references import SameKeys
from rules.reconcile.agreement import executed
from rules.schema import Schema
from rules.testing.given import Misfit, record, same, value_of
from rules.testing.results import Difference, Tested, TestResult
from rules.testing.ways import Came, Way, Ways
from rules.text import N_, Message, msg

_ENDINGS = {
    Ending.MAPPED: N_("written"),
    Ending.OUT_OF_SCOPE: N_("out of scope"),
    Ending.REJECTED: N_("left out"),
    Ending.QUARANTINED: N_("parked"),
}
_EPOCH = datetime.fromtimestamp(0, UTC)


class SyncTests:
    """The tests of one sync rule, ready to be run; raises `DocumentError` where the rule cannot be executed.

    `at` is the moment for which decision tables are asked. Fields that refer to records give their keys as they are,
    whatever is linked at the moment.
    """

    def __init__(
        self, rule: SyncRule, left: Schema, right: Schema, library: Library = EMPTY, at: datetime = _EPOCH
    ) -> None:
        library = replace(library, links=SameKeys(library.links))
        self._tests = rule.tests
        self._ways = Ways(executed(rule), {SideName.LEFT: left, SideName.RIGHT: right}, library, at)

    @property
    def ways(self) -> tuple[str, ...]:
        """Return the directions in which the rule maps records, its own first."""
        return tuple(sorted(self._ways.all, key=lambda name: name != self._ways.default))

    def way(self, direction: str | None = None) -> Way:
        """Return a direction; the rule's own where it has not the wanted one."""
        return self._ways.all.get(direction or self._ways.default, self._ways.all[self._ways.default])

    def run(self) -> Tested:
        """Return the results of all tests and their coverage."""
        results = tuple(self.one(number, test) for number, test in enumerate(self._tests))
        return Tested(results, self._ways.coverage())

    def one(self, number: int, test: RuleTest) -> TestResult:
        """Return the result of one test."""
        if (test.direction or self._ways.default) not in self._ways.all:
            text = msg("The rule maps no records in this direction.")
            return TestResult(number, test.name, test.ending, problem=text)
        way = self.way(test.direction)
        try:
            given = record(test.given, way.source)
        except Misfit as misfit:
            return TestResult(number, test.name, test.ending, problem=misfit.message)
        came = way.came(given)
        differences = tuple(_differences(test, came, way))
        return TestResult(
            number, test.name, came.ending, came.values, came.reason, differences, _ending_problem(test, came)
        )


def _differences(test: RuleTest, came: Came, way: Way) -> list[Difference]:
    if came.ending is not Ending.MAPPED and test.ending is not Ending.MAPPED:
        return []
    found = [_difference(name, value, came, way) for name, value in (test.expect or {}).items()]
    return [difference for difference in found if difference is not None]


def _difference(name: str, wanted: Any, came: Came, way: Way) -> Difference | None:
    if name not in way.target or name not in way.names:
        note = msg("The rule does not write the field '{field}'.", field=name)
        return Difference(name, wanted, None, note)
    if came.ending is not Ending.MAPPED:
        return None  # that the record is not written at all is told once
    field, made = way.target[name], came.fields[name]
    try:
        expected = value_of(field, wanted)
    except Misfit as misfit:
        return Difference(name, wanted, made.value, misfit.message)
    if not made.applies:
        note = msg("It is left alone, since its condition is false.")
        return None if expected is None else Difference(name, expected, None, note)
    return None if same(field, expected, made.value) else Difference(name, expected, made.value)


def _ending_problem(test: RuleTest, came: Came) -> Message | None:
    """Return what is wrong with how the record ended, None where that is as expected."""
    wants_error = test.error is not None and test.ending is Ending.MAPPED
    if not (came.ending is not Ending.MAPPED if wants_error else came.ending is test.ending):
        return _other_ending(test, came, wants_error=wants_error)
    if test.error is not None and test.error.casefold() not in str(came.reason or "").casefold():
        text = N_("The reason should have '{wanted}' in it, but is: {reason}")
        return msg(text, wanted=test.error, reason=came.reason or msg("none"))
    return None


def _other_ending(test: RuleTest, came: Came, *, wants_error: bool) -> Message:
    values: dict[str, Any] = {"found": msg(_ENDINGS[came.ending])}
    values["wanted"] = msg("refused") if wants_error else msg(_ENDINGS[test.ending])
    if came.reason is None:
        return msg("The record should be {wanted}, but is {found}.", **values)
    return msg("The record should be {wanted}, but is {found}: {reason}", **values, reason=came.reason)
