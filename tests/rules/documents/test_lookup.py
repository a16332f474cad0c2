"""Lookup table documents: what they become, and what is said of mistakes."""

from __future__ import annotations

import datetime as dt
import time
from decimal import Decimal
from typing import Any

import pytest
from jsonschema import Draft202012Validator

from rules.documents.lookup import MAX_ENTRIES, MAX_PROBLEMS, lookup_schema, parse_lookup
from rules.documents.problems import DocumentError
from rules.schema import FieldType

_WHOLE: dict[str, Any] = {
    "kind": "lookup",
    "name": "countries",
    "label": "Countries",
    "key": {"name": "code"},
    "columns": [
        {"name": "name"},
        {"name": "members", "type": "integer"},
        {"name": "vat", "type": "decimal"},
        {"name": "share", "type": "float"},
        {"name": "euro", "type": "boolean"},
        {"name": "since", "type": "date"},
        {"name": "at", "type": "datetime"},
        {"name": "wall", "type": "local_datetime"},
    ],
    "entries": [
        ["DE", "Germany", 16, "19.00", 0.5, True, "1949-05-23", "2024-01-31T08:00:00+08:00", "2024-01-31 08:00"],
        ["CN", None, None, 13, 1, None, None, None, None],
        ["FR", "France", 1, 5.5, None, None, None, None, None],
    ],
}


def _table(type_: str, *values: Any) -> dict[str, Any]:
    entries = [[f"k{number}", value] for number, value in enumerate(values)]
    return {**_WHOLE, "columns": [{"name": "value", "type": type_}], "entries": entries}


def _problems(document: dict[str, Any]) -> list[tuple[str, str]]:
    with pytest.raises(DocumentError) as failed:
        parse_lookup(document)
    return [(problem.path, str(problem.message)) for problem in failed.value.problems]


def test_whole() -> None:
    """Every type of value becomes what a field of that type holds."""
    table = parse_lookup(_WHOLE)
    assert (table.name, table.key) == ("countries", FieldType.TEXT)
    assert [(c.name, c.type, c.scale) for c in table.columns][:3] == [
        ("name", FieldType.TEXT, None),
        ("members", FieldType.INTEGER, None),
        ("vat", FieldType.DECIMAL, 2),
    ]
    day, moment = dt.date(1949, 5, 23), dt.datetime(2024, 1, 31, tzinfo=dt.UTC)
    assert table.entries == {
        "DE": ("Germany", 16, Decimal("19.00"), 0.5, True, day, moment, dt.datetime(2024, 1, 31, 8)),
        "CN": (None, None, Decimal(13), 1.0, None, None, None, None),
        "FR": ("France", 1, Decimal("5.5"), None, None, None, None, None),
    }
    Draft202012Validator.check_schema(lookup_schema())
    assert parse_lookup({**_WHOLE, "entries": []}).entries == {}


@pytest.mark.parametrize(
    ("type_", "value", "reason"),
    [
        ("text", 5, "5 is not text; put it in quotes."),
        ("text", "a\x00", "A text may have 10000 characters, none of them with the code 0."),
        ("integer", True, "True is not a whole number."),
        ("integer", 2**63, "9223372036854775808 is not a whole number."),
        ("decimal", "1,5", "'1,5' is not a number such as 12.50."),
        ("decimal", False, "False is not a number such as 12.50."),
        ("decimal", "1234567890.123456", "'1234567890.123456' has more than 15 digits."),
        ("decimal", "x" * 99, "'" + "x" * 56 + "... is not a number such as 12.50."),
        ("float", "1", "'1' is not a number."),
        ("float", float("nan"), "nan is not a number."),
        ("boolean", 1, "1 is neither true nor false."),
        ("date", "2024-02-30", "'2024-02-30' is not a date like 2024-01-31."),
        ("date", 20240101, "20240101 is not a date like 2024-01-31."),
        (
            "datetime",
            "2024-01-31T09:30:00",
            "'2024-01-31T09:30:00' is not a time with a zone like 2024-01-31T09:30:00Z.",
        ),
        (
            "datetime",
            "0001-01-01T00:00:00+10:00",
            "'0001-01-01T00:00:00+10:00' is not a time with a zone like 2024-01-31T09:30:00Z.",
        ),
        (
            "local_datetime",
            "2024-01-31T09:30Z",
            "'2024-01-31T09:30Z' is not a time without a zone like 2024-01-31T09:30:00.",
        ),
        ("local_datetime", 5, "5 is not a time without a zone like 2024-01-31T09:30:00."),
    ],
)
def test_wrong_values(type_: str, value: Any, reason: str) -> None:
    """A value of another type is named with its column and entry."""
    assert _problems(_table(type_, value)) == [("entries/0/1", f"{reason} This is 'value' of entry 1.")]


def test_keys() -> None:
    """A key is there, of the key's type, and stands once."""
    entries = [["a", "1"], [None, "2"], ["b", "3"], ["a", "4"], [5, "6"], [6, "7"], ["c"]]
    assert _problems({**_table("text"), "entries": entries}) == [
        ("entries/1/0", "Entry 2 has no key."),
        ("entries/3/0", "The key 'a' stands twice: in entries 1 and 4."),
        ("entries/4/0", "5 is not text; put it in quotes. This is 'code' of entry 5."),
        ("entries/5/0", "6 is not text; put it in quotes. This is 'code' of entry 6."),
        ("entries/6", "An entry has the key and 1 values here, 2 in all; this one has 1."),
    ]


def test_columns() -> None:
    """Two columns cannot have one name, nor a column that of the key."""
    columns = [{"name": "a"}, {"name": "code"}, {"name": "a"}]
    found = _problems({**_WHOLE, "columns": columns, "entries": []})
    assert [path for path, _ in found] == ["columns/0/name", "columns/1/name", "columns/2/name"]
    assert found[0][1] == "The name 'a' stands twice. Give each column, and the key, a name of its own."


def test_shape() -> None:
    """The schema names what is missing or not possible."""
    assert _problems({"kind": "lookup", "name": "x", "key": {"name": "k", "type": "float"}})[0][0] == "columns"
    assert [path for path, _ in _problems({**_WHOLE, "key": {"name": "k", "type": "float"}})] == ["key/type"]


def test_limits() -> None:
    """20,000 entries are read in little time; more are refused; of many problems the first are told."""
    large = _table("text", *(str(number) for number in range(MAX_ENTRIES)))
    started = time.perf_counter()
    assert len(parse_lookup(large).entries) == MAX_ENTRIES
    assert time.perf_counter() - started < 5
    many = _problems(_table("text", *range(MAX_ENTRIES)))
    assert len(many) == MAX_PROBLEMS
    ((path, message),) = _problems({**large, "entries": [*large["entries"], ["x", "y"]]})
    assert (path, message) == ("entries", "At most 20000 entries are possible here.")
