"""Why a table says what it says about one record: for each row the cells that fail, and why the winner won."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import date, datetime, time
from decimal import Decimal
from typing import Any

import polars as pl

from rules.decisions.cells import AnyValue, CellError, Expression
from rules.decisions.columns import Column
from rules.decisions.decided import Decided
from rules.decisions.literals import said
from rules.decisions.plan import Front
from rules.decisions.reading import cell_text, read_constant
from rules.decisions.seeing import Asked, Seen
from rules.decisions.writing import write_input
from rules.documents.decision_table import Aggregation, DecisionTable, HitPolicy
from rules.language.jsontext import write_json
from rules.language.results import shown
from rules.schema import Field, FieldType, Schema
from rules.text import N_, Message, msg


@dataclass(frozen=True)
class SeenInput:
    """An input as the table saw it."""

    name: str
    label: str
    value: Any


@dataclass(frozen=True)
class Clause:
    """A cell that does not apply to the record: what it asks for, what the input is, and that in words."""

    input: int
    cell: str
    value: Any
    words: Message


@dataclass(frozen=True)
class RowStory:
    """What became of a row (from 0); `failed` are its cells that do not apply, in their order."""

    row: int
    applies: bool
    decides: bool
    failed: tuple[Clause, ...]
    words: Message


@dataclass(frozen=True)
class Explanation:
    """Why a record got its outputs; `fired` are the rows that decided, `error` is why there are no outputs."""

    inputs: tuple[SeenInput, ...]
    rows: tuple[RowStory, ...]
    fired: tuple[int, ...]
    outputs: Mapping[str, Any]
    reason: Message
    error: Message | None = None


def one_record(record: Mapping[str, Any], fields: Iterable[str], schema: Schema) -> pl.DataFrame:
    """Return a record as a batch; days, times and numbers may be texts, fields that are left out are empty."""
    return pl.DataFrame([_series(schema[name], record.get(name)) for name in sorted(fields)])


_KINDS: Mapping[FieldType, type] = {
    FieldType.TEXT: str,
    FieldType.INTEGER: int,
    FieldType.DECIMAL: Decimal,
    FieldType.FLOAT: float,
    FieldType.BOOLEAN: bool,
    FieldType.DATE: date,
    FieldType.TIME: time,
    FieldType.DATETIME: datetime,
    FieldType.LOCAL_DATETIME: datetime,
    FieldType.BINARY: bytes,
    FieldType.JSON: str,
}
_WRITTEN = frozenset(FieldType) - {FieldType.TEXT, FieldType.JSON, FieldType.BINARY}


def _series(field: Field, value: Any) -> pl.Series:
    if field.type is FieldType.JSON and not isinstance(value, (str, type(None))):
        value = write_json(value)
    if field.type in _WRITTEN and isinstance(value, str):
        value = read_constant(value, field.type).value
    if field.type in (FieldType.DECIMAL, FieldType.FLOAT) and type(value) in (int, float):
        value = read_constant(cell_text(value), field.type).value
    if value is not None and type(value) is not _KINDS[field.type]:
        text = N_("'{field}' is {value}, but the field is {type}.")
        raise CellError(msg(text, field=field.name, value=shown(value), type=field.type.value))
    return pl.Series(field.name, [value], dtype=field.dtype, strict=True)


class Teller:
    """Tells the story of one record."""

    def __init__(self, front: Front, columns: tuple[Column, ...], seen: Seen, decided: Decided) -> None:
        self._front = front
        self._table = front.table
        self._columns = columns
        self._seen = seen
        self._decided = decided
        self._asked = {(row, a.condition.input): a for a in seen.asked for row in a.condition.rows}
        fired = decided.fired[0]
        self._fired = () if fired is None else (fired,) if isinstance(fired, int) else tuple(fired.to_list())

    def tell(self, as_of: date) -> Explanation:
        """Return the explanation."""
        inputs = tuple(
            SeenInput(column.name, column.label or column.name, values[0])
            for column, values in zip(self._table.inputs, self._seen.inputs, strict=True)
        )
        rows = tuple(self._row(number, as_of) for number in range(len(self._table.rows)))
        error = self._decided.errors[0].message if self._decided.errors else None
        outputs = self._decided.outputs.row(0, named=True)
        reason = error or self._reason()
        return Explanation(inputs, rows, self._fired, outputs, reason, error)

    def _row(self, number: int, as_of: date) -> RowStory:
        row, day = self._table.rows[number], as_of.isoformat()
        failed = tuple(self._failed(number))
        decides = number in self._fired
        if row.since is not None and day < row.since:
            return RowStory(number, False, False, failed, msg("Applies only from {day} on.", day=row.since))
        if row.until is not None and day >= row.until:
            return RowStory(number, False, False, failed, msg("No longer applies since {day}.", day=row.until))
        words = failed[0].words if failed else self._applies(decides=decides)
        return RowStory(number, not failed, decides, failed, words)

    def _failed(self, row: int) -> Iterable[Clause]:
        for number, cell in enumerate(self._front.cells.when[row]):
            if isinstance(cell, AnyValue):
                continue
            column, value = self._table.inputs[number], self._seen.inputs[number][0]
            text = write_input(cell, column.type)
            words = msg("'{input}' is {value}, not {cell}.", input=column.name, value=said(value), cell=text)
            if isinstance(cell, Expression):
                asked = self._asked[row, number]
                if not asked.holds[0]:
                    yield Clause(number, text, value, self._not_true(asked, words))
            elif not self._columns[number].covered[self._seen.bins[number][0], row]:
                yield Clause(number, text, value, words)

    def _not_true(self, asked: Asked, words: Message) -> Message:
        if asked.errors:
            return asked.errors[0].message  # of record 0, the only one
        return msg(N_("'{input}' is {value}, and {cell} is not true."), **words.values)

    def _applies(self, *, decides: bool) -> Message:
        if decides or not self._fired or self._decided.errors:
            return msg("Applies.")
        name = self._table.row_name(self._fired[0])
        if self._table.hit_policy is HitPolicy.ANY:
            return msg("Applies too, with the same outputs as row {row}.", row=name)
        return msg("Applies too, but row {row} comes before it.", row=name)

    def _reason(self) -> Message:
        if not self._fired:
            return msg("No row applies, so the outputs have their defaults or are empty.")
        names = ", ".join(self._table.row_name(row) for row in self._fired)
        return msg(_reason_text(self._table), rows=names)


def _reason_text(table: DecisionTable) -> str:
    if table.hit_policy is HitPolicy.COLLECT:
        return _COLLECTED[table.aggregation]
    return _REASONS[table.hit_policy]


_REASONS = {
    HitPolicy.UNIQUE: N_("Row {rows} is the only one that applies."),
    HitPolicy.FIRST: N_("Row {rows} is the first one that applies."),
    HitPolicy.PRIORITY: N_("Row {rows} has the most important outputs of those that apply."),
    HitPolicy.ANY: N_("Row {rows} applies, and all others that apply have the same outputs."),
    HitPolicy.RULE_ORDER: N_("Rows that apply: {rows}; their outputs are listed in the order of the rows."),
    HitPolicy.OUTPUT_ORDER: N_("Rows that apply: {rows}; their outputs are listed by importance."),
}
_COLLECTED = {
    Aggregation.LIST: N_("Rows that apply: {rows}; their outputs are collected."),
    Aggregation.SUM: N_("Rows that apply: {rows}; their outputs are added up."),
    Aggregation.MIN: N_("Rows that apply: {rows}; the smallest output counts."),
    Aggregation.MAX: N_("Rows that apply: {rows}; the largest output counts."),
    Aggregation.COUNT: N_("Rows that apply: {rows}; they are counted."),
}
