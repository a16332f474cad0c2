"""Date patterns like `yyyy-MM-dd HH:mm`: written by people who know them from spreadsheets, read strictly."""

from __future__ import annotations

import re
from datetime import UTC, datetime
from functools import lru_cache

from rules.language.functions.bounds import short
from rules.language.functions.registry import FunctionError
from rules.text import msg

_TOKEN = re.compile(r"yyyy|yy|MM|M|dd|d|HH|H|mm|m|ss|s|SSS|'[^']*'|.", re.DOTALL)
_WRITE = {
    "yyyy": lambda d: f"{d.year:04}",
    "yy": lambda d: f"{d.year % 100:02}",
    "MM": lambda d: f"{d.month:02}",
    "M": lambda d: str(d.month),
    "dd": lambda d: f"{d.day:02}",
    "d": lambda d: str(d.day),
    "HH": lambda d: f"{d.hour:02}",
    "H": lambda d: str(d.hour),
    "mm": lambda d: f"{d.minute:02}",
    "m": lambda d: str(d.minute),
    "ss": lambda d: f"{d.second:02}",
    "s": lambda d: str(d.second),
    "SSS": lambda d: f"{d.microsecond // 1000:03}",
}
_READ = {
    "yyyy": ("year", "[0-9]{4}"),
    "yy": ("year", "[0-9]{2}"),
    "MM": ("month", "[0-9]{2}"),
    "M": ("month", "[0-9]{1,2}"),
    "dd": ("day", "[0-9]{2}"),
    "d": ("day", "[0-9]{1,2}"),
    "HH": ("hour", "[0-9]{2}"),
    "H": ("hour", "[0-9]{1,2}"),
    "mm": ("minute", "[0-9]{2}"),
    "m": ("minute", "[0-9]{1,2}"),
    "ss": ("second", "[0-9]{2}"),
    "s": ("second", "[0-9]{1,2}"),
    "SSS": ("millisecond", "[0-9]{3}"),
}


@lru_cache(maxsize=256)
def _tokens(pattern: str) -> tuple[str, ...]:
    tokens = tuple(_TOKEN.findall(pattern))
    wrong = next(
        (t for t in tokens if t not in _WRITE and len(t) == 1 and ((t.isascii() and t.isalpha()) or t == "'")), None
    )
    if wrong is not None:
        raise FunctionError(
            msg("'{token}' means nothing in a date format. Use yyyy, MM, dd, HH, mm, ss, SSS.", token=wrong)
        )
    return tokens


def check(pattern: str) -> None:
    """Refuse a pattern that says nothing."""
    _tokens(pattern)


def write(moment: datetime, pattern: str) -> str:
    """Return a moment as a pattern describes."""
    return "".join(_WRITE[t](moment) if t in _WRITE else t.strip("'") for t in _tokens(pattern))


@lru_cache(maxsize=256)
def _reader(pattern: str) -> re.Pattern[str]:
    parts = [_part(token) for token in _tokens(pattern)]
    try:
        return re.compile("".join(parts))
    except re.error:
        raise FunctionError(msg("The date format '{pattern}' names a part twice.", pattern=pattern)) from None


def _part(token: str) -> str:
    if token in _READ:
        name, digits = _READ[token]
        return f"(?P<{name}>{digits})"
    return re.escape(token.strip("'"))


def read(text: str, pattern: str) -> datetime:
    """Return the moment (as UTC) that a text shows in the given pattern; two-digit years are 1970 to 2069."""
    found = _reader(pattern).fullmatch(text)
    parts = {name: int(value) for name, value in found.groupdict().items()} if found else {}
    two_digits = found is not None and len(found.groupdict().get("year", "")) == 2
    try:
        year = parts["year"] + ((1900 if parts["year"] >= 70 else 2000) if two_digits else 0)
        time = (
            parts.get("hour", 0),
            parts.get("minute", 0),
            parts.get("second", 0),
            parts.get("millisecond", 0) * 1000,
        )
        return datetime(year, parts.get("month", 1), parts.get("day", 1), *time, tzinfo=UTC)
    except (ValueError, KeyError):
        raise FunctionError(
            msg("'{text}' is not a date in the form {pattern}.", text=short(text), pattern=pattern)
        ) from None
