"""A table as a grid of texts, the form in which spreadsheets hold it.

The first column says what a line is; lines may be left out, except `column` and `name`:

    table      | discount      |                |
    hit policy | first         |                |
    column     | in            | in             | out
    name       | amount        | country        | rate
    type       | decimal       | text           | decimal
    row        | >= 1000       | "CN", "DE"     | 0.15

Behind the outputs there may be columns `since`, `until`, `id` and `note`. A grid without such lines, just a heading and
rows, is read as rows of a known table, whose columns are found by name or label.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from typing import Any

from rules.decisions.reading import cell_text
from rules.documents.build import plain
from rules.documents.decision_table import KIND, DecisionTable, Input, Output
from rules.documents.problems import DocumentError, DocumentProblem
from rules.language.problems import nearest
from rules.text import N_, Message, msg

Grid = list[list[str]]
EXTRAS = ("since", "until", "id", "note")
_TOP = {
    "table": "name",
    "label": "label",
    "description": "description",
    "hit policy": "hit_policy",
    "aggregation": "aggregation",
    "time zone": "timezone",
}
_BY_COLUMN = ("name", "label", "type", "expression", "allowed", "default")
_SIDES = {"in": "inputs", "out": "outputs"}
MAX_LINES = 20_000


class GridError(DocumentError):
    """A grid cannot be read; the paths of its problems are cells as a spreadsheet calls them: B7."""


def to_grid(table: DecisionTable) -> Grid:
    """Return a table as a grid; its tests stay behind."""
    top = [(head, str(getattr(table, key))) for head, key in _TOP.items() if getattr(table, key)]
    extras = [key for key in EXTRAS if any(getattr(row, key) for row in table.rows)]
    sides = ["in"] * len(table.inputs) + ["out"] * len(table.outputs)
    columns: list[Input | Output] = [*table.inputs, *table.outputs]
    lines = [[head, text] for head, text in top]
    lines.append(["column", *sides, *extras])
    for key in _BY_COLUMN:
        texts = [_property(column, key) for column in columns]
        if any(texts):
            lines.append([key, *texts])
    for row in table.rows:
        cells = [cell_text(cell) for cell in (*row.when, *row.then)]
        lines.append(["row", *cells, *(str(getattr(row, key) or "") for key in extras)])
    width = max(len(line) for line in lines)
    return [line + [""] * (width - len(line)) for line in lines]


def _property(column: Input | Output, key: str) -> str:
    value = getattr(column, key, "")
    if key == "allowed":
        return "; ".join(cell_text(entry) for entry in column.allowed)
    return cell_text(value)


def from_grid(grid: Iterable[Sequence[Any]], like: DecisionTable | None = None) -> dict[str, Any]:
    """Return the document that a grid holds; raises `GridError`.

    Args:
        grid: lines of cells; None is an empty cell.
        like: the table whose rows a grid without lines of its own holds; it also gives what a grid cannot hold.
    """
    lines = [[cell_text(cell).strip() for cell in line] for line in grid]
    if len(lines) > MAX_LINES:
        raise GridError([DocumentProblem("", msg("The sheet has more than {limit} lines.", limit=MAX_LINES))])
    if not any(line and line[0].lower() == "column" for line in lines):
        return _rows_only(lines, like)
    return _Reader(lines, like).document()


def _problem(line: int, column: int, message: Message, suggestion: str | None = None) -> DocumentProblem:
    return DocumentProblem(f"{_letters(column)}{line + 1}", message, suggestion=suggestion)


def _letters(column: int) -> str:
    letters, rest = "", column + 1
    while rest:
        rest, digit = divmod(rest - 1, 26)
        letters = chr(65 + digit) + letters
    return letters


class _Reader:
    """Reads a grid that says itself what its lines are."""

    def __init__(self, lines: Grid, like: DecisionTable | None) -> None:
        self._lines = lines
        self._like = like
        self._problems: list[DocumentProblem] = []
        self._top: dict[str, Any] = {}
        self._columns: list[dict[str, Any]] = []
        self._sides: list[str] = []
        self._rows: list[dict[str, Any]] = []

    def document(self) -> dict[str, Any]:
        """Return the document."""
        for number, line in enumerate(self._lines):
            if any(line):
                self._line(number, line)
        for place, (side, column) in enumerate(zip(self._sides, self._columns, strict=True)):
            if side in _SIDES and not column.get("name"):
                at = next(n for n, line in enumerate(self._lines) if line and line[0].lower() == "column")
                self._problems.append(_problem(at, place + 1, msg("This column has no name.")))
        if self._problems:
            raise GridError(self._problems)
        sides = {key: self._side(side) for side, key in _SIDES.items()}
        kept = {} if self._like is None else {key: value for key, value in plain(self._like).items() if key == "tests"}
        return {"kind": KIND, **self._top, **sides, "rows": self._rows, **kept}

    def _side(self, wanted: str) -> list[dict[str, Any]]:
        return [column for side, column in zip(self._sides, self._columns, strict=True) if side == wanted]

    def _line(self, number: int, line: list[str]) -> None:
        head = line[0].lower()
        if head in _TOP and not (head == "label" and self._sides):
            self._top[_TOP[head]] = _single(line)
        elif head == "column":
            self._heads(number, line)
        elif head in _BY_COLUMN:
            self._describe(head, line)
        elif head == "row":
            self._row(line)
        else:
            known = [*_TOP, "column", *_BY_COLUMN, "row"]
            text = N_("'{head}' is not known as the head of a line. Possible: {known}.")
            words = msg(text, head=line[0], known=", ".join(known))
            self._problems.append(_problem(number, 0, words, nearest(head, known)))

    def _heads(self, number: int, line: list[str]) -> None:
        while line and not line[-1]:
            line = line[:-1]
        for place, side in enumerate(line[1:], start=1):
            if side.lower() not in (*_SIDES, *EXTRAS):
                words = msg(
                    "A column is one of {known}, not '{side}'.", known="in, out, since, until, id, note", side=side
                )
                self._problems.append(_problem(number, place, words))
        self._sides = [side.lower() for side in line[1:]]
        self._columns = [{} for _ in self._sides]

    def _describe(self, key: str, line: list[str]) -> None:
        for column, text in zip(self._columns, line[1:], strict=False):
            if text:
                column[key] = _entries(text) if key == "allowed" else text

    def _row(self, line: list[str]) -> None:
        cells = line[1:] + [""] * (len(self._sides) - len(line) + 1)
        when = [text or "-" for side, text in zip(self._sides, cells, strict=False) if side == "in"]
        then = [text or "null" for side, text in zip(self._sides, cells, strict=False) if side == "out"]
        extras = {side: text for side, text in zip(self._sides, cells, strict=False) if side in EXTRAS and text}
        self._rows.append({"when": when, "then": then, **_days(extras)})


def _days(extras: dict[str, str]) -> dict[str, str]:
    """Return the extras; a spreadsheet's days may have a time of midnight behind them."""
    return {key: text[:10] if key in ("since", "until") else text for key, text in extras.items()}


