"""Evaluation: values over batches, errors beside them with their place, exact decimals, empty values."""

# ruff: noqa: E501 - one case a line reads best

from __future__ import annotations

import datetime as dt
import gc
import json
import math
import sys
from decimal import Decimal
from typing import Any

import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from rules.language import RowError, compile_expression
from rules.language.explain import Explainer
from rules.language.nodes import Literal, Operator
from rules.schema import Field, FieldType, Schema
from rules.text import Message
from tests.rules.language.records import EMPTY, FILLED, SCHEMA, batch, error, problem, run, value

UTC = dt.UTC
CHARACTERS = st.characters(min_codepoint=1, exclude_categories=["Cs"])
LEAVES = st.none() | st.booleans() | st.text(CHARACTERS) | st.integers(-(2**53), 2**53)
JSON = st.recursive(
    LEAVES, lambda c: st.lists(c, max_size=4) | st.dictionaries(st.text(CHARACTERS), c, max_size=4), max_leaves=8
)
EMPTY_FIELD = "The field '{}' is empty in this record. Use orDefault(), or ask first whether it is null."


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("name.trim()", "Ada"),
        ("trim(name)", "Ada"),
        ('record["客户 名称"] + "先生"', "王先生"),
        ('record["a.b"] + record["if"]', "doti"),
        ("record.tax_no", "1"),
        ("qty + 1", 8),
        ("qty * 1.5", 10.5),
        ("qty - 0.5 > 6", True),
        ("qty / 2", 3),
        ("qty / 2.0", 3.5),
        ("qty % 4", 3),
        ("-qty", -7),
        ("-rate", -0.5),
        ("qty == 7.0", True),
        ("qty in [1, 7]", True),
        ("qty in [7.0]", True),
        ("qty in {7: 'x'}", True),
        ("[1, 2.5]", "[1,2.5]"),
        ("[qty, 2.5][0] + 0.5", 7.5),
        ("(qty + 1) * rate", 4.0),
        ("price * 2", Decimal("24.691200000000000000")),
        ("born > date('1980-01-01')", True),
        ("born < seen", True),
        ("born - duration('24h')", dt.datetime(1990, 1, 1, tzinfo=UTC)),
        ("duration('1h') + local", dt.datetime(2024, 1, 2, 4, 4, 5)),
        ("seen - born > duration('24h')", True),
        ("duration('1h') + duration('1h') - duration('1h') < duration('2h')", True),
        ("date(seen, 'Asia/Shanghai')", dt.date(2024, 1, 3)),
        ("localTime(seen, 'Asia/Shanghai')", dt.datetime(2024, 1, 3, 7, 4, 5, 678901)),
        ("opens < '10:00'", True),
        ("opens + 'h'", "09:30:00h"),
        ("blob == b'abc'", True),
        ("blob + b'd'", b"abcd"),
        ("data.a.b[2]", '"x"'),
        ("data.n + 1", "6"),
        ("data.a.b", '[1,2,"x"]'),
        ("data.s == 't'", True),
        ("has(data.a.b) && !has(data.a.c)", True),
        ("data['n']", "5"),
        ("data", FILLED["data"]),
        ("active ? data : null", FILLED["data"]),
        ("{'a': qty, 'b': price, 'c': null}", '{"a":7,"b":12.3456,"c":null}'),
        ("{1: true}", '{"1":true}'),
        ("[seen]", '["2024-01-02T23:04:05.678901Z"]'),
        ("[name, phone].filter(x, x != null).map(x, x.trim()).join(',')", "Ada,+86 21"),
        ("[1, 2, 3].map(x, x > 1, x * 2)", "[4,6]"),
        ("[1, 2].exists_one(x, x == 1)", True),
        ("[1, 2].all(x, x > 0) && [1, 2].exists(x, x == 2)", True),
        ("{'a': 1}.all(k, k == 'a')", True),
        ("[[1]].map(record, record[0])", "[1]"),
        ("[{'x': 1}].map(record, has(record.x))", "[true]"),
        ("true || qty / 0 == 1", True),
        ("choose(name.trim(), {'Ada': 1, 'Bob': 2})", 1),
        ("choose(qty, {1: 'a'}, phone)", "+86 21"),
        ("coalesce(null, phone, name)", "+86 21"),
        ("coalesce(name.trim(), phone)", "Ada"),
        ("name.trim().orDefault('x')", "Ada"),
        ("dyn(qty) + 1.5", "8.5"),
        ("price", FILLED["price"]),
        ("min(price, 3)", Decimal("3.000000000000000000")),
        ("null", None),
        ("coalesce(null, price, data)", "12.3456"),
        ("coalesce(null, qty, data)", "7"),
        ("(active ? 1 : 2) + 1", 2),
        ("toText(qty) + toText(name)", "7 Ada "),
        ("'x'", "x"),
        ("qty > 9007199254740993", False),
    ],
)
def test_values(text: str, expected: Any) -> None:
    """Expressions give what CEL and the business profile say, in the type of a column."""
    assert value(text) == expected


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("phone == null", True),
        ("born == null", True),
        ("null != born", False),
        ("has(record.born)", False),
        ("has(record.name)", False),
        ("name != 'x'", True),
        ("born == date('2024-01-01')", False),
        ("born in [date('2024-01-01')]", False),
        ("name.orDefault('none')", "none"),
        ("born.orDefault(date('2024-01-01'))", dt.date(2024, 1, 1)),
        ("big.orDefault(0)", Decimal("0E-18")),
        ("coalesce(price, big)", None),
        ("coalesce(born, null)", None),
        ("isBlank(name) && isBlank(born) && isBlank(data)", True),
        ("rate == null ? 0.0 : rate", 0.0),
        ("(true ? born : null) == null", True),
        ("choose(name, {'a': 1}, 0)", 0),
        ("data == null", True),
        ("[born]", "[null]"),
        ("active != true", True),
        ("name", None),
        ("born", None),
    ],
)
def test_empty_values(text: str, expected: Any) -> None:
    """Equality, has(), orDefault() and coalesce() know empty values of every type."""
    assert value(text, EMPTY) == expected


