"""The decision table as data: its columns, its rows, which rows win, and its own examples.

Cells are texts in the table's own small language (`rules.decisions.cells`, docs/decision-tables.md); numbers and
true/false may be written as they are. This module reads and checks the document; what the cells mean over fields is
checked by `rules.decisions.compile_table`.
"""

# ruff: noqa: RUF009 - `entry` declares a key, as `dataclasses.field` would
from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import date, datetime
from enum import StrEnum
from functools import cache
from typing import Any
from zoneinfo import ZoneInfo

from rules.documents.build import build
from rules.documents.problems import DocumentError, DocumentProblem
from rules.documents.shape import NAME, entry, json_schema
from rules.documents.validate import validate
from rules.schema import FieldType
from rules.text import N_, msg

KIND = "decision_table"
MAX_ROWS = 5_000
MAX_COLUMNS = 50
_DAY = r"^[0-9]{4}-[0-9]{2}-[0-9]{2}$"
_CELL = {"type": ["string", "number", "boolean", "null"]}
_INPUTS = [t.value for t in FieldType if t not in (FieldType.BINARY, FieldType.JSON)]
_OUTPUTS = [t.value for t in FieldType if t is not FieldType.BINARY]


class HitPolicy(StrEnum):
    """Which of the rows that apply decide."""

    UNIQUE = "unique"
    FIRST = "first"
    PRIORITY = "priority"
    ANY = "any"
    COLLECT = "collect"
    RULE_ORDER = "rule_order"
    OUTPUT_ORDER = "output_order"


class Aggregation(StrEnum):
    """What `collect` makes of the outputs of all rows that apply."""

    LIST = "list"
    SUM = "sum"
    MIN = "min"
    MAX = "max"
    COUNT = "count"


@dataclass(frozen=True)
class Input:
    """An input column: what the cells below it are compared with."""

    name: str = entry("The name of the column; also the field that it reads, if there is no expression.", minLength=1)
    label: str = entry("What people call the column; its name if left out.", "", maxLength=200)
    type: FieldType = entry("The type of the values.", FieldType.TEXT, enum=_INPUTS)
    expression: str | None = entry("What is compared, as an expression over the fields.", None, minLength=1)
    allowed: tuple[Any, ...] = entry(
        "The values that can occur, written like cells; other values are an error. Everything if left out.",
        (),
        items=_CELL,
    )


@dataclass(frozen=True)
class Output:
    """An output column: a value that the table decides."""

    name: str = entry("The name of the output.", minLength=1)
    label: str = entry("What people call the column; its name if left out.", "", maxLength=200)
    type: FieldType = entry("The type of the values.", FieldType.TEXT, enum=_OUTPUTS)
    allowed: tuple[Any, ...] = entry(
        "The values that are possible, the most important first: the order of the hit policies priority and "
        "output_order.",
        (),
        items=_CELL,
    )
    default: str | int | float | bool | None = entry("The value if no row applies; empty if left out.", None)


@dataclass(frozen=True)
class Row:
    """A row: if all cells of `when` apply, the outputs are `then`."""

    when: tuple[Any, ...] = entry("One cell for each input, in their order; - applies to everything.", items=_CELL)
    then: tuple[Any, ...] = entry("One value or expression for each output, in their order.", items=_CELL)
    since: str | None = entry("The first day on which the row applies.", None, pattern=_DAY)
    until: str | None = entry("The first day on which the row no longer applies.", None, pattern=_DAY)
    id: str | None = entry("A name of the row that stays when rows move.", None, minLength=1, maxLength=100)
    note: str = entry("Why the row is there.", "", maxLength=2000)


@dataclass(frozen=True)
class Example:
    """A test of the table: for these inputs, these outputs or this error."""

    name: str = entry("What the example shows.", minLength=1, maxLength=200)
    given: Mapping[str, Any] = entry("Field -> value; fields that are left out are empty.")
    expect: Mapping[str, Any] | None = entry("Output -> value; outputs that are left out are not looked at.", None)
    error: str | None = entry("Part of the error that is expected instead.", None, minLength=1)
    day: str | None = entry("The day on which the example is decided, for rows with dates.", None, pattern=_DAY)


@dataclass(frozen=True, kw_only=True)
class DecisionTable:
    """A whole decision table."""

    name: str = entry("The name of the table: small letters, digits and underscores.", pattern=NAME)
    label: str = entry("What people call the table; its name if left out.", "", maxLength=200)
    description: str = entry("What the table decides.", "", maxLength=10_000)
    hit_policy: HitPolicy = entry("Which of the rows that apply decide.", HitPolicy.UNIQUE)
    aggregation: Aggregation = entry("collect: what is made of the outputs of all rows that apply.", Aggregation.LIST)
    timezone: str = entry("The time zone in which the days of `since` and `until` begin.", "UTC", minLength=1)
    inputs: tuple[Input, ...] = entry("The input columns.", minItems=1, maxItems=MAX_COLUMNS)
    outputs: tuple[Output, ...] = entry("The output columns.", minItems=1, maxItems=MAX_COLUMNS)
    rows: tuple[Row, ...] = entry("The rows, in their order.", (), maxItems=MAX_ROWS)
    tests: tuple[Example, ...] = entry("Examples that have to come true before the table is published.", ())

    def day(self, moment: datetime) -> date:
        """Return the day that a moment belongs to in the table's time zone."""
        return moment.astimezone(ZoneInfo(self.timezone)).date()

    def row_name(self, number: int) -> str:
        """Return what messages call a row: its number from 1, and its id if it has one."""
        name = self.rows[number].id
        return str(number + 1) if name is None else f"{number + 1} ({name})"


