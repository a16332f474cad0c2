"""Row conditions: SQL on both databases, columns and single records choose the same rows as CEL does."""

from __future__ import annotations

import datetime as dt
import itertools
import random
import re
from collections.abc import Iterator
from decimal import Decimal
from typing import Any

import polars as pl
import pytest
import sqlalchemy as sa
from hypothesis import given, settings
from hypothesis import strategies as st

from rules.language.problems import ExpressionError
from rules.language.program import compile_expression
from rules.schema import Field, FieldType, Schema
from webapp.entities.columns import column_type
from webapp.extensions import open_database
from webapp.policies import choosing, columns
from webapp.policies.certain import certain
from webapp.policies.conditions import compiled
from webapp.policies.objects import PolicyField
from webapp.policies.where import where
from webapp.policies.who import Who

SCHEMA = Schema(
    (
        Field("id", FieldType.INTEGER),
        Field("t", FieldType.TEXT, length=200),
        Field("n", FieldType.INTEGER),
        Field("d", FieldType.DECIMAL, precision=12, scale=2),
        Field("wide", FieldType.DECIMAL, precision=30, scale=4),
        Field("b", FieldType.BOOLEAN),
        Field("day", FieldType.DATE),
        Field("at", FieldType.DATETIME),
    )
)
FIELDS = tuple(PolicyField(field.name, field.type) for field in SCHEMA.fields)
TYPES = {field.name: field.type for field in FIELDS}
TEXTS = [
    "",
    "a",
    "A",
    "ab",
    "abc",
    "zz",
    "\u00e9",
    "e\u0301",
    "\u4e2d\u6587",
    "\U0001f600",
    "\U0001f600a",
    "\uffee",
    "a%b",
    "a_b",
    "CN",
]
NUMBERS = [0, 1, -1, 2, 7, 2**53, -(2**63), 2**63 - 1]
DECIMALS = [Decimal(text) for text in ("0", "1.5", "1.49", "1.51", "-1.5", "7", "9999999999.99", "-9999999999.99")]
DAYS = [dt.date(2000, 1, 1), dt.date(1999, 12, 31), dt.date(2024, 2, 29), dt.date(1, 1, 5), dt.date(9999, 12, 31)]
TIMES = [dt.datetime(2000, 1, 1, tzinfo=dt.UTC), dt.datetime(2000, 1, 1, 0, 0, 0, 1, tzinfo=dt.UTC)]
POOLS: dict[str, list[Any]] = {
    "t": TEXTS, "n": NUMBERS, "d": DECIMALS, "wide": [*DECIMALS, Decimal("12345678901234567890.1234")],
    "b": [True, False], "day": DAYS, "at": TIMES,
}  # fmt: skip
ANN = Who(
    7, "ann", ("Sales", "Staff"), {"country": "CN", "letters": "a, ab ,\U0001f600", "blank": " "}, groups=("East",)
)


def _records() -> list[dict[str, Any]]:
    draw = random.Random(5)
    empty = dict.fromkeys(POOLS)
    each = [{**empty, name: value} for name, pool in POOLS.items() for value in pool]
    mixed = [{name: draw.choice([*pool, None]) for name, pool in POOLS.items()} for _ in range(120)]
    return [{"id": number, **record} for number, record in enumerate([empty, *each, *mixed])]


RECORDS = _records()
FRAME = pl.DataFrame(RECORDS, schema=SCHEMA.dtypes(), strict=False)


@pytest.fixture(scope="module")
def tables(module_postgres_url: str) -> Iterator[list[tuple[sa.Connection, sa.Table]]]:
    metadata = sa.MetaData()
    table = sa.Table("rows", metadata, *(sa.Column(f.name, column_type(f)) for f in SCHEMA.fields))
    databases = [open_database("sqlite://"), open_database(module_postgres_url)]
    connections = [database.engine.connect() for database in databases]
    for connection in connections:
        metadata.create_all(connection)
        connection.execute(sa.insert(table), RECORDS)
    yield [(connection, table) for connection in connections]
    for connection, database in zip(connections, databases, strict=True):
        connection.close()
        database.engine.dispose()


def _quoted(text: str) -> str:
    return "'" + text.replace("\\", "\\\\").replace("'", "\\'") + "'"


def _number() -> st.SearchStrategy[str]:
    return st.sampled_from(
        ["0", "1", "-1", "2", "1.5", "1.495", "-1.505", "7.0", "9999999999.995", "1e12", "-1e18", "0.5"]
    )