@pytest.mark.parametrize(
    ("text", "record", "message", "column"),
    [
        ("trim(name)", EMPTY, EMPTY_FIELD.format("name"), 6),
        ("born > date('2024-01-01')", EMPTY, EMPTY_FIELD.format("born"), 1),
        ("1.5 * qty", EMPTY, EMPTY_FIELD.format("qty"), 7),
        ("toText(seen)", EMPTY, EMPTY_FIELD.format("seen"), 8),
        ("active ? 1 : 2", EMPTY, EMPTY_FIELD.format("active"), 1),
        ("true && !active", EMPTY, EMPTY_FIELD.format("active"), 10),
        ("coalesce(name, null) + 'x'", EMPTY, EMPTY_FIELD.format("name"), 1),
        ("choose(name, {'a': 1})", EMPTY, "A value is empty here (null). Use orDefault(), or ask first whether it is null.", 8),
        ("name + 'x'", {"name": "a\x00b"}, "The value holds the character NUL (code 0), which cannot be calculated with.", 1),
        ("blob + b'x'", {"blob": b"\x00"}, "The value holds the character NUL (code 0), which cannot be calculated with.", 1),
        ("data.n", {"data": '{"n": "\\u0000"}'}, "The value holds the character NUL (code 0), which cannot be calculated with.", 1),
        ("active ? big : price * 1.0", {"big": Decimal(10) ** 25}, "The result 10000000000000000000000000.00 is too large for a decimal with 18 decimals.", 8),
        ("qty / 0", {}, "Division by zero.", 5),
        ("1 + qty % 0", {}, "Division by zero.", 9),
        ("rate / 0", {}, "Division by zero.", 6),
        ("qty + 9223372036854775807", {}, "The result is too large.", 5),
        ("(qty + 9007199254740990) * 1.5", {}, "9007199254740997 has more than 15 digits, which is too much to calculate with fractions.", 6),
        ("big + 1", {}, "123456789012345678.12 has more than 15 digits, which is too much to calculate with.", 1),
        ("qty * 0.5", {"qty": 1234567890123456789}, "1234567890123456789 has more than 15 digits, which is too much to calculate with.", 1),
        ("choose(name, {'Bob': 2})", {}, "' Ada ' is not among the choices, and choose() has no default.", 1),
        ("data.zz", {}, "There is no 'zz' here. Ask first with has(), or with 'in'.", 6),
        ("data.s.t", {}, "The expression has no result for this record.", 8),
        ("data.a.b[7]", {}, "There is no item 7 in a list of 3; the first item is 0.", 9),
        ("data.a.b.all(x, x > 0)", {}, "'>' cannot work with 'x', 0.", 19),
        ("[1, 0].map(x, 10 / x)", {}, "Division by zero.", 18),
        ("[1, 0].map(x, 10 / x > 0, x)", {}, "Division by zero.", 18),
        ("data.map(x, data[x] + 1)", {}, "The expression has no result for this record.", 6),
        ("{name: 1, name: 2}", {}, "A key stands twice in this map.", 1),
        ("{name: 1, data.n: 2}", {}, "A key of a map is text, a whole number or true/false, not 5.0.", 1),
        ("{name: 1}[data.a.b]", {}, "'[]' cannot work with {' Ada ': 1}, [1.0, 2.0, 'x'].", 10),
        ("name.matches(phone)", {"phone": "("}, "The pattern is not a regular expression: missing ): (.", 6),
        ("int(name)", {}, "' Ada ' cannot be converted.", 1),
        ("data.n.trim()", {}, "trim() cannot work with 5.0.", 8),
        ("data.n.startsWith('x')", {}, "startsWith() cannot work with 5.0, 'x'.", 8),
        ("data.s / 2", {}, "/ cannot work with 't', 2.0.", 8),
        ("data.n", {"data": '{"n": "\\ud800"}'}, "The value of 'data' cannot be read.", 1),
        ("data.n", {"data": "{"}, "The JSON cannot be used: Expecting property name enclosed in double quotes: line 1 column 2 (char 1)", 1),
        ("data.n", {"data": '{"n": 0.123456789012345678901}'}, "The JSON cannot be used: 0.123456789012345678901 has too many digits", 1),
        ("data.n", {"data": '{"n": 99999999999999999999}'}, "The JSON cannot be used: 99999999999999999999 has too many digits", 1),
        ("data.n", {"data": '{"n": NaN}'}, "The JSON cannot be used: NaN is not a JSON value", 1),
        ("year(local)", {"local": dt.datetime(1, 1, 1)}, "Times are calculated with in the years 1 to 9999, fractions of a second in 1700 to 2239 only.", 6),
        ("year(seen)", {"seen": dt.datetime(2500, 1, 1, 0, 0, 0, 1, tzinfo=UTC)}, "Times are calculated with in the years 1 to 9999, fractions of a second in 1700 to 2239 only.", 6),
        ("[blob]", {}, "The result is [bytearray(b'abc')], but json is needed.", 1),
        ("price * 1e300", {}, None, 7),
        ("rate * 1e308 * 1e308 * price", {"rate": 1e300}, "The result is too large or not a number.", 22),
    ],
)  # fmt: skip
def test_errors(text: str, record: dict[str, Any], message: str | None, column: int) -> None:
    """Where a record has no result, the innermost cause is named at its column."""
    said, place = error(text, record)
    assert (said if message else None, place) == (message, column)