@cache
def decision_table_schema() -> dict[str, Any]:
    """Return the JSON Schema (2020-12) of a decision table document."""
    kind = {"const": KIND, "description": "What the document describes."}
    schema = json_schema(DecisionTable, kind=kind)
    head = {"$schema": "https://json-schema.org/draft/2020-12/schema", "title": "Decision table"}
    plain: dict[str, Any] = json.loads(json.dumps({**head, **schema}))
    return plain


def parse_decision_table(document: Mapping[str, Any]) -> DecisionTable:
    """Return the table that a document describes; raises `DocumentError`."""
    problems = validate(document, decision_table_schema())
    if problems:
        raise DocumentError(problems)
    table = build(DecisionTable, {name: value for name, value in document.items() if name != "kind"})
    meaning = [*_names(table), *_rows(table), *_timezone(table), *_policy(table), *_examples(table)]
    if meaning:
        raise DocumentError(meaning)
    return table


def _names(table: DecisionTable) -> Iterator[DocumentProblem]:
    for key, names in (
        ("inputs", [column.name for column in table.inputs]),
        ("outputs", [column.name for column in table.outputs]),
    ):
        counts = Counter(names)
        for number, name in enumerate(names):
            if counts[name] > 1 and name in names[:number]:
                yield DocumentProblem(f"{key}/{number}/name", msg("There is another column '{name}'.", name=name))
    ids = [row.id for row in table.rows]
    for number, identity in enumerate(ids):
        if identity is not None and identity in ids[:number]:
            yield DocumentProblem(f"rows/{number}/id", msg("There is another row '{name}'.", name=identity))


def _rows(table: DecisionTable) -> Iterator[DocumentProblem]:
    for number, row in enumerate(table.rows):
        for key, cells, columns in (("when", row.when, len(table.inputs)), ("then", row.then, len(table.outputs))):
            if len(cells) != columns:
                text = N_("This row has {count} cells here, but the table has {columns} such columns.")
                yield DocumentProblem(f"rows/{number}/{key}", msg(text, count=len(cells), columns=columns))
            for position, cell in enumerate(cells):
                if cell is None:
                    text = N_('Write "null" in quotes for an empty value, or "-" for any value.')
                    yield DocumentProblem(f"rows/{number}/{key}/{position}", msg(text))
        yield from _dates(number, row)


def _dates(number: int, row: Row) -> Iterator[DocumentProblem]:
    days = {}
    for key, text in (("since", row.since), ("until", row.until)):
        if text is not None:
            try:
                days[key] = date.fromisoformat(text)
            except ValueError:
                yield DocumentProblem(f"rows/{number}/{key}", msg("There is no day {day}.", day=text))
    if len(days) == 2 and days["since"] >= days["until"]:
        text = N_("The row would never apply: its last day lies before its first.")
        yield DocumentProblem(f"rows/{number}/until", msg(text))


def _timezone(table: DecisionTable) -> Iterator[DocumentProblem]:
    try:
        ZoneInfo(table.timezone)
    except (ValueError, OSError, KeyError):
        text = N_("There is no time zone '{zone}'. Write it like Asia/Shanghai.")
        yield DocumentProblem("timezone", msg(text, zone=table.timezone))


_NUMBERS = frozenset({FieldType.INTEGER, FieldType.DECIMAL, FieldType.FLOAT})


def _policy(table: DecisionTable) -> Iterator[DocumentProblem]:
    if table.hit_policy in (HitPolicy.PRIORITY, HitPolicy.OUTPUT_ORDER) and not any(o.allowed for o in table.outputs):
        text = N_("List the values of at least one output under allowed, the most important first.")
        yield DocumentProblem("outputs/0/allowed", msg(text))
    if table.hit_policy is not HitPolicy.COLLECT:
        if table.aggregation is not Aggregation.LIST:
            yield DocumentProblem("aggregation", msg("Only the hit policy collect has an aggregation."))
        return
    if table.aggregation in (Aggregation.LIST, Aggregation.COUNT):
        return
    ordered = _NUMBERS if table.aggregation is Aggregation.SUM else frozenset(FieldType) - {FieldType.JSON}
    for number, output in enumerate(table.outputs):
        if output.type not in ordered:
            text = N_("{aggregation} cannot be made of values of type {type}.")
            words = msg(text, aggregation=table.aggregation.value, type=output.type.value)
            yield DocumentProblem(f"outputs/{number}/type", words)


def _examples(table: DecisionTable) -> Iterator[DocumentProblem]:
    names = {output.name for output in table.outputs}
    for number, example in enumerate(table.tests):
        if (example.expect is None) == (example.error is None):
            text = N_("Say what is expected: either the outputs under expect, or the error under error.")
            yield DocumentProblem(f"tests/{number}", msg(text))
        for name in example.expect or {}:
            if name not in names:
                text = N_("The table has no output '{name}'.")
                yield DocumentProblem(f"tests/{number}/expect/{name}", msg(text, name=name))
        if example.day is not None and not _is_day(example.day):
            yield DocumentProblem(f"tests/{number}/day", msg("There is no day {day}.", day=example.day))


def _is_day(text: str) -> bool:
    try:
        date.fromisoformat(text)
    except ValueError:
        return False
    return bool(re.match(_DAY, text))
