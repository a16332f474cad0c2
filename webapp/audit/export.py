"""The audit log as a file: CSV for spreadsheets, JSON lines for programs."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Iterable, Iterator
from typing import Any

from webapp.audit.sentences import sentence
from webapp.extensions import to_json
from webapp.web.spreadsheet import defused

COLUMNS = (
    "id",
    "at",
    "tag",
    "actor_kind",
    "actor_id",
    "actor_name",
    "address",
    "request_id",
    "subject_kind",
    "subject",
    "record_key",
    "run_id",
    "before",
    "after",
    "reason",
)


def as_json(event: Any) -> dict[str, Any]:
    """Return an event as a JSON object."""
    values: dict[str, Any] = {name: getattr(event, name) for name in COLUMNS}
    return {**values, "at": event.at.isoformat(), "sentence": str(sentence(event))}


def jsonl(events: Iterable[Any]) -> Iterator[str]:
    """Return one JSON object a line."""
    for event in events:
        yield to_json(as_json(event)) + "\n"


def csv_lines(events: Iterable[Any]) -> Iterator[str]:
    """Return a spreadsheet; the mark at its start makes Excel read it as UTF-8."""
    yield "\ufeff" + _line([*COLUMNS, "sentence"])
    for event in events:
        values = as_json(event)
        yield _line([_cell(values[name]) for name in (*COLUMNS, "sentence")])


def _cell(value: Any) -> str:
    """Return a cell's text; one that a spreadsheet would take for a formula gets an apostrophe before it."""
    if value is None:
        return ""
    text = json.dumps(value, ensure_ascii=False) if isinstance(value, (dict, list)) else str(value)
    return defused(text)


def _line(cells: list[str]) -> str:
    buffer = io.StringIO()
    csv.writer(buffer).writerow(cells)
    return buffer.getvalue()
