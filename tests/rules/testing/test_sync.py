"""The tests of a sync rule: what comes out is compared exactly, endings too; coverage says what is left."""

from __future__ import annotations

import json

import pytest

from rules.documents import parse_sync
from rules.documents.example import Ending
from rules.schema import Field, FieldType, Schema
from rules.testing import Aspect, SyncTests, Tested

LEFT = Schema(
    (
        Field("id", FieldType.INTEGER),
        Field("name"),
        Field("country"),
        Field("amount", FieldType.DECIMAL, scale=2),
        Field("born", FieldType.DATE),
        Field("data", FieldType.JSON),
    ),
    ("id",),
)
RIGHT = Schema(
    (
        Field("no", FieldType.INTEGER),
        Field("title", length=8),
        Field("sum", FieldType.DECIMAL, scale=2),
        Field("day", FieldType.DATE),
        Field("extra", FieldType.JSON),
        Field("tag"),
        Field("other"),
    )
)
RULE = {
    "kind": "sync",
    "name": "r",
    "left": {"connection": "a", "object": "b", "where": "country == 'CN' || (id > 10 && amount > 100)"},
    "right": {"connection": "c", "object": "d"},
    "key": {"left": "id", "right": "no"},
    "fields": [
        {"left": "id", "right": "no"},
        {"right": "title", "to_right": "name.trim()"},
        {"left": "amount", "right": "sum"},
        {"left": "born", "right": "day"},
        {"left": "data", "right": "extra"},
        {"right": "tag", "to_right": "amount > 50 ? 'big' : 'small'", "when": "has(record.amount)"},
    ],
}
GIVEN = {"id": 1, "name": " Ada ", "country": "CN", "amount": 12.5, "born": "1990-01-02", "data": {"b": 1, "a": [2]}}


def outcome(*tests: dict, **changes) -> Tested:
    document = {**RULE, **changes, "tests": [{"name": f"t{n}", **test} for n, test in enumerate(tests)]}
    return SyncTests(parse_sync(document), LEFT, RIGHT).run()


def sentence(test: dict, **changes) -> str:
    result = outcome(test, **changes).results[0]
    return "passes" if result.passed else str(result.sentence)


def test_expected_values_are_compared_as_the_target_holds_them():
    """Numbers, dates and JSON are read as the target field's type, however they are written."""
    expect = {
        "no": "1",
        "title": "Ada",
        "sum": "12.50",
        "day": "1990-01-02",
        "extra": {"a": [2], "b": 1},
        "tag": "small",
    }
    assert sentence({"given": GIVEN, "expect": expect}) == "passes"
    assert sentence({"given": GIVEN}) == "passes"
    assert sentence({"given": {**GIVEN, "amount": None}, "expect": {"tag": None}}) == "passes"


@pytest.mark.parametrize(
    ("expect", "words"),
    [
        ({"title": "ada"}, "'title' should be 'ada', but is 'Ada'."),
        ({"title": None}, "'title' should be empty, but is 'Ada'."),
        ({"sum": 13}, "'sum' should be 13.00, but is 12.50."),
        ({"sum": "x"}, "'sum' should be 'x'. 'x' is not a value of type decimal, which 'sum' has."),
        ({"other": 1}, "'other' should be 1. The rule does not write the field 'other'."),
        ({"ttle": 1}, "'ttle' should be 1. The rule does not write the field 'ttle'."),
        ({"extra": "no json"}, """'extra' should be 'no json', but is '{"a": [2], "b": 1}'."""),
    ],
)
def test_a_difference_names_field_and_both_values(expect, words):
    """Whoever reads the result sees what was expected and what came out."""
    assert sentence({"given": GIVEN, "expect": expect}) == words


