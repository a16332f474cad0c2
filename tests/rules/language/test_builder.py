"""Conditions as rows and groups: what the builder shows, what it writes, and the laws between the two."""

from __future__ import annotations

from datetime import UTC, date, datetime
from decimal import Decimal
from itertools import pairwise
from typing import Any

import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rules.language import compile_expression
from rules.language.builder import to_model, to_text
from rules.language.condition import (
    MAX_MEMBERS,
    BuilderError,
    Code,
    Group,
    Join,
    Relation,
    Row,
    Value,
    ValueKind,
    from_json,
    to_json,
)
from rules.language.parse import parse
from rules.schema import Field, FieldType, Schema

FIELDS = {
    "name": FieldType.TEXT,
    "客户": FieldType.TEXT,
    "qty": FieldType.INTEGER,
    "price": FieldType.DECIMAL,
    "rate": FieldType.FLOAT,
    "active": FieldType.BOOLEAN,
    "born": FieldType.DATE,
    "seen": FieldType.DATETIME,
    "local": FieldType.LOCAL_DATETIME,
    "at": FieldType.TIME,
}
SCHEMA = Schema(tuple(Field(name, type_) for name, type_ in FIELDS.items()))
TEXTS = ["", "a", "ab", "b'\\\n", "客户", "10", "😀"]
SAMPLES: dict[str, list[Any]] = {
    "name": [None, *TEXTS],
    "客户": [None, *TEXTS],
    "qty": [None, -1, 0, 5, 10],
    "price": [None, Decimal("0"), Decimal("5.50"), Decimal("10")],
    "rate": [None, 0.0, 5.5, -1.0],
    "active": [None, True, False],
    "born": [None, date(2024, 1, 31), date(2025, 2, 1)],
    "seen": [None, datetime(2024, 1, 31, 8, tzinfo=UTC), datetime(2025, 2, 1, tzinfo=UTC)],
    "local": [None, datetime(2024, 1, 31, 8)],
    "at": [None],
}
ASKED = {
    ValueKind.TEXT: ["name", "客户"],
    ValueKind.NUMBER: ["qty", "price", "rate"],
    ValueKind.BOOLEAN: ["active"],
    ValueKind.DATE: ["born"],
    ValueKind.DATETIME: ["seen"],
    ValueKind.LOCAL_DATETIME: ["local"],
}
WRITTEN = {
    ValueKind.TEXT: st.sampled_from(TEXTS),
    ValueKind.NUMBER: st.one_of(st.integers(-10, 10).map(str), st.floats(-10, 10).map(repr)),
    ValueKind.BOOLEAN: st.sampled_from(["true", "false"]),
    ValueKind.DATE: st.sampled_from(["2024-01-31", "2025-02-01"]),
    ValueKind.DATETIME: st.sampled_from(["2024-01-31T08:00:00Z", "2025-02-01T08:00:00+08:00"]),
    ValueKind.LOCAL_DATETIME: st.sampled_from(["2024-01-31T08:00:00"]),
}
ONCE = [Relation.IS, Relation.IS_NOT]
ORDER = [Relation.GREATER, Relation.AT_LEAST, Relation.LESS, Relation.AT_MOST, Relation.BETWEEN]
CALLS = [Relation.CONTAINS, Relation.STARTS, Relation.ENDS]
CALLS += [Relation.NOT_CONTAINS, Relation.NOT_STARTS, Relation.NOT_ENDS]
LISTS = [Relation.ONE_OF, Relation.NONE_OF]
PLAIN = [Relation.EMPTY, Relation.FILLED, Relation.BLANK, Relation.NOT_BLANK]
OF_KIND = {
    ValueKind.TEXT: ONCE + ORDER + CALLS + LISTS + PLAIN,
    ValueKind.BOOLEAN: ONCE + PLAIN,
    **dict.fromkeys([ValueKind.NUMBER, ValueKind.DATE, ValueKind.DATETIME], ONCE + ORDER + LISTS + PLAIN),
    ValueKind.LOCAL_DATETIME: ONCE + ORDER + PLAIN,
}


