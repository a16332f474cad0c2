"""The math extension of CEL: `math.greatest(a, b)` and its kin, so that expressions written elsewhere work here too.

https://github.com/google/cel-go/tree/master/ext#math ; whole numbers have 64 bits.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

from rules.language.functions.bounds import whole
from rules.language.functions.numbers import round_to
from rules.language.functions.registry import Chapter, FunctionError, Group
from rules.text import N_, msg

MOST = 8
_BITS = 64
_INT64 = 2**63
_standard = Chapter(Group.STANDARD)


def _signed(bits: int) -> int:
    """Return the number that the last 64 bits stand for."""
    low = bits & (2 * _INT64 - 1)
    return low - 2 * _INT64 if low >= _INT64 else low


def _bound(places: int) -> int:
    if places < 0:
        raise FunctionError(msg("Bits cannot be shifted by {places} places.", places=places))
    return min(places, _BITS)


def shift_left(number: int, places: int) -> int:
    """Return the bits moved to the left, zeros following."""
    return _signed(number << _bound(places))


def shift_right(number: int, places: int) -> int:
    """Return the bits moved to the right, zeros following, whatever the sign."""
    return _signed((number & (2 * _INT64 - 1)) >> _bound(places))


def sign(number: float) -> float:
    """Return -1, 0 or 1; not a number stays what it is."""
    return number if math.isnan(number) else float((number > 0) - (number < 0))


def trunc(number: float) -> float:
    """Return the number without its decimals."""
    return float(math.trunc(number)) if math.isfinite(number) else number


def square_root(number: float) -> float:
    """Return the square root; of a negative number it is not a number, as in CEL."""
    return math.sqrt(number) if number >= 0 else math.nan


def _of_list(choose: Callable[..., Any]) -> Callable[[list[Any]], Any]:
    def pick(numbers: list[Any]) -> Any:
        if not numbers or any(type(number) not in (int, float) for number in numbers):
            raise FunctionError(msg("A list of numbers with at least one item is needed here."))
        return choose(numbers)

    return pick


def _first(choose: Callable[..., Any]) -> Callable[..., Any]:
    return lambda *numbers: choose(numbers)


def _extreme(name: str, doc: str, example: dict[str, str], choose: Callable[..., Any]) -> None:
    """Define math.greatest or math.least for up to `MOST` numbers, and for a list of numbers."""
    signatures: dict[str, Callable[..., Any]] = {}
    for kind in ("integer", "number"):
        for count in range(1, MOST + 1):
            parameters = ", ".join(f"{letter}: {kind}" for letter in "abcdefgh"[:count])
            signatures[f"{name}({parameters}) -> {kind}"] = _first(choose)
    signatures[f"{name}(numbers: list) -> item"] = _of_list(choose)
    _standard.own(doc, example, signatures)


_extreme(
    "math.greatest",
    N_("Returns the largest of the numbers, or of the numbers in a list."),
    {"math.greatest(1, 7, 3)": "7", "math.greatest([1.5, 2.5])": "2.5"},
    max,
)
_extreme(
    "math.least",
    N_("Returns the smallest of the numbers, or of the numbers in a list."),
    {"math.least(1, 7, 3)": "1", "math.least([1.5, 2.5])": "1.5"},
    min,
)
_standard.own(
    N_("Rounds up to a whole number, like ceil()."),
    {"math.ceil(1.2)": "2.0"},
    {"math.ceil(number: number) -> number": lambda n: float(math.ceil(n)) if math.isfinite(n) else n},
)
_standard.own(
    N_("Rounds down to a whole number, like floor()."),
    {"math.floor(-1.2)": "-2.0"},
    {"math.floor(number: number) -> number": lambda n: float(math.floor(n)) if math.isfinite(n) else n},
)
_standard.own(
    N_("Rounds to a whole number, halves away from zero, like round()."),
    {"math.round(-1.5)": "-2.0"},
    {"math.round(number: number) -> number": round_to},
)
_standard.own(
    N_("Cuts the decimals off."),
    {"math.trunc(-1.7)": "-1.0"},
    {"math.trunc(number: number) -> number": trunc},
)
_standard.own(
    N_("Leaves the sign away, like abs()."),
    {"math.abs(-5)": "5", "math.abs(-1.5)": "1.5"},
    {
        "math.abs(number: integer) -> integer": lambda n: whole(abs(n)),
        "math.abs(number: number) -> number": abs,
    },
)
_standard.own(
    N_("Returns -1, 0 or 1 for a negative number, zero and a positive number."),
    {"math.sign(-32)": "-1", "math.sign(0.5)": "1.0"},
    {
        "math.sign(number: integer) -> integer": lambda n: (n > 0) - (n < 0),
        "math.sign(number: number) -> number": sign,
    },
)
_standard.own(
    N_("Returns the square root."),
    {"math.sqrt(81)": "9.0"},
    {"math.sqrt(number: number) -> number": square_root},
)
_standard.own(
    N_("Tells whether a number is not a number (NaN)."),
    {"math.isNaN(1.5)": "false"},
    {"math.isNaN(number: number) -> boolean": math.isnan},
)
_standard.own(
    N_("Tells whether a number is infinite."),
    {"math.isInf(1.5)": "false"},
    {"math.isInf(number: number) -> boolean": math.isinf},
)
_standard.own(
    N_("Tells whether a number is neither infinite nor NaN."),
    {"math.isFinite(1.5)": "true"},
    {"math.isFinite(number: number) -> boolean": math.isfinite},
)
_standard.own(
    N_("Keeps the bits that are set in both numbers."),
    {"math.bitAnd(3, 6)": "2"},
    {"math.bitAnd(a: integer, b: integer) -> integer": lambda a, b: a & b},
)
_standard.own(
    N_("Keeps the bits that are set in one of the numbers or in both."),
    {"math.bitOr(1, 6)": "7"},
    {"math.bitOr(a: integer, b: integer) -> integer": lambda a, b: a | b},
)
_standard.own(
    N_("Keeps the bits that are set in exactly one of the numbers."),
    {"math.bitXor(3, 6)": "5"},
    {"math.bitXor(a: integer, b: integer) -> integer": lambda a, b: a ^ b},
)
_standard.own(
    N_("Turns every bit around."),
    {"math.bitNot(1)": "-2"},
    {"math.bitNot(number: integer) -> integer": lambda n: ~n},
)
_standard.own(
    N_("Moves the bits to the left."),
    {"math.bitShiftLeft(1, 4)": "16"},
    {"math.bitShiftLeft(number: integer, places: integer) -> integer": shift_left},
)
_standard.own(
    N_("Moves the bits to the right; zeros follow from the left, also for a negative number."),
    {"math.bitShiftRight(1024, 2)": "256"},
    {"math.bitShiftRight(number: integer, places: integer) -> integer": shift_right},
)
