"""Parts of JSON by a constant path, like `data.address.city`: each different text is read once.

What a part is differs from record to record; what is done with it tells which type is wanted. A part of another type
is a failure, except that it equals nothing. What cannot be told exactly here fails too: that record is looked at alone.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import polars as pl

from rules.language.bindings import Unusable, parse_json
from rules.language.columns import operators
from rules.language.columns.constants import DTYPES
from rules.language.columns.stages import Stages
from rules.language.columns.value import Value
from rules.language.nodes import Ident, Literal, Mode, Node, Operator, Select, Variable
from rules.language.types import Kind
from rules.schema import FieldType, Schema

WANTED: Mapping[Kind, type] = {Kind.TEXT: str, Kind.FLOAT: float, Kind.BOOLEAN: bool}
_HALF = re.compile(r"\\u[dD][89a-fA-F]")  # half a character: the runtime refuses the whole value
_KEPT = 20_000
_GONE = object()
_UNREAD = object()
Path = tuple[str | int, ...]


@dataclass(frozen=True)
class Part:
    """A place in the JSON of a field."""

    variable: Variable
    path: Path


def part_of(node: Node, schema: Schema, scope: Mapping[str, Node]) -> Part | None:
    """Return the place in JSON that a node names; None for every other node."""
    match node:
        case Variable(mode=Mode.VALUE, field=name) if schema[name].type is FieldType.JSON:
            return Part(node, ())
        case Ident(name=name) if name in scope:
            return part_of(scope[name], schema, scope)
        case Select(operand=operand, field=step):
            return _below(part_of(operand, schema, scope), step)
        case Operator(symbol="[]", operands=(operand, Literal(value=str() | int() as step))) if step is not True:
            return None if step is False else _below(part_of(operand, schema, scope), step)
        case _:
            return None


def _below(part: Part | None, step: str | int) -> Part | None:
    return None if part is None else Part(part.variable, (*part.path, step))


@dataclass(frozen=True)
class Taken:
    """A part as values of one kind; `other` is true where it is of another type (then the value is null)."""

    value: Value
    other: pl.Expr


class Json:
    """Reads the parts of JSON for one plan; keeps what was read last."""

    def __init__(self, stages: Stages) -> None:
        self._stages = stages
        self._known: dict[str, Any] = {}
        self._taken: dict[tuple[str, Path, Kind], Taken] = {}

    def take(self, part: Part, kind: Kind) -> Taken:
        """Return a part as values of a kind."""
        key = (part.variable.name, part.path, kind)
        if key not in self._taken:
            self._taken[key] = self._read(part, kind)
        return self._taken[key]

    def has(self, part: Part, name: str) -> Value:
        """Return whether a part has an entry of a name; a part that is no map is a failure."""

        def work(columns: Sequence[pl.Series]) -> pl.Series:
            found = [self._walk(text, part.path) for text in columns[0].to_list()]
            return pl.Series([name in one if isinstance(one, dict) else None for one in found], dtype=pl.Boolean)

        read = pl.map_batches([pl.col(part.variable.name)], work, return_dtype=pl.Boolean, is_elementwise=True)
        return Value(Kind.BOOLEAN, self._stages.add(read, 0), fallible=True, level=1, simple=True)

    def _read(self, part: Part, kind: Kind) -> Taken:
        dtype = pl.Struct({"value": DTYPES[kind], "failed": pl.Boolean(), "other": pl.Boolean()})

        def work(columns: Sequence[pl.Series]) -> pl.Series:
            rows = [self._one(text, part.path, WANTED[kind]) for text in columns[0].to_list()]
            return pl.Series(rows, dtype=dtype)

        read = pl.map_batches([pl.col(part.variable.name)], work, return_dtype=dtype, is_elementwise=True)
        both = self._stages.add(read, 0)
        value = Value(
            kind,
            both.struct.field("value"),
            empty=True,
            fallible=True,
            failed=both.struct.field("failed"),
            level=1,
        )
        value = self._stages.stage(value)
        return Taken(value, self._stages.add(both.struct.field("other"), 1))

    def _one(self, text: str | None, path: Path, wanted: type) -> dict[str, Any]:
        found = self._walk(text, path)
        if found is None:
            return {"value": None, "failed": False, "other": False}
        if found is _GONE or (type(found) is int and wanted is float):
            return {"value": None, "failed": True, "other": False}
        fits = type(found) is wanted
        return {"value": found if fits else None, "failed": False, "other": not fits}

    def _walk(self, text: str | None, path: Path) -> Any:
        found = None if text is None else self._parsed(text)
        for step in path:
            if isinstance(found, dict) and type(step) is str:
                found = found.get(step, _GONE)
            elif isinstance(found, list) and type(step) is int and 0 <= step < len(found):
                found = found[step]
            else:
                return _GONE
        return found

    def _parsed(self, text: str) -> Any:
        found = self._known.get(text, _UNREAD)
        if found is _UNREAD:
            found = _GONE if _HALF.search(text) else parse_json(text)
            found = _GONE if isinstance(found, Unusable) else found
            if len(self._known) >= _KEPT:
                self._known.clear()  # other threads of Polars may be reading here too
            self._known[text] = found
        return found


def meeting_kind(symbol: str, known: Value) -> Kind | None:
    """Return the kind of JSON that can equal a known value, None where that is not known."""
    if symbol == "in":
        items = known.literal if isinstance(known.literal, list) else [None]
        return Kind.TEXT if {type(item) for item in items} == {str} else None
    kind = {Kind.INTEGER: Kind.FLOAT, Kind.NULL: Kind.TEXT}.get(known.kind, known.kind)
    return kind if kind in WANTED else None


def equal(stages: Stages, symbol: str, taken: Taken, known: Value) -> Value:
    """Return `==` or `!=` of JSON and a value: a part of another type equals nothing."""
    met = stages.stage(operators.equal("==", taken.value, known))
    expr = pl.when(met.expr.is_not_null()).then(met.expr & ~taken.other)
    return Value(
        Kind.BOOLEAN,
        expr if symbol == "==" else ~expr,
        fallible=met.fallible,
        level=max(met.level, taken.value.level + 1),
    )
