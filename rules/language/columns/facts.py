"""What a batch's columns are like, so that the leanest form is chosen for each batch.

A fact is rounded to a few classes, so that batches which look alike share one compiled form.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

import polars as pl

from rules.language import bindings
from rules.language.nodes import Mode, Variable
from rules.schema import FieldType, Schema

BOUNDS = (2**31, 10**15, 2**53, 2**63)
_FLOAT_BOUNDS = (1e15, 1e100)


@dataclass(frozen=True)
class Fact:
    """What is known about a column in one batch; `unusable` if some values must not be calculated with."""

    empty: bool = True
    unusable: bool = False
    bound: float = math.inf
    nan: bool = False
    ascii: bool = False


@dataclass(frozen=True)
class Inputs:
    """The columns that the plan reads, by the variable's name, and what they are like."""

    frame: pl.DataFrame
    facts: Mapping[str, Fact]


def unusable_name(name: str) -> str:
    """Return the column that is true where a variable's value is unusable."""
    return f"unusable:{name}"


def inputs(batch: pl.DataFrame, variables: Iterable[Variable], schema: Schema) -> Inputs:
    """Return what the plan reads of a batch."""
    facts: dict[str, Fact] = {}
    columns: list[pl.Series] = []
    for variable in variables:
        column = batch[variable.field]
        if variable.mode is Mode.EMPTY:
            facts[variable.name] = Fact(empty=column.null_count() > 0)
            columns.append(column.is_null().alias(variable.name))
            continue
        values, unusable, fact = _read(column, variable.mode, schema[variable.field].type)
        if unusable is not None:
            columns.append(unusable.alias(unusable_name(variable.name)))
            values = pl.select(pl.when(~unusable).then(values)).to_series()
        columns.append(values.alias(variable.name))
        facts[variable.name] = fact
    return Inputs(batch.with_columns(columns), facts)


_Read = tuple[pl.Series, pl.Series | None, Fact]


def _read(column: pl.Series, mode: Mode, type_: FieldType) -> _Read:
    empty = column.null_count() > 0
    if mode is Mode.MOMENT:
        return _moments(column, empty)
    if mode is Mode.NUMBER:
        return _numbers(column, empty)
    reads = {FieldType.TEXT: _texts, FieldType.BINARY: _bytes, FieldType.INTEGER: _integers, FieldType.FLOAT: _floats}
    if type_ in reads:
        return reads[type_](column, empty)
    if type_ is FieldType.TIME:
        return column.dt.to_string("%H:%M:%S%.6f").str.strip_suffix(".000000"), None, Fact(empty, ascii=True)
    return column, None, Fact(empty)


def _integers(column: pl.Series, empty: bool) -> _Read:
    return column, None, Fact(empty, bound=_class(_farthest(column), BOUNDS, 2**63))


def _farthest(column: pl.Series) -> int:
    low, high = column.min(), column.max()
    return max(-low, high) if isinstance(low, int) and isinstance(high, int) else 0


def _class(size: float, classes: tuple[float, ...], beyond: float) -> float:
    return next((bound for bound in classes if size <= bound), beyond)


def _floats(column: pl.Series, empty: bool) -> _Read:
    low, high = column.min(), column.max()
    nan = bool(column.is_nan().any())
    size = max(abs(low), abs(high)) if isinstance(low, float) and isinstance(high, float) else 0.0
    return column, None, Fact(empty, bound=_class(size, _FLOAT_BOUNDS, math.inf), nan=nan)


def _numbers(column: pl.Series, empty: bool) -> _Read:
    unusable = None if _short(column) else bindings.too_long(column)
    kept = unusable if unusable is not None and unusable.any() else None
    return column.cast(pl.Float64), kept, Fact(empty, kept is not None, 1e38)


def _short(column: pl.Series) -> bool:
    """Tell, without looking at each digit, whether all values have at most 15."""
    digits: int = 10**bindings.DIGITS
    return _farthest(column.to_physical()) < digits


def _moments(column: pl.Series, empty: bool) -> _Read:
    naive = bindings.wall_clock(column)
    outside = bindings.far(naive)
    return naive, outside if outside.any() else None, Fact(empty, bool(outside.any()))


def _texts(column: pl.Series, empty: bool) -> _Read:
    data = _data(column)
    ascii_ = data.isascii()
    if b"\x00" not in data:
        return column, None, Fact(empty, ascii=ascii_)
    nul = bindings.nul_text(column)
    return column, nul if nul.any() else None, Fact(empty, bool(nul.any()), ascii=ascii_)


def _data(column: pl.Series) -> bytes:
    """Return the characters of all texts in a row: far faster to search than each text by itself."""
    chunks = column.to_arrow(compat_level=pl.CompatLevel.oldest())
    parts = getattr(chunks, "chunks", [chunks])
    buffers = [part.buffers()[2] for part in parts]
    return b"".join(buffer.to_pybytes() for buffer in buffers if buffer is not None)


def _bytes(column: pl.Series, empty: bool) -> _Read:
    nul = bindings.nul_bytes(column)
    return column, nul if nul.any() else None, Fact(empty, bool(nul.any()))
