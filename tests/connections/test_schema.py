"""The published JSON Schema of connection documents says what the checks say."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import jsonschema
import pytest

from tests.connections.systems import Notebook
from webapp.connections import schema, services

PUBLISHED = Path(__file__).resolve().parents[2] / "docs" / "schemas" / "connection.json"


def valid(document: dict[str, Any]) -> bool:
    wanted = schema.document_schema([*schema.builtin_specs(), Notebook.spec])
    return jsonschema.Draft202012Validator(wanted).is_valid(document)


def test_the_published_schema_is_current(tmp_path: Path) -> None:
    """The file is what the built-in connectors declare; `python -m webapp.connections.schema FILE` writes it."""
    schema.main([str(tmp_path / "fresh.json")])
    assert PUBLISHED.read_text("utf-8") == (tmp_path / "fresh.json").read_text("utf-8")
    jsonschema.Draft202012Validator.check_schema(json.loads(PUBLISHED.read_text("utf-8")))


DOCUMENTS: list[tuple[dict[str, Any], bool]] = [
    ({"connector": "sqlite", "settings": {"path": "payroll.db"}}, True),
    ({"connector": "files", "settings": {"path": "inbox", "format": "csv"}, "label": "Inbox"}, True),
    ({"connector": "notebook", "settings": {"host": "h", "password": "env:P", "headers": {"a": 1}}}, True),
    ({"connector": "notebook", "settings": {"host": "h", "password": "plain"}}, False),
    ({"connector": "notebook", "settings": {"host": "h", "port": 0}}, False),
    ({"connector": "notebook", "settings": {"host": "h", "mood": "happy"}}, False),
    ({"connector": "notebook", "settings": {"host": "h", "hots": "x"}}, False),
    ({"connector": "notebook", "settings": {}}, False),
    ({"connector": "notebook"}, False),
    ({"connector": "abacus"}, False),
    ({"connector": "sqlite", "settings": {"path": "x"}, "extra": 1}, False),
    ({"connector": "sqlite", "name": "Bad Name", "settings": {"path": "x"}}, False),
]


@pytest.mark.parametrize(("document", "good"), DOCUMENTS)
def test_schema_and_checks_agree(document: dict[str, Any], good: bool) -> None:
    """What the schema takes, the checks take, and what it refuses, they refuse."""
    document = {"kind": "connection", "name": "x", **document}
    assert valid(document) is good
    assert (services.problems(document) == []) is good