def test_numbers_at_the_edge() -> None:
    """Infinity stays what it is; whole numbers in JSON keep all their digits."""
    assert value("round(rate, 2)", {"rate": math.inf}) == math.inf
    assert value("toText(data.n)", {"data": '{"n": 9007199254740993}'}) == "9007199254740993"
    assert value("data.n < 0.2", {"data": '{"n": 0.1}'}) is True


def test_lines() -> None:
    """In a text of several lines, an error has its line."""
    found = run("name +\n  phone", {"phone": None})
    assert [(e.row, e.line, e.column) for e in found.errors] == [(0, 2, 3)]


def test_rows() -> None:
    """Good and bad records of a batch keep their rows."""
    found = run("10 / qty", {"qty": 2}, {"qty": 0}, {"qty": None}, {"qty": 5})
    assert found.values.to_list() == [5, None, None, 2]
    assert [e.row for e in found.errors] == [1, 2]
    assert isinstance(found.errors[0], RowError)


def test_program() -> None:
    """A program says what it reads and gives, and which single field it copies."""
    program = compile_expression("price * qty", SCHEMA, expect=Field("total", FieldType.DECIMAL, scale=2))
    assert (program.fields, program.type, program.scale, program.copies) == (
        {"price", "qty"},
        FieldType.DECIMAL,
        2,
        None,
    )
    assert program.evaluate(batch({"price": Decimal("1.005"), "qty": 1})).values.to_list() == [Decimal("1.00")]
    copy = compile_expression("record['opens']", SCHEMA)
    assert (copy.copies, copy.type, copy.fields) == ("opens", FieldType.TIME, {"opens"})
    warned = compile_expression("qty.orDefault(0) / 2", SCHEMA)
    assert [str(w.message)[:21] for w in warned.warnings] == ["Two whole numbers are"]


