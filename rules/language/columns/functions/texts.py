"""Column forms of functions on text."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

import polars as pl

from rules.language.columns.forms import NO_FORM, form, integer_literal, text_literal
from rules.language.columns.stages import Stages
from rules.language.columns.value import NoColumn, Value, strict
from rules.language.functions.bounds import MAX_REPEATED, MAX_TEXT
from rules.language.types import Kind

T, INTEGER = Kind.TEXT, Kind.INTEGER
_ASCII_SPACES = "\t\n\x0b\x0c\r\x1c\x1d\x1e\x1f "
SPACES = _ASCII_SPACES + "\x85\xa0\u1680" + "".join(map(chr, range(0x2000, 0x200B))) + "\u2028\u2029\u202f\u205f\u3000"


def like(expr: pl.Expr, *parts: Value, kept: bool = True) -> Value:
    """Return a text made of others; `kept` if it is ASCII where they are."""
    return replace(strict(T, expr, *parts), ascii=kept and all(part.ascii for part in parts))


def spaces(text: Value) -> str:
    """Return the characters that Python takes for spaces, as far as the text may hold them."""
    return _ASCII_SPACES if text.ascii else SPACES


@form("own.trim", takes=(T,))
def _trim(_stages: Stages, args: tuple[Value, ...]) -> Value:
    return like(args[0].expr.str.strip_chars(spaces(args[0])), args[0])


def _cased(text: Value, fast: Callable[[Any], Any], exact: Callable[[str], str]) -> Value:
    """Return a change of case: Polars for ASCII, Python for the rest, since their tables of Unicode differ."""
    if text.ascii:
        return like(fast(text.expr), text)

    def work(columns: Sequence[pl.Series]) -> pl.Series:
        (column,) = columns
        changed: pl.Series = fast(column)
        rows = (column.str.len_bytes() != column.str.len_chars()).arg_true()
        if not len(rows):
            return changed
        return changed.scatter(
            rows, pl.Series([exact(found) for found in column.gather(rows).to_list()], dtype=pl.String)
        )

    return like(pl.map_batches([text.expr], work, return_dtype=pl.String, is_elementwise=True), text)


@form("own.upper", takes=(T,))
def _upper(_stages: Stages, args: tuple[Value, ...]) -> Value:
    return _cased(args[0], lambda column: column.str.to_uppercase(), str.upper)


@form("own.lower", takes=(T,))
def _lower(_stages: Stages, args: tuple[Value, ...]) -> Value:
    return _cased(args[0], lambda column: column.str.to_lowercase(), str.lower)


@form("own.replace", takes=(T, T, T))
def _replace(stages: Stages, args: tuple[Value, ...]) -> Value:
    old, new = text_literal(args[1]), text_literal(args[2])
    if not old:
        raise NoColumn(NO_FORM)
    made = like(args[0].expr.str.replace_all(old, new, literal=True), args[0], kept=new.isascii())
    return bounded(stages, made)


def bounded(stages: Stages, text: Value) -> Value:
    """Return the text where it is not too long."""
    text = stages.stage(text)
    short = (text.expr.str.len_bytes() <= MAX_TEXT) | (text.expr.str.len_chars() <= MAX_TEXT)
    return replace(strict(T, pl.when(short).then(text.expr), text, fails=True), ascii=text.ascii)


@form("own.substring", takes=(T, INTEGER))
def _rest(_stages: Stages, args: tuple[Value, ...]) -> Value:
    start = integer_literal(args[1])
    if not 0 <= start <= MAX_TEXT:
        raise NoColumn(NO_FORM)
    return like(args[0].expr.str.slice(start), args[0])


@form("own.substring", takes=(T, INTEGER, INTEGER))
def _part(_stages: Stages, args: tuple[Value, ...]) -> Value:
    start, end = integer_literal(args[1]), integer_literal(args[2])
    if not 0 <= start <= end <= 2**31:
        raise NoColumn(NO_FORM)
    return like(args[0].expr.str.slice(start, end - start), args[0])


def _padded(args: tuple[Value, ...], pad: Callable[[Any, int, str], pl.Expr]) -> Value:
    length, fill = integer_literal(args[1]), text_literal(args[2]) if len(args) > 2 else " "
    if not 0 <= length <= MAX_REPEATED or len(fill) != 1:
        raise NoColumn(NO_FORM)
    return like(pad(args[0].expr.str, length, fill), args[0], kept=fill.isascii())


@form("own.padLeft", takes=(T, INTEGER))
@form("own.padLeft", takes=(T, INTEGER, T))
def _pad_left(_stages: Stages, args: tuple[Value, ...]) -> Value:
    return _padded(args, lambda text, length, fill: text.pad_start(length, fill))


@form("own.padRight", takes=(T, INTEGER))
@form("own.padRight", takes=(T, INTEGER, T))
def _pad_right(_stages: Stages, args: tuple[Value, ...]) -> Value:
    return _padded(args, lambda text, length, fill: text.pad_end(length, fill))


@form("startsWith", takes=(T, T))
def _starts(_stages: Stages, args: tuple[Value, ...]) -> Value:
    return strict(Kind.BOOLEAN, args[0].expr.str.starts_with(args[1].expr), *args)


@form("endsWith", takes=(T, T))
def _ends(_stages: Stages, args: tuple[Value, ...]) -> Value:
    return strict(Kind.BOOLEAN, args[0].expr.str.ends_with(args[1].expr), *args)


@form("contains", takes=(T, T))
def _contains(_stages: Stages, args: tuple[Value, ...]) -> Value:
    return strict(Kind.BOOLEAN, args[0].expr.str.contains(args[1].expr, literal=True), *args)


@form("size", takes=(T,))
def _size(_stages: Stages, args: tuple[Value, ...]) -> Value:
    text = args[0].expr.str
    expr = (text.len_bytes() if args[0].ascii else text.len_chars()).cast(pl.Int64)
    return strict(INTEGER, expr, args[0]).limited(2**31)


_PLAIN = re.compile(
    r"(?:"
    r"[A-Za-z0-9 _\-@#%&=:;,<>!\"'/~`]|[^\x00-\x7f]"
    r"|\\[dDwWsS.\\+*?()|\[\]{}^$/-]"
    r"|\[\^?(?:[A-Za-z0-9 _@#%=:;,.]|[A-Z]-[A-Z]|[a-z]-[a-z]|[0-9]-[0-9])+\]"
    r"|\.|\^|\$|\(\?:|\(|\)|\||[*+?]|\{[0-9]{1,2}(?:,[0-9]{0,2})?\}"
    r")+"
)
_CLASSES = {
    "d": "[0-9]",
    "D": "[^0-9]",
    "w": "[0-9A-Za-z_]",
    "W": "[^0-9A-Za-z_]",
    "s": r"[\t\n\f\r ]",
    "S": r"[^\t\n\f\r ]",
}


@form("own.matches", takes=(T, T))
def _matches(_stages: Stages, args: tuple[Value, ...]) -> Value:
    """Return whether a pattern matches; only what RE2 and Rust's engine read alike, with RE2's ASCII classes."""
    pattern = text_literal(args[1])
    if not _PLAIN.fullmatch(pattern):
        raise NoColumn(NO_FORM)
    written = re.sub(r"\\([dDwWsS])", lambda found: _CLASSES[found[1]], pattern)
    try:
        pl.select(pl.lit("").str.contains(written))
    except pl.exceptions.ComputeError:
        raise NoColumn(NO_FORM) from None
    return strict(Kind.BOOLEAN, args[0].expr.str.contains(written), args[0])
