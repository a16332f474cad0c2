"""Conversions: a value arrives unchanged or is an error that names it; every pair is possible or refused."""

# ruff: noqa: E501 - one case a line reads best

from __future__ import annotations

import datetime as dt
from decimal import Decimal
from itertools import product
from typing import Any

import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from rules.mapping.columns import CONVERSIONS
from rules.mapping.convert import convert, refusal
from rules.schema import Field, FieldType

T = FieldType
UTC = dt.UTC
PAIRS = list(product(FieldType, FieldType))
SAMPLES: dict[FieldType, st.SearchStrategy[Any]] = {
    T.TEXT: st.text() | st.from_regex(r"[+-]?[0-9]{0,25}\.?[0-9]{0,5}", fullmatch=True),
    T.INTEGER: st.integers(-(2**63), 2**63 - 1),
    T.DECIMAL: st.decimals(-(10**20), 10**20, places=3),
    T.FLOAT: st.floats(),
    T.BOOLEAN: st.booleans(),
    T.DATE: st.dates(),
    T.TIME: st.times(),
    T.DATETIME: st.datetimes(timezones=st.just(UTC)),
    T.LOCAL_DATETIME: st.datetimes(),
    T.BINARY: st.binary(),
    T.JSON: st.sampled_from(['{"a":1}', "[]", '"x"', "1.5"]),
}


def field(type_: FieldType, **limits: Any) -> Field:
    """Return a field that is called after its type."""
    return Field(type_.value, type_, **{**({"scale": 3} if type_ is T.DECIMAL else {}), **limits})


def one(value: Any, source: FieldType, target: FieldType, **limits: Any) -> Any:
    """Return what a value becomes, or the message of its error."""
    found = convert(pl.Series([value], dtype=field(source).dtype), field(source), field(target, **limits))
    assert found.values.dtype == field(target, **limits).dtype
    return str(found.errors[0]) if found.errors else found.values[0]


