"""Parts without a column form run on the C++ runtime, once for each different set of the fields they read."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

import polars as pl

from rules.language.bindings import bind
from rules.language.columns.constants import DTYPES
from rules.language.columns.python import FAILED, distinct
from rules.language.columns.stages import Stages
from rules.language.columns.value import NoColumn, Value
from rules.language.nodes import Call, Ident, Let, Node, children
from rules.language.runtime import Failed, Runner, TooDeep, nodes, variables
from rules.language.types import Kind
from rules.schema import FieldType, Schema
from rules.text import msg

_DEEP = msg("The expression is nested too deeply for the runtime.")
_TIMES = frozenset({Kind.DURATION, Kind.DATETIME})
_READERS = frozenset({"duration", "timestamp"})
_FINE = msg("Time spans finer than microseconds have no column form.")


def wrapped(node: Node, scope: Mapping[str, Node]) -> Node:
    """Return the node with the values of the names that it uses."""
    used = _names(node)
    for name in reversed(list(scope)):
        if name in used:
            used |= _names(scope[name])
            node = Let(node.at, name, scope[name], node)
    return node


def _names(node: Node) -> set[str]:
    found = {node.name} if isinstance(node, Ident) else set()
    return found.union(*(_names(child) for child in children(node)))


def island(stages: Stages, tree: Node, schema: Schema, kind: Kind) -> Value:
    """Return the values of a tree that the C++ runtime works out."""
    if kind not in DTYPES or (kind in _TIMES and _may_be_fine(kind, tree)):
        raise NoColumn(_FINE)
    fields = list(dict.fromkeys(variable.field for variable in variables(tree).values()))
    work = _Work(tree, schema, fields, DTYPES[kind])
    both = stages.add(
        pl.map_batches([pl.col(name) for name in fields], work, return_dtype=work.struct, is_elementwise=True), 0
    )
    value = Value(
        kind,
        both.struct.field("value"),
        empty=True,
        fallible=True,
        failed=both.struct.field("failed"),
        level=1,
    )
    return stages.stage(value)


def _may_be_fine(kind: Kind, tree: Node) -> bool:
    """Tell whether a value may have parts of a microsecond, which get lost on the way through Python."""
    read = any(isinstance(node, Call) and node.name in _READERS for node in nodes(tree))
    return read or kind is Kind.DURATION


class _Work:
    """Evaluates a tree for the different records of a batch."""

    def __init__(self, tree: Node, schema: Schema, fields: Sequence[str], dtype: pl.DataType) -> None:
        self._schema = schema
        self._fields = fields
        self._dtype = dtype
        try:
            self._runner = Runner(tree)
        except TooDeep:
            raise NoColumn(_DEEP) from None

    @property
    def struct(self) -> pl.Struct:
        return pl.Struct({"value": self._dtype, "failed": pl.Boolean()})

    def __call__(self, columns: Sequence[pl.Series]) -> pl.Series:
        batch = pl.DataFrame([c.alias(name) for c, name in zip(columns, self._fields, strict=True)])
        names = [variable.name for variable in self._runner.variables]
        bound = list(zip(*(bind(v, batch, self._schema) for v in self._runner.variables), strict=True))
        floats = [self._schema[name].type is FieldType.FLOAT for name in self._fields]
        keys = [_key(batch[name]) for name in self._fields]
        run = self._runner.one
        results = distinct(keys, floats, lambda row: _plain(run(dict(zip(names, bound[row], strict=True)))))
        values = pl.Series("value", [None if r is FAILED else r for r in results], dtype=self._dtype, strict=True)
        return pl.DataFrame([values, pl.Series("failed", [r is FAILED for r in results], dtype=pl.Boolean)]).to_struct()


def _key(column: pl.Series) -> list[Any]:
    return column.to_physical().to_list() if column.dtype.is_temporal() else column.to_list()


def _plain(found: Any) -> Any:
    if type(found) is Failed:
        return FAILED
    if isinstance(found, datetime):
        return found.astimezone(UTC).replace(tzinfo=None)
    return bytes(found) if isinstance(found, bytearray) else found
