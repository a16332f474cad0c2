"""Explains the decision tables that a rule asked for a record: which row decided, and why not the others."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import polars as pl

from rules.decisions.asking import Question
from rules.decisions.explaining import RowStory
from rules.language import RowError
from rules.text import Message
from rules.trace.steps import plain


@dataclass(frozen=True)
class DecisionTrace:
    """What one decision table said: `name` is the word before its outputs, `inputs` the values that it saw.

    `rows` tells for every row whether it applies and decides; it is empty where the inputs have no values.
    """

    name: str
    table: str
    label: str
    inputs: tuple[tuple[str, Any], ...]
    outputs: dict[str, Any]
    row_names: tuple[str, ...]
    rows: tuple[RowStory, ...] = ()
    reason: Message | None = None
    error: Message | None = None

    @property
    def fired(self) -> tuple[RowStory, ...]:
        """Return the rows that decided."""
        return tuple(row for row in self.rows if row.decides)

    @property
    def others(self) -> tuple[RowStory, ...]:
        """Return the rows that did not decide."""
        return tuple(row for row in self.rows if not row.decides)

    def to_json(self) -> dict[str, Any]:
        """Return the decision as plain data."""
        rows = [
            {"row": self.row_names[row.row], "applies": row.applies, "decides": row.decides, "why": str(row.words)}
            for row in self.rows
        ]
        return {
            "name": self.name,
            "table": self.table,
            "inputs": {name: plain(value) for name, value in self.inputs},
            "outputs": plain(self.outputs),
            "fired": [self.row_names[row.row] for row in self.fired],
            "reason": None if self.reason is None else str(self.reason),
            "error": None if self.error is None else str(self.error),
            "rows": rows,
        }


def trace_decisions(
    questions: Iterable[Question], batch: pl.DataFrame, at: datetime
) -> tuple[tuple[DecisionTrace, ...], pl.DataFrame]:
    """Return what each decision said about a record (a batch of one), and the record with the outputs."""
    told: list[DecisionTrace] = []
    for question in questions:
        answer = question.ask(batch, at)
        told.append(_told(question, batch, at, answer.errors))
        batch = answer.batch
    return tuple(told), batch


def _told(question: Question, batch: pl.DataFrame, at: datetime, errors: tuple[RowError, ...]) -> DecisionTrace:
    table = question.table.table
    head = (question.prefix, table.name, table.label or table.name)
    names = tuple(table.row_name(row) for row in range(len(table.rows)))
    evaluated = [(name, program.evaluate(batch)) for name, program in question.inputs]
    if any(found.errors for _name, found in evaluated):
        return DecisionTrace(*head, (), {}, names, error=errors[0].message)
    asked = batch.with_columns([found.values.alias(name) for name, found in evaluated])
    story = question.table.explain(asked.row(0, named=True), table.day(at))
    inputs = tuple((seen.label, seen.value) for seen in story.inputs)
    error = errors[0].message if errors else None
    return DecisionTrace(*head, inputs, dict(story.outputs), names, story.rows, story.reason, error)
