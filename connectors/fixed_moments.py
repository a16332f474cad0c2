"""Dates and moments that are all written in one layout, such as `2024-01-31T23:59:00.000Z`, read digit by digit.

That is several times faster than a parser that looks for the parts of each text.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import polars as pl

Numbers = np.ndarray[Any, np.dtype[np.int64]]

_DAY = "1970-01-01"
_SECONDS = f"{_DAY}T00:00:00"
_MOMENTS = {len(layout): layout for layout in (_SECONDS, *(f"{_SECONDS}.{'0' * n}" for n in range(1, 7)))}
_SECOND = 1_000_000
_A_DAY = 86_400 * _SECOND


def moments(texts: pl.Series, end: str, zone: str | None = None) -> pl.Series | None:
    """Return dates with times, or None if not all texts are such of one layout.

    Args:
        texts: Such as `2024-01-31T23:59:00.000Z`, with up to six decimals; no value stays none.
        end: What stands behind the digits: `Z` or nothing.
        zone: The time zone that the result has.
    """
    digits = _digits(texts, _MOMENTS, end)
    if digits is None:
        return None
    day, clock = _days(digits), _clock(digits)
    if day is None or clock is None:
        return None
    return _series(texts, day * _A_DAY + clock, pl.Datetime("us", zone))


def days(texts: pl.Series) -> pl.Series | None:
    """Return dates, or None if not all texts are such as `2024-01-31`; no value stays none."""
    digits = _digits(texts, {len(_DAY): _DAY})
    found = None if digits is None else _days(digits)
    return None if found is None else _series(texts, found.astype(np.int32), pl.Date())


def _series(texts: pl.Series, numbers: np.ndarray[Any, Any], kind: pl.DataType) -> pl.Series:
    made = pl.Series(texts.name, numbers).cast(kind)
    return pl.select(pl.when(texts.is_not_null()).then(made)).to_series() if texts.has_nulls() else made


def _digits(texts: pl.Series, layouts: Mapping[int, str], end: str = "") -> Numbers | None:
    """Return a row for each digit, a column for each text; None if they do not stand where they should."""
    lengths = texts.str.len_bytes()
    width = lengths.max()
    layout = layouts.get(width - len(end)) if isinstance(width, int) and width == lengths.min() else None
    if layout is None:
        return None
    pattern = (layout + end).encode()
    joined = texts.fill_null(pattern.decode()).str.join("")[0].encode()
    table = np.frombuffer(joined, np.uint8).reshape(len(texts), len(pattern))
    at = [place for place, sign in enumerate(layout) if sign.isdigit()]
    signs = [place for place in range(len(pattern)) if place not in at]
    digits = table[:, at] - np.uint8(ord("0"))  # other characters become more than 9
    wanted = np.frombuffer(pattern, np.uint8)[signs]
    plain = digits.max() <= 9 and bool((table[:, signs] == wanted).all())
    return digits.T.astype(np.int64, order="C") if plain else None


def _days(digits: Numbers) -> Numbers | None:
    """Return the days since 1970, None if one of them is not in the calendar."""
    year, month, day = _number(digits[0:4]), _number(digits[4:6]), _number(digits[6:8])
    if year.min() < 1 or month.min() < 1 or month.max() > 12 or day.min() < 1:
        return None
    months = (year - 1970) * 12 + month - 1
    least = months.min()
    begins = np.arange(least, months.max() + 2).astype("M8[M]").astype("M8[D]").astype(np.int64)
    made: Numbers = begins[months - least] + day - 1
    return made if bool((made < begins[months - least + 1]).all()) else None


def _clock(digits: Numbers) -> Numbers | None:
    """Return the microseconds since midnight, None if there is no such time."""
    hour, minute, second, fraction = _number(digits[8:10]), _number(digits[10:12]), _number(digits[12:14]), digits[14:]
    if hour.max() > 23 or minute.max() > 59 or second.max() > 59:
        return None
    made: Numbers = ((hour * 60 + minute) * 60 + second) * _SECOND
    return made + _number(fraction) * 10 ** (6 - len(fraction)) if len(fraction) else made


def _number(digits: Numbers) -> Numbers:
    made: Numbers = digits[0]
    for digit in digits[1:]:
        made = made * 10 + digit
    return made
