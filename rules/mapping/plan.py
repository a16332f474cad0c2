"""A whole mapping as one plan per batch: expressions, conversions and conditions together, shared parts once."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence

import polars as pl

from rules.documents.sync import OnError
from rules.language.columns.backend import ColumnPlan, Columns
from rules.language.columns.description import PlanDescription
from rules.language.columns.explanation import Root
from rules.language.columns.stages import Stages
from rules.language.columns.value import Value
from rules.language.program import Program
from rules.language.types import Kind
from rules.mapping.convert import converted, lossless
from rules.mapping.limits import within
from rules.mapping.results import Cause, FieldError, Mapped, merged
from rules.mapping.steps import Step, causes
from rules.schema import Schema

_HELD = (OnError.QUARANTINE, OnError.STOP)
Failures = dict[int, Cause]


class MappingPlan:
    """Applies the steps of a mapping."""

    def __init__(self, steps: Sequence[Step], source: Schema) -> None:
        self._steps = tuple(steps)
        self._places: dict[int, int] = {}
        self._copied = frozenset(number for number, step in enumerate(self._steps) if _is_copy(step))
        self._plan = ColumnPlan(tuple(self._roots()), source, self._outputs)

    @property
    def description(self) -> PlanDescription:
        """Return what the plan does."""
        return self._plan.description

    def apply(self, batch: pl.DataFrame) -> Mapped:
        """Return the target records of a batch."""
        heavy = self._plan.heavy(batch)
        if heavy is None:
            return self._applied(batch, self._plan.run(batch)[2])
        light, rest = (~heavy).arg_true(), heavy.arg_true()
        parts = [(self._applied(batch[rest], pl.DataFrame()), rest)]
        if len(light):
            parts.append((self._applied(batch[light], self._plan.run(batch[light])[2]), light))
        return merged(parts)

    def _applied(self, batch: pl.DataFrame, found: pl.DataFrame) -> Mapped:
        """Return the target records of a batch from what the plan gave; the steps it has not worked out follow here."""
        columns: list[pl.Series] = []
        errors: list[FieldError] = []
        applies: dict[str, pl.Series] = {}
        for number, step in enumerate(self._steps):
            values, failures, mask, unsure = self._step(number, step, batch, found)
            if mask is not None:
                applies[step.target.name] = mask
            columns.append(_replaced(step, values, failures).alias(step.target.name))
            errors += _errors(step, failures, step.entry.on_error)
            errors += _errors(step, unsure, OnError.STOP if step.entry.on_error is OnError.STOP else OnError.QUARANTINE)
        errors.sort(key=lambda error: (error.row, error.policy is not OnError.STOP))
        held = tuple(error for error in errors if error.policy in _HELD)
        return Mapped(pl.DataFrame(columns), held, applies, tuple(e for e in errors if e.policy not in _HELD))

    def _roots(self) -> Iterator[Root]:
        count = 0
        for step in self._steps:
            for program in (step.program, step.when):
                if program is not None and isinstance(program.backend, Columns):
                    self._places[id(program)] = count
                    count += 1
                    yield program.backend.root

    def _outputs(self, stages: Stages, values: Sequence[Value | None]) -> dict[str, pl.Expr]:
        """Return for each step its values, where there is a problem with them, and where they apply."""
        outputs: dict[str, pl.Expr] = {}
        for number, step in enumerate(self._steps):
            if number in self._copied:
                continue
            value = None if step.reference else self._value(step.program, step.source.name, values)
            when = None if step.when is None else self._value(step.when, str(step.when.copies), values)
            if value is not None and (step.when is None or when is not None):
                outputs |= {f"{number}:{name}": expr for name, expr in _parts(stages, step, value, when).items()}
        return outputs

    def _value(self, program: Program | None, name: str, values: Sequence[Value | None]) -> Value | None:
        if program is None or program.copies is not None:
            return Value(Kind.ANY, pl.col(name), empty=True, simple=True)
        place = self._places.get(id(program))
        return None if place is None else values[place]

    def _step(
        self, number: int, step: Step, batch: pl.DataFrame, found: pl.DataFrame
    ) -> tuple[pl.Series, Failures, pl.Series | None, Failures]:
        """Return a step's values, the records without one, where it applies, and where that cannot be said."""
        if number in self._copied:
            values = batch[step.source.name]
            return (values, {}, None, {}) if within(values, step.target) else _record_by_record(step, batch)
        if f"{number}:value" not in found.columns:
            return _record_by_record(step, batch)
        values = found[f"{number}:value"]
        mask = _column(found, f"{number}:applies")
        problem = _column(found, f"{number}:problem")
        values, failures = _explained(problem, batch, values, step.values)
        unsure = _column(found, f"{number}:unsure")
        if step.when is None or mask is None or unsure is None or not unsure.any():
            return values, failures, mask, {}
        return _record_by_record(step, batch)  # the condition may be known for some after all


