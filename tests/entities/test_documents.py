"""Entity documents: mistakes at their paths, written back as they were, described by the published schema."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from jsonschema import Draft202012Validator

from rules.documents.problems import DocumentError
from tests.entities.conftest import field
from webapp.entities.document_schema import document_schema, schema_text
from webapp.entities.documents import parse, to_document
from webapp.entities.expressions import check_expressions
from webapp.entities.model import Kind

SCHEMA_FILE = Path(__file__).resolve().parents[2] / "docs" / "schemas" / "entity.json"
CHOICES = [{"value": "a", "label": {"en": "A", "zh": "甲"}}, {"value": "b"}]
FULL: dict[str, Any] = {
    "kind": "entity",
    "name": "order",
    "label": {"en": "Order", "zh": "订单"},
    "help": {"en": "What was ordered."},
    "title": "number",
    "fields": [
        field("number", label={"en": "Number", "zh": "编号"}, required=True, unique=True, length=40, searchable=True),
        field("note", "long_text", help={"en": "Anything."}),
        field(
            "lines", "integer", default=1, validation={"expression": "lines > 0", "message": {"en": "At least one."}}
        ),
        field("price", "decimal", precision=20, scale=4, indexed=True),
        field("sum", "money", currency="CNY", computed="price * lines"),
        field("paid", "boolean", default=False),
        field("due", "date", default="today"),
        field("seen", "datetime", default="now"),
        field("state", "choice", choices=CHOICES, default="a"),
        field("flags", "multi_choice", choices=CHOICES, default=["b"]),
        field("parent", "reference", entity="order", on_delete="clear"),
        field("mail", "email", personal=True),
        field("phone", "phone"),
        field("site", "url"),
        field("raw", "json", default={"a": [1, None]}),
        field("scan", "file"),
    ],
}


def document(*fields: dict[str, Any], **more: Any) -> dict[str, Any]:
    return {"kind": "entity", "name": "thing", "fields": list(fields), **more}


def problems(data: dict[str, Any]) -> dict[str, str]:
    with pytest.raises(DocumentError) as caught:
        parse(data)
    return {p.path: str(p.message) for p in caught.value.problems}


def test_published_schema_is_current() -> None:
    """docs/schemas/entity.json is what the code makes; `python -m webapp.entities.document_schema` writes it."""
    assert SCHEMA_FILE.read_text(encoding="utf-8") == schema_text()
    Draft202012Validator.check_schema(document_schema())


def test_every_kind_round_trips() -> None:
    """A document with every kind and key comes back as it was."""
    assert {f["type"] for f in FULL["fields"]} == set(Kind)
    assert to_document(parse(FULL)) == FULL


def test_former_names_are_not_kept() -> None:
    """`was` serves the change it is sent with and is not part of the definition."""
    entity = parse(document(field("a", was="b")))
    assert entity.fields[0].was == "b"
    assert to_document(entity) == document(field("a"))


@pytest.mark.parametrize(
    ("data", "path", "words"),
    [
        ({"kind": "entity", "name": "thing"}, "", "'fields' is missing"),
        (document(field("a"), colour="red"), "", "'colour' is not known"),
        (document(field("a"), name="Thing"), "name", "not a name"),
        (document(field("a", "colour")), "fields/0/type", "not one of"),
        (document(field("id")), "fields/0/name", "filled in by Syncline"),
        (document(field("in")), "fields/0/name", "word of the expression language"),
        (document(field("a"), field("a")), "fields/1/name", "used twice"),
        (document(field("a", "money"), field("a_currency")), "fields/1/name", "used twice"),
        (document(field("a", "choice")), "fields/0/choices", "List the values"),
        (document(field("a", choices=CHOICES)), "fields/0/choices", "Only choice fields"),
        (document(field("a", "choice", choices=[{"value": 'x"'}])), "fields/0/choices/0/value", "cannot be a choice"),
        (document(field("a", "reference")), "fields/0/entity", "which entity"),
        (document(field("a", "reference", entity="b", required=True, on_delete="clear")), "fields/0/on_delete", "empt"),
        (document(field("a", "long_text", indexed=True)), "fields/0/indexed", "cannot have an index"),
        (document(field("a", "integer", searchable=True)), "fields/0/searchable", "Only text"),
        (document(field("a", "decimal", precision=3, scale=4)), "fields/0/scale", "more digits"),
        (document(field("a", "money", currency="yuan")), "fields/0/currency", "three capital letters"),
        (document(field("a", "integer", default="x")), "fields/0/default", "not a whole number"),
        (document(field("a", computed="b", default="x")), "fields/0/default", "no default"),
        (document(field("a"), title="b"), "title", "no field"),
    ],
)  # fmt: skip
def test_mistakes_are_told_at_their_place(data: dict[str, Any], path: str, words: str) -> None:
    """Each mistake has the path of its key and a sentence that says what is wrong."""
    assert words in problems(data)[path]


def test_expressions_are_checked_at_their_column() -> None:
    """A wrong word in an expression is told with its column, a wrong type of result and a circle too."""
    entity = parse(
        document(
            field("a", "integer", validation={"expression": "a > nothing"}),
            field("b", "integer", computed="'x' + 'y'"),
            field("c", "integer", computed="d + 1"),
            field("d", "integer", computed="c + 1"),
        )
    )
    found = {p.path: p for p in check_expressions(entity)}
    assert found["fields/0/validation/expression"].column == 5
    assert set(found) >= {"fields/1/computed", "fields/2/computed", "fields/3/computed"}