@pytest.mark.parametrize(
    ("text", "expect", "expected"),
    [
        ("data.s", FieldType.TEXT, "t"),
        ("data.n", FieldType.INTEGER, 5),
        ("data.n", FieldType.FLOAT, 5.0),
        ("data.n", Field("x", FieldType.DECIMAL, scale=2), Decimal("5.00")),
        ("dyn(active)", FieldType.BOOLEAN, True),
        ("dyn(blob)", FieldType.BINARY, b"abc"),
        ("dyn(born)", FieldType.DATE, dt.date(1990, 1, 2)),
        ("qty", FieldType.DECIMAL, 7),
        ("active ? qty : price", FieldType.DECIMAL, Decimal("7.000000000000000000")),
        ("active ? qty : 0", Field("x", FieldType.DECIMAL, scale=2), Decimal("7.00")),
        ("qty + 1", FieldType.FLOAT, 8.0),
        ("qty + 1", Field("x", FieldType.DECIMAL, scale=2), Decimal("8.00")),
        ("opens + ''", FieldType.TIME, None),
        ("null", FieldType.DATE, None),
        ("null", FieldType.TIME, None),
        ("data.s", FieldType.TIME, "t"),
        ("qty", FieldType.JSON, 7),
        ("choose(name.trim(), {'Ada': price}, big)", FieldType.DECIMAL, Decimal("12.345600000000000000")),
    ],
)
def test_expected(text: str, expect: Any, expected: Any) -> None:
    """The caller's type decides what JSON values become and how numbers are rounded."""
    if text == "opens + ''":
        assert value(text, convertible=True, expect=expect) == "09:30:00"
    else:
        assert value(text, expect=expect) == expected


@pytest.mark.parametrize(
    ("text", "expect", "message"),
    [
        ("data.s", FieldType.INTEGER, "The result is 't', but integer is needed."),
        ("data.n", FieldType.TEXT, "The result is 5.0, but text is needed."),
        ("data.n", FieldType.BOOLEAN, "The result is 5.0, but boolean is needed."),
        ("data.s", FieldType.FLOAT, "The result is 't', but float is needed."),
        ("data.s", FieldType.DECIMAL, "The result is 't', but decimal is needed."),
        ("data.s", FieldType.BINARY, "The result is 't', but binary is needed."),
        ("data.s", FieldType.DATETIME, "The result is 't', but datetime is needed."),
        ("dyn(data.a.b.map(x, 'long text' + 'long text' + 'long text'))", FieldType.TEXT, None),
        ("price * 1e20", FieldType.DECIMAL, None),
    ],
)
def test_unexpected(text: str, expect: FieldType, message: str | None) -> None:
    """A JSON value of another type than needed is an error of its record."""
    found, column = error(text, expect=expect)
    assert message is None or found == message
    assert column is not None
    assert len(found) < 140


@pytest.mark.parametrize(
    ("text", "expect", "message"),
    [
        ("name", FieldType.BOOLEAN, "The result is text, but boolean is needed."),
        ("qty", FieldType.TEXT, "The result is integer, but text is needed."),
        ("rate", FieldType.INTEGER, "The result is number, but integer is needed."),
        ("born", FieldType.DATETIME, "The result is date, but datetime is needed."),
        ("qty", FieldType.TIME, "The result is integer, but time is needed."),
        ("seen - seen", None, "A time span cannot be a result. Compare it, or add it to a time."),
        ("seen - seen", FieldType.JSON, "The result is duration, but json is needed."),
    ],
)
def test_unfit(text: str, expect: FieldType | None, message: str) -> None:
    """A result of another type than the caller needs is found when the expression is compiled."""
    assert problem(text, expect=expect)[0] == message


