"""A test as a form: fields with the values given and expected, and back to the data that a document holds."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

from rules.decoding import decode
from rules.documents.example import Ending
from rules.schema import Field, FieldType, Schema
from rules.trace import plain
from webapp.web.storable import read_json

Document = dict[str, Any]
Form = Mapping[str, str]
GIVEN, EXPECTED, COMPARED = "given-", "expect-", "compare-"


@dataclass(frozen=True)
class Cell:
    """One field of the form: its typed value as text; `compared` tells whether the value is looked at."""

    number: int
    field: Field
    text: str = ""
    compared: bool = False
    used: bool = True


def given_cells(schema: Schema, used: frozenset[str], test: Mapping[str, Any]) -> list[Cell]:
    """Return the fields that a test may give: those that the rule reads first, then the others."""
    values = test.get("given") or {}
    cells = [
        Cell(number, field, text_of(values.get(field.name)), used=field.name in used or field.name in values)
        for number, field in enumerate(schema.fields)
    ]
    return sorted(cells, key=lambda cell: not cell.used)


def expected_cells(schema: Schema, written: tuple[str, ...], test: Mapping[str, Any]) -> list[Cell]:
    """Return the fields that a test may expect: those that the rule writes."""
    values = test.get("expect") or {}
    names = [name for name in written if name in schema]
    return [Cell(number, schema[name], text_of(values.get(name)), name in values) for number, name in enumerate(names)]


def text_of(value: Any) -> str:
    """Return a value of a document as a form shows it."""
    if value is None:
        return ""
    if isinstance(value, bool):
        return "true" if value else "false"
    return json.dumps(value, ensure_ascii=False) if isinstance(value, (dict, list)) else str(value)


def value_of(field: Field, text: str) -> Any:
    """Return what was typed as a document holds it; what does not fit its field stays text, and the test says so."""
    if field.type in (FieldType.INTEGER, FieldType.FLOAT, FieldType.BOOLEAN, FieldType.JSON):
        try:
            found = read_json(text)
            decode(field, found)
        except (ValueError, TypeError):
            return text
        return found
    return text


def read_form(form: Form, source: Schema, target: Schema, written: tuple[str, ...], *, table: bool) -> Document:
    """Return the test that a form describes; a field without text is empty, one that is not compared left out."""
    given = {
        field.name: value_of(field, form[f"{GIVEN}{number}"])
        for number, field in enumerate(source.fields)
        if form.get(f"{GIVEN}{number}", "") != ""
    }
    fields = [target[name] for name in written if name in target]
    expect = {
        field.name: value_of(field, form[f"{EXPECTED}{number}"]) if form.get(f"{EXPECTED}{number}") else None
        for number, field in enumerate(fields)
        if form.get(f"{COMPARED}{number}")
    }
    test: Document = {"name": form.get("name", "").strip(), "given": given}
    ending, error = form.get("ending", "mapped"), form.get("error", "").strip()
    ending = ending if ending in {*Ending, "error"} else "mapped"
    if table:
        test |= {"error": error} if ending == "error" else {"expect": expect}
        return {**test, **({"day": form["day"]} if form.get("day") else {})}
    test |= {"expect": expect} if ending == "mapped" and expect else {}
    test |= {"ending": ending} if ending != "mapped" else {}
    return {**test, **({"error": error} if error and ending != "mapped" else {})}


def from_record(record: Mapping[str, Any], used: frozenset[str]) -> Document:
    """Return the given values of a test that is taken from a record: those that the rule reads."""
    return {name: _tidy(value) for name, value in record.items() if value is not None and name in used}


def expecting(test: Document, found: Mapping[str, Any]) -> Document:
    """Return the test with what comes out now as what is expected."""
    return {**test, "expect": {name: _tidy(value) for name, value in found.items()}}


def _tidy(value: Any) -> Any:
    """Return a value as a document holds it; decimals as exact text without the zeros at their end."""
    return f"{value.normalize():f}" if isinstance(value, Decimal) else plain(value)
