"""Functions without a column form: their own implementation, once for each different set of arguments."""

from __future__ import annotations

import struct
from collections.abc import Callable, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import polars as pl

from rules.language.columns.constants import DTYPES
from rules.language.columns.kinds import runtime_kind
from rules.language.columns.stages import Stages
from rules.language.columns.value import INT64, NoColumn, Value, any_failed, level_of
from rules.language.functions.registry import Overload
from rules.language.types import Kind
from rules.text import msg

FAILED = object()
_NO_OVERLOAD = msg("Which form of the function is meant is known record by record only.")
_PAST = datetime(1, 1, 1)  # noqa: DTZ001 - the runtime takes the first moment for the infinite past
_VALUE, _FAILED = "value", "failed"


def choose(overloads: Sequence[Overload], args: Sequence[Value]) -> Overload:
    """Return the overload that the runtime would call."""
    kinds = [arg.kind for arg in args]
    for overload in overloads:
        wanted = [runtime_kind(parameter.kind) for parameter in overload.parameters]
        if len(wanted) == len(kinds) and all(w in (k, Kind.ANY) for w, k in zip(wanted, kinds, strict=True)):
            return overload
    raise NoColumn(_NO_OVERLOAD)


def call(stages: Stages, overload: Overload, args: Sequence[Value]) -> Value:
    """Return the values of a function that Python works out."""
    if overload.implementation is None:
        raise NoColumn(_NO_OVERLOAD)
    open_ = [parameter.kind is Kind.ANY for parameter in overload.parameters]
    return apply(stages, overload.implementation, args, open_, (overload.result.kind, overload.nullable))


def apply(
    stages: Stages,
    function: Callable[..., Any],
    args: Sequence[Value],
    open_: Sequence[bool],
    result: tuple[Kind, bool],
) -> Value:
    """Return the values of a Python function.

    Args:
        stages: where its columns go.
        function: the function.
        args: what it is called with.
        open_: which arguments may be empty.
        result: the kind of the results, and whether they may be empty.
    """
    kind = runtime_kind(result[0])
    if kind not in DTYPES or any(arg.kind not in DTYPES for arg in args):
        raise NoColumn(_NO_OVERLOAD)
    columns = [stages.stage(arg) for arg in args]
    work = _Work(function, [c.literal if c.constant else None for c in columns], [c.constant for c in columns])
    work.kinds = [c.kind for c in columns]
    work.strict = [not may for may in open_]
    work.dtype = DTYPES[kind]
    read = [column.expr for column in columns if not column.constant]
    failed = any_failed(*(column for column, may in zip(columns, open_, strict=True) if may))
    read += [] if failed is None else [failed]
    work.masked = failed is not None
    level = level_of(*columns)
    both = stages.add(pl.map_batches(read, work, return_dtype=work.struct, is_elementwise=True), level)
    value, fails = both.struct.field(_VALUE), both.struct.field(_FAILED)
    made = Value(kind, value, empty=result[1], fallible=True, level=level + 1)
    return stages.stage(replace(made, failed=fails) if result[1] else made)


class _Work:
    """Calls a function on the different arguments of a batch."""

    kinds: list[Kind]
    strict: list[bool]
    dtype: pl.DataType
    masked: bool

    def __init__(self, function: Callable[..., Any], literals: list[Any], constant: list[bool]) -> None:
        self._function = function
        self._literals = literals
        self._constant = constant

    @property
    def struct(self) -> pl.Struct:
        return pl.Struct({_VALUE: self.dtype, _FAILED: pl.Boolean()})

    def __call__(self, columns: Sequence[pl.Series]) -> pl.Series:
        height = max(len(column) for column in columns)
        rest = [column.new_from_index(0, height) if len(column) < height else column for column in columns]
        mask = rest.pop().to_list() if self.masked else None
        lists = [self._python(number, rest, height) for number in range(len(self._constant))]
        rows = list(zip(*lists, strict=True))
        results = distinct(lists, [kind is Kind.FLOAT for kind in self.kinds], lambda number: self._one(rows[number]))
        if mask is not None:
            results = [FAILED if out else result for out, result in zip(mask, results, strict=True)]
        failed = [result is FAILED for result in results]
        values = [None if result is FAILED else result for result in results]
        made = pl.Series(_VALUE, values, dtype=self.dtype, strict=True)
        return pl.DataFrame([made, pl.Series(_FAILED, failed, dtype=pl.Boolean)]).to_struct()

    def _python(self, number: int, rest: list[pl.Series], height: int) -> list[Any]:
        kind = self.kinds[number]
        if self._constant[number]:
            found = self._literals[number]
            return [found.replace(tzinfo=UTC) if isinstance(found, datetime) else found] * height
        column = rest.pop(0)
        return column.dt.replace_time_zone("UTC").to_list() if kind is Kind.DATETIME else column.to_list()

    def _one(self, args: tuple[Any, ...]) -> Any:
        if any(arg is None and strict for arg, strict in zip(args, self.strict, strict=True)):
            return FAILED
        try:
            return _plain(self._function(*args))
        except Exception:  # noqa: BLE001 - as for the runtime, whatever a function raises is the record's failure
            return FAILED


def _plain(found: Any) -> Any:
    if isinstance(found, datetime):
        moment = found.astimezone(UTC).replace(tzinfo=None)
        return FAILED if moment == _PAST else moment
    if type(found) is int and not -INT64 <= found < INT64:
        return FAILED
    return bytes(found) if isinstance(found, bytearray) else found


def distinct(keys: Sequence[Sequence[Any]], floats: Sequence[bool], function: Callable[[int], Any]) -> list[Any]:
    """Return the results of a function of the row's number that is called once for each different row of keys."""
    known: dict[Any, Any] = {}
    results = []
    for number, row in enumerate(zip(*keys, strict=True)):
        key = _key(row, floats) if any(floats) else row
        if key not in known:
            known[key] = function(number)
        results.append(known[key])
    return results


def _key(row: tuple[Any, ...], floats: Sequence[bool]) -> tuple[Any, ...]:
    """Return what tells rows apart: -0.0 is not 0.0 here, and NaN is NaN."""
    return tuple(
        struct.pack("<d", part) if is_float and part is not None else part
        for part, is_float in zip(row, floats, strict=True)
    )
