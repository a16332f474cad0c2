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
from rules.language.rows import Evaluated, RowError, Rows
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

    def explain(self, failed: pl.DataFrame, rows: pl.Series, values: pl.Series) -> Evaluated:
        """Return the results of a batch with its errors; `rows` are the places of the failed records.

        A few of those have a value after all: what columns cannot tell exactly counts as failed until here.
        """
        args = [arg.expr for cause in self._causes for arg in cause.args if not arg.constant]
        outputs = {str(number): expr for number, expr in enumerate([self._number, *args])}
        numbers, *columns = self._stages.run(failed, outputs).get_columns()
        causes = numbers.fill_null(UNKNOWN)
        places, rest = rows.to_list(), iter(columns)
        messages = [_messages(cause, rest) for cause in self._causes]
        errors = {
            places[index]: self._error(places[index], cause, messages[cause](index))
            for index, cause in enumerate(causes.to_list())
            if cause != UNKNOWN
        }
        unknown = (causes == UNKNOWN).arg_true()
        if len(unknown):
            found = self._root.rows.evaluate(failed[unknown])
            values = values.scatter(rows.gather(unknown), found.values)
            errors |= {(row := places[unknown[e.row]]): replace(e, row=row) for e in found.errors}
        return Evaluated(values, tuple(error for _, error in sorted(errors.items())))

    def _error(self, row: int, cause: int, message: Message) -> RowError:
        line, column = self._places[cause]
        return RowError(row, message, column, line)


def _messages(cause: Cause, columns: Iterator[pl.Series]) -> Callable[[int], Message]:
    """Return the message of a cause for the failed record of a number."""
    message, call = cause.message, cause.call
    if message is not None or call is None:
        return lambda _index: message or NO_RESULT
    lists = [_python(arg, columns) for arg in cause.args]
    known: dict[str, Message] = {}

    def again(index: int) -> Message:
        values = [values[index % len(values)] for values in lists]
        key = repr(values)  # unlike the values, it tells 0.0 and -0.0 apart
        if key not in known:
            known[key] = call_message(call, values)
        return known[key]

    return again


def _python(arg: Value, columns: Iterator[pl.Series]) -> list[Any]:
    """Return an argument as our functions take it."""
    if arg.constant:
        literal = arg.literal
        return [literal.replace(tzinfo=UTC) if isinstance(literal, datetime) else literal]
    column = next(columns)
    return column.dt.replace_time_zone("UTC").to_list() if arg.kind is Kind.DATETIME else column.to_list()
