"""What a decision table decides for values that someone types in, and why."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date
from typing import Any

from flask_babel import gettext as _

from rules.decisions import CompiledTable, compile_table
from rules.decisions.cells import CellError
from rules.decisions.explaining import Explanation
from rules.documents import DocumentError
from rules.documents.decision_table import DecisionTable, parse_decision_table
from rules.schema import Field, FieldType
from webapp.extensions import House
from webapp.rulebook.library import library
from webapp.rulebook.samples import shown
from webapp.web.language import translated

MOST = 50


@dataclass(frozen=True)
class OtherRow:
    """A row that did not decide, and why."""

    row: int
    name: str
    text: str


@dataclass(frozen=True)
class Outcome:
    """The outputs by label, which rows decided, and why not the others."""

    outputs: list[tuple[str, Any]]
    decided: str
    others: list[OtherRow]


@dataclass(frozen=True)
class Tried:
    """The fields to be filled in, and the outcome or what is wrong with the values."""

    fields: tuple[Field, ...] = ()
    dated: bool = False
    error: str = ""
    outcome: Outcome | None = None


def tried(house: House, document: Mapping[str, Any], given: Mapping[str, Any], day: str | None) -> Tried:
    """Return what the table decides for the values of a form; texts of days and numbers are read."""
    try:
        compiled = compile_table(parse_decision_table(document), library=library(house))
    except DocumentError:
        return Tried(error=_("Correct the errors above, then you can try the table here."))
    table = compiled.table
    fields = tuple(
        Field(column.name, column.type, label=column.label) for column in table.inputs if column.name in compiled.fields
    )
    dated = any(row.since or row.until for row in table.rows)
    try:
        as_of = date.fromisoformat(day) if day else table.day(house.clock())
        explained = compiled.explain({f.name: _value(f, given.get(f.name)) for f in fields}, as_of)
    except CellError as error:
        return Tried(fields, dated, translated(error.message))
    except ValueError:
        return Tried(fields, dated, _("There is no such day."))
    if explained.error is not None:
        return Tried(fields, dated, translated(explained.error))
    return Tried(fields, dated, outcome=_outcome(compiled, explained))


def _value(field: Field, value: Any) -> Any:
    """Return what was typed; nothing typed means empty, also for text."""
    return None if value == "" else (value == "true") if field.type is FieldType.BOOLEAN and value else value


def _outcome(compiled: CompiledTable, explained: Explanation) -> Outcome:
    table = compiled.table
    labels = {output.name: output.label or output.name for output in table.outputs}
    outputs = [(labels[name], shown(value)) for name, value in explained.outputs.items()]
    others = [
        OtherRow(story.row, _("Row %(name)s", name=_name(table, story.row)), translated(story.words))
        for story in explained.rows
        if not story.decides
    ]
    return Outcome(outputs, translated(explained.reason), others[:MOST])


def _name(table: DecisionTable, row: int) -> str:
    return table.row_name(row)
