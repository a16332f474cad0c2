"""Arithmetic: whole numbers that never wrap around, floating point bit for bit, time."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from datetime import datetime

import polars as pl

from rules.language.columns.constants import SPAN
from rules.language.columns.stages import Stages
from rules.language.columns.value import INT64, NoColumn, Value, each, strict
from rules.language.types import Kind
from rules.text import msg

_NO_FORM = msg("This calculation has no column form.")
_FIRST = datetime(1, 1, 1)  # noqa: DTZ001 - the first and last moment there is
_LAST = datetime(9999, 12, 31, 23, 59, 59, 999999)  # noqa: DTZ001
_WIDE = pl.Int128()
_ZERO = pl.lit(0, dtype=_WIDE)  # Polars negates no Int128


def calculate(stages: Stages, symbol: str, left: Value, right: Value) -> Value:
    """Return `left symbol right`."""
    made = _FORMS.get((symbol, left.kind, right.kind))
    if made is None:
        raise NoColumn(_NO_FORM)
    return made(stages, left, right)


def negative(value: Value) -> Value:
    """Return `-value`."""
    if value.kind is Kind.FLOAT:
        return each(Kind.FLOAT, -value.expr, value).limited(value.bound, nan=value.nan)
    if value.kind is not Kind.INTEGER:
        raise NoColumn(_NO_FORM)
    if value.bound < INT64:
        return each(Kind.INTEGER, -value.expr, value).limited(value.bound)
    expr = (_ZERO - value.expr.cast(_WIDE)).cast(pl.Int64, strict=False)
    return each(Kind.INTEGER, expr, value, fails=True).limited(INT64)


def _whole(
    operation: Callable[[pl.Expr, pl.Expr], pl.Expr], bound: Callable[[float, float], float]
) -> Callable[[Stages, Value, Value], Value]:
    def made(_stages: Stages, left: Value, right: Value) -> Value:
        size = bound(left.bound, right.bound)
        if size < INT64:
            return each(Kind.INTEGER, operation(left.expr, right.expr), left, right).limited(size)
        wide = operation(left.expr.cast(_WIDE), right.expr.cast(_WIDE))
        expr = wide.cast(pl.Int64, strict=False)
        return each(Kind.INTEGER, expr, left, right, fails=True).limited(INT64)

    return made


def _quotient(stages: Stages, left: Value, right: Value) -> Value:
    """Return the quotient without its fraction, as C has it: Polars rounds down."""
    left, right = stages.stage(left), stages.stage(right)
    whole = left.expr.abs() // right.expr.abs()
    expr = pl.when((left.expr < 0) != (right.expr < 0)).then(-whole).otherwise(whole)
    if max(left.bound, right.bound) >= INT64:
        wide = left.expr.cast(_WIDE).abs() // right.expr.cast(_WIDE).abs()
        signed = pl.when((left.expr < 0) != (right.expr < 0)).then(_ZERO - wide).otherwise(wide)
        expr = signed.cast(pl.Int64, strict=False)
    return _divided(left, right, expr).limited(left.bound)


def _remainder(stages: Stages, left: Value, right: Value) -> Value:
    """Return the remainder with the sign of the dividend."""
    if max(left.bound, right.bound) >= INT64:
        raise NoColumn(_NO_FORM)
    left, right = stages.stage(left), stages.stage(right)
    rest = left.expr.abs() % right.expr.abs()
    expr = pl.when(left.expr < 0).then(-rest).otherwise(rest)
    return _divided(left, right, expr).limited(min(left.bound, right.bound))


def _divided(left: Value, right: Value, expr: pl.Expr) -> Value:
    missing = right.missing or left.missing
    safe = expr if right.constant and right.literal != 0 else pl.when(right.expr != 0).then(expr)
    if missing:
        safe = pl.when(left.expr.is_not_null()).then(safe)
    never = right.constant and right.literal != 0 and (right.literal != -1 or left.bound < INT64)
    return strict(Kind.INTEGER, safe, left, right, fails=not never)


def _real(symbol: str, operation: Callable[[pl.Expr, pl.Expr], pl.Expr]) -> Callable[[Stages, Value, Value], Value]:
    def made(stages: Stages, left: Value, right: Value) -> Value:
        sizes = (left.bound + right.bound, left.bound * right.bound)
        bound = max(sizes) if max(sizes) < 1e300 else float("inf")
        take = _factor if symbol == "*" else _term
        found = each(Kind.FLOAT, operation(take(stages, left), take(stages, right)), left, right)
        return found.limited(bound, nan=left.nan or right.nan or bound == float("inf"))

    return made


def _factor(_stages: Stages, number: Value) -> pl.Expr:
    return number.expr


def _term(stages: Stages, number: Value) -> pl.Expr:
    return number.expr if number.constant and number.literal != 0 else stages.spread(number)


def divide(stages: Stages, left: Value, right: Value) -> Value:
    """Return the quotient of two numbers with fraction; by zero is a failure."""
    if {left.kind, right.kind} != {Kind.FLOAT}:
        raise NoColumn(_NO_FORM)
    if right.constant and right.literal != 0:
        divisor = right.expr if left.constant else stages.spread(right)
        return each(Kind.FLOAT, left.expr / divisor, left, right)
    right = stages.stage(right)
    expr = pl.when(right.expr != 0).then(left.expr / stages.spread(right))
    return each(Kind.FLOAT, expr, left, right, fails=True)


def _joined(_stages: Stages, left: Value, right: Value) -> Value:
    return replace(strict(Kind.TEXT, left.expr + right.expr, left, right), ascii=left.ascii and right.ascii)


def _moved(sign: int) -> Callable[[Stages, Value, Value], Value]:
    def made(stages: Stages, moment: Value, span: Value) -> Value:
        if moment.kind is Kind.DURATION:
            moment, span = span, moment
        moved = moment.expr + span.expr if sign > 0 else moment.expr - span.expr
        found = stages.stage(strict(Kind.DATETIME, moved, moment, span))
        return strict(Kind.DATETIME, pl.when(found.expr.is_between(_FIRST, _LAST)).then(found.expr), found, fails=True)

    return made


def _spans(sign: int) -> Callable[[Stages, Value, Value], Value]:
    def made(stages: Stages, left: Value, right: Value) -> Value:
        total = left.expr + right.expr if sign > 0 else left.expr - right.expr
        found = stages.stage(strict(Kind.DURATION, total, left, right))
        inside = pl.when(found.expr.is_between(-SPAN, SPAN)).then(found.expr)
        return strict(Kind.DURATION, inside, found, fails=True)

    return made


_I, _F, _M, _D = Kind.INTEGER, Kind.FLOAT, Kind.DATETIME, Kind.DURATION
_FORMS: dict[tuple[str, Kind, Kind], Callable[[Stages, Value, Value], Value]] = {
    ("+", _I, _I): _whole(lambda a, b: a + b, lambda a, b: a + b),
    ("-", _I, _I): _whole(lambda a, b: a - b, lambda a, b: a + b),
    ("*", _I, _I): _whole(lambda a, b: a * b, lambda a, b: a * b),
    ("/", _I, _I): _quotient,
    ("%", _I, _I): _remainder,
    ("+", _F, _F): _real("+", lambda a, b: a + b),
    ("-", _F, _F): _real("-", lambda a, b: a - b),
    ("*", _F, _F): _real("*", lambda a, b: a * b),
    ("+", Kind.TEXT, Kind.TEXT): _joined,
    ("+", _M, _D): _moved(1),
    ("+", _D, _M): _moved(1),
    ("-", _M, _D): _moved(-1),
    ("-", _M, _M): _spans(-1),
    ("+", _D, _D): _spans(1),
    ("-", _D, _D): _spans(-1),
}
