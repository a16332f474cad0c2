"""Mappings: records of the source become records of the target, with errors beside them."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import polars as pl
import pytest

from rules.documents import DocumentError, parse_sync
from rules.documents.sync import On, Strength, SyncRule
from rules.mapping import Mapping, compile_mapping
from rules.schema import Field, FieldType, Schema

LEFT = Schema(
    (
        Field("id", FieldType.INTEGER, nullable=False),
        Field("name"),
        Field("phone"),
        Field("country"),
        Field("credit"),
        Field("price", FieldType.DECIMAL, scale=4),
        Field("data", FieldType.JSON),
    ),
    ("id",),
)
RIGHT = Schema(
    (
        Field("no", nullable=False),
        Field("title", length=5),
        Field("tel"),
        Field("limit", FieldType.DECIMAL, precision=10, scale=2),
        Field("price", FieldType.DECIMAL, scale=2),
        Field("city"),
    ),
    ("no",),
)


def rule(*fields: dict[str, Any], **keys: Any) -> SyncRule:
    """Return a rule with these field pairs."""
    document = {
        "name": "r",
        "left": {"connection": "crm", "object": "Account", **keys.pop("left", {})},
        "right": {"connection": "erp", "object": "Customer", **keys.pop("right", {})},
        "key": {"left": "id", "right": "no"},
        "fields": list(fields),
    }
    return parse_sync({"kind": "sync", **document, **keys})


def mapping(*fields: dict[str, Any], **keys: Any) -> Mapping:
    """Return the compiled mapping of these field pairs."""
    return compile_mapping(rule(*fields, **keys), LEFT, RIGHT)


def records(*rows: dict[str, Any]) -> pl.DataFrame:
    """Return a batch of left records."""
    return pl.DataFrame(list(rows), schema=LEFT.dtypes())


def problems(*fields: dict[str, Any], **keys: Any) -> list[tuple[str, str]]:
    """Return why the mapping does not compile."""
    with pytest.raises(DocumentError) as caught:
        mapping(*fields, **keys)
    return [(p.path, str(p.message)) for p in caught.value.problems]


def test_apply() -> None:
    """Copies are converted, expressions evaluated, errors name the record, the field and the place."""
    made = mapping(
        {"left": "id", "right": "no"},
        {"left": "name", "right": "title"},
        {"right": "tel", "to_right": "phone.trim()"},
        {"left": "credit", "right": "limit"},
        {"left": "price", "right": "price", "to_right": "price * 1.005"},
        {"right": "city", "to_right": "data.city"},
    )
    found = made.apply(
        records(
            {
                "id": 1,
                "name": "Ada",
                "phone": " 1 ",
                "credit": "12.50",
                "price": Decimal("1.0000"),
                "data": '{"city":"巴黎"}',
            },
            {"id": 2, "name": "Too long", "credit": "x", "price": Decimal("2.0050"), "data": '{"city":1}'},
        )
    )
    assert found.records.schema == RIGHT.select(("no", "title", "tel", "limit", "price", "city")).dtypes()
    assert found.records.rows() == [
        ("1", "Ada", "1", Decimal("12.50"), Decimal("1.00"), "巴黎"),
        ("2", None, None, None, Decimal("2.02"), None),
    ]
    assert [(e.row, e.field, e.column, str(e.message)[:25]) for e in found.errors] == [
        (1, "title", None, "The text has 8 characters"),
        (1, "tel", 1, "The field 'phone' is empt"),
        (1, "limit", None, "'x' is not a number that "),
        (1, "city", 6, "The result is 1.0, but te"),
    ]
    assert made.names == ("no", "title", "tel", "limit", "price", "city")


def test_heavy_records() -> None:
    """What is too much work for one record is refused for that record; the others are mapped as without it."""
    heavy = " + ".join(["phone"] * 90)
    made = mapping(
        {"left": "id", "right": "no"},
        {"right": "tel", "to_right": f"size({heavy}) > 100 ? 'long' : country", "when": "name != 'no'"},
        {"right": "city", "to_right": "name.trim()"},
        {"right": "limit", "to_right": "price / (price - 2.0)", "on_error": "null"},
    )
    large, two = "x" * 10_000_000, Decimal("2.0000")
    batch = records(
        {"id": 1, "name": " a ", "phone": "1", "country": "CN", "price": two},
        {"id": 2, "name": " b ", "phone": large, "country": "CN", "price": two},
        {"id": 3, "name": "no", "phone": large, "country": "CN", "price": two * 2},
        {"id": 4, "name": None, "phone": "12", "country": "DE", "price": two * 2},
    )
    found, light, only = made.apply(batch), made.apply(batch[[0, 3]]), made.apply(batch[[1]])
    assert found.records[[0, 3]].equals(light.records)
    assert found.records["city"].to_list() == ["a", "b", "no", None]
    assert found.records["limit"].to_list() == [None, None, Decimal("2.00"), Decimal("2.00")]
    assert found.applies["tel"].to_list()[:3] == [True, True, False]
    refused = "This is too much work for one record"
    assert [(e.row, e.field, str(e.message)[:36]) for e in found.errors if e.row < 3] == [(1, "tel", refused)]
    assert [(e.row, e.field) for e in found.errors[1:]] == [(3, e.field) for e in light.errors]
    assert [(e.row, e.field) for e in found.replaced] == [(0, "limit"), (1, "limit")]
    assert [(e.row, e.field) for e in only.errors] == [(0, "tel")]


def test_when() -> None:
    """Where the condition is false the field is left alone, and needs no value; where it fails, so does the record."""
    made = mapping(
        {"right": "tel", "to_right": "phone.trim()", "when": "country == 'CN'", "on": ["create"], "strength": "weak"},
        {"left": "name", "right": "title", "when": "country.size() == 2"},
    )
    batch = records({"country": "CN", "phone": "1"}, {"country": "DE"}, {"country": "CN"}, {})
    found = made.apply(batch.with_columns(id=pl.lit(1)))
    assert found.applies["tel"].to_list() == [True, False, True, False]
    assert found.applies["title"].to_list() == [True, True, True, False]
    assert found.records["tel"].to_list() == ["1", None, None, None]
    assert [(e.row, e.field) for e in found.errors] == [(2, "tel"), (3, "title")]
    (tel, title) = made.fields
    assert (tel.name, tel.on, tel.strength, tel.conditional) == ("tel", (On.CREATE,), Strength.WEAK, True)
    assert (title.on, title.strength) == ((On.CREATE, On.UPDATE), Strength.NORMAL)


def test_where() -> None:
    """A record is in scope where the condition is true; without a condition all are."""
    batch = records({"country": "CN"}, {"country": "DE"}, {}).with_columns(id=pl.lit(1))
    everything, none = mapping({"left": "name", "right": "title"}).where(batch)
    assert (everything.to_list(), none) == ([True, True, True], ())
    made = mapping({"left": "name", "right": "title"}, left={"where": "country.startsWith('C')"})
    mask, errors = made.where(batch)
    assert mask.to_list() == [True, False, False]
    assert [(e.row, e.column) for e in errors] == [(2, 1)]


def test_right_to_left() -> None:
    """A rule that flows left reads the right records; pairs of the other direction are left out."""
    made = compile_mapping(
        rule(
            {"left": "name", "right": "title", "to_left": "title + '!'"},
            {"left": "phone", "right": "tel", "direction": "left_to_right"},
            {"right": "city", "to_right": "name"},
            direction="right_to_left",
            right={"where": "tel != null"},
        ),
        LEFT,
        RIGHT,
    )
    batch = pl.DataFrame([{"no": "1", "title": "a"}], schema=RIGHT.dtypes())
    assert made.apply(batch).records.to_dict(as_series=False) == {"name": ["a!"]}
    assert made.where(batch)[0].to_list() == [False]


def test_problems() -> None:
    """What does not compile is reported at its path, everything at once."""
    assert problems(
        {"left": "nam", "right": "titel"},
        {"left": "name", "right": "zzz", "when": "country"},
        {"right": "tel", "to_right": "phon + 1", "when": "countr == 'x'"},
        {"right": "limit", "to_right": "data == null"},
        left={"where": "name"},
    ) == [
        ("fields/0", "There is no field 'titel' in erp Customer. Did you mean 'title'?"),
        ("fields/0", "There is no field 'nam' in crm Account. Did you mean 'name'?"),
        ("fields/1", "There is no field 'zzz' in erp Customer."),
        ("fields/1/when", "The result is text, but boolean is needed."),
        ("fields/2/when", "There is no field 'countr' in crm Account. Did you mean 'country'?"),
        ("fields/2/to_right", "There is no field 'phon' in crm Account. Did you mean 'phone'?"),
        ("fields/3/to_right", "A boolean value does not fit 'limit', which is decimal. Write an expression."),
        ("left/where", "The result is text, but boolean is needed."),
    ]
    assert problems({"left": "name", "right": "title", "when": "1"}) == [
        ("fields/0/when", "The result is integer, but boolean is needed.")
    ]