@st.composite
def rows(draw: st.DrawFn) -> Row:
    kind = draw(st.sampled_from(sorted(ASKED)))
    relation = draw(st.sampled_from(OF_KIND[kind]))
    count = 0 if relation in PLAIN else 2 if relation is Relation.BETWEEN else draw(st.integers(1, 3))
    values = tuple(Value(kind, draw(WRITTEN[kind])) for _ in range(count if relation in LISTS else min(count, 1)))
    if relation is Relation.BETWEEN:
        values = (values[0], Value(kind, draw(WRITTEN[kind])))
    guarded = draw(st.booleans()) and relation in ORDER + CALLS
    if kind is ValueKind.BOOLEAN and relation is Relation.IS:
        guarded = draw(st.booleans())
    return Row(draw(st.sampled_from(ASKED[kind])), relation, values, guarded)


CODES = st.sampled_from(["size(name.orDefault('')) > 2", "active ? qty > 1 : rate < 1.0", "!(qty + 1 > qty)"]).map(Code)


def groups(joins: Join, depth: int) -> st.SearchStrategy[Group]:
    """Return groups as reading gives them: joins alternate, and no row can be merged with the one before it."""
    other = Join.ANY if joins is Join.ALL else Join.ALL
    members = [rows(), CODES]
    if depth:
        members += [groups(other, depth - 1), negations(depth - 1)]
    several = st.lists(st.one_of(*members), min_size=2, max_size=4).filter(_apart)
    return several.map(lambda found: Group(joins, tuple(found)))


def negations(depth: int) -> st.SearchStrategy[Group]:
    whole = st.sampled_from(Join).flatmap(lambda join: groups(join, depth))
    return whole.map(lambda group: Group(group.join, group.members, negated=True))


def _apart(members: list[Any]) -> bool:
    named = [m.field if isinstance(m, Row) else None for m in members]
    return all(a is None or a != b for a, b in pairwise(named))


MODELS = st.one_of(
    st.sampled_from(Join).flatmap(lambda join: groups(join, 2)),
    negations(1),
    rows().map(lambda row: Group(Join.ALL, (row,))),
)


def answers(text: str, records: pl.DataFrame) -> list[Any]:
    """Return the answer for each record, "error" where there is none."""
    found = compile_expression(text, SCHEMA, expect=FieldType.BOOLEAN).evaluate(records)
    failed = {error.row for error in found.errors}
    return ["error" if n in failed else value for n, value in enumerate(found.values.to_list())]


@st.composite
def batches(draw: st.DrawFn) -> pl.DataFrame:
    rows_ = [{name: draw(st.sampled_from(values)) for name, values in SAMPLES.items()} for _ in range(6)]
    return pl.DataFrame(rows_, schema=SCHEMA.dtypes(), orient="row")


@given(MODELS)
@settings(max_examples=150, deadline=None)
def test_what_is_written_is_read_as_the_same_model(model: Group) -> None:
    """Model -> text -> model is the identity, and so is the JSON form."""
    assert to_model(parse(to_text(model))) == model
    assert from_json(to_json(model)) == model


@given(MODELS, batches())
@settings(max_examples=80, deadline=None)
def test_reading_and_writing_keeps_the_meaning(model: Group, records: pl.DataFrame) -> None:
    """Text -> model -> text gives every record the same answer or error."""
    text = to_text(model)
    assert answers(to_text(to_model(parse(text))), records) == answers(text, records)


WRITTEN_BY_HAND = [
    "'a' == name",
    "5 < qty",
    "10 >= qty && qty >= 5",
    "has(record.name) && record.name.size() > 1",
    "active",
    "!active && active == true",
    "!(name == 'a' || qty > 1)",
    "name != null && (name > 'a' && name <= 'b') || (name in ['a', 'b'])",
    "orDefault(name, '').contains('a')",
    "name.orDefault('x').contains('a') && contains(name, 'b')",
    "(((qty))) >= 1 && !(!(qty <= 5))",
    "name.matches('^a.*$') || !name.matches('b')",
    "null == name || null != qty",
    "name in ['a', 'b'] && !(name in []) && qty in [qty]",
    "record['客户'].startsWith('客') && isBlank(name) && !isBlank(record.name)",
    "seen > timestamp('2024-01-31T08:00:00Z') && born == date(seen)",
    "at == '09:30:00' && born in [date('2024-01-31')]",
    "qty == 1 == true",
    "false || qty != -1",
]


