"""A table as CSV and as a workbook, and from CSV; who reads a workbook gives its lines to `from_grid`."""

from __future__ import annotations

import csv
import io
import re
from typing import Any

import xlsxwriter

from rules.decisions.grid import Grid, GridError, from_grid, to_grid
from rules.documents.decision_table import DecisionTable
from rules.documents.problems import DocumentProblem
from rules.text import msg

MAX_BYTES = 20_000_000
_FORMULA = ("=", "+", "@", "\t", "\r")
_PLAIN = re.compile(r"-[0-9.]*")
_WIDTH = 24


def write_csv(table: DecisionTable) -> bytes:
    """Return a table as CSV that spreadsheets open: UTF-8 with its mark, formulas defused by an apostrophe."""
    out = io.StringIO(newline="")
    csv.writer(out).writerows([defused(cell) for cell in line] for line in to_grid(table))
    return out.getvalue().encode("utf-8-sig")


def read_csv(data: bytes, like: DecisionTable | None = None) -> dict[str, Any]:
    """Return the document that a CSV file holds; commas, semicolons or tabs separate it. Raises `GridError`."""
    lines = csv_lines(data)
    return from_grid([[armed(cell) for cell in line] for line in lines], like)


def csv_lines(data: bytes) -> Grid:
    """Return the lines of a CSV file; raises `GridError`."""
    if len(data) > MAX_BYTES:
        raise GridError([DocumentProblem("", msg("The file is larger than {limit} bytes.", limit=MAX_BYTES))])
    try:
        text = data.decode("utf-16" if data[:2] in (b"\xff\xfe", b"\xfe\xff") else "utf-8-sig")
        return list(csv.reader(io.StringIO(text, newline=""), delimiter=_separator(text), strict=True))
    except UnicodeDecodeError:
        raise GridError([DocumentProblem("", msg("The file is not UTF-8 text. Save it as CSV UTF-8."))]) from None
    except csv.Error as error:
        words = msg("The file is no CSV: {reason}.", reason=str(error))
        raise GridError([DocumentProblem("", words)]) from None


def _separator(text: str) -> str:
    """Return what separates the cells: what stands behind the head of a line, else what the first line has most of."""
    first = text.partition("\n")[0]
    counts = {separator: first.count(separator) for separator in (",", ";", "\t")}
    return max(counts, key=lambda separator: counts[separator])


def defused(cell: str) -> str:
    """Return a cell with an apostrophe before it if a spreadsheet would take it for a formula."""
    return f"'{cell}" if _formula(cell.lstrip("'")) else cell


def armed(cell: str) -> str:
    """Return what `defused` was given."""
    return cell[1:] if cell[:1] == "'" and _formula(cell.lstrip("'")) else cell


def _formula(cell: str) -> bool:
    return cell.startswith(_FORMULA) or (cell[:1] == "-" and _PLAIN.fullmatch(cell) is None)


def write_xlsx(table: DecisionTable) -> bytes:
    """Return a table as a workbook; all cells are text, so that no spreadsheet changes one."""
    out = io.BytesIO()
    with xlsxwriter.Workbook(out, {"in_memory": True, "strings_to_formulas": False, "strings_to_urls": False}) as book:
        sheet = book.add_worksheet(table.name[:31])
        head, cell = book.add_format({"bold": True, "num_format": "@"}), book.add_format({"num_format": "@"})
        grid = to_grid(table)
        for number, line in enumerate(grid):
            for place, text in enumerate(line):
                sheet.write_string(number, place, text, head if place == 0 or line[0] == "name" else cell)
        sheet.set_column(1, max(len(grid[0]) - 1, 1), _WIDTH)
        sheet.freeze_panes(next((n for n, line in enumerate(grid) if line[0] == "row"), len(grid)), 1)
    return out.getvalue()
