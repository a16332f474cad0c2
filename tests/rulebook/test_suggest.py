"""Proposals for mappings."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rules.schema import Field, FieldType, Schema
from webapp.rulebook.suggest import ENOUGH, likeness, suggest, words


def schema(*names: str | Field) -> Schema:
    return Schema(tuple(name if isinstance(name, Field) else Field(name) for name in names))


def pairs(source: Schema, target: Schema) -> dict[str, str]:
    return {s.target: s.source for s in suggest(source, target)}


@pytest.mark.parametrize(
    ("source", "target"),
    [
        ("phone", "phone"),
        ("CustomerName", "customer_name"),
        ("TAX_NO", "taxNo"),
        ("phone", "tel"),
        ("客户名称", "customer_name"),
        ("联系电话", "phone"),
        ("email", "邮箱"),
        ("hire_date", "入职日期"),
        ("工号", "employee_no"),
        ("qty", "quantity"),
    ],
)
def test_same_meaning_is_proposed(source: str, target: str) -> None:
    """Names that are equal but for case and separators, or that are synonyms in English or Chinese, are proposed."""
    assert pairs(schema(source), schema(target)) == {target: source}


@pytest.mark.parametrize(
    ("source", "target"), [("phone", "city"), ("name", "price"), ("a1", "a2"), ("status", "weight")]
)
def test_other_meaning_is_not_proposed(source: str, target: str) -> None:
    """Names that mean something else are left to the person."""
    assert pairs(schema(source), schema(target)) == {}


def test_each_field_is_given_away_once_and_best_first() -> None:
    """Of two sources that would fit, the better one is taken, and the other is not used twice."""
    found = pairs(schema("billing_phone", "phone"), schema("phone", "tel"))
    assert found["phone"] == "phone"
    assert found.get("tel") in {None, "billing_phone"}


def test_type_decides_between_equals() -> None:
    """Between two equally named candidates the one of the fitting type wins."""
    source = schema(Field("amount_text", FieldType.BOOLEAN), Field("amount_total", FieldType.DECIMAL))
    assert pairs(source, schema(Field("amount", FieldType.DECIMAL))) == {"amount": "amount_total"}


def test_generated_and_taken_fields_are_left_alone() -> None:
    """What the system fills in itself and what is mapped already is not proposed."""
    target = schema(Field("id", generated=True), "name", "phone")
    assert [s.target for s in suggest(schema("id", "name", "phone"), target, taken=["name"])] == ["phone"]


def test_words() -> None:
    """A name is cut at case changes, separators, digits and known Chinese words."""
    assert words("CustomerTel2") == ("customer", "tel", "2")
    assert words("客户联系电话") == ("客户", "联系电话")
    assert words("HTTPServer_name") == ("http", "server", "name")


NAMES = st.text(alphabet="abcXYZ_ 12电话名称客户é", min_size=1, max_size=12)


@given(NAMES, NAMES)
def test_likeness_is_symmetric_and_bounded(a: str, b: str) -> None:
    """How alike two fields are does not depend on the order and lies between 0 and 1."""
    one, other = likeness(Field(a), Field(b)), likeness(Field(b), Field(a))
    assert one == pytest.approx(other)
    assert 0 <= one <= 1


@given(st.lists(NAMES, unique=True, max_size=8), st.lists(NAMES, unique=True, max_size=8))
def test_proposals_are_a_matching(source: list[str], target: list[str]) -> None:
    """No field is proposed twice on either side, and every proposal is sure enough."""
    found = suggest(schema(*source), schema(*target))
    assert len({s.target for s in found}) == len({s.source for s in found}) == len(found)
    assert all(s.score >= ENOUGH for s in found)
    equal = set(source) & set(target)
    assert equal <= {s.target for s in found if s.source == s.target} | (equal - {s.target for s in found})