@given(st.decimals(allow_nan=False, allow_infinity=False, places=4, min_value=-(10**19), max_value=10**19))
def test_decimals_pass_unchanged(number: Decimal) -> None:
    """An expression that only chooses among fields keeps every digit."""
    for text in ("price", "price.orDefault(0.0)", "active ? price : big", "coalesce(price, big)"):
        assert value(text, {"price": number, "big": None}) == number


@given(st.integers(-(10**14), 10**14), st.integers(0, 4))
def test_decimals_calculate_as_expected(units: int, scale: int) -> None:
    """Up to 15 digits, adding nothing to a decimal and rounding to its scale gives it again."""
    number = Decimal(units).scaleb(-scale)
    assert value("price + 0", {"price": number}, expect=Field("x", FieldType.DECIMAL, scale=4)) == number


@given(
    st.fixed_dictionaries(
        {
            "name": st.none() | st.text(CHARACTERS),
            "qty": st.none() | st.integers(-(2**63), 2**63 - 1),
            "rate": st.none() | st.floats(),
            "born": st.none() | st.dates(),
            "seen": st.none() | st.datetimes(timezones=st.just(UTC)),
            "blob": st.none() | st.binary().map(lambda b: b.replace(b"\0", b"0")),
        }
    )
)
def test_values_return(record: dict[str, Any]) -> None:
    """A value comes back from the runtime as it went in, or it is an error."""
    for name, before in record.items():
        found = run(f"coalesce({name}, {name})", record)
        after = found.values[0]
        if found.errors:
            assert before.year in (1, 9999) or not 1700 <= before.year < 2240
        else:
            assert after == before or (isinstance(before, float) and math.isnan(before) and math.isnan(after))


@given(JSON)
def test_json_returns(data: Any) -> None:
    """JSON comes back as it went in, keys sorted."""
    text = json.dumps(data)
    assert json.loads(value("[data][0]", {"data": text}) or "null") == data


@pytest.mark.parametrize(
    "text",
    [
        "name.orDefault(null)",
        "[name]",
        "{'a': name}",
        "isBlank(name)",
        "name == null",
        "trim(name)",
        "data.z",
        "[null].join('')",
        "toText(data)",
        "coalesce(born, null)",
        "data.a.b.map(x, null)",
    ],
)
def test_nothing_is_borrowed(text: str) -> None:
    """Empty values may pass any number of times; the runtime must not eat up the references to None."""
    program = compile_expression(text, SCHEMA)
    records = batch(*[{"name": None, "born": None}] * 2000)
    program.evaluate(records)
    gc.collect()
    before = sys.getrefcount(None)
    program.evaluate(records)
    gc.collect()
    assert sys.getrefcount(None) > before - 1500


def test_no_records() -> None:
    """An empty batch gives an empty column of the right type."""
    assert compile_expression("name + '!'", SCHEMA).evaluate(SCHEMA.empty()).values.dtype == pl.String
    assert compile_expression("'x'", SCHEMA).evaluate(SCHEMA.empty()).values.to_list() == []


def test_field_called_record() -> None:
    """A field named record is reached by its bare name."""
    schema = Schema((Field("record"), Field("x")))
    frame = pl.DataFrame({"record": ["r"], "x": ["y"]})
    assert compile_expression("record + record.x", schema).evaluate(frame).values.to_list() == ["ry"]


def test_explanation_without_cause() -> None:
    """Asked about a record that has no error, the explainer still answers with the place of the whole."""
    deep = Literal(3, True)
    for _ in range(60):
        deep = Operator(3, "!", (deep,))
    assert Explainer(deep).cause({})[0] == 3
    at, message = Explainer(Literal(3, 1)).cause({})
    assert at == 3
    assert isinstance(message, Message)
