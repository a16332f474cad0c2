"""Functions on numbers; decimal arithmetic on the shortest text of a number, so that 2.675 rounds to 2.68."""

from __future__ import annotations

import math
from decimal import ROUND_HALF_UP, Context, Decimal

from rules.language.functions.registry import Chapter, FunctionError, Group
from rules.language.functions.rounding import round_by
from rules.text import N_, msg

_CONTEXT = Context(prec=700)
EXACT = 2**53
_numbers = Chapter(Group.NUMBERS)


def round_to(number: float, places: int = 0) -> float:
    """Return the number with `places` decimals; halves go away from zero."""
    if not -300 <= places <= 300:
        raise FunctionError(msg("round() takes from -300 to 300 decimals, not {places}.", places=places))
    if not math.isfinite(number):
        return number
    step = Decimal(1).scaleb(-places)
    return float(Decimal(repr(number)).quantize(step, ROUND_HALF_UP, _CONTEXT))


def divide(a: float, b: float) -> float:
    """Return the quotient; by zero is an error, not infinity."""
    if b == 0:
        raise FunctionError(msg("Division by zero."))
    return a / b


def to_float(number: int) -> float:
    """Return a whole number as a floating point number, if that loses nothing."""
    if abs(number) > EXACT:
        raise FunctionError(
            msg("{number} has more than 15 digits, which is too much to calculate with fractions.", number=number)
        )
    return float(number)


_numbers.own(
    N_("Rounds to a count of decimals, halves away from zero or in a mode of roundTo()."),
    {
        "round(2.675, 2)": "2.68",
        "round(-2.5)": "-3.0",
        "round(1234, -2)": "1200.0",
        "round(2.665, 2, 'half_even')": "2.66",
    },
    {
        "round(number: number) -> number": round_to,
        "round(number: number, decimals: integer) -> number": round_to,
        "round(number: number, decimals: integer, mode: text) -> number": round_by,
    },
)
_numbers.own(
    N_("Rounds down to a whole number."),
    {"floor(-1.2)": "-2.0"},
    {"floor(number: number) -> number": lambda n: float(math.floor(n))},
)
_numbers.own(
    N_("Rounds up to a whole number."),
    {"ceil(1.2)": "2.0"},
    {"ceil(number: number) -> number": lambda n: float(math.ceil(n))},
)
_numbers.own(
    N_("Leaves the sign away."),
    {"abs(-5)": "5", "abs(-1.5)": "1.5"},
    {"abs(number: integer) -> integer": abs, "abs(number: number) -> number": abs},
)
_numbers.own(
    N_("Returns the smaller of two numbers, or the earlier of two dates."),
    {"min(3, 7)": "3", "min(2.5, 1)": "1.0", "min(date('2024-02-01'), date('2024-01-31'))": "date('2024-01-31')"},
    {
        "min(a: integer, b: integer) -> integer": min,
        "min(a: number, b: number) -> number": min,
        "min(a: date, b: date) -> date": min,
        "min(a: datetime, b: datetime) -> datetime": min,
    },
)
_numbers.own(
    N_("Returns the larger of two numbers, or the later of two dates."),
    {"max(3, 7)": "7", "max(2.5, 1)": "2.5", "max(date('2024-02-01'), date('2024-01-31'))": "date('2024-02-01')"},
    {
        "max(a: integer, b: integer) -> integer": max,
        "max(a: number, b: number) -> number": max,
        "max(a: date, b: date) -> date": max,
        "max(a: datetime, b: datetime) -> datetime": max,
    },
)
