"""Functions that calculate: rounding in named modes, remainders, powers. All work on the shortest text of a number."""

from __future__ import annotations

import decimal
import math
from collections.abc import Mapping
from decimal import Decimal

from rules.language.functions.bounds import finite
from rules.language.functions.registry import Chapter, FunctionError, Group, check_constants
from rules.text import N_, msg

_EXACT = decimal.Context(prec=700)
_POWER = decimal.Context(prec=50, Emax=100_000, Emin=-100_000)
_MAX_EXPONENT = 100_000
MODES: Mapping[str, str] = {
    "half_up": decimal.ROUND_HALF_UP,
    "half_down": decimal.ROUND_HALF_DOWN,
    "half_even": decimal.ROUND_HALF_EVEN,
    "up": decimal.ROUND_UP,
    "down": decimal.ROUND_DOWN,
    "ceiling": decimal.ROUND_CEILING,
    "floor": decimal.ROUND_FLOOR,
}
_numbers = Chapter(Group.NUMBERS)


def exactly(number: float) -> Decimal:
    """Return a number as its shortest text shows it: 0.1 is one tenth."""
    return Decimal(repr(finite(number)))


def mode_of(name: str) -> str:
    """Return the rounding of a mode's name."""
    if name not in MODES:
        raise FunctionError(msg("'{mode}' is no way to round. Use one of: {modes}.", mode=name, modes=", ".join(MODES)))
    return MODES[name]


def round_by(number: float, places: int, mode: str) -> float:
    """Return the number with `places` decimals, rounded in a mode."""
    if not -300 <= places <= 300:
        raise FunctionError(msg("round() takes from -300 to 300 decimals, not {places}.", places=places))
    return finite(float(exactly(number).quantize(Decimal(1).scaleb(-places), mode_of(mode), _EXACT)))


def round_to(number: float, step: float, mode: str = "half_up") -> float:
    """Return the multiple of `step` that is nearest, or next in the direction of the mode."""
    size = exactly(step)
    if size <= 0:
        raise FunctionError(msg("The step must be more than 0, which {step} is not.", step=step))
    count = _EXACT.divide(exactly(number), size)
    return finite(float(_EXACT.multiply(count.quantize(Decimal(1), mode_of(mode), _EXACT), size)))


def remainder(number: float, divisor: float) -> float:
    """Return what is left after dividing; its sign is that of the divisor, as in spreadsheets."""
    size = exactly(divisor)
    if size == 0:
        raise FunctionError(msg("Division by zero."))
    left = _EXACT.remainder(exactly(number), size)
    return float(left + size if left and (left < 0) != (size < 0) else left)


def whole_remainder(number: int, divisor: int) -> int:
    """Return what is left after dividing whole numbers."""
    if divisor == 0:
        raise FunctionError(msg("Division by zero."))
    return number % divisor


def power(base: float, exponent: float) -> float:
    """Return a power; whole exponents are calculated in decimals, so that 1.1 to the 2nd is 1.21."""
    if base == 0 and exponent < 0:
        raise FunctionError(msg("Division by zero."))
    if base < 0 and not exponent.is_integer():
        raise FunctionError(msg("A negative number has no power with a fraction."))
    try:
        if exponent.is_integer() and abs(exponent) <= _MAX_EXPONENT and (base or exponent):
            return finite(float(_POWER.power(exactly(base), int(exponent))))
        return finite(math.pow(base, exponent))
    except (OverflowError, decimal.InvalidOperation, decimal.Overflow):
        raise FunctionError(msg("The result is too large.")) from None


def square_root(number: float) -> float:
    """Return the square root."""
    if not number >= 0:
        raise FunctionError(msg("A negative number has no square root."))
    return math.sqrt(number)


def sign(number: float) -> int:
    """Return -1, 0 or 1."""
    return (number > 0) - (number < 0)


def clamp(number: float, least: float, most: float) -> float:
    """Return the number, or the bound that it is beyond."""
    if least > most:
        raise FunctionError(msg("The least ({least}) is more than the most ({most}).", least=least, most=most))
    return max(least, min(number, most))


def percent(part: float, of: float) -> float:
    """Return how many hundredths one number is of another."""
    if of == 0:
        raise FunctionError(msg("Division by zero."))
    return finite(float(_EXACT.divide(exactly(part) * 100, exactly(of))))


check_constants("mode", mode_of)
_numbers.own(
    N_(
        "Rounds to a multiple of a step, halves away from zero, or in a mode: half_up, half_down, half_even, up, down,"
        " ceiling, floor."
    ),
    {"roundTo(12.37, 0.05)": "12.35", "roundTo(12.31, 0.05, 'up')": "12.35", "roundTo(17, 5)": "15.0"},
    {
        "roundTo(number: number, step: number) -> number": round_to,
        "roundTo(number: number, step: number, mode: text) -> number": round_to,
    },
)
_numbers.own(
    N_("Cuts the decimals off."),
    {"trunc(-1.9)": "-1.0"},
    {"trunc(number: number) -> number": lambda number: round_by(number, 0, "down")},
)
_numbers.own(
    N_("Returns what is left after dividing; the sign is that of the divisor, as in spreadsheets."),
    {"mod(7, 3)": "1", "mod(-7, 3)": "2", "mod(5.3, 0.1)": "0.0"},
    {
        "mod(number: integer, divisor: integer) -> integer": whole_remainder,
        "mod(number: number, divisor: number) -> number": remainder,
    },
)
_numbers.own(
    N_("Raises a number to a power."),
    {"power(1.1, 2)": "1.21", "power(4, 0.5)": "2.0"},
    {"power(base: number, exponent: number) -> number": power},
)
_numbers.own(
    N_("Returns the square root."),
    {"sqrt(9)": "3.0"},
    {"sqrt(number: number) -> number": square_root},
)
_numbers.own(
    N_("Returns -1 for a negative number, 0 for 0 and 1 for a positive one."),
    {"sign(-2.5)": "-1", "sign(0)": "0"},
    {"sign(number: integer) -> integer": sign, "sign(number: number) -> integer": sign},
)
_numbers.own(
    N_("Keeps a number between a least and a most."),
    {"clamp(120, 0, 100)": "100", "clamp(0.5, 0, 1)": "0.5"},
    {
        "clamp(number: integer, least: integer, most: integer) -> integer": clamp,
        "clamp(number: number, least: number, most: number) -> number": clamp,
    },
)
_numbers.own(
    N_("Tells how many percent one number is of another."),
    {"percent(30, 120)": "25.0"},
    {"percent(part: number, of: number) -> number": percent},
)
