"""Trying a mapping on the first records, by the same code that runs use."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import polars as pl

from rules.documents import DocumentError
from rules.documents.sync import Direction, FieldMap, KeyPair, Side, SyncRule
from rules.language import ExpressionError, Problem, Severity, compile_expression
from rules.language.library import EMPTY, Library
from rules.mapping import compile_mapping
from rules.schema import Schema
from rules.text import Message
from rules.trace import named_fields
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
    """What a line of the mapping gives: its problems, or a result for each example record."""

    text: str
    problems: tuple[Problem, ...] = NONE
    results: tuple[Result, ...] = ()

    @property
    def failed(self) -> int:
        """Return for how many records there is no result."""
        return sum(1 for result in self.results if result.error)


@dataclass(frozen=True)
class Objects:
    """The records to try on and the fields on both sides; `connections` are those of the left and the right side."""

    source: Schema
    target: Schema
    records: pl.DataFrame
    library: Library = EMPTY
    connections: tuple[str, str] = ("left", "right")
    withheld: frozenset[str] = frozenset()
    """Fields of the source whose values who asks may not see: nothing is tried on them."""


def try_row(row: Row, flow: Flow, objects: Objects) -> Tried:
    """Return what one line of the mapping table gives for the records."""
    text = row.expression if row.source == EXPRESSION else row.source
    if not text or row.field is None or (row.source != EXPRESSION and row.source not in objects.source):
        return Tried(text)
    checked = _problems(row, objects)
    if any(problem.severity is Severity.ERROR for problem in checked):
        return Tried(text, checked)
    if objects.withheld & ({row.source} | named_fields(row.expression or "", objects.source)):
        return Tried(text, checked)
    try:
        values, errors = _mapped(row, flow, objects)
    except (DocumentError, ExpressionError):
        return Tried(text, checked)  # the check at the document's own place says what is wrong
    before = (
        [shown(v) for v in objects.records[row.source].to_list()] if row.source != EXPRESSION else [None] * len(values)
    )
    results = tuple(Result(shown(value), before[n], errors.get(n)) for n, value in enumerate(values))
    return Tried(text, checked, results)


def _problems(row: Row, objects: Objects) -> tuple[Problem, ...]:
    if row.source != EXPRESSION:
        return NONE
    try:
        made = compile_expression(row.expression, objects.source, convertible=True, library=objects.library)
    except ExpressionError as error:
        return tuple(error.problems)
    return tuple(made.warnings)


def _mapped(row: Row, flow: Flow, objects: Objects) -> tuple[list[Any], dict[int, Message]]:
    """Map the records with a rule of this one field, so that types are converted as in a run."""
    entry: dict[str, Any] = {flow.target: row.name}
    entry[flow.expression if row.source == EXPRESSION else flow.source] = row.expression or row.source
    if row.reference and row.source != EXPRESSION:
        entry["reference"] = row.reference
    direction = Direction.RIGHT_TO_LEFT if flow.source == "right" else Direction.LEFT_TO_RIGHT
    schemas = {flow.source: objects.source, flow.target: objects.target}
    key = {side: next(iter(schema.names), "") for side, schema in schemas.items()}
    rule = SyncRule(
        name="trial",
        left=Side(objects.connections[0], "left"),
        right=Side(objects.connections[1], "right"),
        direction=direction,
        key=KeyPair(key["left"], key["right"]),
        fields=(FieldMap(**entry),),
    )
    mapped = compile_mapping(rule, schemas["left"], schemas["right"], objects.library).apply(objects.records)
    return mapped.records[row.name].to_list(), {error.row: error.message for error in mapped.errors}
