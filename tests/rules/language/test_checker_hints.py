"""Names that people bring from spreadsheets, SQL and JavaScript."""

from __future__ import annotations

import pytest

from rules.language.functions import FUNCTIONS
from rules.language.hints import CLOCK, HINTS
from rules.language.parse import parse
from tests.rules.language.records import problem


@pytest.mark.parametrize(
    ("text", "form", "suggestion"),
    [
        ("IF(active, 1, 2)", "condition ? a : b", None),
        ("VLOOKUP(name, 'countries', 2)", "lookup('table', value, 'column')", None),
        ("CONCATENATE(name, phone)", "a + b", None),
        ("LEN(name)", "size(value)", "size"),
        ("ISNULL(name)", "isBlank(value)", "isBlank"),
        ("NVL(name, 'x')", "orDefault(value, default)", "orDefault"),
        ("SUBSTR(name, 1, 2)", "text.substring(start, end)", None),
        ("name.toUpperCase()", "text.upper()", "upper"),
        ("name.like('x')", "text.contains(part)", "contains"),
        ("[1].some(x, x > 0)", "list.exists(x, x > 0)", None),
        ("ROUNDUP(rate, 2)", "round(number, decimals)", "round"),
    ],
)
def test_hint(text: str, form: str, suggestion: str | None) -> None:
    """The form to write is named, and put in place where only the name differs."""
    message, _line, _column, found = problem(text)
    name = text.partition("(")[0].rpartition(".")[2]
    assert message == f"There is no function '{name}'. Write {form}."
    assert found == suggestion


@pytest.mark.parametrize(
    ("text", "close"), [("TRIM(name)", "trim"), ("[1].exist(x, true)", "exists"), ("hass(name)", "has")]
)
def test_close(text: str, close: str) -> None:
    """Another spelling of our own names is corrected, those of loops included."""
    assert problem(text)[3] == close


@pytest.mark.parametrize("name", HINTS)
def test_hints_can_be_written(name: str) -> None:
    """The form of a hint can be read, and its function exists."""
    hint = HINTS[name]
    assert name == name.lower()
    assert hint.name is None or hint.name in FUNCTIONS
    parse(hint.form)


def test_clock() -> None:
    """The clock and chance are refused with the reason."""
    assert not CLOCK & FUNCTIONS.keys()
    assert problem("RAND()")[0] == "'RAND' is not available: a rule gives the same result at any time."
