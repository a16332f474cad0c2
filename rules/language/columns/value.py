"""What a node becomes: a Polars expression and what is known about its values.

The one convention: **a value is null where it is empty or where it failed.** Strict operations then need no mask at
all, since Polars hands nulls on, and `&&` and `||` absorb failures as Kleene's logic absorbs nulls. Only a value that
may be empty *and* may fail carries a second expression that tells the two apart.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

import polars as pl

from rules.language.types import Kind
from rules.text import Message

INT64 = 2**63


class NoColumn(Exception):
    """A node has no column form here; `reason` says why."""

    def __init__(self, reason: Message) -> None:
        super().__init__(str(reason))
        self.reason = reason


@dataclass(frozen=True, eq=False)
class Value:
    """A node's values over a batch.

    Args:
        kind: what the values are; moments are `Kind.DATETIME`, as the runtime has it.
        expr: the values, null where empty or failed.
        empty: the value may be empty (null) without a failure.
        fallible: the value may be missing because of a failure.
        failed: true where the value failed; needed where it may be both empty and failed.
        level: the stage whose temporary columns it reads, 0 for the batch's own.
        bound: whole numbers: none is farther from 0; numbers: finite if all are, and none is farther from 0.
        nan: numbers: there may be NaN.
        ascii: text: all characters are ASCII.
        constant: the value is the same for all records; `literal` then holds it.
        spread: numbers: there is certainly one for each record; Polars keeps as one number what a batch makes the same.
    """

    kind: Kind
    expr: pl.Expr
    empty: bool = False
    fallible: bool = False
    failed: pl.Expr | None = None
    level: int = 0
    bound: float = math.inf
    nan: bool = True
    ascii: bool = False
    constant: bool = False
    literal: object = None
    simple: bool = False
    spread: bool = False

    @property
    def missing(self) -> bool:
        """Tell whether there may be nulls."""
        return self.empty or self.fallible

    @property
    def fails(self) -> pl.Expr | None:
        """Return where the value failed, None where it never does."""
        if not self.fallible:
            return None
        return self.failed if self.empty else self.expr.is_null()

    def limited(self, bound: float, *, nan: bool = False) -> Value:
        """Return the same values with what is known about their size."""
        return replace(self, bound=bound, nan=nan)


def strict(kind: Kind, expr: pl.Expr, *parts: Value, fails: bool = False) -> Value:
    """Return the value of an operation that fails where a part is missing, and by itself if `fails`."""
    fallible = fails or any(part.missing for part in parts)
    return Value(kind, expr, fallible=fallible, level=level_of(*parts))


def each(kind: Kind, expr: pl.Expr, *parts: Value, fails: bool = False) -> Value:
    """Return the value of a strict operation that gives a number for each record as soon as a part does."""
    return replace(strict(kind, expr, *parts, fails=fails), spread=any(part.spread for part in parts))


def level_of(*parts: Value) -> int:
    """Return the stage at which all the parts are there."""
    return max((part.level for part in parts), default=0)


def any_failed(*parts: Value) -> pl.Expr | None:
    """Return where one of the parts failed, None where none can."""
    masks = [mask for mask in (part.fails for part in parts) if mask is not None]
    return pl.any_horizontal(masks) if masks else None


def unless(mask: pl.Expr | None, expr: pl.Expr) -> pl.Expr:
    """Return the expression, null where the mask is true."""
    return expr if mask is None else pl.when(~mask).then(expr)
