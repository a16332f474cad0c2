"""What a decision writes is worked out with the rule's own mapping before anybody confirms it."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

from tests.cases.waiting import DOCUMENT, LEFT, MATCH, RIGHT, conflict, entry
from webapp.cases.preview import Known, Written, written
from webapp.runs.pair_cases import PairCase

NOW = datetime(2026, 5, 1, tzinfo=UTC)
KNOWN = Known(DOCUMENT, {"left": LEFT, "right": RIGHT})


def pair(situation: str, details: dict[str, Any]) -> PairCase:
    return PairCase(1, 1, "customers", 1, "p", "1", "7", situation, details, "s", "open", None, None, None, NOW, NOW)


def plain(found: list[Written]) -> list[tuple[str, str, Any, Any]]:
    return [(one.side, one.field, one.before, one.after) for one in found]


def test_fields_go_through_the_mapping() -> None:
    """A side's value is written to the other as the rule makes it; a value of one's own goes to both."""
    waits = pair("linked_conflict", conflict(entry(1, " Acme ", "Beta"), entry(2, "1", "2"), entry(3, "1.00", "2.00")))
    choice = {
        "fields": {"1": {"take": "left"}, "2": {"take": "right"}, "3": {"take": "value", "value": "3.50"}},
    }
    assert plain(written(waits, choice, KNOWN)) == [
        ("left", "credit", "1.00", "3.50"),
        ("right", "title", "Beta", "Acme"),
        ("left", "phone", "1", "2"),
        ("right", "ceiling", "2.00", "3.50"),
    ]


def test_a_new_record_is_shown_with_its_values() -> None:
    """What creates a record lists the values that it gets; what only links or deletes writes no field."""
    waits = pair("review", MATCH)
    assert plain(written(waits, {"record": "create"}, KNOWN)) == [
        ("right", "no", None, 5),
        ("right", "title", None, "Acme"),
        ("right", "tel", None, "1"),
    ]
    assert written(waits, {"record": "link", "key": "8"}, KNOWN) == []
    gone = pair("deleted_left", {"right": {"no": 7, "title": "Acme"}})
    assert ("left", "name", None, "Acme") in plain(written(gone, {"record": "recreate"}, KNOWN))


def test_what_cannot_be_worked_out_is_said() -> None:
    """Without fields of both sides, or with a rule that does not compile, it is said what the value comes from."""
    waits = pair("linked_conflict", conflict(entry(2, "1", "2")))
    choice = {"fields": {"2": {"take": "left"}}}
    broken = {**DOCUMENT, "fields": [{"left": "phone", "right": "tel", "to_right": "nothing + 1"}]}
    numbered = conflict({**entry(2, "1", "2"), "index": "0"})
    for known, case, number in (
        (Known(DOCUMENT, {}), waits, "2"),
        (Known(broken, KNOWN.schemas), pair("linked_conflict", numbered), "0"),
        (KNOWN, pair("linked_conflict", {**conflict(entry(2, "1", "2")), "left": {"id": "x"}}), "2"),
    ):
        (one,) = written(case, {"fields": {number: choice["fields"]["2"]}}, known)
        assert (one.side, one.field, one.before) == ("right", "tel", "2")
        assert str(one.problem) == "what the rule makes of '1'"
