"""`'%s: %d'.format([name, count])` of CEL's string extension.

https://github.com/google/cel-go/tree/master/ext#strings ; a whole number that a mixed list made a number with fraction
counts as a whole number.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable
from typing import Any

from rules.language.functions.registry import Chapter, FunctionError, Group
from rules.language.functions.texts import MAX_TEXT
from rules.language.functions.values import number_text, to_text
from rules.text import N_, msg

MAX_DECIMALS = 100
_DECIMALS = 6
_PLACE = re.compile(r"%(%|(?:\.([0-9]{1,4}))?([a-zA-Z]))?")
_text = Chapter(Group.TEXT)


def format_text(pattern: str, values: list[Any]) -> str:
    """Return the pattern with its places filled in order."""
    rest = iter(values)
    parts: list[str] = []
    length = last = 0
    for place in _PLACE.finditer(pattern):
        filled = _filled(place, rest)
        parts += [pattern[last : place.start()], filled]
        length += place.start() - last + len(filled)
        last = place.end()
        if length > MAX_TEXT:
            raise FunctionError(msg("A text may have at most {limit} characters.", limit=MAX_TEXT))
    return "".join(parts) + pattern[last:]


def _filled(place: re.Match[str], rest: Any) -> str:
    if place[1] == "%":
        return "%"
    write = _FORMS.get(place[3] or "")
    decimals = _DECIMALS if place[2] is None else int(place[2])
    if write is None or decimals > MAX_DECIMALS:
        raise FunctionError(msg("format() knows %s, %d, %f, %e, %b, %o, %x, %X and %%, not {place}.", place=place[0]))
    missing = object()
    value = next(rest, missing)
    if value is missing:
        raise FunctionError(msg("format() has more places than values."))
    text = write(value, decimals)
    if text is None:
        raise FunctionError(msg("format() cannot write {value} for {place}.", value=_string(value), place=place[0]))
    return text


def _whole(value: Any) -> int | None:
    if type(value) is float and value.is_integer():
        return int(value)
    return value if type(value) is int else None


def _special(value: Any) -> str | None:
    if type(value) is not float or math.isfinite(value):
        return None
    return "NaN" if math.isnan(value) else "Infinity" if value > 0 else "-Infinity"


def _decimal(value: Any, _decimals: int) -> str | None:
    number = _whole(value)
    return _special(value) if number is None else str(number)


def _number(form: str) -> Callable[[Any, int], str | None]:
    def write(value: Any, decimals: int) -> str | None:
        if type(value) not in (int, float):
            return None
        return _special(value) or format(float(value), f".{decimals}{form}")

    return write


def _binary(value: Any, _decimals: int) -> str | None:
    number = int(value) if isinstance(value, bool) else _whole(value)
    return None if number is None else format(number, "b")


def _digits(form: str) -> Callable[[Any, int], str | None]:
    def write(value: Any, _decimals: int) -> str | None:
        number = _whole(value)
        if number is not None:
            return format(number, form)
        if form == "o" or not isinstance(value, (str, bytes, bytearray)):
            return None
        shown = (value.encode() if isinstance(value, str) else value).hex()
        return shown.upper() if form == "X" else shown

    return write


def _string(value: Any) -> str:
    if value is None:
        return "null"
    if isinstance(value, list):
        return f"[{', '.join(map(_string, value))}]"
    if isinstance(value, dict):
        pairs = sorted((_string(key), _string(part)) for key, part in value.items())
        return f"{{{', '.join(f'{key}: {part}' for key, part in pairs)}}}"
    if isinstance(value, (bytes, bytearray)):
        return value.decode(errors="replace")
    if isinstance(value, float):
        return _special(value) or number_text(value)
    return value if isinstance(value, str) else to_text(value)


_FORMS: dict[str, Callable[[Any, int], str | None]] = {
    "s": lambda value, _decimals: _string(value),
    "d": _decimal,
    "f": _number("f"),
    "e": _number("e"),
    "b": _binary,
    "o": _digits("o"),
    "x": _digits("x"),
    "X": _digits("X"),
}
_text.own(
    N_(
        "Fills values into a text: %s any value, %d a whole number, %.2f a number with two decimals, "
        "%e with an exponent, %x, %o and %b a whole number in base 16, 8 and 2, %% a percent sign."
    ),
    {
        "'%s owes %.2f'.format(['Ada', 12.5])": "'Ada owes 12.50'",
        "'%d%%'.format([7])": "'7%'",
        "'%s'.format([[1, 2]])": "'[1, 2]'",
    },
    {"format(text: text, values: list) -> text": format_text},
)
