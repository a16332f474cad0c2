"""Differences between two versions of a document."""

from __future__ import annotations

from typing import Any

from hypothesis import given

from rules.documents import ABSENT, Difference, canonical, differences
from tests.rules.documents.test_sync import SMALL, changed
from tests.rules.documents.test_text import DOCUMENTS


def test_fields_by_name() -> None:
    """Field pairs are compared by their right field, wherever they stand; other lists by position."""
    after = changed("fields/1/to_right", "phone.trim()")
    after["fields"].reverse()
    after["fields"].append({"left": "x", "to_left": "1"})
    after["schedule"] = {"cron": "* * * * *"}
    del after["key"]["left"]
    assert differences(SMALL, after) == [
        Difference("key/left", "id", ABSENT),
        Difference("fields/tel/to_right", ABSENT, "phone.trim()"),
        Difference("fields/x", ABSENT, {"left": "x", "to_left": "1"}),
        Difference("schedule", ABSENT, {"cron": "* * * * *"}),
    ]
    assert differences({"a": [1, 2]}, {"a": [1, 3, 4]}) == [Difference("a/1", 2, 3), Difference("a/2", ABSENT, 4)]
    assert differences({"a": [1]}, {"a": {"b": 1}}) == [Difference("a", [1], {"b": 1})]
    assert differences({"a": [{"metric": 1}]}, {"a": [{"metric": 2}]}) == [Difference("a/0/metric", 1, 2)]
    assert repr(ABSENT) == "(absent)"


@given(DOCUMENTS, DOCUMENTS)
def test_none_means_equal(before: dict[str, Any], after: dict[str, Any]) -> None:
    """A document does not differ from itself, and documents without differences are the same."""
    assert differences(before, before) == []
    if canonical(before) != canonical(after):
        assert differences(before, after)
