"""Values side by side: what differs is marked, long texts are shortened, what is typed becomes a value of its field."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rules.schema import Field, FieldType
from tests.cases.waiting import DOCUMENT, LEFT, RIGHT, entry
from webapp.cases.fields import SHORT, cell, label, plain, rows, typed

SCHEMAS = {"left": LEFT, "right": RIGHT}


@given(st.text(max_size=SHORT), st.text(max_size=SHORT))
def test_marks_leave_the_text_as_it_is(text: str, against: str) -> None:
    """A text that is not shortened is shown letter by letter, with marks or without."""
    shown = cell(text, against)
    assert shown.text == text
    assert shown.same == (text == against)
    assert not (shown.same and any(differs for _, differs in shown.pieces))


@pytest.mark.parametrize(
    ("value", "against", "pieces"),
    [
        ("Beta Foods Ltd", "Beta Foods", (("Beta Foods", False), (" ", False), ("Ltd", True))),
        ("15000.00", "10000.00", (("15000", True), (".00", False))),
        ("上海晨光国际贸易", "上海晨光贸易", (("上海晨光", False), ("国际", True), ("贸易", False))),
        ("completely", "other words", (("completely", True),)),
        ("a  b", "a b", (("a", False), ("  ", True), ("b", False))),
        ("new", None, (("new", False),)),
        (["a"], ["b"], (('["', False), ("a", True), ('"]', False))),
        (7, 7, (("7", False),)),
    ],
)
def test_what_differs_is_marked(value: Any, against: Any, pieces: Any) -> None:
    """Words, numbers and single Chinese characters are marked, not the spaces around them."""
    assert cell(value, against).pieces == pieces


def test_nothing_and_truth() -> None:
    """Nothing, an empty text, yes and no have words of their own."""
    assert [cell(value).empty for value in (None, "")] == ["null", "text"]
    assert cell(value=True, against=True) == cell(value=True, against=True)
    assert (cell(value=False).truth, cell(value=True).truth) == (False, True)
    assert plain(None) == ""


def test_long_texts_are_shortened() -> None:
    """Of a long text only what differs is shown, with a few words around it; the whole can be opened."""
    text = "word " * 100
    shown = cell(f"{text}new {text}", f"{text}old {text}")
    assert [piece for piece, differs in shown.pieces if differs] == ["new"]
    assert len(shown.text) < 200
    assert shown.whole == f"{text}new {text}"
    assert len(cell(text).text) < 200
    assert cell("x" * 3000, "y" * 10).whole


def test_rows() -> None:
    """The side that alone has changed is chosen beforehand; labels, types and kinds of entry come from the fields."""
    asked = {
        "1": entry(1, "Acme", "Acme Inc", "Acme"),
        "2": entry(2, "1", "2"),
        "3": entry(3, "1.00", None, "1.00"),
        "4": {**entry(4, left=True, right=False), "base": {}},
    }
    found = rows(asked, SCHEMAS)
    assert [row.take for row in found] == ["right", "", "right", ""]
    assert [row.entry for row in found] == ["text", "text", "decimal", "boolean"]
    assert [row.label for row in found] == ["name / title", "phone / tel", "credit / ceiling", "vip"]
    assert (found[3].base, found[0].length, found[0].type) == (None, 40, "text")
    chosen = {"fields": {"2": {"take": "value", "value": "3"}}}
    again = rows(asked, SCHEMAS, chosen, ("2", "too short"))
    assert (again[1].take, again[1].own, again[1].error, again[0].error) == ("value", "3", "too short", "")
    assert rows({"2": entry(2, "a\nb", "c")}, {})[0].entry == "long"


def test_labels() -> None:
    """A field is called by its label, else by its names on both sides."""
    assert label(entry(4, 1, 2), RIGHT["vip"]) == "Important"
    assert label({"field": "tags"}) == "tags"
    assert label({}) == "?"
    assert DOCUMENT["fields"]


@pytest.mark.parametrize(
    ("text", "field", "value"),
    [
        ("", None, None),
        ("  ", Field("x"), None),
        (" a\r\nb ", Field("x"), " a\nb "),
        ("12", Field("x", FieldType.INTEGER), 12),
        ("twelve", Field("x", FieldType.INTEGER), "twelve"),
        ("true", Field("x", FieldType.BOOLEAN), True),
        ("maybe", Field("x", FieldType.BOOLEAN), "maybe"),
        (" 1.50 ", Field("x", FieldType.DECIMAL, scale=2), "1.50"),
        ("2024-01-01", Field("x", FieldType.DATE), "2024-01-01"),
    ],
)
def test_what_is_typed(text: str, field: Field | None, value: Any) -> None:
    """What is typed becomes a value of the field; what does not fit stays text, for the check to refuse."""
    assert typed(text, field) == value
