"""The function library: every documented example is true, and what goes wrong is said."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta

import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from rules.language import compile_expression
from rules.language.functions import FUNCTIONS
from rules.language.functions.dates import at_zone, to_zone
from rules.language.functions.registry import Function, Group, define, overload
from rules.language.library import Library, Lookup
from rules.schema import Field, FieldType, Schema
from tests.rules.language.records import error, problem, value

NOTHING = Schema(())
COUNTRIES = Lookup(
    "countries", FieldType.TEXT, (Field("name"), Field("capital")), {"DE": ("Germany", "Berlin"), "CN": ("China", None)}
)
LIBRARY = Library({"countries": COUNTRIES})
EXAMPLES = [(example.expression, example.result) for f in FUNCTIONS.values() for example in f.examples]


def constant(text: str) -> object:
    """Return the value of an expression without fields."""
    found = compile_expression(text, NOTHING, library=LIBRARY).evaluate(pl.DataFrame({"row": [1]}))
    assert found.errors == ()
    return found.values[0]


@pytest.mark.parametrize(("expression", "result"), EXAMPLES, ids=[e for e, _ in EXAMPLES])
def test_examples(expression: str, result: str) -> None:
    """Every example of the reference gives the result that it shows."""
    assert constant(expression) == constant(result)


@pytest.mark.parametrize("function", FUNCTIONS.values(), ids=FUNCTIONS.keys())
def test_documented(function: Function) -> None:
    """Every function has a sentence, an example and signatures under its own name."""
    assert function.doc.endswith(".")
    assert function.examples
    assert all(o.signature.startswith(f"{function.name}(") for o in function.overloads)
    assert function.group in Group


def test_defined_once() -> None:
    """A function cannot be defined twice."""
    with pytest.raises(ValueError, match="trim"):
        define(FUNCTIONS["trim"])


def test_signature_form() -> None:
    """A signature that cannot be read is refused when it is defined."""
    with pytest.raises(ValueError, match="trim"):
        overload("trim")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("'a'.replace('', 'b')", "replace() needs the text to look for; it is empty here."),
        ("'a'.substring(2, 1)", "substring() from 2 to 1 is not possible."),
        ("'a'.substring(-1)", "substring() from -1 to None is not possible."),
        ("'a'.split('')", "split() needs a separator; it is empty here."),
        ("'a'.padLeft(10001)", "A text may be padded or repeated to at most 10000 characters."),
        ("'a'.padLeft(3, 'xy')", "Padding needs exactly one character to fill with."),
        ("round(1.5, 400)", "round() takes from -300 to 300 decimals, not 400."),
        ("date('2024-02-30')", "'2024-02-30' is not a date in the form 2024-01-31. Use parseDate() for other forms."),
        ("localTime('2024')", "'2024' is not a time in the form 2024-01-31T09:30:00."),
        ("parseDate('1', 'yyyy')", "'1' is not a date in the form yyyy."),
        ("parseDate('31.01', 'dd.MM')", "'31.01' is not a date in the form dd.MM."),
        ("parseDate('31.02.24', 'dd.MM.yy')", "'31.02.24' is not a date in the form dd.MM.yy."),
        ("parseDate('1', 'qq')", "'q' means nothing in a date format. Use yyyy, MM, dd, HH, mm, ss, SSS."),
        ("parseDate('1', 'dd dd')", "The date format 'dd dd' names a part twice."),
        ("parseTime('2024', 'yyyy', 'Nowhere')", "There is no time zone 'Nowhere'. Write it like Asia/Shanghai."),
        (
            "parseTime('2024-03-31 02:30', 'yyyy-MM-dd HH:mm', 'Europe/Berlin')",
            "2024-03-31 02:30:00 does not exist in Europe/Berlin: the clocks skip it.",
        ),
        ("toInteger('x')", "'x' is not a whole number."),
        ("toInteger('99999999999999999999')", "'99999999999999999999' is not a whole number."),
        ("toInteger(1.5)", "1.5 is not a whole number. Use round(), floor() or ceil() first."),
        ("toDecimal('x')", "'x' is not a number."),
        ("toDecimal('0.1234567890123456')", "'0.1234567890123456' has more digits than can be calculated with (15)."),
        ("toDecimal('1e-999')", "'1e-999' has more digits than can be calculated with (15)."),
        ("toBoolean('x')", "'x' is neither true nor false."),
        ("toText(null)", "A value is empty here (null). Use orDefault(), or ask first whether it is null."),
        ("int('x')", "'x' cannot be converted."),
        ("duration('x')", "'x' cannot be converted."),
    ],
)
def test_constants_are_tried(text: str, message: str) -> None:
    """A call whose arguments are all written out is tried when the expression is checked."""
    assert problem(text)[0] == message


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("[name, qty].join(',')", "join() joins text only; part 2 is not text."),
        (
            "addDays(born, 9999999)",
            "Times are calculated with in the years 1 to 9999, fractions of a second in 1700 to 2239 only.",
        ),
        (
            "addDays(seen, 200000)",
            "Times are calculated with in the years 1 to 9999, fractions of a second in 1700 to 2239 only.",
        ),
        (
            "addMonths(born, 999999)",
            "Times are calculated with in the years 1 to 9999, fractions of a second in 1700 to 2239 only.",
        ),
        ("name.padRight(9000).replace(' ', 'a'.padLeft(200))", "A text may have at most 1000000 characters."),
        (
            "addDays(born, 9000000000000000000)",
            "Times are calculated with in the years 1 to 9999, fractions of a second in 1700 to 2239 only.",
        ),
    ],
)
def test_values_are_checked(text: str, message: str) -> None:
    """What only the record tells is an error of that record."""
    assert error(text)[0] == message


@given(st.text(), st.text(min_size=1, max_size=3))
def test_split_and_join(text: str, separator: str) -> None:
    """Joining what was split gives the text again."""
    assert FUNCTIONS["join"].overloads[0].implementation(text.split(separator), separator) == text


@given(st.floats(allow_nan=False, allow_infinity=False), st.integers(0, 20))
def test_round_rests(number: float, places: int) -> None:
    """Rounding twice changes nothing, and never moves a number by more than half a step."""
    round_to = FUNCTIONS["round"].overloads[1].implementation
    once = round_to(number, places)
    assert round_to(once, places) == once
    assert abs(once - number) <= 0.5000001 * 10**-places + abs(number) * 1e-15


@given(st.datetimes(), st.sampled_from(["Asia/Shanghai", "America/New_York", "UTC"]))
def test_zones_return(moment: datetime, zone: str) -> None:
    """An instant survives the way through a zone's wall clock, except in the hour that occurs twice."""
    instant = moment.replace(tzinfo=UTC)
    try:
        back = at_zone(to_zone(instant, zone), zone)
    except OverflowError:
        return
    assert instant - back in (timedelta(0), timedelta(hours=1))