def _leaf(*, known: bool) -> st.SearchStrategy[str]:
    """Return single questions, with `known` only of what is known of the user."""
    orders, equals = ["==", "!=", "<", "<=", ">", ">="], ["==", "!="]
    unknown = [] if known else ["user.missing", "user.blank"]
    texts = st.sampled_from([*map(_quoted, TEXTS), "user.country", "user.username", *unknown])
    days = st.sampled_from(["date('2000-01-01')", "timestamp('2000-01-01T08:00:00Z')", "date('2024-02-29')"])
    times = st.sampled_from(["timestamp('2000-01-01T00:00:00Z')", "timestamp('2000-01-01T01:00:00.000001+01:00')"])
    order = st.sampled_from(orders)
    compared = [
        st.builds("record.{} {} {}".format, st.just("t"), order, texts),
        st.builds("record.{} {} {}".format, st.sampled_from(["n", "d", "wide"]), order, _number()),
        st.builds("{2} {1} record.{0}".format, st.sampled_from(["n", "d"]), order, _number()),
        st.builds("record.day {} {}".format, order, days),
        st.builds("record.at {} {}".format, order, times),
        st.builds("record.b {} {}".format, st.sampled_from(equals), st.sampled_from(["true", "false"])),
        st.builds("record.{} {} null".format, st.sampled_from([*POOLS]), st.sampled_from(equals)),
        st.builds("record.t.{}({})".format, st.sampled_from(["startsWith", "endsWith", "contains"]), texts),
        st.builds("record.t in [{}]".format, st.lists(texts, min_size=1, max_size=3).map(", ".join)),
        st.builds(
            "record.{} in [{}]".format,
            st.sampled_from(["n", "d"]),
            st.lists(_number(), min_size=1, max_size=3).map(", ".join),
        ),
        st.builds("has(record.{})".format, st.sampled_from([*POOLS])),
        st.builds(
            "user.{} {} {}".format,
            st.sampled_from(["country", *([] if known else ["missing"])]),
            st.sampled_from(equals),
            st.sampled_from(["'CN'", "'x'"]),
        ),
    ]
    fixed = ["true", "false", "record.b", "'Sales' in user.roles", "'x' in user.groups", "record.t in user.letters",
             *([] if known else ["record.t in user.missing"]), "user.country in ['CN', 'DE']"]  # fmt: skip
    return st.one_of(*compared, st.sampled_from(fixed))


def _joined(inner: st.SearchStrategy[str]) -> st.SearchStrategy[str]:
    pair = st.builds("({} {} {})".format, inner, st.sampled_from(["&&", "||"]), inner)
    return st.one_of(pair, st.builds("!({})".format, inner))


CONDITIONS = st.recursive(_leaf(known=False), _joined, max_leaves=5)
OF_KNOWN = st.recursive(_leaf(known=True), _joined, max_leaves=5)


@settings(max_examples=150)
@given(text=CONDITIONS, wanted=st.booleans())
def test_all_ways_choose_the_same(tables: list[tuple[sa.Connection, sa.Table]], text: str, wanted: bool) -> None:
    """SQL on both databases and columns choose exactly the records that are chosen one by one."""
    rows = certain(compiled(text, FIELDS), ANN, wanted=wanted)
    one_by_one = [record["id"] for record in RECORDS if choosing.meets(rows, record, TYPES)]
    assert FRAME.filter(columns.chosen(rows, FRAME, TYPES))["id"].to_list() == one_by_one
    for connection, table in tables:
        clause = where(rows, dict(table.c), TYPES, sqlite=connection.dialect.name == "sqlite")
        found = connection.scalars(sa.select(table.c.id).where(clause).order_by(table.c.id))
        assert list(found) == one_by_one, (connection.dialect.name, clause)


@settings(max_examples=150)
@given(text=OF_KNOWN)
def test_what_is_chosen_is_what_cel_says(text: str) -> None:
    """The runtime of expressions, given what is known of the user, finds just these records true."""
    rows = certain(compiled(text, FIELDS), ANN, wanted=True)
    plain = re.sub(r"user\.(roles|groups|letters)", lambda m: str(list(ANN.listed(m[1]) or ())), text)
    plain = plain.replace("user.country", "'CN'").replace("user.username", "'ann'")
    frame = FRAME.filter([_tame(record) for record in RECORDS])
    values = compile_expression(plain, SCHEMA, expect=FieldType.BOOLEAN).evaluate(frame)
    failed = {error.row for error in values.errors}
    true = [number for at, number in enumerate(frame["id"]) if at not in failed and values.values[at] is True]
    assert [record["id"] for record in filter(_tame, RECORDS) if choosing.meets(rows, record, TYPES)] == true


