"""From the rows that decide to the outputs of the records."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import polars as pl

from rules.decisions.literals import said
from rules.decisions.plan import OutputPlan, Rows
from rules.documents.decision_table import Aggregation, DecisionTable, HitPolicy
from rules.language import Program, RowError
from rules.schema import FieldType
from rules.text import N_, Message, msg

Errors = dict[int, RowError]
_ROOM = 1.6e20
"""Far below this, 128 bits hold a sum of decimals; above it, they may have overflowed."""


@dataclass(frozen=True)
class Deciding:
    """Records and the rows whose outputs they get; a row of -1 stands for the defaults."""

    records: Rows
    rows: Rows


def values_of(
    plan: OutputPlan, table: DecisionTable, deciding: Deciding, batch: pl.DataFrame, errors: Errors
) -> pl.Series:
    """Return the values of one output for each record and row, and note the records without one."""
    count = len(plan.constants)
    default = pl.Series([plan.default], dtype=plan.field.dtype)
    pieces = [plan.constants, default]
    places = np.where(deciding.rows < 0, count, deciding.rows)
    offset = count + 1
    for program, rows in _by_program(plan):
        wanted = np.flatnonzero(np.isin(deciding.rows, rows))
        if len(wanted):
            found = _computed(plan, program, table, _part(deciding, wanted), batch, errors)
            pieces.append(found)
            places[wanted] = np.arange(offset, offset + len(wanted))
            offset += len(wanted)
    return pl.concat(pieces).gather(places).alias(plan.field.name)


def _by_program(plan: OutputPlan) -> list[tuple[Program, list[int]]]:
    found: dict[int, tuple[Program, list[int]]] = {}
    for row, program in plan.programs.items():
        found.setdefault(id(program), (program, []))[1].append(row)
    return list(found.values())


def _part(deciding: Deciding, wanted: Rows) -> Deciding:
    return Deciding(deciding.records[wanted], deciding.rows[wanted])


def _computed(
    plan: OutputPlan, program: Program, table: DecisionTable, deciding: Deciding, batch: pl.DataFrame, errors: Errors
) -> pl.Series:
    found = program.evaluate(batch[deciding.records])
    for error in found.errors:
        record, row = int(deciding.records[error.row]), int(deciding.rows[error.row])
        note(errors, record, at_cell(table, row, plan.field.name, error.message), error.column, error.line)
    values = found.values.cast(plan.field.dtype)
    if plan.choices:
        known = pl.Series(plan.choices, dtype=plan.field.dtype)
        for place in (~values.is_in(known.implode()) & values.is_not_null()).arg_true():
            text = N_("{value} is not among the values that '{output}' may have.")
            words = msg(text, value=said(values[place]), output=plan.field.name)
            row = int(deciding.rows[place])
            note(errors, int(deciding.records[place]), at_cell(table, row, plan.field.name, words))
    return values.rename(plan.constants.name)


def at_cell(table: DecisionTable, row: int, column: str, message: Message) -> Message:
    """Return a message about a cell of a row."""
    return msg("Row {row}, '{column}': {reason}", row=table.row_name(row), column=column, reason=message)


def note(errors: Errors, record: int, message: Message, column: int | None = None, line: int | None = None) -> None:
    """Keep the first error of a record."""
    errors.setdefault(record, RowError(record, message, column, line))


def collected(
    plan: OutputPlan, table: DecisionTable, values: pl.Series, records: Rows, height: int, errors: Errors
) -> pl.Series:
    """Return what a policy with several rows makes of an output: a list for each record, or its aggregate."""
    frame = pl.DataFrame({"record": records, "value": values})
    made = frame.group_by("record", maintain_order=True).agg(_aggregate(plan, table))
    found = _summed(plan, made, errors) if "size" in made.columns else made["value"]
    return spread(found, made["record"], _nothing(plan, table, found.dtype), height).alias(plan.field.name)


def spread(values: pl.Series, records: pl.Series, nothing: pl.Series, height: int) -> pl.Series:
    """Return the values at the places of their records, and `nothing` everywhere else."""
    places = np.full(height, len(values))
    places[records.to_numpy()] = np.arange(len(values))
    return pl.concat([values, nothing.alias(values.name)]).gather(places)


def _aggregate(plan: OutputPlan, table: DecisionTable) -> list[pl.Expr]:
    value = pl.col("value")
    if table.hit_policy is not HitPolicy.COLLECT or table.aggregation is Aggregation.LIST:
        return [value]
    if table.aggregation is Aggregation.SUM:
        exact = value.to_physical() if plan.field.type is FieldType.FLOAT else value.to_physical().cast(pl.Int128)
        size = value.cast(pl.Float64).sum().abs()
        total = pl.when(value.is_not_null().any()).then(value.sum())
        return [total.alias("value"), exact.sum().alias("exact"), size.alias("size")]
    by = {Aggregation.MIN: value.min(), Aggregation.MAX: value.max(), Aggregation.COUNT: value.len().cast(pl.Int64)}
    return [by[table.aggregation]]


def _summed(plan: OutputPlan, made: pl.DataFrame, errors: Errors) -> pl.Series:
    """Return the sums as values of the output; what it cannot hold is an error."""
    if plan.field.type is FieldType.FLOAT:
        return made["value"]
    limit = pl.lit(2**63 if plan.field.type is FieldType.INTEGER else 10**38, dtype=pl.Int128)
    exact = pl.col("exact")
    outside = (exact >= limit) | (exact < -limit) | (pl.col("size") >= _ROOM)
    too_large = made.select(outside).to_series()
    for record in made["record"].filter(too_large):
        note(errors, record, msg("The sum of '{output}' is too large.", output=plan.field.name))
    return made.select(pl.when(~too_large).then("value").cast(plan.field.dtype).alias("value")).to_series()


def _nothing(plan: OutputPlan, table: DecisionTable, dtype: pl.DataType) -> pl.Series:
    """Return what a record gets to which no row applies."""
    if isinstance(dtype, pl.List):
        return pl.Series([[] if plan.default is None else [plan.default]], dtype=dtype)
    counted = table.hit_policy is HitPolicy.COLLECT and table.aggregation is Aggregation.COUNT
    return pl.Series([0 if counted else plan.default], dtype=dtype)


def rows_fired(deciding: Deciding, height: int, failed: Sequence[int]) -> pl.Series:
    """Return the list of rows that applied to each record, null where the record has an error."""
    frame = pl.DataFrame({"record": deciding.records, "fired": deciding.rows.astype(np.int32)})
    made = frame.group_by("record", maintain_order=True).agg("fired")
    none = pl.Series([[]], dtype=pl.List(pl.Int32))
    return blanked(spread(made["fired"], made["record"], none, height), failed)


def blanked(values: pl.Series, failed: Sequence[int]) -> pl.Series:
    """Return values that are null for the records with an error."""
    if not failed:
        return values
    mask = np.zeros(len(values), bool)
    mask[list(failed)] = True
    broken = pl.Series(mask)
    return pl.select(pl.when(~broken).then(values).alias(values.name)).to_series()