@pytest.mark.parametrize(
    ("value", "source", "target", "expected"),
    [
        (" 42 ", T.TEXT, T.INTEGER, 42),
        ("-0", T.TEXT, T.INTEGER, 0),
        ("4.2", T.TEXT, T.INTEGER, "'4.2' is not a whole number, which 'integer' needs."),
        ("", T.TEXT, T.INTEGER, "'' is not a whole number, which 'integer' needs."),
        ("9" * 20, T.TEXT, T.INTEGER, f"'{'9' * 20}' is not a whole number, which 'integer' needs."),
        ("12.500", T.TEXT, T.DECIMAL, Decimal("12.500")),
        ("12.5000", T.TEXT, T.DECIMAL, Decimal("12.500")),
        ("12.5001", T.TEXT, T.DECIMAL, "'12.5001' is not a number that 'decimal' can hold exactly (at most 3 decimals)."),
        ("1,5", T.TEXT, T.DECIMAL, "'1,5' is not a number that 'decimal' can hold exactly (at most 3 decimals)."),
        ("1e3", T.TEXT, T.FLOAT, 1000.0),
        ("0.1234567890123456789", T.TEXT, T.FLOAT, "'0.1234567890123456789' is not a number that 'float' can hold exactly."),
        ("1e999", T.TEXT, T.FLOAT, "'1e999' is not a number that 'float' can hold exactly."),
        ("TRUE ", T.TEXT, T.BOOLEAN, True),
        ("0", T.TEXT, T.BOOLEAN, False),
        ("yes", T.TEXT, T.BOOLEAN, "'yes' is neither true nor false (nor 1 or 0), which 'boolean' needs."),
        ("2024-02-29", T.TEXT, T.DATE, dt.date(2024, 2, 29)),
        ("2023-02-29", T.TEXT, T.DATE, "'2023-02-29' is not a date like 2024-01-31, which 'date' needs."),
        ("2024-2-9", T.TEXT, T.DATE, "'2024-2-9' is not a date like 2024-01-31, which 'date' needs."),
        ("0000-01-01", T.TEXT, T.DATE, "'0000-01-01' is not a date like 2024-01-31, which 'date' needs."),
        ("09:30", T.TEXT, T.TIME, dt.time(9, 30)),
        ("09:30:01.5", T.TEXT, T.TIME, dt.time(9, 30, 1, 500000)),
        ("25:00", T.TEXT, T.TIME, "'25:00' is not a time like 09:30:00, which 'time' needs."),
        ("2024-01-31T09:30:00+08:00", T.TEXT, T.DATETIME, dt.datetime(2024, 1, 31, 1, 30, tzinfo=UTC)),
        ("2024-01-31 09:30-0330", T.TEXT, T.DATETIME, dt.datetime(2024, 1, 31, 13, 0, tzinfo=UTC)),
        ("2024-01-31T09:30:00.25Z", T.TEXT, T.DATETIME, dt.datetime(2024, 1, 31, 9, 30, 0, 250000, tzinfo=UTC)),
        ("2024-01-31T09:30:00", T.TEXT, T.DATETIME, "'2024-01-31T09:30:00' is not a time with a zone like 2024-01-31T09:30:00Z, which 'datetime' needs."),
        ("2024-01-31T09:30:00+99:00", T.TEXT, T.DATETIME, "'2024-01-31T09:30:00+99:00' is not a time with a zone like 2024-01-31T09:30:00Z, which 'datetime' needs."),
        ("2024-01-31 09:30", T.TEXT, T.LOCAL_DATETIME, dt.datetime(2024, 1, 31, 9, 30)),
        ("2024-01-31T09:30:00Z", T.TEXT, T.LOCAL_DATETIME, "'2024-01-31T09:30:00Z' is not a time without a zone like 2024-01-31T09:30:00, which 'local_datetime' needs."),
        ('{"b": 1.50, "a": "é"}', T.TEXT, T.JSON, '{"a":"é","b":1.5}'),
        ("{", T.TEXT, T.JSON, "'{' is not JSON, which 'json' needs."),
        ("NaN", T.TEXT, T.JSON, "'NaN' is not JSON, which 'json' needs."),
        ("0.12345678901234567890123", T.TEXT, T.JSON, "'0.12345678901234567890123' is not JSON, which 'json' needs."),
        (7, T.INTEGER, T.TEXT, "7"),
        (7, T.INTEGER, T.DECIMAL, Decimal("7.000")),
        (2**53 + 1, T.INTEGER, T.FLOAT, "9007199254740993 is not a number that 'float' can hold exactly."),
        (1, T.INTEGER, T.BOOLEAN, True),
        (2, T.INTEGER, T.BOOLEAN, "2 is neither true nor false (nor 1 or 0), which 'boolean' needs."),
        (7, T.INTEGER, T.JSON, "7"),
        (Decimal("12.500"), T.DECIMAL, T.TEXT, "12.500"),
        (Decimal("12.000"), T.DECIMAL, T.INTEGER, 12),
        (Decimal("12.500"), T.DECIMAL, T.INTEGER, "12.500 is not a whole number, which 'integer' needs."),
        (Decimal("12.500"), T.DECIMAL, T.FLOAT, 12.5),
        (Decimal("1234567890123456.5"), T.DECIMAL, T.FLOAT, "1234567890123456.500 is not a number that 'float' can hold exactly."),
        (0.1, T.FLOAT, T.TEXT, "0.1"),
        (1e21, T.FLOAT, T.TEXT, "1000000000000000000000"),
        (float("nan"), T.FLOAT, T.TEXT, "nan cannot be written as text in 'text'."),
        (3.0, T.FLOAT, T.INTEGER, 3),
        (3.5, T.FLOAT, T.INTEGER, "3.5 is not a whole number, which 'integer' needs."),
        (1.005, T.FLOAT, T.DECIMAL, Decimal("1.005")),
        (1.0005, T.FLOAT, T.DECIMAL, "1.0005 is not a number that 'decimal' can hold exactly (at most 3 decimals)."),
        (float("inf"), T.FLOAT, T.DECIMAL, "inf is not a number that 'decimal' can hold exactly (at most 3 decimals)."),
        (True, T.BOOLEAN, T.TEXT, "true"),
        (True, T.BOOLEAN, T.INTEGER, 1),
        (False, T.BOOLEAN, T.JSON, "false"),
        (dt.date(2024, 1, 31), T.DATE, T.TEXT, "2024-01-31"),
        (dt.date(2024, 1, 31), T.DATE, T.LOCAL_DATETIME, dt.datetime(2024, 1, 31)),
        (dt.time(9, 30), T.TIME, T.TEXT, "09:30:00"),
        (dt.datetime(2024, 1, 31, 9, 30, tzinfo=UTC), T.DATETIME, T.TEXT, "2024-01-31T09:30:00Z"),
        (dt.datetime(2024, 1, 31, 9, 30, 0, 5), T.LOCAL_DATETIME, T.TEXT, "2024-01-31T09:30:00.000005"),
        (dt.datetime(2024, 1, 31), T.LOCAL_DATETIME, T.DATE, dt.date(2024, 1, 31)),
        (dt.datetime(2024, 1, 31, 9), T.LOCAL_DATETIME, T.DATE, "2024-01-31 09:00:00 is not a date like 2024-01-31, which 'date' needs."),
        ('{"a":1}', T.JSON, T.TEXT, '{"a":1}'),
    ],
)  # fmt: skip
def test_conversions(value: Any, source: FieldType, target: FieldType, expected: Any) -> None:
    """Each conversion gives the very value, or says what is wrong with which value for which field."""
    assert one(value, source, target) == expected


