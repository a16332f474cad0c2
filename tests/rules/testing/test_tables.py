"""The tests of a decision table: outputs, errors and days are compared, and coverage names rows that never decide."""

from __future__ import annotations

import datetime as dt

import pytest

from rules.documents.decision_table import parse_decision_table
from rules.testing import TableTests, Tested

TABLE = {
    "kind": "decision_table",
    "name": "credit",
    "inputs": [
        {"name": "country"},
        {"name": "revenue", "type": "decimal"},
        {"name": "big", "type": "boolean", "expression": "revenue > 1000"},
    ],
    "outputs": [{"name": "limit", "type": "decimal", "default": 0}, {"name": "note"}],
    "rows": [
        {"when": ["CN", "< 100", "-"], "then": [10, "small"]},
        {"when": ["CN", ">= 100", "-"], "then": [100, "large"], "id": "cn_large"},
        {"when": ["DE", "-", "-"], "then": [5, "de"], "since": "2025-01-01"},
    ],
}
TODAY = dt.date(2025, 6, 1)


def outcome(*tests: dict, **changes) -> Tested:
    document = {**TABLE, **changes, "tests": [{"name": f"t{n}", **test} for n, test in enumerate(tests)]}
    return TableTests(parse_decision_table(document), TODAY).run()


@pytest.mark.parametrize(
    ("test", "words"),
    [
        ({"given": {"country": "CN", "revenue": 5}, "expect": {"limit": 10, "note": "small"}}, "The test passes."),
        ({"given": {"country": "CN", "revenue": "500"}, "expect": {"limit": "100.0"}}, "The test passes."),
        ({"given": {"country": "FR"}, "expect": {"limit": 0, "note": None}}, None),
        (
            {"given": {"country": "CN", "revenue": 5}, "expect": {"note": "large"}},
            "'note' should be 'large', but is 'small'.",
        ),
        (
            {"given": {"country": "DE", "revenue": 5}, "day": "2024-12-31", "expect": {"limit": 0}},
            "The test passes.",
        ),
        ({"given": {"country": "DE", "revenue": 5}, "expect": {"limit": 5}}, "The test passes."),
        ({"given": {"country": "CN", "revenue": 5}, "error": "no way"}, None),
        ({"given": {"country": "CN", "revenue": "1e30"}, "expect": {}}, None),
        ({"given": {"contry": "CN"}, "expect": {}}, "There is no field 'contry' to be given. Did you mean 'country'?"),
        ({"given": {"revenue": "x"}, "expect": {}}, "'x' is not a value of type decimal, which 'revenue' has."),
        (
            {"given": {"country": "CN", "revenue": 5}, "expect": {"limit": "x"}},
            "'limit' should be 'x'. 'x' is not a value of type decimal, which 'limit' has.",
        ),
    ],
)
def test_outputs_are_compared(test, words):
    """Expected outputs are read as their column's type; days decide which rows apply."""
    found = str(outcome(test).results[0].sentence)
    assert found == words if words else found != "The test passes."


def test_errors_are_compared():
    """A test may expect an error by a part of its words."""
    twice = [*TABLE["rows"], {"when": ["CN", "-", "-"], "then": [1, "twice"]}]
    given = {"country": "CN", "revenue": 5}
    ok, other, none = outcome(
        {"given": given, "error": "BOTH apply"},
        {"given": given, "error": "x"},
        {"given": given, "expect": {}},
        rows=twice,
    ).results
    assert (ok.passed, str(other.sentence).startswith("The error should have 'x' in it")) == (True, True)
    assert str(none.sentence).startswith("The table gives no outputs")
    fine = outcome({"given": given, "error": "x"}).results[0]
    assert str(fine.sentence) == "An error with 'x' in it is expected, but the table decides."


def test_rows_that_never_decide_are_named():
    """Coverage counts the rows that some test lets decide."""
    found = outcome({"given": {"country": "CN", "revenue": 5}, "expect": {}}).coverage
    assert (found.percent, [str(p.missing) for p in found.open]) == (
        33,
        ["Row 2 (cn_large) never decides.", "Row 3 never decides."],
    )


def test_lists_and_counts_are_compared():
    """With several rows the outputs are lists; a count is a whole number."""
    rows = [{"when": ["CN", "-", "-"], "then": [1, "a"]}, {"when": ["CN", "-", "-"], "then": [2, "b"]}]
    given = {"country": "CN", "revenue": 5}
    changes = {"rows": rows, "hit_policy": "rule_order"}
    found = outcome({"given": given, "expect": {"limit": [1, "2.0"], "note": ["a", "b"]}}, **changes)
    assert found.results[0].passed
    assert not outcome({"given": given, "expect": {"limit": [1]}}, **changes).results[0].passed
    assert not outcome({"given": given, "expect": {"limit": 5}}, **changes).results[0].passed
    counted = {"rows": rows, "hit_policy": "collect", "aggregation": "count"}
    assert outcome({"given": given, "expect": {"note": 2}}, **counted).results[0].passed


def test_the_fields_to_fill_in_are_those_that_the_table_reads():
    """Computed inputs are not given; what their expressions read is."""
    made = TableTests(parse_decision_table(TABLE), TODAY)
    assert set(made.source.names) == {"country", "revenue"}
    assert made.target.names == ("limit", "note")
