"""Column forms of functions on empty values, and of conversions."""

from __future__ import annotations

from dataclasses import replace

import polars as pl

from rules.language.columns.forms import form
from rules.language.columns.functions.texts import like, spaces
from rules.language.columns.stages import Stages
from rules.language.columns.value import Value, strict, unless
from rules.language.types import Kind


@form("own.isBlank", takes=(Kind.TEXT,))
def _is_blank(_stages: Stages, args: tuple[Value, ...]) -> Value:
    (text,) = args
    expr = text.expr.str.strip_chars(spaces(text)) == ""
    if text.empty:
        expr = expr.fill_null(value=True)
    return Value(
        Kind.BOOLEAN, unless(text.fails if text.empty else None, expr), fallible=text.fallible, level=text.level
    )


@form("own.toText", "own.string", takes=(Kind.INTEGER,))
def _integer_text(_stages: Stages, args: tuple[Value, ...]) -> Value:
    return replace(strict(Kind.TEXT, args[0].expr.cast(pl.String), args[0]), ascii=True)


@form("own.toText", "own.string", takes=(Kind.TEXT,))
def _text(_stages: Stages, args: tuple[Value, ...]) -> Value:
    return like(args[0].expr, args[0])


@form("own.toText", "own.string", takes=(Kind.BOOLEAN,))
def _boolean_text(_stages: Stages, args: tuple[Value, ...]) -> Value:
    return replace(strict(Kind.TEXT, args[0].expr.cast(pl.String), args[0]), ascii=True)
