"""Rounding of whole columns, on the shortest text of a number as everywhere in the language.

Where multiplying by a power of ten hits a whole number that divides back to the very same double, that number is the
shortest text: up to 15 digits no two decimals share a double. Where it lands clearly off a half, rounding is certain.
The few others are rounded digit by digit.
"""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import polars as pl

from rules.language.functions.numbers import round_to
from rules.language.results import Misfit
from rules.language.results import decimals as decimal_taker

_SAFE = 1e15
_CERTAIN = 2.0**40
_SCALE = 9


def decimals(values: pl.Series, scale: int, room: int) -> pl.Series:
    """Return numbers rounded half-even to a scale as decimals of scale `room`, null where they do not fit."""
    digits = min(scale, _SCALE)
    power = 10.0**digits
    scaled = values * power
    whole = _nearest(scaled)
    back = _over(whole, power)
    certain = whole.abs() < min(_SAFE, 10.0 ** (37 - room + digits))
    exact = (back == values) & certain
    if digits == scale:
        clear = ((scaled - scaled.floor()) - 0.5).abs() > 1e-3
        exact = exact | (clear & certain & (scaled.abs() < _CERTAIN))
    target = pl.Decimal(38, room)
    fine = exact.fill_null(value=True)
    made = pl.select(pl.when(fine).then(back)).to_series().cast(pl.Decimal(38, digits)).cast(target)
    return made if fine.all() else _patched(made, values, fine, decimal_taker(scale, room))


def _patched(made: pl.Series, values: pl.Series, fine: pl.Series, take: Any) -> pl.Series:
    rows = (~fine).arg_true()
    found = pl.Series([_taken(take, value) for value in values.gather(rows).to_list()], dtype=made.dtype)
    return made.scatter(rows, found)


def _taken(take: Any, value: float) -> Decimal | None:
    try:
        found: Decimal = take(value)
    except Misfit:
        return None
    return found


def rounded(values: pl.Series, places: int) -> pl.Series:
    """Return numbers rounded to a count of decimals, halves away from zero."""
    if not 0 <= places <= _SCALE:
        return pl.Series(
            values.name, [None if v is None else round_to(v, places) for v in values.to_list()], pl.Float64
        )
    power = 10.0**places
    scaled = values * power
    whole = _nearest(scaled)
    back = _over(whole, power)
    clear = ((scaled - scaled.floor()) - 0.5).abs() > 1e-3
    certain = (whole.abs() < _SAFE) & (whole != 0)
    fine = (((back == values) & certain) | (clear & certain & (scaled.abs() < _CERTAIN))).fill_null(value=True)
    if fine.all():
        return back
    rows = (~fine).arg_true()
    exact = [round_to(value, places) for value in values.gather(rows).to_list()]
    return back.scatter(rows, pl.Series(exact, dtype=pl.Float64))


def _nearest(scaled: pl.Series) -> pl.Series:
    return (scaled + 0.5).floor()


def _over(whole: pl.Series, power: float) -> pl.Series:
    """Return the quotient, rounded once: by a literal Polars would multiply with the reciprocal."""
    return whole / pl.repeat(power, len(whole), dtype=pl.Float64, eager=True)
