"""The errors of failed records, worked out for all of them together."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Any

import polars as pl

from rules.language.columns.blame import UNKNOWN, Blame, Cause
from rules.language.columns.compiler import Compiler
from rules.language.columns.facts import Fact
from rules.language.columns.stages import Stages
from rules.language.columns.take import Target, result
from rules.language.columns.value import Value
from rules.language.explain import NO_RESULT, call_message
from rules.language.lower import Plan
from rules.language.problems import place
from rules.language.rows import RowError, Rows
from rules.language.types import Kind
from rules.schema import Schema
from rules.text import Message


@dataclass(frozen=True)
class Root:
    """One expression of a plan: its text, its lowered tree, and what its results are for."""

    text: str
    plan: Plan
    target: Target
    rows: Rows


class Explanation:
    """Says why records failed, for batches about which the same facts are known."""

    def __init__(self, root: Root, schema: Schema, facts: Mapping[str, Fact]) -> None:
        self._root = root
        self._stages = Stages()
        compiler = Compiler(schema, facts, self._stages, explain=True)
        result(compiler, root.plan.tree, root.target)
        blame = Blame(compiler)
        self._number = blame.number(root.plan.tree)
        self._causes = blame.causes
        self._places = [place(root.text, cause.at) for cause in blame.causes]

    def errors(self, failed: pl.DataFrame, rows: pl.Series) -> tuple[RowError, ...]:
        """Return the errors of the failed records; `rows` are their places in the batch."""
        args = [arg.expr for cause in self._causes for arg in cause.args if not arg.constant]
        outputs = {str(number): expr for number, expr in enumerate([self._number, *args])}
        numbers, *columns = self._stages.run(failed, outputs).get_columns()
        causes = numbers.fill_null(UNKNOWN).to_list()
        looked_at = self._one_by_one(failed, [index for index, cause in enumerate(causes) if cause == UNKNOWN])
        rest = iter(columns)
        messages = [_messages(cause, rest) for cause in self._causes]
        return tuple(
            replace(looked_at[index], row=row) if cause == UNKNOWN else self._error(row, cause, messages[cause](index))
            for index, (row, cause) in enumerate(zip(rows.to_list(), causes, strict=True))
        )

    def _error(self, row: int, cause: int, message: Message) -> RowError:
        line, column = self._places[cause]
        return RowError(row, message, column, line)

    def _one_by_one(self, failed: pl.DataFrame, indices: list[int]) -> dict[int, RowError]:
        if not indices:
            return {}
        errors = self._root.rows.evaluate(failed[indices]).errors
        return {indices[error.row]: error for error in errors}


def _messages(cause: Cause, columns: Iterator[pl.Series]) -> Callable[[int], Message]:
    """Return the message of a cause for the failed record of a number."""
    message, call = cause.message, cause.call
    if message is not None or call is None:
        return lambda _index: message or NO_RESULT
    lists = [_python(arg, columns) for arg in cause.args]
    known: dict[tuple[Any, ...], Message] = {}

    def again(index: int) -> Message:
        values = tuple(values[index % len(values)] for values in lists)
        if values not in known:
            known[values] = call_message(call, list(values))
        return known[values]

    return again


def _python(arg: Value, columns: Iterator[pl.Series]) -> list[Any]:
    """Return an argument as our functions take it."""
    if arg.constant:
        literal = arg.literal
        return [literal.replace(tzinfo=UTC) if isinstance(literal, datetime) else literal]
    column = next(columns)
    return column.dt.replace_time_zone("UTC").to_list() if arg.kind is Kind.DATETIME else column.to_list()
