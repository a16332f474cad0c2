"""Validations that cannot be asked are told when the rule is edited, at their place."""

from __future__ import annotations

from typing import Any

import pytest

from rules.documents import DocumentError, parse_sync
from rules.documents.check import check_sync
from rules.language import Severity
from rules.schema import Field, FieldType, Schema

LEFT = Schema((Field("id", FieldType.INTEGER, nullable=False), Field("name"), Field("seen", FieldType.DATE)), ("id",))
RIGHT = Schema((Field("no", FieldType.INTEGER, nullable=False), Field("title")), ("no",))


def document(*validations: dict[str, Any], **changes: Any) -> dict[str, Any]:
    return {
        "kind": "sync",
        "name": "customers",
        "left": {"connection": "crm", "object": "customer"},
        "right": {"connection": "erp", "object": "client"},
        "key": {"left": "id", "right": "no"},
        "fields": [{"left": "id", "right": "no"}],
        "validations": list(validations),
        **changes,
    }


def refused(*validations: dict[str, Any]) -> list[tuple[str, str]]:
    with pytest.raises(DocumentError) as error:
        parse_sync(document(*validations))
    return [(p.path, str(p.message)) for p in error.value.problems]


def problems(*validations: dict[str, Any], others: Any = None, **changes: Any) -> list[tuple[str, str]]:
    rule = parse_sync(document(*validations, **changes))
    return [(p.path, str(p.message)) for p in check_sync(rule, LEFT, RIGHT, others=others)]


def test_a_validation_asks_exactly_one_thing():
    assert refused({"name": "a"}) == [
        ("validations/0", "'a' asks nothing yet. Give it a condition (check), fields (unique) or a reference.")
    ]
    assert refused({"name": "a", "check": "true", "unique": ["id"]}) == [
        ("validations/0/unique", "'a' has check and unique; a validation asks one thing. Make two of it.")
    ]


def test_names_are_unique_and_fields_stand_once():
    assert refused({"name": "a", "unique": ["id", "id"]}, {"name": "a", "check": "true"}) == [
        ("validations/0/unique/1", "'id' stands here twice."),
        ("validations/1/name", "There is a validation 'a' further up; give this one another name."),
    ]


def test_fields_are_those_of_the_side_that_is_read():
    assert problems({"name": "a", "check": "nam != ''"}) == [
        ("validations/0/check", "There is no field 'nam' in crm customer. Did you mean 'name'?")
    ]
    back = problems(
        {"name": "a", "unique": ["titel"]}, direction="right_to_left", fields=[{"left": "id", "right": "no"}]
    )
    assert back == [("validations/0/unique/0", "There is no field 'titel' in erp client. Did you mean 'title'?")]


def test_an_unknown_side_is_not_checked():
    rule = parse_sync(document({"name": "a", "unique": ["nothing"]}))
    assert check_sync(rule, None, RIGHT) == []


def test_warnings_of_conditions_are_told_at_their_place():
    rule = parse_sync(document({"name": "a", "check": "7 / 2 == id"}))
    (found,) = check_sync(rule, LEFT, RIGHT)
    assert (found.path, found.severity) == ("validations/0/check", Severity.WARNING)


def reference(**keys: Any) -> dict[str, Any]:
    return {"name": "a", "reference": {"connection": "erp", "object": "country", "field": "name", "key": "no", **keys}}


def test_what_a_reference_points_to_has_to_exist_and_to_fit():
    asked = []

    def others(connection: str, thing: str) -> Schema | None:
        asked.append((connection, thing))
        return RIGHT if connection == "erp" else None

    assert problems(reference(), others=others) == []
    assert problems(reference(connection="oa"), others=others) == []
    assert asked == [("erp", "country"), ("oa", "country")]
    assert problems(reference(key="titel"), others=others) == [
        ("validations/0/reference/key", "There is no field 'titel' in erp country. Did you mean 'title'?")
    ]
    (found,) = problems(reference(field="seen"), others=others)
    assert found[0] == "validations/0/reference/key"
    assert "date" in found[1]
