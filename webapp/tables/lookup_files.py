"""Lookup tables as CSV and XLSX: the first line names the key and the columns."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterator, Mapping
from typing import IO, Any

import xlsxwriter

from rules.decisions.sheets import armed, defused
from rules.text import msg
from webapp.entities import sheets

Document = Mapping[str, Any]
_WORKBOOK = b"PK"


def read(stream: IO[bytes], before: Document) -> dict[str, Any]:
    """Return the key, the columns and the entries of a file; columns keep the type that they had before.

    Raises:
        sheets.Unreadable: what is no table.
    """
    lines = cells_of(stream)
    if not lines or len(lines[0]) < 2:
        raise sheets.Unreadable(
            msg("The file needs a first line with the names of the key and of at least one column.")
        )
    names, types = lines[0], {column["name"]: column for column in columns(before)}
    described = [types.get(name, {"name": name}) for name in names]
    entries = [
        [_cell(column, cell) for column, cell in zip(described, _wide(line, len(names)), strict=True)]
        for line in lines[1:]
    ]
    return {"key": described[0], "columns": described[1:], "entries": entries}


def cells_of(stream: IO[bytes]) -> list[list[str]]:
    """Return the lines of a file; cells of CSV that were defused for spreadsheets as they were before."""
    whole = stream.read(len(_WORKBOOK)) == _WORKBOOK
    stream.seek(0)
    return [cells if whole else [armed(cell) for cell in cells] for _number, cells in sheets.rows(stream)]


def columns(document: Document) -> list[Any]:
    """Return the key and the columns of a document."""
    return [column for column in (document.get("key"), *(document.get("columns") or ())) if column]


def _wide(line: list[str], count: int) -> list[str]:
    return [*line, *[""] * count][:count]


def _cell(column: Mapping[str, Any], text: str) -> Any:
    """Return a cell as the document holds it; what does not fit its type stays text, which the check then names."""
    if text == "":
        return None
    if column.get("type") == "integer" and text.lstrip("-").isdigit() and text.isascii():
        return int(text)
    if column.get("type") == "boolean" and text.lower() in ("true", "false"):
        return text.lower() == "true"
    return text


def _lines(document: Document) -> Iterator[list[Any]]:
    yield [column["name"] for column in columns(document)]
    yield from document.get("entries") or ()


def as_csv(document: Document) -> bytes:
    """Return the entries as CSV, with a mark that spreadsheets read as UTF-8."""
    file = io.StringIO(newline="")
    writer = csv.writer(file)
    for line in _lines(document):
        writer.writerow([defused(value) if isinstance(value, str) else _shown(value) for value in line])
    return file.getvalue().encode("utf-8-sig")


def _shown(value: Any) -> Any:
    return str(value).lower() if isinstance(value, bool) else value


def as_xlsx(document: Document) -> bytes:
    """Return the entries as a workbook."""
    file = io.BytesIO()
    with xlsxwriter.Workbook(file, {"in_memory": True, "strings_to_formulas": False}) as book:
        sheet = book.add_worksheet("Entries")
        bold = book.add_format({"bold": True})
        for row, line in enumerate(_lines(document)):
            for column, value in enumerate(line):
                if isinstance(value, int) and not isinstance(value, bool):
                    sheet.write_number(row, column, value)
                elif value is not None:
                    sheet.write_string(row, column, str(_shown(value)), bold if row == 0 else None)
        sheet.freeze_panes(1, 0)
    return file.getvalue()
