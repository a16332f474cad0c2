"""Typed values as text: in the standard form, or the way a file's other values are written."""

from __future__ import annotations

import base64
import datetime as dt
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

import polars as pl

from connectors.casting import FALSE, TRUE
from connectors.sampling import Sample

_DAY = re.compile(r"^\s*\d{4}([-/.年])(\d{1,2})(?:[-/.月])(\d{1,2})日?(T?)")
_SEEN = 1000


@dataclass(frozen=True)
class Style:
    """How the values of one column are written."""

    separator: str = "-"
    padded: bool = True
    between: str = "T"
    words: tuple[str, str] = ("true", "false")
    decimals: int = 0

    def text(self, value: Any) -> str | None:
        """Return a value as text, or None for no value."""
        if value is None or isinstance(value, str):
            return value
        return _WRITERS[type(value)](value, self)


PLAIN = Style()


def styles_of(sample: Sample) -> Mapping[str, Style]:
    """Return how each column of a sample is written."""
    return {column.name: _style(column) for column in sample.columns}


def _style(column: pl.Series) -> Style:
    values = column.drop_nulls().head(_SEEN).to_list()
    values = [value for value in values if value.strip()]
    if not values:
        return PLAIN
    day = _DAY.match(values[0])
    if day:
        padded = all(found is None or len(found[2]) == 2 == len(found[3]) for found in map(_DAY.match, values))
        return Style(separator=day[1], padded=padded, between=day[4] or (" " if len(values[0]) > day.end() else "T"))
    return Style(words=_words(values[0].strip()), decimals=min(len(v.partition(".")[2]) for v in values))


def _words(seen: str) -> tuple[str, str]:
    """Return the words for yes and no, of which one was seen."""
    pairs = zip(TRUE, FALSE, strict=True)
    yes, no = next((pair for pair in pairs if seen.lower() in pair), ("true", "false"))
    if seen.isupper():
        return yes.upper(), no.upper()
    return (yes.capitalize(), no.capitalize()) if seen.istitle() and len(seen) > 1 else (yes, no)


def _decimal(value: Decimal, style: Style) -> str:
    text = format(value, "f")
    whole, _, fraction = text.partition(".")
    fraction = fraction.rstrip("0").ljust(style.decimals, "0")
    return f"{whole}.{fraction}" if fraction else whole


def _date(value: dt.date, style: Style) -> str:
    month, day = (f"{value.month:02}", f"{value.day:02}") if style.padded else (str(value.month), str(value.day))
    if style.separator == "年":
        return f"{value.year:04}年{month}月{day}日"
    return style.separator.join((f"{value.year:04}", month, day))


def _datetime(value: dt.datetime, style: Style) -> str:
    zone = "" if value.tzinfo is None else "Z"
    moment = value.astimezone(dt.UTC) if value.tzinfo else value
    return f"{_date(moment.date(), style)}{style.between}{moment.time().isoformat()}{zone}"


_WRITERS: Mapping[type, Callable[[Any, Style], str]] = {
    bool: lambda value, style: style.words[0 if value else 1],
    int: lambda value, _: str(value),
    float: lambda value, _: repr(value),
    Decimal: _decimal,
    dt.date: _date,
    dt.datetime: _datetime,
    dt.time: lambda value, _: value.isoformat(),
    bytes: lambda value, _: base64.b64encode(value).decode(),
}