def _is_copy(step: Step) -> bool:
    """Tell whether a step gives a field as it is, always and to a field of the same kind."""
    same = step.source.type is step.target.type and step.source.dtype == step.target.dtype
    return same and step.reference is None and step.when is None and step.program is None


def _column(found: pl.DataFrame, name: str) -> pl.Series | None:
    return found[name] if name in found.columns else None


def _parts(stages: Stages, step: Step, value: Value, when: Value | None) -> dict[str, pl.Expr]:
    made, problem = value.expr, value.fails
    if not lossless(step.source, step.target):
        value = stages.stage(value)
        made = stages.add(converted(value.expr, step.source, step.target), value.level)
        lost = made.is_null() & value.expr.is_not_null() if value.empty else made.is_null()
        problem = lost if value.fails is None or not value.empty else lost | value.fails
    parts: dict[str, pl.Expr] = {}
    if when is not None:
        when = stages.stage(when)
        mask = parts["applies"] = when.expr.fill_null(value=False)
        made = pl.when(mask).then(made)
        problem = None if problem is None else problem & mask
        parts |= {} if when.fails is None else {"unsure": when.fails}
    return {"value": made.cast(step.target.dtype), **({} if problem is None else {"problem": problem}), **parts}


def _explained(
    mask: pl.Series | None,
    batch: pl.DataFrame,
    values: pl.Series,
    look: Callable[[pl.DataFrame], tuple[pl.Series, Failures]],
) -> tuple[pl.Series, Failures]:
    """Return the values and row -> why for the records of a mask, found by looking at just those."""
    rows = None if mask is None else mask.arg_true()
    if rows is None or not len(rows):
        return values, {}
    found, failures = look(batch[rows])
    numbers = rows.to_list()
    return values.scatter(rows, found), {numbers[row]: cause for row, cause in failures.items()}


def _record_by_record(step: Step, batch: pl.DataFrame) -> tuple[pl.Series, Failures, pl.Series | None, Failures]:
    values, failures = step.values(batch)
    if step.when is None:
        return values, failures, None, {}
    evaluated = step.when.evaluate(batch)
    mask = evaluated.values.fill_null(value=False)
    kept = pl.select(pl.when(mask).then(values)).to_series()
    return kept, {row: why for row, why in failures.items() if mask[row]}, mask, causes(evaluated.errors)


def _replaced(step: Step, values: pl.Series, failures: Failures) -> pl.Series:
    """Return the values, the default where there is none because of an error and the rule has one."""
    if step.default is None or not failures:
        return values
    rows = pl.Series(list(failures), dtype=pl.UInt32)
    return values.scatter(rows, step.default.new_from_index(0, len(rows)))


def _errors(step: Step, failures: Failures, policy: OnError) -> Iterator[FieldError]:
    for row, cause in failures.items():
        yield FieldError(row, step.target.name, cause.message, cause.column, policy, cause.stage)
