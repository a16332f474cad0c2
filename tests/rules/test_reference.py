"""The rule reference, the function reference and the JSON Schema are complete and current."""

from __future__ import annotations

import json

import pytest
from jsonschema import Draft202012Validator

from rules.documents.lookup import lookup_schema
from rules.documents.parse import sync_schema
from rules.documents.sync import SyncRule
from rules.language import compile_expression
from rules.schema import Field, FieldType, Schema
from tests.rules import reference
from tests.rules.documents.test_sync import SMALL, WHOLE

STALE = "run `python -m tests.rules.reference`"


def test_functions() -> None:
    """docs/functions.md shows the functions as they are."""
    assert reference.PAGE.read_text() == reference.functions_page(), STALE


def test_rules() -> None:
    """docs/rules.md has the tables as they are, and names every key."""
    text = reference.RULES.read_text()
    assert text == reference.rules_page(text), STALE
    missing = [path for path, _, _ in reference.keys(SyncRule) if f"`{path}`" not in text]
    assert missing == []
    assert all(f"<!-- {name} -->" in text for name in reference.TABLES)


def test_schema() -> None:
    """docs/schemas/sync.json is the published schema, itself valid, and takes the whole contract."""
    published = json.loads(reference.SCHEMA.read_text())
    assert published == sync_schema(), STALE
    Draft202012Validator.check_schema(published)
    for document in (SMALL, WHOLE):
        Draft202012Validator(published).validate(document)


def test_lookup_schema() -> None:
    """docs/schemas/lookup.json is the published schema of lookup tables."""
    assert json.loads(reference.LOOKUP.read_text()) == lookup_schema(), STALE
    Draft202012Validator.check_schema(lookup_schema())


def test_examples_in_prose() -> None:
    """Every expression that docs/rules.md shows as an example compiles over the fields it talks about."""
    fields = {
        "name": FieldType.TEXT,
        "phone": FieldType.TEXT,
        "country": FieldType.TEXT,
        "status": FieldType.TEXT,
        "客户名称": FieldType.TEXT,
        "qty": FieldType.INTEGER,
        "price": FieldType.DECIMAL,
        "credit": FieldType.DECIMAL,
        "signed": FieldType.DATE,
        "seen": FieldType.DATETIME,
        "data": FieldType.JSON,
    }
    schema = Schema(tuple(Field(name, type_) for name, type_ in fields.items()))
    blocks = reference.RULES.read_text().split("```cel\n")[1:]
    lines = [line for block in blocks for line in block.split("```")[0].splitlines() if line.strip()]
    assert len(lines) > 10
    for line in lines:
        compile_expression(line.partition("  //")[0], schema)


@pytest.mark.parametrize("name", reference.TABLES)
def test_tables(name: str) -> None:
    """Each table of the reference has rows."""
    assert reference.TABLES[name]().count("\n") > 5
