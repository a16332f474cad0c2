"""From a root's values to the column of the field they are meant for."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import polars as pl

from rules.language.columns.compiler import Compiler
from rules.language.columns.rounding import decimals
from rules.language.columns.value import NoColumn, Value, strict
from rules.language.nodes import Exact, Let, Node, Operator
from rules.language.types import Kind
from rules.schema import FREE_SCALE, Field, FieldType
from rules.text import msg

_OPEN = msg("The type of the result is known record by record only.")
_SAME: dict[tuple[Kind, FieldType], pl.DataType | None] = {
    (Kind.TEXT, FieldType.TEXT): None,
    (Kind.BOOLEAN, FieldType.BOOLEAN): None,
    (Kind.INTEGER, FieldType.INTEGER): None,
    (Kind.FLOAT, FieldType.FLOAT): None,
    (Kind.INTEGER, FieldType.FLOAT): pl.Float64(),
    (Kind.BINARY, FieldType.BINARY): None,
    (Kind.DATETIME, FieldType.DATE): pl.Date(),
    (Kind.DATETIME, FieldType.LOCAL_DATETIME): None,
}


_JSON = {
    FieldType.TEXT: Kind.TEXT,
    FieldType.BOOLEAN: Kind.BOOLEAN,
    FieldType.FLOAT: Kind.FLOAT,
    FieldType.DECIMAL: Kind.FLOAT,
}


@dataclass(frozen=True)
class Target:
    """What the results are meant for: the field, and the column that takes them."""

    field: Field
    column: Field


def result(compiler: Compiler, node: Node, target: Target) -> Value:
    """Return the values of a result as its column holds them; raises `NoColumn`."""

    def step(part: Node) -> Value:
        return result(compiler, part, target)

    match node:
        case Operator(symbol="?:"):
            return compiler.noted(node, compiler.choice(node, step))
        case Let():
            return compiler.noted(node, compiler.bind(node, step))
        case Exact(field=name):
            return _exact(compiler.schema[name], target)
        case _:
            return _take(compiler, compiler.typed(node, _JSON.get(target.field.type)), target)


def _exact(source: Field, target: Target) -> Value:
    """Return a field's own values; its Kind is that of the target, so that sides of a choice meet."""
    dtype = target.column.dtype
    column = pl.col(source.name)
    if source.type is FieldType.JSON or not isinstance(dtype, pl.Decimal):
        raise NoColumn(_OPEN)
    scale = 0 if source.type is FieldType.INTEGER else source.dtype.scale if isinstance(source.dtype, pl.Decimal) else 0
    room = 38 - dtype.scale
    if source.type is FieldType.DECIMAL and scale == dtype.scale:
        return Value(_kind(target), column, empty=True, simple=True)
    cast = column.cast(dtype, strict=False)
    if source.type is FieldType.INTEGER and room >= 19:
        return Value(_kind(target), cast, empty=True)
    return Value(_kind(target), cast, empty=True, fallible=True, failed=cast.is_null() & column.is_not_null())


def _kind(target: Target) -> Kind:
    return Kind.MAP if target.field.type is FieldType.JSON else Kind.DECIMAL


def _take(compiler: Compiler, value: Value, target: Target) -> Value:
    dtype = target.column.dtype
    if value.kind is Kind.NULL:
        return replace(value, kind=_final(target), expr=pl.lit(None, dtype=dtype))
    if isinstance(dtype, pl.Decimal):
        return _decimal(compiler, value, target, dtype)
    if (value.kind, target.field.type) == (Kind.DATETIME, FieldType.DATETIME):
        return replace(value, expr=value.expr.dt.replace_time_zone("UTC"), simple=False)
    if (value.kind, target.field.type) not in _SAME:
        raise NoColumn(_OPEN)
    cast = _SAME[value.kind, target.field.type]
    return value if cast is None else replace(value, expr=value.expr.cast(cast), simple=False)


def _final(target: Target) -> Kind:
    return Kind.DECIMAL if isinstance(target.column.dtype, pl.Decimal) else Kind.NULL


def _decimal(compiler: Compiler, value: Value, target: Target, dtype: pl.Decimal) -> Value:
    scale = FREE_SCALE if target.field.scale is None else target.field.scale
    if value.kind is Kind.INTEGER and 38 - dtype.scale >= 19:
        return replace(value, kind=Kind.DECIMAL, expr=value.expr.cast(dtype), simple=False)
    if value.kind is not Kind.FLOAT:
        raise NoColumn(_OPEN)
    value = compiler.stages.stage(value)

    def work(columns: Sequence[pl.Series]) -> pl.Series:
        return decimals(columns[0], scale, dtype.scale)

    expr = pl.map_batches([value.expr], work, return_dtype=dtype, is_elementwise=True)
    if not value.missing:
        return strict(Kind.DECIMAL, expr, value, fails=True)
    misfit = expr.is_null() & value.expr.is_not_null()
    failed = misfit if value.fails is None else misfit | value.fails
    made = Value(Kind.DECIMAL, expr, empty=value.empty, fallible=True, level=value.level)
    return compiler.stages.stage(replace(made, failed=failed) if value.empty else made)
