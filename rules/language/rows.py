"""Evaluate an expression record by record, on the C++ runtime: what every other way of evaluating must agree with."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import polars as pl

from rules.language.bindings import bind
from rules.language.encode import REFERENCE
from rules.language.explain import Explainer
from rules.language.lower import Plan
from rules.language.nodes import Exact, Node, children
from rules.language.problems import place
from rules.language.results import Misfit, taker, widest_scale
from rules.language.runtime import Failed, Runner
from rules.schema import Field, FieldType, Schema
from rules.text import Message


@dataclass(frozen=True)
class RowError:
    """A record for which an expression has no result; `line` and `column` count from 1 in its text."""

    row: int
    message: Message
    column: int | None = None
    line: int | None = None


@dataclass(frozen=True)
class Evaluated:
    """The results of a batch, null where there is an error."""

    values: pl.Series
    errors: tuple[RowError, ...] = ()


class Rows:
    """An expression that is evaluated record by record on the C++ runtime."""

    def __init__(self, text: str, plan: Plan, schema: Schema, field: Field) -> None:
        self._text = text
        self._plan = plan
        self._schema = schema
        self._references = tuple(sorted(_references(plan.tree)))
        self.field = widened(field, plan.tree, schema)
        self._take = taker(field, self.field)

    @cached_property
    def _runner(self) -> Runner:
        return Runner(self._plan.tree)

    @cached_property
    def _explainer(self) -> Explainer:
        return Explainer(self._plan.tree)

    def evaluate(self, batch: pl.DataFrame) -> Evaluated:
        """Return a value or an error for every record."""
        references = {REFERENCE + name.encode(): batch[name].to_list() for name in self._references}
        values: list[Any] = []
        errors: list[RowError] = []
        for number, (row, value) in enumerate(self._results(batch)):
            try:
                column = references.get(bytes(value)) if type(value) is bytearray else None
                values.append(self._taken(value, row) if column is None else self._stored(column[number]))
            except _RowFailed as failed:
                values.append(None)
                errors.append(RowError(number, failed.message, *reversed(place(self._text, failed.at))))
        return Evaluated(pl.Series(values, dtype=self.field.dtype, strict=True), tuple(errors))

    def _results(self, batch: pl.DataFrame) -> Iterator[tuple[dict[str, Any], Any]]:
        names = [variable.name for variable in self._runner.variables]
        if not names:
            constant = self._runner.one({})
            return (({}, constant) for _ in range(batch.height))
        columns = [bind(variable, batch, self._schema) for variable in self._runner.variables]
        rows = (dict(zip(names, row, strict=True)) for row in zip(*columns, strict=True))
        return ((row, self._runner.one(row)) for row in rows)

    def _stored(self, value: Any) -> Any:
        """Return the value of a field that the runtime named as the result."""
        if value is None or isinstance(value, str):
            return value
        return self._fit(value)

    def _taken(self, value: Any, row: dict[str, Any]) -> Any:
        if value is None:
            return None
        if type(value) is Failed:
            at, message = self._explainer.cause(row)
            raise _RowFailed(at, message)
        return self._fit(value)

    def _fit(self, value: Any) -> Any:
        try:
            return self._take(value)
        except Misfit as misfit:
            raise _RowFailed(self._plan.tree.at, misfit.message) from None


class _RowFailed(Exception):
    def __init__(self, at: int, message: Message) -> None:
        super().__init__(str(message))
        self.at = at
        self.message = message


def widened(field: Field, tree: Node, schema: Schema) -> Field:
    """Return the column that takes the values of a result: wide enough for those fields that it may name."""
    if field.type is not FieldType.DECIMAL:
        return Field("", field.type)
    sources = [schema[name].scale for name in sorted(_references(tree)) if schema[name].type is FieldType.DECIMAL]
    return Field("", field.type, scale=widest_scale(field.scale, sources))


def _references(node: Node) -> set[str]:
    if isinstance(node, Exact):
        return {node.field}
    return {name for child in children(node) for name in _references(child)}
