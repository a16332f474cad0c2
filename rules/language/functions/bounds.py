"""Bounds on results: what a function may give back to an expression, checked before or after it is made."""

from __future__ import annotations

import math
import re

from rules.language.functions.registry import FunctionError
from rules.text import msg

MAX_TEXT = 1_000_000
MAX_REPEATED = 10_000
_SHOWN = 60
_INT64 = 2**63
_SURROGATE = re.compile("[\ud800-\udfff]")


def check_length(length: int) -> None:
    """Refuse to make a text of too many (or less than 0) characters."""
    if not 0 <= length <= MAX_TEXT:
        raise FunctionError(msg("A text may have at most {limit} characters.", limit=MAX_TEXT))


def check_repeated(length: int) -> None:
    """Refuse to fill a text up, or to repeat one, to more characters: in a batch each record would hold so many."""
    if not 0 <= length <= MAX_REPEATED:
        raise FunctionError(msg("A text may be padded or repeated to at most {limit} characters.", limit=MAX_REPEATED))


def short(text: str) -> str:
    """Return a text as a message quotes it: not more than its first characters."""
    return text if len(text) <= _SHOWN else text[: _SHOWN - 3] + "..."


def clean(text: str) -> str:
    """Return a text made from foreign data if an expression can hold it."""
    check_length(len(text))
    if "\x00" in text or _SURROGATE.search(text):
        raise FunctionError(msg("The result holds characters that no text can hold (code 0, or half a character)."))
    return text


def whole(number: int) -> int:
    """Return a whole number if it is not too large."""
    if not -_INT64 <= number < _INT64:
        raise FunctionError(msg("The result is too large."))
    return number


def finite(number: float) -> float:
    """Return a number if it is one, and not too large."""
    if not math.isfinite(number):
        raise FunctionError(msg("The result is too large or not a number."))
    return number