def test_texts() -> None:
    """toText writes every type."""
    assert value("toText(true) + toText(false)") == "truefalse"
    assert value("toText(local)") == "2024-01-02T03:04:05"
    assert value("toText(seen - seen)") == "0s"
    assert value("toText({'b': 1, 'a': [null]})") == '{"a":[null],"b":1}'
    assert value("toText(1e20)") == "100000000000000000000"
    assert value("parseDate('700101', 'yyMMdd') < parseDate('690101', 'yyMMdd')") is True
    assert value("formatDate(seen, \"yy-M-d H:m:s.SSS 'o''clock'\")") == "24-1-2 23:4:5.678 oclock"
    assert value("isBlank(data) || isBlank(blob) || isBlank([])") is True
    assert value("toBoolean(active)") is True
    assert value("digits('٣4')") == "34"
    assert value("toHalfWidth('　ｱ')") == " ｱ"


_WRITTEN = re.compile(r"(?:(\w+)\('([^'\\]*)'|'([^'\\]*)'(?=\.))")
_OF_FIELDS = [(e, r, found) for e, r in EXAMPLES if not e.startswith("lookup") and (found := _WRITTEN.match(e))]


@pytest.mark.parametrize(("expression", "result", "found"), _OF_FIELDS, ids=[e for e, _, _ in _OF_FIELDS])
def test_examples_of_fields(expression: str, result: str, found: re.Match[str]) -> None:
    """Every example gives the same result where its text stands in a field."""
    name, inside, before = found.groups()
    text = f"{name}(value" if name else "value"
    schema = Schema((Field("value"),))
    records = pl.DataFrame({"value": [inside if name else before] * 2 + [None]}, schema=schema.dtypes())
    evaluated = compile_expression(text + expression[found.end() :], schema).evaluate(records)
    assert evaluated.values.to_list()[:2] == [constant(result)] * 2