@pytest.mark.parametrize(
    ("test", "words"),
    [
        ({"given": {"id": 2}, "ending": "out_of_scope"}, "passes"),
        ({"given": {"id": 2, "country": "DE"}, "ending": "out_of_scope"}, "passes"),
        ({"given": {"id": 2, "country": "DE"}}, "The record should be written, but is out of scope."),
        ({"given": {"id": 20, "country": "DE"}, "ending": "quarantined", "error": "amount"}, "passes"),
        ({"given": {"country": "CN"}, "ending": "quarantined", "error": "Field 'NAME' is empty"}, "passes"),
        ({"given": {"country": "CN"}, "error": "is empty"}, "passes"),
        (
            {"given": {"country": "CN"}, "error": "too long"},
            "The reason should have 'too long' in it, but is: title: The field 'name' is empty in this record."
            " Use orDefault(), or ask first whether it is null.",
        ),
        ({"given": GIVEN, "error": "anything"}, "The record should be refused, but is written."),
        ({"given": GIVEN, "ending": "quarantined"}, "The record should be parked, but is written."),
        (
            {"given": {**GIVEN, "name": "far too long"}, "expect": {"title": "x"}},
            "The record should be written, but is parked: title: "
            "The text has 12 characters, but 'title' takes at most 8.",
        ),
        ({"given": {"nme": "x"}}, "There is no field 'nme' to be given. Did you mean 'name'?"),
        ({"given": {"?": "x"}}, "There is no field '?' to be given."),
        ({"given": {"id": "x"}}, "'x' is not a value of type integer, which 'id' has."),
        ({"given": {"id": 2, "country": "DE"}, "ending": "out_of_scope", "error": "x"}, None),
    ],
)
def test_endings_and_reasons_are_compared(test, words):
    """A record may be out of scope or parked, for a reason that has the expected words in it."""
    found = sentence(test)
    assert found == words if words else found.startswith("The reason should have 'x' in it, but is: none")


def test_a_field_that_is_left_alone_is_told():
    """What is not written cannot have the expected value."""
    test = {"given": {**GIVEN, "amount": None}, "expect": {"tag": "small"}}
    assert sentence(test) == "'tag' should be 'small'. It is left alone, since its condition is false."


def test_validations_end_the_record_as_they_say():
    """A record that a validation leaves out or parks ends so; one that only warns is written."""
    checks = [
        {"name": "big", "check": "amount < 10", "severity": "reject", "message": "Too much"},
        {"name": "named", "check": "name != 'x'", "when": "country == 'CN'"},
        {"name": "once", "unique": ["name"]},
        {"name": "there", "reference": {"field": "country", "object": "countries", "key": "code"}},
        {"name": "noted", "check": "born > date('2000-01-01')", "severity": "warn"},
    ]
    small = {**GIVEN, "amount": 1}
    assert sentence({"given": GIVEN, "ending": "rejected", "error": "Too much"}, validations=checks) == "passes"
    assert sentence({"given": {**small, "name": "x"}, "ending": "quarantined"}, validations=checks) == "passes"
    assert sentence({"given": small, "expect": {"no": 1}}, validations=checks) == "passes"
    abroad = {**small, "country": "DE", "id": 11, "amount": 200}
    found = outcome({"given": small}, {"given": GIVEN}, {"given": abroad}, validations=checks).coverage
    assert ("validations/big/check", Aspect.FALSE, True) in {(p.path, p.aspect, p.covered) for p in found.points}
    assert ("validations/named/when", Aspect.FALSE, True) in {(p.path, p.aspect, p.covered) for p in found.points}


def test_coverage_names_what_no_test_shows():
    """Each clause should be true and false once, each branch chosen, each field filled."""
    found = outcome({"given": GIVEN})
    assert [str(p.missing) for p in found.coverage.open] == [
        "country == 'CN' is never false.",
        "id > 10 is never true.",
        "amount > 100 is never true.",
        "has(record.amount) is never false.",
        "'big' is never chosen.",
    ]
    assert (found.coverage.covered, found.coverage.percent) == (11, 68)
    more = outcome(
        {"given": GIVEN},
        {"given": {**GIVEN, "id": 11, "country": "DE", "amount": 200}},
        {"given": {**GIVEN, "amount": None}},
    )
    assert (more.coverage.percent, more.coverage.open) == (100, ())
    free = {"connection": "a", "object": "b"}
    assert outcome(left=free).coverage.percent == 0
    assert outcome({"given": GIVEN}, left=free).coverage.percent > 50


def test_failing_tests_are_problems_of_the_document():
    """Each failing test keeps its rule from being published, and says which and why."""
    found = outcome({"given": GIVEN}, {"given": GIVEN, "expect": {"title": "x"}})
    assert [(p.path, str(p.message)) for p in found.problems()] == [
        ("tests/1", "The test 't1' fails. 'title' should be 'x', but is 'Ada'.")
    ]
    assert str(found.results[0].sentence) == "The test passes."
    shown = json.loads(json.dumps(found.to_json()))
    assert (shown["passed"], shown["tests"][1]["differences"][0]["found"]) == (False, "Ada")
    assert shown["coverage"]["missing"][0]["detail"] == "country == 'CN' is never false."


def test_an_ending_is_told_even_without_reason():
    """A test that expects one kind of refusal and meets another says both."""
    result = outcome({"given": {"id": 2, "country": "DE"}, "ending": "rejected"}).results[0]
    assert result.ending is Ending.OUT_OF_SCOPE
    assert str(result.problem) == "The record should be left out, but is out of scope."
