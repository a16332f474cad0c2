"""Compile a rule's mapping once, apply it to batches of source records."""

from __future__ import annotations

from dataclasses import dataclass, field

import polars as pl

from rules.documents.flows import Flow, flows, object_name
from rules.documents.problems import DocumentError, DocumentProblem
from rules.documents.sync import On, SideName, Strength, SyncRule
from rules.language.program import Program, RowError
from rules.mapping.steps import Cause, Step, build_step, causes, condition
from rules.schema import Schema
from rules.text import Message


@dataclass(frozen=True)
class FieldError:
    """A record whose target field has no value; `column` is the place in the expression, from 1."""

    row: int
    field: str
    message: Message
    column: int | None = None


@dataclass(frozen=True)
class FieldPlan:
    """When and how a mapped target field is written; `conditional` if it has a `when`."""

    name: str
    on: tuple[On, ...]
    strength: Strength
    conditional: bool


@dataclass(frozen=True)
class Mapped:
    """The mapped records, row by row as in the source batch.

    `applies` has a mask for each conditional field: where it is false, the target field is left alone.
    """

    records: pl.DataFrame
    errors: tuple[FieldError, ...] = ()
    applies: dict[str, pl.Series] = field(default_factory=dict)


@dataclass(frozen=True)
class Mapping:
    """A compiled mapping; `names` are the target fields in the order of the rule."""

    steps: tuple[Step, ...]
    scope: Program | None = None

    @property
    def names(self) -> tuple[str, ...]:
        """Return the mapped target fields."""
        return tuple(step.target.name for step in self.steps)

    @property
    def fields(self) -> tuple[FieldPlan, ...]:
        """Return when and how each mapped target field is written."""
        return tuple(
            FieldPlan(step.target.name, step.entry.on, step.entry.strength, step.when is not None)
            for step in self.steps
        )

    def where(self, batch: pl.DataFrame) -> tuple[pl.Series, tuple[RowError, ...]]:
        """Return which records are in the rule's scope, and those for which that cannot be said (not in scope)."""
        if self.scope is None:
            return pl.repeat(value=True, n=batch.height, dtype=pl.Boolean, eager=True), ()
        evaluated = self.scope.evaluate(batch)
        return evaluated.values.fill_null(value=False), evaluated.errors

    def apply(self, batch: pl.DataFrame) -> Mapped:
        """Return the target records for a batch that has all fields of the source."""
        columns: list[pl.Series] = []
        errors: list[FieldError] = []
        applies: dict[str, pl.Series] = {}
        for step in self.steps:
            values, failures = step.values(batch)
            if step.when is not None:
                mask, failures = _applied(step.when, batch, failures)
                applies[step.target.name] = mask
                values = pl.select(pl.when(mask).then(values).alias(values.name)).to_series()
            columns.append(values)
            errors += [FieldError(row, step.target.name, c.message, c.column) for row, c in failures.items()]
        return Mapped(pl.DataFrame(columns), tuple(sorted(errors, key=lambda error: error.row)), applies)


def _applied(when: Program, batch: pl.DataFrame, failures: dict[int, Cause]) -> tuple[pl.Series, dict[int, Cause]]:
    """Return where a field is set; a record whose field is left alone needs no value, so its error does not count."""
    evaluated = when.evaluate(batch)
    mask = evaluated.values.fill_null(value=False)
    return mask, {row: cause for row, cause in failures.items() if mask[row]} | causes(evaluated.errors)


def compile_mapping(rule: SyncRule, left: Schema, right: Schema) -> Mapping:
    """Return the mapping of a one-way rule (the first direction of a two-way rule); raises `DocumentError`."""
    schemas = {SideName.LEFT: left, SideName.RIGHT: right}
    flow = flows(rule)[0]
    source, target = schemas[flow.source], schemas[flow.target]
    names = (object_name(rule, flow.source), object_name(rule, flow.target))
    made = [build_step(entry, source, target, names) for entry in flow.entries]
    scope = _scope(rule, flow, source)
    problems = [problem for step in made if isinstance(step, list) for problem in step]
    problems += scope if isinstance(scope, list) else []
    if problems or isinstance(scope, list):
        raise DocumentError(problems)
    return Mapping(tuple(step for step in made if isinstance(step, Step)), scope)


def _scope(rule: SyncRule, flow: Flow, source: Schema) -> Program | list[DocumentProblem] | None:
    where = {SideName.LEFT: rule.left, SideName.RIGHT: rule.right}[flow.source].where
    if where is None:
        return None
    return condition(f"{flow.source.value}/where", where, source, object_name(rule, flow.source))
