"""Rules that were parsed lately are kept, by how their documents are written."""

from __future__ import annotations

from copy import deepcopy

import pytest

from rules.documents import DocumentError, parse_sync

DOCUMENT = {
    "kind": "sync",
    "name": "customers",
    "left": {"connection": "crm", "object": "customer"},
    "right": {"connection": "erp", "object": "client"},
    "key": {"left": "id", "right": "no"},
    "fields": [{"left": "id", "right": "no"}],
}


def test_the_same_document_is_the_same_rule() -> None:
    """It is not worked out again; what becomes of the caller's document later does not matter."""
    given = deepcopy(DOCUMENT)
    first = parse_sync(given)
    given["name"] = "other"
    assert parse_sync(deepcopy(DOCUMENT)) is first
    assert parse_sync(given).name == "other"


@pytest.mark.parametrize("value", [1, 1.0, "true"])
def test_values_that_only_seem_to_be_equal_are_told_apart(value: object) -> None:
    """1 == True, but a rule wants the one and refuses the other."""
    assert parse_sync({**DOCUMENT, "explain": True}).explain
    with pytest.raises(DocumentError):
        parse_sync({**DOCUMENT, "explain": value})


def test_what_is_nested_too_deeply_is_refused_as_ever() -> None:
    """Such a document has no text to be known by."""
    deep: list[object] = []
    for _ in range(100_000):
        deep = [deep]
    with pytest.raises((DocumentError, RecursionError)):
        parse_sync({**DOCUMENT, "label": deep})
    while deep:  # taken apart by hand, since it is too deep for that as well
        deep = deep.pop()  # type: ignore[assignment]
