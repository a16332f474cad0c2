"""Rounding, calculating, money and written numbers: held against Python's decimals."""

from __future__ import annotations

import decimal
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rules.language.functions.currencies import DIGITS
from rules.language.functions.rounding import MODES
from rules.schema import Field, FieldType
from tests.rules.language.functions.calls import constant, function, problem, refused

_CONTEXT = decimal.Context(prec=700)
_NUMBERS = st.floats(allow_nan=False, allow_infinity=False, min_value=-1e15, max_value=1e15)
_MODES = st.sampled_from(sorted(MODES))


@given(_NUMBERS, st.integers(-5, 12), _MODES)
def test_round(number: float, places: int, mode: str) -> None:
    """Every mode rounds the shortest text of a number as decimals do, and twice changes nothing."""
    exact = Decimal(repr(number)).quantize(Decimal(1).scaleb(-places), MODES[mode], _CONTEXT)
    once = function("round", 3)(number, places, mode)
    assert once == float(exact)
    assert function("round", 3)(once, places, mode) == once


@given(st.floats(-1e12, 1e12), st.sampled_from([0.05, 0.25, 5.0, 100.0, 0.1]), _MODES)
def test_round_to(number: float, step: float, mode: str) -> None:
    """The result is a multiple of the step, nearer than one step, and rests."""
    once = function("roundTo", 3)(number, step, mode)
    assert abs(Decimal(repr(once)) - Decimal(repr(number))) <= Decimal(repr(step)) * Decimal("1.001")
    assert function("roundTo", 3)(once, step, mode) == once


@given(st.integers(-(10**15), 10**15), st.integers(-1000, 1000).filter(bool))
def test_mod(number: int, divisor: int) -> None:
    """The remainder has the divisor's sign, for whole numbers and for those with fraction alike."""
    whole, broken = function("mod", 2)(number, divisor), constant(f"mod({number}.0, {divisor}.0)")
    assert whole == broken == number % divisor


@given(st.floats(-1e6, 1e6), st.integers(-20, 20))
def test_power(base: float, exponent: int) -> None:
    """Whole powers are those of decimals, as exactly as a number can be."""
    if base == 0 and exponent <= 0:
        return
    try:
        exact = float(decimal.Context(prec=50).power(Decimal(repr(base)), exponent))
    except (decimal.Overflow, OverflowError):
        return
    if abs(exact) < 1e300:
        assert function("power")(base, float(exponent)) == exact


@given(st.integers(-(10**11), 10**11), st.sampled_from([(",", "."), (".", ","), (" ", ","), ("", ".")]))
def test_written_numbers(cents: int, marks: tuple[str, str]) -> None:
    """A number that was written with marks is read again with them."""
    number = cents / 100
    text = function("formatNumber", 4)(number, 2, *marks)
    assert function("parseNumber")(text, *marks) == number


@given(st.integers(-(10**12), 10**12), st.sampled_from(sorted(DIGITS)))
def test_minor_units(units: int, currency: str) -> None:
    """Amounts in their smallest unit survive both ways, and are rounded already."""
    amount = function("fromMinorUnits")(units, currency)
    assert function("minorUnits")(amount, currency) == units
    assert function("roundMoney", 2)(amount, currency) == amount


def test_currencies() -> None:
    """The table knows the odd ones of ISO 4217."""
    assert {code: DIGITS[code] for code in ("JPY", "EUR", "KWD", "CLF", "HUF")} == {
        "JPY": 0,
        "EUR": 2,
        "KWD": 3,
        "CLF": 4,
        "HUF": 2,
    }
    assert all(len(code) == 3 and code.isupper() for code in DIGITS)


@pytest.mark.parametrize(
    ("name", "args", "reason"),
    [
        ("round", (1.5, 400, "up"), "round() takes from -300 to 300 decimals, not 400."),
        (
            "round",
            (1.5, 1, "x"),
            "'x' is no way to round. Use one of: half_up, half_down, half_even, up, down, ceiling, floor.",
        ),
        ("round", (float("inf"), 1, "up"), "The result is too large or not a number."),
        ("roundTo", (1.0, 0.0), "The step must be more than 0, which 0.0 is not."),
        ("mod", (1, 0), "Division by zero."),
        ("power", (0.0, -1.0), "Division by zero."),
        ("power", (-1.0, 0.5), "A negative number has no power with a fraction."),
        ("power", (10.0, 99_999.0), "The result is too large or not a number."),
        ("power", (10.0, 400.5), "The result is too large."),
        ("power", (1e300, 99_999.0), "The result is too large."),
        ("sqrt", (-1.0,), "A negative number has no square root."),
        ("clamp", (1, 3, 2), "The least (3) is more than the most (2)."),
        ("percent", (1.0, 0.0), "Division by zero."),
        ("roundMoney", (1.0, "RMB"), "There is no currency 'RMB'. Write it like CNY or EUR."),
        ("minorUnits", (1.005, "EUR"), "1.005 has more decimals than EUR has. Use roundMoney() first."),
        ("minorUnits", (1e18, "EUR"), "The result is too large."),
        (
            "formatNumber",
            (1.0, 2, ".", "."),
            "Two different characters are needed: one between thousands, one before decimals.",
        ),
        (
            "parseNumber",
            ("1", ".", "."),
            "Two different characters are needed: one between thousands, one before decimals.",
        ),
        ("parseNumber", ("1.23,4", ".", ","), "'1.23,4' is not a number written like 1.234,56."),
        ("parseNumber", ("", ".", ","), "'' is not a number written like 1.234,56."),
        ("parseNumber", ("--1", ".", ","), "'--1' is not a number written like 1.234,56."),
        ("toInteger", ("1" * 5000,), f"'{'1' * 57}...' is not a whole number."),
    ],
)
def test_refused(name: str, args: tuple[object, ...], reason: str) -> None:
    """What cannot be calculated is said in plain words."""
    assert refused(name, *args) == reason


def test_values() -> None:
    """Numbers with fraction and large ones."""
    assert constant("power(0, 0)") == 1.0
    assert constant("power(2, 0.5)") == pytest.approx(1.4142135)
    assert constant("mod(-5.3, 2)") == 0.7
    assert constant("round(1e308, 300)") == 1e308
    assert constant("parseNumber('1\u00a0234', ' ', '.')") == Decimal(1234)
    assert constant("parseNumber('+1234567', ',', '.')") == Decimal(1234567)
    assert function("mod", 2)(-7, 3) == 2
    assert problem("mod(1.0, 0.0)") == ("Division by zero.", 1)


@pytest.mark.parametrize(
    ("text", "column"),
    [
        ("roundMoney(price, 'RMB')", 19),
        ("roundMoney(price, 'EUR', 'x')", 26),
        ("round(price, 2, 'x')", 17),
        ("roundTo(price, 2, 'x')", 19),
    ],
)
def test_constants(text: str, column: int) -> None:
    """Currencies and modes that are written out are checked when the expression is."""
    assert problem(text, Field("price", FieldType.DECIMAL))[1] == column
