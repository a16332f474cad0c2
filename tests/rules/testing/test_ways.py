"""Tests of rules that map records both ways: a test says which way, and coverage counts both."""

from __future__ import annotations

from typing import Any

from rules.documents import parse_sync
from rules.documents.example import Ending
from rules.schema import Field, FieldType, Schema
from rules.testing import SyncTests, Tested

LEFT = Schema((Field("id", FieldType.INTEGER), Field("name"), Field("credit", FieldType.INTEGER)), ("id",))
RIGHT = Schema((Field("no", FieldType.INTEGER), Field("title"), Field("limit", FieldType.INTEGER)), ("no",))
RULE: dict[str, Any] = {
    "kind": "sync",
    "name": "r",
    "direction": "two_way",
    "left": {"connection": "a", "object": "b", "where": "id > 0"},
    "right": {"connection": "c", "object": "d", "where": "no > 0"},
    "key": {"left": "id", "right": "no"},
    "fields": [
        {"left": "id", "right": "no"},
        {"left": "name", "right": "title", "to_right": "name.trim()", "to_left": "title.upperAscii()"},
        {"left": "credit", "right": "limit"},
    ],
}
BACK = {"direction": "to_left", "given": {"no": 3, "title": "Bob", "limit": 5}}
CREDIT = {"name": "credit", "check": "credit >= 0", "severity": "reject"}


def _outcome(*tests: dict[str, Any], **changes: Any) -> Tested:
    document = {**RULE, **changes, "tests": [{"name": f"t{n}", **test} for n, test in enumerate(tests)]}
    return SyncTests(parse_sync(document), LEFT, RIGHT).run()


def test_a_test_says_which_way() -> None:
    """Without a direction a left record goes in; with to_left a right one, and left fields come out."""
    there = {"given": {"id": 1, "name": " Ann "}, "expect": {"title": "Ann"}}
    back = {**BACK, "expect": {"name": "BOB", "credit": 5}}
    assert _outcome(there, back).failed == ()
    (wrong,) = _outcome({**back, "expect": {"title": "BOB"}}).failed
    assert "does not write the field 'title'" in str(wrong.sentence)
    (misfit,) = _outcome({**BACK, "given": {"name": "x"}}).failed
    assert "no field 'name' to be given" in str(misfit.sentence)


def test_the_condition_of_each_side_is_asked() -> None:
    """A right record is in scope by the condition of the right side."""
    assert _outcome({**BACK, "given": {"no": 0}, "ending": "out_of_scope"}).failed == ()


def test_validations_are_asked_of_the_side_that_is_written() -> None:
    """A validation of left records keeps a right record from being written to the left."""
    bad = {**BACK, "given": {"no": 3, "title": "Bob", "limit": -1}}
    (result,) = _outcome(bad, validations=[CREDIT]).results
    assert result.ending is Ending.REJECTED
    assert _outcome(BACK, validations=[CREDIT]).results[0].ending is Ending.MAPPED
    (read,) = _outcome(bad, validations=[{**CREDIT, "check": "limit >= 0", "side": "right"}]).results
    assert read.ending is Ending.REJECTED
    left = {"given": {"id": 1, "name": "Ann", "credit": -1}}
    (written,) = _outcome(left, validations=[{**CREDIT, "check": "limit >= 0", "side": "right"}]).results
    assert written.ending is Ending.REJECTED


def test_coverage_counts_both_ways() -> None:
    """What no test shows of the way to the left counts as well, written validations included."""
    there = {"given": {"id": 1, "name": "Ann", "credit": 1}}
    one = _outcome(there, validations=[CREDIT]).coverage
    both = _outcome(there, BACK, validations=[CREDIT]).coverage
    assert len(one.points) == len(both.points)
    assert both.covered == one.covered + 4  # three fields and the condition of the right side
    assert [point.text for point in both.open] == ["id > 0", "credit >= 0", "no > 0"]


def test_a_rule_that_flows_one_way_has_one() -> None:
    """A test of the other direction fails with a reason; a field that flows back makes it possible."""
    sides = {"left": {"connection": "a", "object": "b"}, "right": {"connection": "c", "object": "d"}}
    plain = {"direction": "left_to_right", **sides}
    (failed,) = _outcome(BACK, **plain).failed
    assert str(failed.sentence) == "The rule maps no records in this direction."
    fields = [RULE["fields"][0], {"left": "credit", "right": "limit", "direction": "right_to_left"}]
    assert _outcome({**BACK, "expect": {"credit": 5}}, **plain, fields=fields).failed == ()


def test_the_default_is_the_way_of_the_rule() -> None:
    """A rule that flows from right to left is tested with right records, whatever else it asks for."""
    for situations in ({}, {"linked_conflict": "case"}):
        changes = {"direction": "right_to_left", "situations": situations}
        given = {"given": BACK["given"], "expect": {"name": "BOB"}}
        assert _outcome(given, **changes).failed == ()
