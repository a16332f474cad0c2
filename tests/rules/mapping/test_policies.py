"""What a rule says to do where a field has no value for a record."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import pytest

from rules.documents import DocumentError
from rules.documents.sync import OnError
from rules.mapping import compile_mapping
from rules.schema import Field, FieldType, Schema
from tests.rules.mapping.test_mapping import LEFT, mapping, problems, records, rule


def test_policies() -> None:
    """A field's error parks its record, empties the field, writes the default, or stops the run."""
    made = mapping(
        {"left": "name", "right": "title"},
        {"right": "tel", "to_right": "phone.trim()", "on_error": "null"},
        {"left": "credit", "right": "limit", "on_error": "default", "default": 0.5},
        {"right": "price", "to_right": "price / 0", "on_error": "stop"},
    )
    found = made.apply(
        records(
            {"id": 1, "name": "Ada", "phone": None, "credit": "x", "price": Decimal(1)},
            {"id": 2, "name": "Too long", "phone": " 1 ", "credit": "12.50", "price": None},
        )
    )
    assert found.records.rows() == [("Ada", None, Decimal("0.50"), None), (None, "1", Decimal("12.50"), None)]
    assert [(e.row, e.field, e.policy) for e in found.errors] == [
        (0, "price", OnError.STOP),
        (1, "price", OnError.STOP),
        (1, "title", OnError.QUARANTINE),
    ]
    assert [(e.row, e.field, e.policy) for e in found.replaced] == [
        (0, "tel", OnError.NULL),
        (0, "limit", OnError.DEFAULT),
    ]


def test_conditions() -> None:
    """Where a field does not apply there is no error; where that cannot be said, the record is parked at the least."""
    made = mapping(
        {"right": "tel", "to_right": "phone.trim()", "when": "country == 'CN'", "on_error": "default", "default": "-"},
        {"right": "city", "to_right": "phone.trim()", "when": "country.size() == 2", "on_error": "null"},
        {"right": "title", "to_right": "name", "when": "country.size() == 2", "on_error": "stop"},
    )
    found = made.apply(records({"country": "CN"}, {"country": "DE", "phone": "1"}, {}))
    assert found.records["tel"].to_list() == ["-", None, None]
    assert [(e.row, e.field, e.policy) for e in found.replaced] == [
        (0, "tel", OnError.DEFAULT),
        (0, "city", OnError.NULL),
    ]
    assert [(e.row, e.field, e.policy) for e in found.errors] == [
        (2, "title", OnError.STOP),
        (2, "city", OnError.QUARANTINE),
    ]


def test_without_column_form() -> None:
    """Policies are the same for expressions that are worked out record by record."""
    city, tel = "dyn([data.city])[0]", "dyn([data.tel])[0]"
    made = mapping(
        {"right": "city", "to_right": city, "on_error": "default", "default": "none", "when": "data.ok"},
        {"right": "tel", "to_right": tel, "on_error": "null"},
    )
    assert made.description.slow
    found = made.apply(records({"data": '{"ok":true}'}, {"data": '{"ok":false}'}, {"data": '{"ok":true,"city":"x"}'}))
    assert found.records.rows() == [("none", None), (None, None), ("x", None)]
    assert found.applies["city"].to_list() == [True, False, True]
    assert [(e.row, e.field) for e in found.replaced] == [(0, "city"), (0, "tel"), (1, "tel"), (2, "tel")]


@pytest.mark.parametrize(
    ("target", "default", "expected"),
    [
        (FieldType.TEXT, "x", "x"),
        (FieldType.INTEGER, 7, 7),
        (FieldType.DECIMAL, "1.5", Decimal("1.5")),
        (FieldType.BOOLEAN, True, True),
        (FieldType.FLOAT, 2, 2.0),
    ],
)
def test_defaults(target: FieldType, default: Any, expected: Any) -> None:
    """A default is read as the target field's own type."""
    right = Schema((Field("no"), Field("x", target)), ("no",))
    made = compile_mapping(
        rule({"right": "x", "to_right": "data.zz", "on_error": "default", "default": default}), LEFT, right
    )
    assert made.apply(records({"data": "{}"})).records["x"].to_list() == [expected]


def test_problems() -> None:
    """A default that does not fit, is missing or has no use, and a required field left empty, are found early."""
    expression = {"to_right": "name", "on_error": "default"}
    assert problems({"right": "limit", **expression, "default": "many"}) == [
        ("fields/0/default", "'many' is not a number that 'limit' can hold exactly (at most 2 decimals).")
    ]
    assert problems({"right": "title", **expression, "default": "far too long"})[0][0] == "fields/0/default"
    assert problems({"right": "no", "to_right": "name", "on_error": "null"}) == [
        ("fields/0/on_error", "'no' must not be empty, so it cannot be left empty on errors.")
    ]
    for keys, path in (
        ({"on_error": "default"}, "fields/0/on_error"),
        ({"default": "x"}, "fields/0/default"),
    ):
        with pytest.raises(DocumentError) as caught:
            rule({"left": "name", "right": "title", **keys})
        assert [p.path for p in caught.value.problems] == [path]