def _tame(record: dict[str, Any]) -> bool:
    """Tell whether the runtime calculates exactly with a record's values."""
    numbers = abs(record["wide"] or 0) < 10**10 and abs(record["n"] or 0) < 2**52
    return numbers and 1000 < (record["day"] or DAYS[0]).year < 9999


@given(text=CONDITIONS, record=st.sampled_from(RECORDS))
def test_nothing_is_certainly_both(text: str, record: dict[str, Any]) -> None:
    """No record is chosen by a condition and by its contrary, and `!` exchanges the two."""
    condition = compiled(text, FIELDS)
    true, false = (choosing.meets(certain(condition, ANN, wanted=w), record, TYPES) for w in (True, False))
    assert not (true and false)
    contrary = compiled(f"!({text})", FIELDS)
    assert choosing.meets(certain(contrary, ANN, wanted=True), record, TYPES) is false


@pytest.mark.parametrize("text", ["record.t == user.missing", "record.t != user.missing", "record.t in user.missing",
    "!(record.t in user.missing)", "record.t.startsWith(user.blank)", "!record.t.contains(user.missing)",
    "record.t in ['a', user.missing]", "user.missing != 'x'", "user.missing in ['x']"])  # fmt: skip
def test_what_is_not_known_of_a_user_opens_nothing(text: str) -> None:
    """A condition about something that is not known of a user is true for no record, empty ones included."""
    rows = certain(compiled(text, FIELDS), ANN, wanted=True)
    assert not any(choosing.meets(rows, record, TYPES) for record in RECORDS)
    assert not columns.chosen(rows, FRAME, TYPES).any()


@pytest.mark.parametrize(
    ("text", "column", "says"),
    [
        ("record.nam == 'a'", 8, "There is no field 'nam'"),
        ("record.t == ", 13, ""),
        ("record.t.lower() == 'a'", 10, "lower() cannot be asked of a database exactly"),
        ("record.n + 1 == 2", 10, "'+' cannot be asked"),
        ("record.t == record.t", 10, "Two fields cannot be compared"),
        ("record.n == user.country", 18, "cannot be compared with this"),
        ("record.t == user.roles", 18, "user.roles is a list"),
        ("record.t", 8, "Compare the field 't' with something"),
        ("record.b < true", 10, "have no order"),
        ("record.t == 'a' && now() > record.at", 20, "'now' is not available"),
        ("'a' == 'a'", 5, "Compare a field of the record"),
        ("user.country == 5", 17, "in quotes"),
        ("record.t in ['a', null]", 19, "cannot be looked for"),
    ],
)
def test_what_cannot_be_told_exactly_is_refused_with_its_place(text: str, column: int, says: str) -> None:
    """A condition that no database could answer exactly is refused, and the refusal points at the part."""
    with pytest.raises(ExpressionError) as refused:
        compiled(text, FIELDS)
    problem = refused.value.problems[0]
    assert says in str(problem.message)
    assert problem.column == column, problem


def test_what_is_not_of_its_type_or_not_there_is_not_chosen() -> None:
    """A record that lacks a field of the condition, or holds something else in it, is not chosen."""
    rows = certain(
        compiled("record.n != 5 && record.d < 2 && record.day != date('2000-01-01')", FIELDS), ANN, wanted=True
    )
    good = {"n": 1, "d": "1.5", "day": "1999-05-05"}
    assert choosing.meets(rows, good, TYPES)
    for name, odd in itertools.chain(
        good.items(), [("n", "x"), ("n", 1.5), ("d", True), ("d", "NaN"), ("day", "soon")]
    ):
        other = {k: v for k, v in good.items() if k != name} if odd == good[name] else {**good, name: odd}
        assert not choosing.meets(rows, other, TYPES)
    frame = pl.DataFrame([good, {**good, "n": 5}])
    assert columns.chosen(rows, frame, TYPES).to_list() == [True, False]
    assert columns.chosen(rows, frame.drop("n"), TYPES).to_list() == [False, False]
    number = {"f": FieldType.FLOAT}
    positive = certain(compiled("record.f != 1.0", [PolicyField("f", FieldType.FLOAT)]), ANN, wanted=True)
    floats = pl.DataFrame({"f": [2.0, 1.0, float("nan"), None]})
    assert columns.chosen(positive, floats, number).to_list() == [True, False, False, True]
    assert [choosing.meets(positive, r, number) for r in floats.to_dicts()] == [True, False, False, True]
