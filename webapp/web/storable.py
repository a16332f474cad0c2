"""What databases can keep: texts without the character NUL and halves of characters, whole numbers of 64 bits.

SQLite and PostgreSQL differ in what they refuse, and both refuse it late: what comes from outside is asked here first.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable
from typing import Any

LARGEST = 2**63 - 1
_DIGITS = len(str(LARGEST))
_SUSPECT = re.compile(rb"\\u(?:0000|[dD][89a-fA-F])|\x00")
_BAD = re.compile("[\x00\ud800-\udfff]")


def storable(text: str) -> bool:
    """Tell whether a text holds neither NUL nor half of a character."""
    return _BAD.search(text) is None


def natural(text: str) -> int | None:
    """Return the number that a text of digits says; None for anything else and for what no database can hold."""
    return int(text) if text.isascii() and text.isdecimal() and len(text) < _DIGITS else None


def read_json(text: bytes | str) -> Any:
    """Return what JSON says; raises `ValueError` for anything else, and for what no database can keep."""
    raw = text.encode("utf-8", "surrogatepass") if isinstance(text, str) else text
    try:
        found = json.loads(raw, parse_constant=_no_number)
        if _SUSPECT.search(raw):
            _require(found)
    except RecursionError:
        raise ValueError("it is nested too deeply") from None
    return found


def _require(value: Any) -> None:
    parts: Iterable[Any] = ()
    if isinstance(value, str):
        if not storable(value):
            raise ValueError("a text holds the character NUL or half of a character")
    elif isinstance(value, dict):
        parts = (*value, *value.values())
    elif isinstance(value, list):
        parts = value
    for part in parts:
        _require(part)


def _no_number(word: str) -> Any:
    raise ValueError(f"{word} is no number")
