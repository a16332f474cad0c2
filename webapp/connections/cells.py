"""Values of a preview as a table shows them: short, exact, and never mistaken for another."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, datetime, time
from decimal import Decimal
from typing import Any

import polars as pl

from rules.schema import Field, FieldType, Schema

SHORT = 80
LONG = 2000
_BYTES = 8
_NUMBERS = (FieldType.INTEGER, FieldType.DECIMAL, FieldType.FLOAT)


@dataclass(frozen=True)
class Cell:
    """One value: `kind` is null, empty, number, bytes or text; `full` is there where `text` was cut."""

    text: str
    kind: str = "text"
    full: str = ""


def cells(schema: Schema, rows: pl.DataFrame) -> list[list[Cell]]:
    """Return the rows of a table, in the order of the schema's fields."""
    found = rows.select(schema.names).iter_rows()
    return [[_cell(field, value) for field, value in zip(schema.fields, row, strict=True)] for row in found]


def is_number(kind: FieldType) -> bool:
    """Tell whether values of a type stand at the right."""
    return kind in _NUMBERS


def _cell(field: Field, value: Any) -> Cell:
    if value is None:
        return Cell("", "null")
    if isinstance(value, bytes):
        shown = value[:_BYTES].hex(" ") + (" …" if len(value) > _BYTES else "")
        return Cell(shown, "bytes", f"{len(value)}")
    text = _text(field, value)
    if not text:
        return Cell("", "empty")
    line = "".join(_sign(c) for c in text[: SHORT + 1])
    cut = len(text) > SHORT
    full = text[:LONG] + ("…" if len(text) > LONG else "") if cut or line != text else ""
    return Cell(line[:SHORT] + "…" if cut else line, "number" if is_number(field.type) else "text", full)


def _text(field: Field, value: Any) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, Decimal):
        plain = f"{value:f}"
        free = field.scale is None and "." in plain  # the system states no scale, so zeros at the end mean nothing
        return plain.rstrip("0").rstrip(".") if free else plain
    if isinstance(value, datetime):
        return value.isoformat(" ")
    if isinstance(value, (date, time)):
        return value.isoformat()
    return str(value)


def _sign(character: str) -> str:
    """Return a sign for what would break a line or not be seen."""
    if character in "\n\r":
        return "↵"
    if character == "\t":
        return "⇥"
    return "\N{REPLACEMENT CHARACTER}" if not character.isprintable() and character != " " else character
