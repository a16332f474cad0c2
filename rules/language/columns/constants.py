"""Parts of an expression that read no field are worked out once, by the runtime itself."""

from __future__ import annotations

import math
from datetime import UTC, datetime, timedelta
from typing import Any

import polars as pl

from rules.language.columns.value import NoColumn, Value
from rules.language.nodes import Call, Literal, Node, Operator
from rules.language.runtime import Failed, Runner
from rules.language.types import Kind
from rules.text import msg

_FINE = msg("Fractions of a second finer than microseconds have no column form.")
_BOTH = msg("Maps with both whole numbers and true/false as keys have no column form.")
_LONG = msg("Time spans of more than 292 years have no column form.")
SPAN = timedelta(microseconds=2**63 // 1000)  # the runtime counts nanoseconds in 64 bits
_KINDS: dict[type, Kind] = {
    bool: Kind.BOOLEAN,
    int: Kind.INTEGER,
    float: Kind.FLOAT,
    str: Kind.TEXT,
    bytes: Kind.BINARY,
    bytearray: Kind.BINARY,
    type(None): Kind.NULL,
    list: Kind.LIST,
    dict: Kind.MAP,
    datetime: Kind.DATETIME,
    timedelta: Kind.DURATION,
}
DTYPES: dict[Kind, pl.DataType] = {
    Kind.BOOLEAN: pl.Boolean(),
    Kind.INTEGER: pl.Int64(),
    Kind.FLOAT: pl.Float64(),
    Kind.TEXT: pl.String(),
    Kind.BINARY: pl.Binary(),
    Kind.DATETIME: pl.Datetime("us"),
    Kind.DURATION: pl.Duration("us"),
    Kind.NULL: pl.Null(),
}


def constant(node: Node, kind: Kind | None) -> Value:
    """Return the value of a node without fields; `kind` is what it would be if it failed."""
    found = node.value if isinstance(node, Literal) else evaluated(node)
    if isinstance(found, Failed):
        expr = pl.lit(None, dtype=DTYPES.get(kind or Kind.NULL, pl.Null()))
        return Value(kind or Kind.NULL, expr, fallible=True, simple=True)
    return of(found)


def of(found: Any) -> Value:
    """Return a Python value as a constant."""
    kind = _KINDS[type(found)]
    if kind in (Kind.LIST, Kind.MAP):
        return Value(kind, pl.lit(None), constant=True, literal=found, simple=True)
    if kind is Kind.DATETIME:
        found = found.astimezone(UTC).replace(tzinfo=None)
    if kind is Kind.BINARY:
        found = bytes(found)
    finite = isinstance(found, (int, float)) and math.isfinite(found)
    return Value(
        kind,
        pl.lit(found, dtype=DTYPES[kind]),
        empty=kind is Kind.NULL,
        bound=abs(found) if finite else math.inf,
        nan=isinstance(found, float) and math.isnan(found),
        ascii=isinstance(found, str) and found.isascii(),
        constant=True,
        literal=found,
        simple=True,
    )


def evaluated(node: Node) -> Any:
    """Return what the runtime gives for a node without fields; raises `NoColumn` where Python cannot hold it."""
    found = Runner(node).one({})
    if isinstance(found, timedelta) and abs(found) > SPAN:
        raise NoColumn(_LONG)
    if isinstance(found, dict) and Runner(Call(0, "size", (node,))).one({}) != len(found):
        raise NoColumn(_BOTH)  # for Python, 1 and True are one key
    text = _again(found)
    if text is not None and Runner(Operator(0, "==", (node, text))).one({}) is not True:
        raise NoColumn(_FINE)
    return found


def _again(found: Any) -> Node | None:
    """Return the expression of a moment or time span as Python has it, to see whether anything was lost."""
    if isinstance(found, datetime):
        return Call(0, "timestamp", (Literal(0, found.astimezone(UTC).isoformat().replace("+00:00", "Z")),))
    if isinstance(found, timedelta):
        return Call(0, "duration", (Literal(0, f"{found // timedelta(microseconds=1)}us"),))
    return None
