"""What a table sees of a batch: the values of its inputs, the pieces they lie in, the answers of its conditions."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import polars as pl

from rules.decisions.columns import Column, Words
from rules.decisions.lines import Bins
from rules.decisions.literals import said
from rules.decisions.matching import Edit, Flags
from rules.decisions.outcome import Errors, note
from rules.decisions.plan import Condition, Front, Rows
from rules.decisions.writing import write_tests
from rules.language import RowError
from rules.text import N_, msg


@dataclass(frozen=True)
class Asked:
    """A condition's answers: where it holds, and where it has none and why."""

    condition: Condition
    holds: Flags
    failed: Flags
    errors: Mapping[int, RowError]


@dataclass(frozen=True)
class Seen:
    """A batch with the inputs in it, the piece of each input's values, the conditions' answers, the errors so far."""

    batch: pl.DataFrame
    inputs: tuple[pl.Series, ...]
    bins: tuple[Bins, ...]
    asked: tuple[Asked, ...]
    errors: Errors

    def part(self, records: Rows) -> Seen:
        """Return what is seen of some of the records."""
        return Seen(
            self.batch[records],
            tuple(values[records] for values in self.inputs),
            tuple(found[records] for found in self.bins),
            tuple(Asked(a.condition, a.holds[records], a.failed[records], {}) for a in self.asked),
            {},
        )

    def edit(self, *, maybe: bool = False) -> Edit | None:
        """Return what takes away the rows whose conditions do not hold; with `maybe`, not where one has no answer."""
        if not self.asked:
            return None

        def taken(masks: Words, part: slice) -> Words:
            for asked in self.asked:
                kept = asked.holds[part] | asked.failed[part] if maybe else asked.holds[part]
                masks[~kept] &= ~asked.condition.words
            return masks

        return taken


def see(front: Front, columns: Sequence[Column], conditions: Sequence[Condition], batch: pl.DataFrame) -> Seen:
    """Return what a table sees of a batch."""
    errors: Errors = {}
    inputs = tuple(_input(front, number, batch, errors) for number in range(len(columns)))
    computed = [values for values, source in zip(inputs, front.sources, strict=True) if source is not None]
    whole = batch.with_columns(computed) if computed else batch
    bins = tuple(column.bins(values) for column, values in zip(columns, inputs, strict=True))
    for number, column in enumerate(columns):
        if column.allowed is not None:
            _check_allowed(front, number, inputs[number], ~column.allowed[bins[number]], errors)
    return Seen(whole, inputs, bins, tuple(_ask(condition, whole) for condition in conditions), errors)


def _input(front: Front, number: int, batch: pl.DataFrame, errors: Errors) -> pl.Series:
    field, source = front.fields[number], front.sources[number]
    if source is None:
        return batch[field.name]
    found = source.evaluate(batch)
    for error in found.errors:
        words = msg("Input '{input}': {reason}", input=field.name, reason=error.message)
        note(errors, error.row, words, error.column, error.line)
    return found.values.alias(field.name)


def _check_allowed(front: Front, number: int, values: pl.Series, other: Flags, errors: Errors) -> None:
    column = front.table.inputs[number]
    allowed = write_tests(front.cells.allowed[number], column.type)
    for record in np.flatnonzero(other).tolist():
        text = N_("'{input}' is {value}, but only {allowed} can occur.")
        note(errors, record, msg(text, input=column.name, value=said(values[record]), allowed=allowed))


def _ask(condition: Condition, batch: pl.DataFrame) -> Asked:
    found = condition.program.evaluate(batch)
    errors = {error.row: error for error in found.errors}
    failed = np.zeros(batch.height, bool)
    failed[list(errors)] = True
    return Asked(condition, found.values.fill_null(value=False).to_numpy(), failed, errors)