@pytest.mark.parametrize(("source", "target"), PAIRS, ids=[f"{s}-{t}" for s, t in PAIRS])
@given(data=st.data())
def test_never_another_value(source: FieldType, target: FieldType, data: st.DataObject) -> None:
    """What can be converted comes back the same where there is a way back; empty stays empty; the rest is refused."""
    if refusal(field(source), field(target)) is not None:
        return
    value = data.draw(SAMPLES[source])
    there = convert(pl.Series([value, None], dtype=field(source).dtype), field(source), field(target))
    assert there.values[1] is None
    assert 1 not in there.errors
    assert (there.values[0] is None) == (0 in there.errors)
    if 0 in there.errors or (target, source) not in CONVERSIONS or source is T.TEXT:
        return
    back = convert(there.values.head(1), field(target), field(source))
    assert back.errors or back.values[0] == value


def test_limits() -> None:
    """A text longer than its field and a number with too many digits are errors, not cut."""
    assert one("四个字符", T.TEXT, T.TEXT, length=4) == "四个字符"
    assert one("hello", T.TEXT, T.TEXT, length=4) == "The text has 5 characters, but 'text' takes at most 4."
    assert one(12345, T.INTEGER, T.TEXT, length=4) == "The text has 5 characters, but 'text' takes at most 4."
    assert one("99.99", T.TEXT, T.DECIMAL, precision=4, scale=2) == Decimal("99.99")
    large = "-100.00 has too many digits: 'decimal' takes at most 2 before the decimal point."
    assert one("-100", T.TEXT, T.DECIMAL, precision=4, scale=2) == large
    assert one(Decimal("1.250"), T.DECIMAL, T.DECIMAL, scale=2) == Decimal("1.25")
    assert "exactly (at most 2 decimals)" in one(Decimal("1.255"), T.DECIMAL, T.DECIMAL, scale=2)


def test_free_decimals() -> None:
    """A decimal of a system that states no scale is written without the zeros that fill the column."""
    source = Field("x", T.DECIMAL)
    values = pl.Series([Decimal("12.5"), Decimal("0"), Decimal("100")], dtype=source.dtype)
    assert convert(values, source, Field("y")).values.to_list() == ["12.5", "0", "100"]
    whole = Field("x", T.DECIMAL, scale=0)
    assert convert(pl.Series([Decimal(100)], dtype=whole.dtype), whole, Field("y", T.FLOAT)).values[0] == 100.0


@pytest.mark.parametrize(
    ("source", "target", "message"),
    [
        (T.DATETIME, T.LOCAL_DATETIME, "Say which zone is meant, like localTime(datetime, 'UTC')."),
        (T.LOCAL_DATETIME, T.DATETIME, "Say which zone is meant, like atZone(local_datetime, 'UTC')."),
        (T.DATETIME, T.DATE, "Say which zone is meant, like date(datetime, 'UTC')."),
        (T.DATE, T.DATETIME, "Say which zone is meant, like atZone(localTime(date), 'UTC')."),
        (T.TEXT, T.BINARY, "A text value does not fit 'binary', which is binary. Write an expression."),
        (T.BINARY, T.TEXT, "A binary value does not fit 'text', which is text. Write an expression."),
        (T.BOOLEAN, T.DATE, "A boolean value does not fit 'date', which is date. Write an expression."),
    ],
)
def test_refusals(source: FieldType, target: FieldType, message: str) -> None:
    """A pair that needs a decision is refused, with what to write instead."""
    assert message in str(refusal(field(source), field(target)))
