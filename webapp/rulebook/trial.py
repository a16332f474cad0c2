"""Trying a mapping, an expression or a condition on the first records, by the same code that runs use."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import polars as pl

from rules.documents import DocumentError
from rules.documents.sync import Direction, FieldMap, KeyPair, Side, SyncRule
from rules.language import ExpressionError, Problem, Severity, compile_expression
from rules.mapping import compile_mapping
from rules.schema import FieldType, Schema
from rules.text import Message
from webapp.rulebook.editing import EXPRESSION, Flow, Row
from webapp.rulebook.samples import shown

NONE: tuple[Problem, ...] = ()


@dataclass(frozen=True)
class Result:
    """What became of one example record: the source value, the target value or why there is none."""

    value: str | None = None
    before: str | None = None
    error: Message | None = None


@dataclass(frozen=True)
class Tried:
    """What an expression gives: its problems, or its type and a result for each example record."""

    text: str
    problems: tuple[Problem, ...] = NONE
    type: FieldType | None = None
    results: tuple[Result, ...] = ()
    matching: int = 0

    @property
    def count(self) -> int:
        """Return how many records were tried."""
        return len(self.results)

    @property
    def failed(self) -> int:
        """Return for how many records there is no result."""
        return sum(1 for result in self.results if result.error)

    @property
    def first_error(self) -> Message | None:
        """Return why there is no result for the first of those."""
        return next((result.error for result in self.results if result.error), None)


@dataclass(frozen=True)
class Objects:
    """The records to try on and the fields on both sides."""

    source: Schema
    target: Schema
    records: pl.DataFrame


def try_expression(text: str, schema: Schema, records: pl.DataFrame, expect: FieldType | None = None) -> Tried:
    """Return what the expression gives for the records, or what is wrong with it."""
    try:
        program = compile_expression(text, schema, expect=expect)
    except ExpressionError as error:
        return Tried(text, tuple(error.problems))
    found = program.evaluate(records)
    errors = {error.row: error.message for error in found.errors}
    values = found.values.to_list()
    results = tuple(Result(shown(value), error=errors.get(row)) for row, value in enumerate(values))
    matching = sum(1 for row, value in enumerate(values) if value is True and row not in errors)
    return Tried(text, tuple(program.warnings), program.type, results, matching)


def try_condition(text: str, schema: Schema, records: pl.DataFrame) -> Tried:
    """Return for how many records a condition is true, or what is wrong with it."""
    return try_expression(text, schema, records, FieldType.BOOLEAN)


def try_row(row: Row, flow: Flow, objects: Objects) -> Tried:
    """Return what one line of the mapping table gives for the records."""
    text = row.expression if row.source == EXPRESSION else row.source
    if not text or row.field is None or (row.source != EXPRESSION and row.source not in objects.source):
        return Tried(text)
    checked = _problems(row, objects)
    if any(problem.severity is Severity.ERROR for problem in checked):
        return Tried(text, checked)
    try:
        values, errors = _mapped(row, flow, objects)
    except (DocumentError, ExpressionError):
        return Tried(text, checked)  # the check at the document's own place says what is wrong
    before = (
        [shown(v) for v in objects.records[row.source].to_list()] if row.source != EXPRESSION else [None] * len(values)
    )
    results = tuple(Result(shown(value), before[n], errors.get(n)) for n, value in enumerate(values))
    return Tried(text, checked, row.field.type, results)


def _problems(row: Row, objects: Objects) -> tuple[Problem, ...]:
    if row.source != EXPRESSION:
        return NONE
    try:
        return tuple(compile_expression(row.expression, objects.source, convertible=True).warnings)
    except ExpressionError as error:
        return tuple(error.problems)


def _mapped(row: Row, flow: Flow, objects: Objects) -> tuple[list[Any], dict[int, Message]]:
    """Map the records with a rule of this one field, so that types are converted as in a run."""
    entry: dict[str, Any] = {flow.target: row.name}
    entry[flow.expression if row.source == EXPRESSION else flow.source] = row.expression or row.source
    direction = Direction.RIGHT_TO_LEFT if flow.source == "right" else Direction.LEFT_TO_RIGHT
    schemas = {flow.source: objects.source, flow.target: objects.target}
    key = {side: next(iter(schema.names), "") for side, schema in schemas.items()}
    rule = SyncRule(
        name="trial",
        left=Side("left", "left"),
        right=Side("right", "right"),
        direction=direction,
        key=KeyPair(key["left"], key["right"]),
        fields=(FieldMap(**entry),),
    )
    mapped = compile_mapping(rule, schemas["left"], schemas["right"]).apply(objects.records)
    return mapped.records[row.name].to_list(), {error.row: error.message for error in mapped.errors}
