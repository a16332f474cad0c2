"""What the editors of decision tables and lookup tables answer while someone types: problems by cell, a trial."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from rules.documents import DocumentProblem, decision_table
from webapp.rulebook.findings import sentence
from webapp.rulebook.key_names import key_name
from webapp.rulebook.translation import translate as _
from webapp.web.storable import natural

_PARTS = {"when": "i", "then": "o"}


@dataclass(frozen=True)
class CellProblem:
    """A problem and the cell of the grid that it is about; `row` is None where it is about no row."""

    text: str
    severity: str
    place: str
    row: int | None = None
    key: str = ""
    suggestion: str | None = None

    def to_json(self) -> dict[str, Any]:
        """Return what the script needs to underline the cell."""
        return {"row": self.row, "key": self.key, "text": self.text, "severity": self.severity}


def fits(document: Mapping[str, Any]) -> bool:
    """Tell whether the grid can show a document; one that was written as text may hold anything."""
    parts = ("inputs", "outputs", "rows") if document.get("kind") == decision_table.KIND else ("columns",)
    listed = all(_all(document.get(part), Mapping) for part in parts)
    key, entries = document.get("key") or {}, document.get("entries")
    rows = [row for row in document.get("rows") or () if isinstance(row, Mapping)] if listed else []
    return (
        listed
        and isinstance(key, Mapping)
        and _all(entries, list)
        and all(_all(row.get(part), object) for row in rows for part in _PARTS)
    )


def _all(found: Any, kind: type) -> bool:
    """Tell whether something is a list of such things, or is not there."""
    return found is None or (isinstance(found, list) and all(isinstance(one, kind) for one in found))


def cell_problems(problems: Iterable[DocumentProblem], document: Mapping[str, Any]) -> list[CellProblem]:
    """Return problems with their cells, from the top down: rows/3/when/0 is the first input of the fourth row."""
    found = [_cell_problem(problem, document) for problem in problems]
    return sorted(found, key=lambda problem: (problem.row is not None, problem.row or 0))


def _cell_problem(problem: DocumentProblem, document: Mapping[str, Any]) -> CellProblem:
    parts = problem.path.split("/")
    row = natural(parts[1]) if parts[0] in ("rows", "entries") and len(parts) > 1 else None
    place = _place(parts, row, document)
    severity = problem.severity.value
    return CellProblem(sentence(problem), severity, place, row, _key(parts), problem.suggestion)


def _place(parts: list[str], row: int | None, document: Mapping[str, Any]) -> str:
    if row is None:
        return "" if parts in ([""], ["rows"], ["entries"]) else key_name(parts, document)
    column = _column(parts, document)
    if column:
        return _("Row %(number)d, %(column)s", number=row + 1, column=column)
    return _("Row %(number)d", number=row + 1)


def _column(parts: list[str], document: Mapping[str, Any]) -> str:
    """Return what the column of a cell is called, or nothing where the problem is the whole row's."""
    if parts[0] == "entries" and len(parts) > 2:
        columns, at = [document.get("key"), *(document.get("columns") or [])], parts[2]
    elif len(parts) > 3 and parts[2] in _PARTS:
        columns, at = document.get("inputs" if parts[2] == "when" else "outputs") or [], parts[3]
    else:
        return ""
    column = columns[number] if (number := natural(at)) is not None and number < len(columns) else None
    return str(column.get("label") or column.get("name") or "") if isinstance(column, Mapping) else ""


def _key(parts: list[str]) -> str:
    if len(parts) < 3:
        return "i0" if parts[0] == "rows" else "c0"
    if parts[0] == "entries":
        return f"c{parts[2]}"
    return f"{_PARTS[parts[2]]}{parts[3]}" if parts[2] in _PARTS and len(parts) > 3 else parts[2]
