"""Mappings are kept for the next run where nothing but the rule and the fields decides about them."""

from __future__ import annotations

from copy import deepcopy
from typing import Any

import pytest

from rules.documents import DocumentError, parse_sync
from rules.language.library import EMPTY, Library, Lookup
from rules.schema import Field, FieldType, Schema
from webapp.runs.pipeline import compiled as module
from webapp.runs.pipeline.compiled import compiled

LEFT = Schema((Field("id", FieldType.INTEGER), Field("name")), ("id",))
RIGHT = Schema((Field("no", FieldType.INTEGER), Field("title")), ("no",))
LIBRARY = Library({"greetings": Lookup("greetings", FieldType.TEXT, (Field("word"),), {"Ada": ("Dear",)})})


def plain(expression: str) -> dict[str, Any]:
    """Return the document of a rule with an expression."""
    fields = [{"left": "id", "right": "no"}, {"left": "name", "right": "title", "to_right": expression}]
    return {
        "kind": "sync",
        "name": "customers",
        "left": {"connection": "crm", "object": "customer"},
        "right": {"connection": "erp", "object": "client"},
        "key": {"left": "id", "right": "no"},
        "fields": fields,
    }


def rule(expression: str):
    """Return a rule with an expression."""
    return parse_sync(plain(expression))


def test_the_next_run_of_the_same_rule_over_the_same_fields_takes_the_same_mapping():
    """Another expression, or another field, is another mapping."""
    first = compiled(rule("name.upper()"), LEFT, RIGHT, EMPTY)
    assert compiled(rule("name.upper()"), LEFT, RIGHT, LIBRARY) is first
    assert compiled(rule("name.lower()"), LEFT, RIGHT, EMPTY) is not first
    wider = Schema((*LEFT.fields, Field("more")), ("id",))
    assert compiled(rule("name.upper()"), wider, RIGHT, EMPTY) is not first


def test_what_has_asked_for_a_table_belongs_to_its_run():
    """The next run may have pinned another version of the table."""
    asking = rule("lookup('greetings', name)")
    first = compiled(asking, LEFT, RIGHT, LIBRARY)
    assert compiled(asking, LEFT, RIGHT, LIBRARY) is not first
    with pytest.raises(DocumentError):
        compiled(asking, LEFT, RIGHT, EMPTY)


def test_only_some_are_kept(monkeypatch):
    """Those that were asked for last."""
    monkeypatch.setattr(module, "MOST", 2)
    made = [compiled(rule(f"name + '{number}'"), LEFT, RIGHT, EMPTY) for number in range(3)]
    assert compiled(rule("name + '2'"), LEFT, RIGHT, EMPTY) is made[2]
    assert compiled(rule("name + '0'"), LEFT, RIGHT, EMPTY) is not made[0]


def test_a_document_that_is_changed_in_place_leaves_what_was_parsed_from_it_as_it_was():
    """The next reader of the same text gets what it says, not what became of somebody else's copy."""
    written: dict[str, Any] = {**plain("name"), "tests": [{"name": "one", "given": {"tags": ["a"]}, "expect": {}}]}
    untouched = deepcopy(written)
    parse_sync(written)
    written["tests"][0]["given"]["tags"].append("b")
    assert parse_sync(untouched).tests[0].given == {"tags": ["a"]}
    limits = Schema((LEFT.fields[0], Field("name", length=5)), ("id",))
    other = Schema((LEFT.fields[0], Field("name", length=9)), ("id",))
    assert compiled(rule("name"), limits, RIGHT, EMPTY) is not compiled(rule("name"), other, RIGHT, EMPTY)


def test_equal_values_of_different_types_are_different_rules():
    """A default of 1 is not one of 1.0, True or '1', although Python finds some of these equal."""
    for default in (1, 1.0, True, "1", 1):
        document = plain("name")
        document["fields"][1] |= {"on_error": "default", "default": default}
        assert repr(parse_sync(document).fields[1].default) == repr(default)
