"""Evaluates expressions over whole batches: one query for all of them, in the form that fits the batch."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property

import polars as pl

import rules.language.columns.functions  # noqa: F401 - fills the registry of forms
from rules.language.columns.compiler import Compiler
from rules.language.columns.description import PlanDescription, stages_in_words
from rules.language.columns.explanation import Explanation, Root
from rules.language.columns.facts import Fact, inputs
from rules.language.columns.heavy import Heavy
from rules.language.columns.stages import Stages
from rules.language.columns.take import Target, result
from rules.language.columns.value import NoColumn, Value
from rules.language.columns.variants import Variants
from rules.language.lower import Plan
from rules.language.nodes import Variable
from rules.language.rows import Evaluated, Rows
from rules.language.runtime import variables
from rules.schema import Field, Schema
from rules.text import N_, Message, msg

_SLOW = N_("The whole expression is worked out record by record: {reason}")
Finish = Callable[[Stages, Sequence["Value | None"]], Mapping[str, pl.Expr]]


@dataclass(frozen=True)
class Form:
    """How a plan is worked out for batches with the same facts.

    `values` has a value for each root, None where a root has no column form; `outputs` is what is made of them.
    `explanations` holds what explains failures, made when the first one is met.
    """

    facts: Mapping[str, Fact]
    stages: Stages
    values: tuple[Value | None, ...]
    outputs: Mapping[str, pl.Expr]
    slow: tuple[Message, ...]
    explanations: list[Explanation] = field(default_factory=list)


class ColumnPlan:
    """Several expressions over one schema, worked out together; `finish` says what is made of their values."""

    def __init__(self, roots: Sequence[Root], schema: Schema, finish: Finish) -> None:
        self.roots = tuple(roots)
        self._schema = schema
        self._finish = finish
        self._forms = Variants(self._made)
        found: dict[str, Variable] = {}
        for root in self.roots:
            found |= variables(root.plan.tree)
        self._variables = tuple(found.values())
        self._heavy = Heavy((root.plan.cost for root in self.roots), self._variables, schema)

    def heavy(self, batch: pl.DataFrame) -> pl.Series | None:
        """Return which records must be worked out record by record, since they may be too much work; None if none."""
        return self._heavy.find(batch)

    def run(self, batch: pl.DataFrame) -> tuple[Form, pl.DataFrame, pl.DataFrame]:
        """Return the form that was chosen for a batch, the batch with what the form reads, and the outputs."""
        form, frame = self._forms.find(inputs(batch, self._variables, self._schema))
        return form, frame, form.stages.run(frame, form.outputs) if form.outputs else pl.DataFrame()

    def _made(self, facts: Mapping[str, Fact]) -> Form:
        stages = Stages()
        compiler = Compiler(self._schema, facts, stages)
        values = tuple(self._value(compiler, root) for root in self.roots)
        slow = tuple({str(reason): reason for reason in compiler.slow}.values())
        return Form(facts, stages, values, self._finish(stages, values), slow)

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
        form = self._made({variable.name: Fact(nan=True) for variable in self._variables})
        return PlanDescription(stages_in_words(form.stages.words), form.slow)


class Columns:
    """One expression, worked out over whole columns."""

    def __init__(self, text: str, plan: Plan, schema: Schema, target: Field) -> None:
        self.rows = Rows(text, plan, schema, target)
        self.field = self.rows.field
        self.root = Root(text, plan, Target(target, self.field), self.rows)
        self._schema = schema
        self._plan = ColumnPlan((self.root,), schema, _outputs)

    @property
    def description(self) -> PlanDescription:
        """Return what the plan does."""
        return self._plan.description

    def evaluate(self, batch: pl.DataFrame) -> Evaluated:
        """Return a value or an error for every record."""
        heavy = self._plan.heavy(batch)
        if heavy is None:
            return self._together(batch)
        parts = [(self._together, (~heavy).arg_true()), (self.rows.evaluate, heavy.arg_true())]
        made = [(evaluate(batch[places]), places) for evaluate, places in parts]
        values = pl.concat([found.values for found, _ in made])
        errors = [replace(error, row=places[error.row]) for found, places in made for error in found.errors]
        return Evaluated(
            values.gather(pl.concat([places for _, places in made]).arg_sort()),
            tuple(sorted(errors, key=lambda error: error.row)),
        )

    def _together(self, batch: pl.DataFrame) -> Evaluated:
        form, frame, found = self._plan.run(batch)
        (value,) = form.values
        if value is None:
            return self.rows.evaluate(batch)
        values = found["value"].alias("")
        failed = _failed(value, found)
        rows = None if failed is None else failed.arg_true()
        if rows is None or not len(rows):
            return Evaluated(values)
        return self._explanation(form).explain(frame[rows], rows, values)

    def _explanation(self, form: Form) -> Explanation:
        if not form.explanations:
            form.explanations.append(Explanation(self.root, self._schema, form.facts))
        return form.explanations[0]


def _outputs(_stages: Stages, values: Sequence[Value | None]) -> dict[str, pl.Expr]:
    (value,) = values
    if value is None:
        return {}
    return {"value": value.expr, **({"failed": value.failed} if value.failed is not None else {})}


def _failed(value: Value, found: pl.DataFrame) -> pl.Series | None:
    if not value.fallible:
        return None
    if value.empty:
        return found["failed"]
    return found["value"].is_null() if found["value"].null_count() else None
