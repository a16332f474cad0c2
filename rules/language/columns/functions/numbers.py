"""Column forms of functions on numbers."""

from __future__ import annotations

from collections.abc import Sequence

import polars as pl

from rules.language.columns.forms import NO_FORM, form, integer_literal
from rules.language.columns.functions.dates import returned
from rules.language.columns.rounding import rounded
from rules.language.columns.stages import Stages
from rules.language.columns.value import INT64, NoColumn, Value, each, strict
from rules.language.lower import REAL
from rules.language.types import Kind

_EXACT = 2**53
_PLACES = 9


@form(REAL, takes=(Kind.INTEGER,))
def _real(_stages: Stages, args: tuple[Value, ...]) -> Value:
    (number,) = args
    expr = number.expr.cast(pl.Float64)
    if number.bound <= _EXACT:
        return each(Kind.FLOAT, expr, number).limited(number.bound)
    inside = pl.when(number.expr.is_between(-_EXACT, _EXACT)).then(expr)
    return each(Kind.FLOAT, inside, number, fails=True).limited(_EXACT)


def _round(number: Value, places: int) -> Value:
    if not 0 <= places <= _PLACES:
        raise NoColumn(NO_FORM)

    def work(columns: Sequence[pl.Series]) -> pl.Series:
        return rounded(columns[0], places)

    expr = pl.map_batches([number.expr], work, return_dtype=pl.Float64, is_elementwise=True)
    return each(Kind.FLOAT, expr, number).limited(number.bound + 1, nan=number.nan)


@form("own.round", takes=(Kind.FLOAT,))
def _round_whole(_stages: Stages, args: tuple[Value, ...]) -> Value:
    return _round(args[0], 0)


@form("own.round", takes=(Kind.FLOAT, Kind.INTEGER))
def _round_places(_stages: Stages, args: tuple[Value, ...]) -> Value:
    return _round(args[0], integer_literal(args[1]))


@form("own.abs", takes=(Kind.FLOAT,))
def _abs(_stages: Stages, args: tuple[Value, ...]) -> Value:
    return each(Kind.FLOAT, args[0].expr.abs(), args[0]).limited(args[0].bound, nan=args[0].nan)


@form("own.abs", takes=(Kind.INTEGER,))
def _abs_whole(_stages: Stages, args: tuple[Value, ...]) -> Value:
    if args[0].bound >= INT64:
        raise NoColumn(NO_FORM)
    return each(Kind.INTEGER, args[0].expr.abs(), args[0]).limited(args[0].bound)


def _whole(stages: Stages, number: Value, floor: bool) -> Value:
    """Return the whole number below or above, never -0.0; whole numbers have none, and Python rounds to those."""
    number = stages.stage(number)
    whole = number.expr.floor() if floor else number.expr.ceil()
    expr = pl.when(whole == 0).then(0.0).otherwise(whole)
    if number.bound < float("inf") and not number.nan:
        return strict(Kind.FLOAT, expr, number).limited(number.bound + 1)
    return strict(Kind.FLOAT, pl.when(number.expr.is_finite()).then(expr), number, fails=True)


@form("own.floor", takes=(Kind.FLOAT,))
def _floor(stages: Stages, args: tuple[Value, ...]) -> Value:
    return _whole(stages, args[0], floor=True)


@form("own.ceil", takes=(Kind.FLOAT,))
def _ceil(stages: Stages, args: tuple[Value, ...]) -> Value:
    return _whole(stages, args[0], floor=False)


def _pick(stages: Stages, args: tuple[Value, ...], smallest: bool) -> Value:
    """Return what Python's min() and max() do: the second where it is smaller (greater), else the first."""
    first, second = (stages.stage(arg) for arg in args)
    if (first.nan and first.kind is Kind.FLOAT) or (second.nan and second.kind is Kind.FLOAT):
        raise NoColumn(NO_FORM)
    better = second.expr < first.expr if smallest else second.expr > first.expr
    expr = pl.when(better).then(second.expr).otherwise(first.expr)
    if first.missing or second.missing:
        expr = pl.when(better.is_not_null()).then(expr)
    found = strict(first.kind, expr, first, second).limited(max(first.bound, second.bound))
    return returned(stages, found) if first.kind is Kind.DATETIME else found


for _kind, _suffixes in (
    (Kind.INTEGER, ("",)),
    (Kind.FLOAT, ("",)),
    (Kind.DATETIME, ("", ".date_date")),
):
    for _suffix in _suffixes:
        form(f"own.min{_suffix}", takes=(_kind, _kind))(lambda stages, args: _pick(stages, args, smallest=True))
        form(f"own.max{_suffix}", takes=(_kind, _kind))(lambda stages, args: _pick(stages, args, smallest=False))
