"""What is shown in the place of a value: enough to recognise it by, never the value. Pure.

An empty value stays empty. Where so little of a value would be hidden that it could be guessed, all of it is.
"""

from __future__ import annotations

import hashlib
import hmac
import re
from collections.abc import Callable
from datetime import date
from decimal import Decimal
from enum import StrEnum
from typing import Any

from rules.text import N_

DOTS = "\u25cf" * 4
_SHORTEST = 8
"""A text is this long before its last four characters are shown."""
_EMAIL = re.compile(r"([^@\s])[^@\s]+@([^@\s]+\.[^@\s]+)")
_DAY = re.compile(r"(\d{4})-\d{2}-\d{2}.*", re.DOTALL)


class Mask(StrEnum):
    """The kinds of masks, from the one that shows least to the one that shows most."""

    NULL = "null"
    ALL = "all"
    HASH = "hash"
    FIRST = "first1"
    YEAR = "year"
    EMAIL = "email"
    LAST = "last4"


MASK_LABELS: dict[Mask, str] = {
    Mask.NULL: N_("shown as empty"),
    Mask.ALL: N_("shown as dots"),
    Mask.HASH: N_("shown as a sign that is the same for equal values"),
    Mask.FIRST: N_("only the first character is shown"),
    Mask.YEAR: N_("only the year is shown"),
    Mask.EMAIL: N_("only the beginning and the domain of the address are shown"),
    Mask.LAST: N_("only the last four characters are shown"),
}


def masked(mask: Mask, value: Any, key: bytes) -> str | None:
    """Return what is shown of a value; `key` is the installation's, for signs that nobody else can work out."""
    if value is None or mask is Mask.NULL:
        return None
    return _SHOWN[mask](plain(value), key)


def plain(value: Any) -> str:
    """Return a value as text, so that equal values have equal texts."""
    if isinstance(value, Decimal):
        text = f"{value:f}"
        return text.rstrip("0").rstrip(".") if "." in text else text
    return value.isoformat() if isinstance(value, date) else str(value)


def _hash(text: str, key: bytes) -> str:
    return "#" + hmac.new(key, text.encode("utf-8", "surrogatepass"), hashlib.sha256).hexdigest()[:12]


def _first(text: str, _key: bytes) -> str:
    return text[0] + DOTS if len(text) > 1 else DOTS


def _last(text: str, _key: bytes) -> str:
    return DOTS + text[-4:] if len(text) >= _SHORTEST else DOTS


def _email(text: str, _key: bytes) -> str:
    found = _EMAIL.fullmatch(text)
    return f"{found[1]}\u2022\u2022\u2022@{found[2]}" if found else DOTS


def _year(text: str, _key: bytes) -> str:
    found = _DAY.fullmatch(text)
    return found[1] if found else DOTS


_SHOWN: dict[Mask, Callable[[str, bytes], str]] = {
    Mask.ALL: lambda _text, _key: DOTS,
    Mask.HASH: _hash,
    Mask.FIRST: _first,
    Mask.YEAR: _year,
    Mask.EMAIL: _email,
    Mask.LAST: _last,
}
