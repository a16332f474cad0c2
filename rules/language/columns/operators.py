"""Operators: logic, comparison, choice."""

from __future__ import annotations

from dataclasses import replace
from functools import reduce

import polars as pl

from rules.language.columns.stages import Stages
from rules.language.columns.value import NoColumn, Value, any_failed, level_of, strict, unless
from rules.language.types import Kind
from rules.text import msg

EXACT = 2**53
_MIXED = msg("Values of different types are compared record by record.")
_WIDE = msg("Whole numbers beyond 2^53 are compared with fractions record by record.")
_LISTS = msg("Lists and maps are compared record by record.")
_ITEMS: dict[type, tuple[Kind, pl.DataType]] = {
    str: (Kind.TEXT, pl.String()),
    int: (Kind.INTEGER, pl.Int64()),
    float: (Kind.FLOAT, pl.Float64()),
    bool: (Kind.BOOLEAN, pl.Boolean()),
}
_SCALARS = frozenset({Kind.BOOLEAN, Kind.INTEGER, Kind.FLOAT, Kind.TEXT, Kind.BINARY, Kind.DATETIME, Kind.DURATION})


def logic(symbol: str, left: Value, right: Value) -> Value:
    """Return `&&` or `||`: a failure counts only where the other side does not decide."""
    if {left.kind, right.kind} != {Kind.BOOLEAN}:
        raise NoColumn(_MIXED)
    expr = left.expr & right.expr if symbol == "&&" else left.expr | right.expr
    return strict(Kind.BOOLEAN, expr, left, right)


def negation(value: Value) -> Value:
    """Return `!`."""
    if value.kind is not Kind.BOOLEAN:
        raise NoColumn(_MIXED)
    return strict(Kind.BOOLEAN, ~value.expr, value)


def choice(stages: Stages, test: Value, yes: Value, no: Value) -> Value:
    """Return `test ? yes : no`; only the chosen side counts."""
    if test.kind is not Kind.BOOLEAN:
        raise NoColumn(_MIXED)
    kind = _common(yes, no)
    chosen = {True: yes, False: no}.get(test.literal) if test.constant and isinstance(test.literal, bool) else None
    if chosen is not None and chosen.kind is kind:
        return replace(chosen, constant=False, literal=None, simple=False)
    if test.missing:
        test = stages.stage(test)
        expr = pl.when(test.expr.is_null()).then(None).when(test.expr).then(yes.expr).otherwise(no.expr)
    else:
        expr = pl.when(test.expr).then(yes.expr).otherwise(no.expr)
    empty = yes.empty or no.empty
    fallible = test.missing or yes.fallible or no.fallible
    return Value(
        kind,
        expr,
        empty=empty,
        fallible=fallible,
        failed=_choice_failed(test, yes, no) if empty and fallible else None,
        level=level_of(test, yes, no),
        bound=max(yes.bound, no.bound),
        nan=yes.nan or no.nan,
        ascii=yes.ascii and no.ascii,
    )


def _common(yes: Value, no: Value) -> Kind:
    kinds = {yes.kind, no.kind} - {Kind.NULL}
    if len(kinds) > 1 or not kinds <= _SCALARS:
        raise NoColumn(_MIXED)
    return kinds.pop() if kinds else Kind.NULL


def _choice_failed(test: Value, yes: Value, no: Value) -> pl.Expr:
    never = pl.lit(value=False)
    sides = (never if side.fails is None else side.fails for side in (yes, no))
    chosen = pl.when(test.expr).then(next(sides)).otherwise(next(sides))
    return test.expr.is_null() | chosen if test.missing else chosen


def equal(symbol: str, left: Value, right: Value) -> Value:
    """Return `==` or `!=`; an empty value equals an empty one only, NaN equals nothing."""
    if Kind.NULL in (left.kind, right.kind):
        found = _is_empty(right if left.kind is Kind.NULL else left)
    else:
        left, right = comparable(left, right)
        found = _equal_empty(left, right) if left.empty or right.empty else _equal(left, right)
    return found if symbol == "==" else replace(found, expr=~found.expr, simple=False)


def _is_empty(value: Value) -> Value:
    if value.kind in (Kind.LIST, Kind.MAP):
        raise NoColumn(_LISTS)
    return Value(
        Kind.BOOLEAN,
        unless(value.fails, value.expr.is_null()),
        fallible=value.fallible,
        level=value.level,
    )