def _single(line: list[str]) -> str:
    return next((cell for cell in line[1:] if cell), "")


def _entries(text: str) -> list[str]:
    """Return the entries of `allowed`, which are separated by semicolons outside of quotes."""
    entries, quote, current = [], "", ""
    for character in text:
        if quote:
            quote = "" if character == quote and not current.endswith("\\") else quote
        elif character in "\"'":
            quote = character
        if character == ";" and not quote:
            entries.append(current.strip())
            current = ""
        else:
            current += character
    return [entry for entry in [*entries, current.strip()] if entry]


def _rows_only(lines: Grid, like: DecisionTable | None) -> dict[str, Any]:
    """Return a known table with the rows of a grid that has only a heading."""
    filled = [(number, line) for number, line in enumerate(lines) if any(line)]
    if like is None or not filled:
        text = N_("The sheet has no line that begins with 'column' and says which columns are inputs and outputs.")
        raise GridError([DocumentProblem("", msg(text))])
    at, heading = filled[0]
    finders, problems = _finders(at, heading, like)
    if problems:
        raise GridError(problems)
    rows = [_found_row(line, finders, like) for _, line in filled[1:]]
    return {"kind": KIND, **plain(replace(like, rows=())), "rows": rows}


def _finders(at: int, heading: list[str], like: DecisionTable) -> tuple[Mapping[str, int], list[DocumentProblem]]:
    keys = {column.name: f"in:{column.name}" for column in like.inputs}
    keys |= {column.label: f"in:{column.name}" for column in like.inputs if column.label}
    outputs = [(column.name, column) for column in like.outputs] + [(c.label, c) for c in like.outputs if c.label]
    keys |= {text: f"out:{column.name}" for text, column in outputs if text not in keys}
    keys |= {extra: extra for extra in EXTRAS if extra not in keys}
    folded = {text.casefold(): key for text, key in keys.items()}
    places: dict[str, int] = {}
    problems = []
    for place, text in enumerate(heading):
        key = folded.get(text.casefold())
        if text and key is None:
            words = msg("The table has no column '{name}'.", name=text)
            problems.append(_problem(at, place, words, nearest(text, keys)))
        elif key is not None:
            places.setdefault(key, place)
    missing = [c.name for c in like.outputs if f"out:{c.name}" not in places]
    if missing:
        words = msg("The sheet has no column for {names}.", names=", ".join(missing))
        problems.append(_problem(at, 0, words))
    return places, problems


def _found_row(line: list[str], places: Mapping[str, int], like: DecisionTable) -> dict[str, Any]:
    def text(key: str, empty: str) -> str:
        place = places.get(key, len(line))
        return (line[place] if place < len(line) else "") or empty

    extras = {extra: text(extra, "") for extra in EXTRAS if text(extra, "")}
    when = [text(f"in:{column.name}", "-") for column in like.inputs]
    then = [text(f"out:{column.name}", "null") for column in like.outputs]
    return {"when": when, "then": then, **_days(extras)}
