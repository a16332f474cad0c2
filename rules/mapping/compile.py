"""Compile a rule's mapping once, apply it to batches of source records."""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import datetime
from functools import cached_property

import polars as pl

from rules.decisions.asking import Asked, Question, ask_all, compile_decisions
from rules.documents.flows import Flow, connections, flows, object_name
from rules.documents.problems import DocumentError, DocumentProblem
from rules.documents.sync import SideName, SyncRule
from rules.language.columns.description import PlanDescription
from rules.language.library import EMPTY, Library
from rules.language.program import Program, RowError
from rules.mapping.plan import MappingPlan
from rules.mapping.results import FieldPlan, Mapped
from rules.mapping.steps import Step, Surroundings, build_step, condition
from rules.schema import Schema


@dataclass(frozen=True)
class Mapping:
    """A compiled mapping; `names` are the target fields in the order of the rule.

    `source` are the fields that its expressions may name: those of the records, and the outputs of decision tables.
    """

    steps: tuple[Step, ...]
    source: Schema
    scope: Program | None = None
    questions: tuple[Question, ...] = ()

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

    def ask(self, batch: pl.DataFrame, at: datetime) -> Asked:
        """Return the batch with the outputs of the rule's decision tables, as of a moment."""
        return ask_all(self.questions, batch, at)

    @property
    def refers(self) -> tuple[str, ...]:
        """Return the source's fields that hold keys of records which other rules link."""
        return tuple(step.source.name for step in self.steps if step.reference is not None)

    def referred(self, batch: pl.DataFrame) -> list[pl.Series]:
        """Return for each field that refers to records the keys that are linked to them now; they may change alone."""
        return [
            step.reference.partners(batch[step.source.name], step.source).alias(f"@{step.target.name}")
            for step in self.steps
            if step.reference is not None
        ]

    @cached_property
    def _plan(self) -> MappingPlan:
        return MappingPlan(self.steps, self.source)

    def apply(self, batch: pl.DataFrame) -> Mapped:
        """Return the target records for a batch that has all fields of the source, and the outputs of decisions."""
        return self._plan.apply(batch)

    @property
    def description(self) -> PlanDescription:
        """Return how the fields are worked out, and what makes it slow."""
        return self._plan.description


def compile_mapping(rule: SyncRule, left: Schema, right: Schema, library: Library = EMPTY) -> Mapping:
    """Return the mapping of a one-way rule (the first direction of a two-way rule); raises `DocumentError`.

    `library` has the lookup tables that expressions may use, and the decision tables that the rule asks.
    """
    schemas = {SideName.LEFT: left, SideName.RIGHT: right}
    flow = flows(rule)[0]
    names = (object_name(rule, flow.source), object_name(rule, flow.target))
    plain = Surroundings(schemas[flow.source], schemas[flow.target], names, library, connections(rule, flow))
    questions, source = compile_decisions(rule.decisions, plain.source, library, names[0])
    around = replace(plain, source=source)
    made = [build_step(entry, around) for entry in flow.entries]
    scope = _scope(rule, flow, plain)
    problems = [problem for step in made if isinstance(step, list) for problem in step]
    problems += scope if isinstance(scope, list) else []
    if problems or isinstance(scope, list):
        raise DocumentError(problems)
    return Mapping(tuple(step for step in made if isinstance(step, Step)), source, scope, questions)


def _scope(rule: SyncRule, flow: Flow, around: Surroundings) -> Program | list[DocumentProblem] | None:
    where = {SideName.LEFT: rule.left, SideName.RIGHT: rule.right}[flow.source].where
    if where is None:
        return None
    return condition(f"{flow.source.value}/where", where, around)