def _equal_empty(left: Value, right: Value) -> Value:
    expr = left.expr.eq_missing(right.expr)
    if left.kind is Kind.FLOAT and left.nan and right.nan:
        expr = expr & left.expr.is_nan().fill_null(value=False).not_()
    failed = any_failed(left, right)
    return Value(Kind.BOOLEAN, unless(failed, expr), fallible=failed is not None, level=level_of(left, right))


def _equal(left: Value, right: Value) -> Value:
    expr = left.expr == right.expr
    if left.kind is Kind.FLOAT and left.nan and right.nan:
        expr = _false_where(left.expr.is_nan(), right, expr)
    return strict(Kind.BOOLEAN, expr, left, right)


def _false_where(nan: pl.Expr, other: Value, expr: pl.Expr) -> pl.Expr:
    """Return the comparison, false where one side is NaN and the other is not missing."""
    known = nan & other.expr.is_not_null() if other.missing else nan
    return pl.when(known).then(pl.lit(value=False)).otherwise(expr)


def order(symbol: str, left: Value, right: Value) -> Value:
    """Return `<`, `<=`, `>` or `>=`; nothing is smaller or greater than NaN."""
    if Kind.NULL in (left.kind, right.kind):
        raise NoColumn(_MIXED)
    left, right = comparable(left, right)
    expr = {
        "<": left.expr < right.expr,
        "<=": left.expr <= right.expr,
        ">": left.expr > right.expr,
        ">=": left.expr >= right.expr,
    }[symbol]
    greater, other = (left, right) if symbol in (">", ">=") else (right, left)
    if greater.kind is Kind.FLOAT and greater.nan:  # for Polars NaN is the greatest of all
        expr = _false_where(greater.expr.is_nan(), other, expr)
    return strict(Kind.BOOLEAN, expr, left, right)


def comparable(left: Value, right: Value) -> tuple[Value, Value]:
    """Return both values in one kind; raises `NoColumn` where that would lose something."""
    if left.kind is right.kind and left.kind in _SCALARS:
        return left, right
    if {left.kind, right.kind} == {Kind.INTEGER, Kind.FLOAT}:
        return _real(left), _real(right)
    raise NoColumn(_LISTS if {left.kind, right.kind} & {Kind.LIST, Kind.MAP} else _MIXED)


def _real(value: Value) -> Value:
    if value.kind is Kind.FLOAT:
        return value
    if value.bound > EXACT:
        raise NoColumn(_WIDE)
    return replace(value, kind=Kind.FLOAT, expr=value.expr.cast(pl.Float64), nan=False, simple=False)


def member(stages: Stages, _symbol: str, value: Value, items: Value) -> Value:
    """Return `value in items`, the items being written out."""
    found = items.literal if items.constant else None
    wanted = {Kind.TEXT: str, Kind.INTEGER: int, Kind.BOOLEAN: bool}.get(value.kind)
    if not isinstance(found, (list, dict)) or wanted is None or any(type(item) is not wanted for item in found):
        raise NoColumn(_LISTS)
    value = stages.stage(value)
    choices = list(dict.fromkeys(found))
    expr = _one_of(value.expr, choices)
    if isinstance(found, dict) or not value.empty:  # a map cannot be asked for an empty key
        return strict(Kind.BOOLEAN, expr, value)
    known = unless(value.fails, expr.fill_null(value=False))
    return Value(Kind.BOOLEAN, known, fallible=value.fallible, level=value.level)


def _one_of(expr: pl.Expr, choices: list[object]) -> pl.Expr:
    if len(choices) > 8:
        return expr.is_in(choices)
    if not choices:
        return pl.when(expr.is_not_null()).then(pl.lit(value=False))
    return reduce(lambda a, b: a | b, (expr.eq(item) for item in choices))


def item(stages: Stages, _symbol: str, source: Value, key: Value) -> Value:
    """Return the value of a map that is written out; a key that is not there is a failure."""
    found = source.literal if source.constant else None
    wanted = {Kind.TEXT: str, Kind.INTEGER: int, Kind.BOOLEAN: bool}.get(key.kind)
    if not isinstance(found, dict) or wanted is None or any(type(name) is not wanted for name in found):
        raise NoColumn(_LISTS)
    types = {type(value) for value in found.values()}
    if len(types) != 1 or not types <= _ITEMS.keys():
        raise NoColumn(_LISTS)
    kind, dtype = _ITEMS[types.pop()]
    key = stages.stage(key)
    expr = key.expr.replace_strict(list(found), list(found.values()), default=None, return_dtype=dtype)
    return strict(kind, expr, key, fails=True)
