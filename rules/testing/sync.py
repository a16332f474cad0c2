"""Runs the tests of a sync rule: a record of the source goes in, the record for the target has to come out."""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Any

import polars as pl

from rules.documents.example import Ending, RuleTest
from rules.documents.flows import flows
from rules.documents.sync import SideName, SyncRule
from rules.documents.validation import OnFailure
from rules.language.library import EMPTY, Library
from rules.mapping import compile_mapping
from rules.mapping.references import SameKeys
from rules.schema import Schema
from rules.testing.alone import Alone
from rules.testing.coverage import Reach
from rules.testing.given import Misfit, record, same, value_of
from rules.testing.results import Difference, Tested, TestResult
from rules.text import N_, Message, msg
from rules.trace import FieldTrace, RecordTrace, RecordTracer, read_fields
from rules.validations import Validator, Verdict, compile_validations

_ENDINGS = {
    Ending.MAPPED: N_("written"),
    Ending.OUT_OF_SCOPE: N_("out of scope"),
    Ending.REJECTED: N_("left out"),
    Ending.QUARANTINED: N_("parked"),
}
_EPOCH = datetime.fromtimestamp(0, UTC)
_BLOCKS = {OnFailure.REJECT: Ending.REJECTED, OnFailure.QUARANTINE: Ending.QUARANTINED}


@dataclass(frozen=True)
class Came:
    """What became of a test's record."""

    ending: Ending
    reason: Message | None
    fields: dict[str, FieldTrace]

    @property
    def values(self) -> dict[str, Any]:
        """Return target field -> value of what would be written."""
        return {name: field.value for name, field in self.fields.items() if field.applies and field.error is None}


class SyncTests:
    """The tests of one sync rule, ready to be run; raises `DocumentError` where the rule cannot be executed.

    `at` is the moment for which decision tables are asked. Fields that refer to records give their keys as they are,
    whatever is linked at the moment.
    """

    def __init__(
        self, rule: SyncRule, left: Schema, right: Schema, library: Library = EMPTY, at: datetime = _EPOCH
    ) -> None:
        library = replace(library, links=SameKeys(library.links))
        self._rule = rule
        self._at = at
        self._library = library
        flow = flows(rule)[0]
        schemas = {SideName.LEFT: left, SideName.RIGHT: right}
        self.source, self.target = schemas[flow.source], schemas[flow.target]
        mapping = compile_mapping(rule, left, right, library)
        self._checks = compile_validations(rule.validations, mapping.source, library)
        self._validator = Validator(self._checks, mapping.source)
        self._tracer = RecordTracer(mapping, self.source, library, self._checks)
        self._reach = Reach(mapping, self._checks, flow.source)

    def run(self) -> Tested:
        """Return the results of all tests and their coverage."""
        results = tuple(self.one(number, test) for number, test in enumerate(self._rule.tests))
        return Tested(results, self._reach.coverage(self._library))

    def one(self, number: int, test: RuleTest) -> TestResult:
        """Return the result of one test."""
        try:
            given = record(test.given, self.source)
        except Misfit as misfit:
            return TestResult(number, test.name, test.ending, problem=misfit.message)
        came = self.came(given)
        differences = tuple(self._differences(test, came))
        return TestResult(
            number, test.name, came.ending, came.values, came.reason, differences, _ending_problem(test, came)
        )

    def came(self, given: pl.DataFrame) -> Came:
        """Return what becomes of a record (a batch of one with all fields of the source)."""
        trace = self._tracer.trace(given, self._at)
        self._reach.add(trace)
        fields = {field.name: field for field in trace.fields}
        if trace.where_error is not None:
            return Came(Ending.QUARANTINED, trace.where_error, {})
        if not trace.in_scope:
            return Came(Ending.OUT_OF_SCOPE, None, {})
        if trace.undecided is not None:
            return Came(Ending.QUARANTINED, trace.undecided.error, fields)
        verdict = self._verdict(self._tracer.mapping.ask(given, self._at).batch)
        if verdict is not None:
            return Came(_BLOCKS[verdict.severity], verdict.reason, fields)
        return Came(Ending.MAPPED if trace.failed is None else Ending.QUARANTINED, _why(trace), fields)

    def _verdict(self, given: pl.DataFrame) -> Verdict | None:
        return self._validator.check(given, Alone()).blocking.get(0) if self._checks else None

    def _differences(self, test: RuleTest, came: Came) -> list[Difference]:
        if came.ending is not Ending.MAPPED and test.ending is not Ending.MAPPED:
            return []
        found = [self._difference(name, value, came) for name, value in (test.expect or {}).items()]
        return [difference for difference in found if difference is not None]

    def _difference(self, name: str, wanted: Any, came: Came) -> Difference | None:
        if name not in self.target or name not in self.names:
            note = msg("The rule does not write the field '{field}'.", field=name)
            return Difference(name, wanted, None, note)
        if came.ending is not Ending.MAPPED:
            return None  # that the record is not written at all is told once
        field, made = self.target[name], came.fields[name]
        try:
            expected = value_of(field, wanted)
        except Misfit as misfit:
            return Difference(name, wanted, made.value, misfit.message)
        if not made.applies:
            note = msg("It is left alone, since its condition is false.")
            return None if expected is None else Difference(name, expected, None, note)
        return None if same(field, expected, made.value) else Difference(name, expected, made.value)

    @property
    def read(self) -> tuple[str, ...]:
        """Return the fields of the source that the rule reads."""
        asked = (name for question in self._tracer.mapping.questions for name in question.fields)
        return read_fields(self._rule, self.source, asked)

    @property
    def names(self) -> tuple[str, ...]:
        """Return the target fields that the rule writes."""
        return self._tracer.mapping.names


def _why(trace: RecordTrace) -> Message | None:
    failed = trace.failed
    if failed is None or failed.error is None:
        return None
    return msg("{field}: {reason}", field=failed.name, reason=failed.error)


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