@pytest.mark.parametrize("text", WRITTEN_BY_HAND)
@given(records=batches())
@settings(max_examples=25, deadline=None)
def test_conditions_of_people_keep_their_meaning(text: str, records: pl.DataFrame) -> None:
    """What people write by hand means the same after the builder has read and written it."""
    assert answers(to_text(to_model(parse(text))), records) == answers(text, records)


def test_rows_are_what_people_would_say() -> None:
    """A guard and its comparison are one row, two bounds are one row, what is else is code beside them."""
    text = (
        "status in ['a', 'b'] && qty != null && qty >= 1 && qty <= 5 && (tel.orDefault('').contains('x') || a + b > 2)"
    )
    one_of = Row("status", Relation.ONE_OF, (Value(ValueKind.TEXT, "a"), Value(ValueKind.TEXT, "b")))
    bounds = (Value(ValueKind.NUMBER, "1"), Value(ValueKind.NUMBER, "5"))
    either = Group(
        Join.ANY,
        (Row("tel", Relation.CONTAINS, (Value(ValueKind.TEXT, "x"),), guarded=True), Code("a + b > 2")),
    )
    expected = Group(Join.ALL, (one_of, Row("qty", Relation.BETWEEN, bounds, guarded=True), either))
    assert to_model(parse(text)) == expected
    assert to_text(expected) == text


def test_an_empty_condition_is_empty_text() -> None:
    """No rows: no expression; an empty group inside decides nothing."""
    assert to_text(Group(Join.ALL)) == ""
    assert to_text(Group(Join.ALL, (Row("a", Relation.EMPTY), Group(Join.ALL)))) == "a == null && true"


@pytest.mark.parametrize(
    ("row", "said"),
    [
        (Row("", Relation.EMPTY), "Choose a field"),
        (Row("qty", Relation.IS), "Fill in a value"),
        (Row("qty", Relation.IS, (Value(ValueKind.NUMBER, "1,5"),)), "is not a number"),
        (Row("qty", Relation.IS, (Value(ValueKind.NUMBER, "9" * 30),)), "too large"),
        (Row("rate", Relation.IS, (Value(ValueKind.NUMBER, "-1e999"),)), "too large"),
        (Row("born", Relation.IS, (Value(ValueKind.DATE, ""),)), "Fill in a value"),
        (Code("a +"), "ends too early"),
    ],
)
def test_a_row_that_cannot_be_written_is_named(row: Row | Code, said: str) -> None:
    """The error says what is missing and the way to the row."""
    with pytest.raises(BuilderError, match=said) as caught:
        to_text(Group(Join.ALL, (Row("a", Relation.EMPTY), Group(Join.ANY, (row,)))))
    assert caught.value.path == (1, 0)


@pytest.mark.parametrize(
    "data",
    [None, [], {}, {"members": 5}, {"join": "some", "members": []}, {"field": "a", "relation": "like", "values": []}],
)
def test_a_broken_form_is_refused(data: Any) -> None:
    """What no builder sends is refused, not half understood."""
    with pytest.raises(BuilderError, match="cannot be read"):
        from_json(data)


def test_endless_forms_are_refused() -> None:
    """Depth and length of a condition have a limit."""
    deep: dict[str, Any] = {"code": "true"}
    for _ in range(20):
        deep = {"join": "all", "members": [deep]}
    with pytest.raises(BuilderError, match="too deeply"):
        from_json(deep)
    with pytest.raises(BuilderError, match="at most"):
        from_json({"join": "all", "members": [{"code": "true"}] * (MAX_MEMBERS + 1)})


def test_a_single_row_is_a_group() -> None:
    """A form of one row is read as a group with it."""
    assert from_json({"code": "true"}) == Group(Join.ALL, (Code("true"),))
