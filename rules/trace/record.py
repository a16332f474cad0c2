"""Explains one record: whether it was in scope, and how each target field got its value."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any

import polars as pl

from rules.documents.sync import On, OnError, Strength
from rules.language.library import EMPTY, Library
from rules.language.program import Program
from rules.mapping import FieldError, Mapped, Mapping
from rules.mapping.steps import Step as FieldStep
from rules.schema import FieldType, Schema
from rules.text import Message
from rules.trace.decisions import DecisionTrace, trace_decisions
from rules.trace.expression import Tracer
from rules.trace.steps import State, Step, plain
from rules.trace.validations import ValidationTrace, trace_validations
from rules.validations import Compiled


@dataclass(frozen=True)
class LinkTrace:
    """The link that gave a value: the rule that holds it, the key it was asked for, the key that is linked to it now.

    `partner` is None where that record has no link.
    """

    rule: str
    key: str | None
    partner: str | None


@dataclass(frozen=True)
class FieldTrace:
    """How a target field got its value.

    `source` is the field that is copied, `expression` the one that is evaluated instead; `given` is the value before
    it was converted to the type of the target field. With `applies` false the target field is left alone. `replaced`
    says why the value is not the one worked out: the rule says to leave the field empty then, or to write a default.
    With `stops` an error of the field is to stop the run.
    """

    name: str
    path: str
    type: FieldType
    source: str | None
    given: Any
    given_type: FieldType
    value: Any
    expression: Step | None = None
    when: Step | None = None
    applies: bool = True
    error: Message | None = None
    column: int | None = None
    on: tuple[On, ...] = (On.CREATE, On.UPDATE)
    strength: Strength = Strength.NORMAL
    replaced: Message | None = None
    stops: bool = False
    link: LinkTrace | None = None

    @property
    def converted(self) -> bool:
        """Tell whether the value became one of another type."""
        return self.link is None and self.given_type is not self.type and self.value is not None

    def to_json(self) -> dict[str, Any]:
        """Return the field as plain data."""
        return {
            "field": self.name,
            "path": self.path,
            "type": self.type.value,
            "source": self.source,
            "expression": None if self.expression is None else self.expression.to_json(),
            "when": None if self.when is None else self.when.to_json(),
            "applies": self.applies,
            "given": plain(self.given),
            "given_type": self.given_type.value,
            "value": plain(self.value),
            "error": None if self.error is None else {"detail": str(self.error), "column": self.column},
            "replaced": None if self.replaced is None else str(self.replaced),
            "link": None if self.link is None else vars(self.link),
        }


@dataclass(frozen=True)
class RecordTrace:
    """What a rule made of one record: the values it read, its scope, decisions, validations and fields."""

    read: dict[str, Any]
    in_scope: bool
    where: Step | None
    where_error: Message | None
    fields: tuple[FieldTrace, ...]
    decisions: tuple[DecisionTrace, ...] = ()
    validations: tuple[ValidationTrace, ...] = ()

    @property
    def values(self) -> dict[str, Any]:
        """Return target field -> value, without those that are left alone or have an error."""
        return {f.name: f.value for f in self.fields if f.applies and f.error is None}

    @property
    def undecided(self) -> DecisionTrace | None:
        """Return the decision for whose error the record is parked, None where there is none."""
        return next((decision for decision in self.decisions if decision.error is not None), None)

    @property
    def failed(self) -> FieldTrace | None:
        """Return the field for whose error the record is parked, one that stops first; None where there is none."""
        wrong = [f for f in self.fields if f.error is not None]
        return next((f for f in wrong if f.stops), wrong[0] if wrong else None)

    def to_json(self) -> dict[str, Any]:
        """Return the record as plain data."""
        return {
            "read": plain(self.read),
            "in_scope": self.in_scope,
            "where": None if self.where is None else self.where.to_json(),
            "where_error": None if self.where_error is None else str(self.where_error),
            "decisions": [decision.to_json() for decision in self.decisions],
            "validations": [validation.to_json() for validation in self.validations],
            "fields": [field.to_json() for field in self.fields],
        }


class RecordTracer:
    """Explains records of one mapping; keeps the expressions it has prepared.

    `source` are the fields of the records, `checks` the validations of the rule.
    """

    def __init__(
        self, mapping: Mapping, source: Schema, library: Library = EMPTY, checks: Sequence[Compiled] = ()
    ) -> None:
        self.mapping = mapping
        self._source = source
        self._library = library
        self._checks = checks
        self._tracers: dict[str, Tracer] = {}

    def trace(self, record: pl.DataFrame, at: datetime) -> RecordTrace:
        """Return what the mapping makes of a record (a batch of one, with the fields that were kept of it).

        `at` is the moment of the run, whose day decides which rows of decision tables apply.
        """
        plain_batch = complete(record, self._source)
        mask, failures = self.mapping.where(plain_batch)
        decisions, batch = trace_decisions(self.mapping.questions, plain_batch, at)
        mapped = self.mapping.apply(batch)
        errors = {error.field: error for error in reversed((*mapped.errors, *mapped.replaced))}
        fields = tuple(self._field(step, batch, mapped, errors) for step in self.mapping.steps)
        where = None if self.mapping.scope is None else self.step(self.mapping.scope, batch)
        wrong = failures[0].message if failures else None
        checked = trace_validations(self._checks, batch, self.step)
        read = record.row(0, named=True)
        return RecordTrace(read, bool(mask[0]), where, wrong, fields, decisions, checked)

    def _field(self, step: FieldStep, batch: pl.DataFrame, mapped: Mapped, errors: dict[str, FieldError]) -> FieldTrace:
        name = step.target.name
        copied = step.source.name if step.program is None else None
        evaluated = None if step.program is None else step.program.evaluate(batch)
        found = errors.get(name)
        error = found if found in mapped.errors else None
        applies = mapped.applies[name][0] if name in mapped.applies else True
        return FieldTrace(
            name,
            step.entry.path,
            step.target.type,
            copied,
            batch[step.source.name][0] if evaluated is None else evaluated.values[0],
            step.source.type,
            mapped.records[name][0],
            None if step.program is None else self.step(step.program, batch),
            None if step.when is None else self.step(step.when, batch),
            bool(applies),
            None if error is None else error.message,
            None if error is None else error.column,
            step.entry.on,
            step.entry.strength,
            found.message if found is not None and error is None else None,
            step.entry.on_error is OnError.STOP,
            _link(step, batch),
        )

    def step(self, program: Program, record: pl.DataFrame) -> Step:
        """Return how a program came to its value; the value of the whole is the program's own."""
        if program.text not in self._tracers:
            self._tracers[program.text] = Tracer(program.text, self.mapping.source, self._library)
        return _settled(self._tracers[program.text].trace(record), program, record)


def _link(step: FieldStep, batch: pl.DataFrame) -> LinkTrace | None:
    if step.reference is None:
        return None
    key = step.reference.keys(batch[step.source.name], step.source)[0]
    return LinkTrace(step.reference.rule, key[0], step.reference.table.partners(step.reference.side, key)[0])


def complete(records: pl.DataFrame, source: Schema) -> pl.DataFrame:
    """Return records with all fields of the source; those that were not kept are empty."""
    missing = [pl.lit(None, dtype=f.dtype).alias(f.name) for f in source.fields if f.name not in records.columns]
    return records.with_columns(missing).select(source.names)


def _settled(step: Step, program: Program, record: pl.DataFrame) -> Step:
    """Return the step of a whole expression with the value that the program gives (rounded, of the wanted type)."""
    evaluated = program.evaluate(record)
    if evaluated.errors:
        return replace(step, state=State.ERROR, value=None, error=evaluated.errors[0].message)
    return replace(step, state=State.VALUE, value=evaluated.values[0], error=None)
