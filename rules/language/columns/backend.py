"""Evaluates expressions over whole batches: one query for all of them, in the form that fits the batch."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import polars as pl

import rules.language.columns.functions  # noqa: F401 - fills the registry of forms
from rules.language.columns.compiler import Compiler
from rules.language.columns.description import PlanDescription
from rules.language.columns.explanation import Explanation, Root
from rules.language.columns.facts import Fact, Inputs, inputs
from rules.language.columns.stages import Stages
from rules.language.columns.take import Target, result
from rules.language.columns.value import NoColumn, Value
from rules.language.lower import Plan
from rules.language.nodes import Variable
from rules.language.rows import Evaluated, Rows
from rules.language.runtime import variables
from rules.schema import Field, Schema
from rules.text import N_, Message, msg

_VARIANTS = 64
_SLOW = N_("The whole expression is worked out record by record: {reason}")


@dataclass(frozen=True)
class _Variant:
    """The form for batches with the same facts: a value for each root, None where a root has no column form."""

    stages: Stages
    values: tuple[Value | None, ...]
    slow: tuple[Message, ...]


@dataclass(frozen=True, eq=False)
class ColumnPlan:
    """Several expressions over one schema, worked out together."""

    roots: tuple[Root, ...]
    schema: Schema
    _variants: dict[tuple[tuple[str, Fact], ...], _Variant] = field(default_factory=dict)
    _explanations: dict[Any, Explanation] = field(default_factory=dict)

    @cached_property
    def _variables(self) -> tuple[Variable, ...]:
        found: dict[str, Variable] = {}
        for root in self.roots:
            found |= variables(root.plan.tree)
        return tuple(found.values())

    def evaluate(self, batch: pl.DataFrame) -> list[Evaluated]:
        """Return the results of each root."""
        read = inputs(batch, self._variables, self.schema)
        variant = self._variant(read.facts)
        outputs = list(_outputs(variant.values))
        frame = variant.stages.run(read.frame, outputs) if outputs else batch
        columns = iter(frame.get_columns())
        return [
            root.rows.evaluate(batch) if value is None else self._evaluated(root, value, columns, read)
            for root, value in zip(self.roots, variant.values, strict=True)
        ]

    def _evaluated(self, root: Root, value: Value, columns: Iterator[pl.Series], read: Inputs) -> Evaluated:
        values = _column(root, next(columns))
        failed = _failed(value, values, columns)
        rows = None if failed is None else failed.arg_true()
        if rows is None or not len(rows):
            return Evaluated(values)
        return Evaluated(values, self._explanation(root, read.facts).errors(read.frame[rows], rows))

    def _explanation(self, root: Root, facts: Mapping[str, Fact]) -> Explanation:
        key = (id(root), *facts.items())
        if key not in self._explanations:
            self._explanations[key] = Explanation(root, self.schema, facts)
        return self._explanations[key]

    def _variant(self, facts: Mapping[str, Fact]) -> _Variant:
        key = tuple(facts.items())
        found = self._variants.get(key)
        if found is None:
            if len(self._variants) >= _VARIANTS:
                self._variants.clear()
                self._explanations.clear()
            found = self._variants[key] = self._compiled(facts)
        return found

    def _compiled(self, facts: Mapping[str, Fact]) -> _Variant:
        stages = Stages()
        compiler = Compiler(self.schema, facts, stages)
        values = tuple(self._value(compiler, root) for root in self.roots)
        return _Variant(stages, values, tuple({str(reason): reason for reason in compiler.slow}.values()))

    @staticmethod
    def _value(compiler: Compiler, root: Root) -> Value | None:
        try:
            return result(compiler, root.plan.tree, root.target)
        except NoColumn as error:
            compiler.slow.append(msg(_SLOW, reason=error.reason))
            return None

    @cached_property
    def description(self) -> PlanDescription:
        """Return what the plan does for batches about which nothing is known."""
        worst = Fact(unusable=False, nan=True)
        variant = self._compiled({variable.name: worst for variable in self._variables})
        counts = [len(level) for level in variant.stages.levels]
        stages = [
            msg("Stage {number}: {count} temporary columns.", number=number, count=count)
            for number, count in enumerate(counts, 1)
        ]
        return PlanDescription((*stages, msg("Results: {count} columns.", count=len(self.roots))), variant.slow)


def _outputs(values: Sequence[Value | None]) -> Iterator[pl.Expr]:
    for value in values:
        if value is not None:
            yield value.expr
            if value.empty and value.fallible and value.failed is not None:
                yield value.failed


def _column(root: Root, column: pl.Series) -> pl.Series:
    dtype = root.target.column.dtype
    return (column if column.dtype == dtype else column.cast(dtype)).alias("")


def _failed(value: Value, values: pl.Series, columns: Iterator[pl.Series]) -> pl.Series | None:
    if not value.fallible:
        return None
    if value.empty and value.failed is not None:
        return next(columns)
    return values.is_null() if values.null_count() else None


class Columns:
    """One expression, worked out over whole columns."""

    def __init__(self, text: str, plan: Plan, schema: Schema, target: Field) -> None:
        self.rows = Rows(text, plan, schema, target)
        self.field = self.rows.field
        self._plan = ColumnPlan((Root(text, plan, Target(target, self.field), self.rows),), schema)

    @property
    def root(self) -> Root:
        """Return the expression as a part of larger plans."""
        return self._plan.roots[0]

    @property
    def description(self) -> PlanDescription:
        """Return what the plan does."""
        return self._plan.description

    def evaluate(self, batch: pl.DataFrame) -> Evaluated:
        """Return a value or an error for every record."""
        return self._plan.evaluate(batch)[0]
