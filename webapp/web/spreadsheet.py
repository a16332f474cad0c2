"""Cells for people's spreadsheets: a text that a spreadsheet would take for a formula is defused."""

from __future__ import annotations

from typing import Any

FORMULA_STARTS = ("=", "+", "-", "@", "\t", "\r", "\n", "\0")


def safe_cell(value: Any) -> Any:
    """Return the value for a CSV or XLSX cell; numbers stay as they are, texts like `=1+1` get a leading quote."""
    return defused(value) if isinstance(value, str) and not _is_number(value) else value


def defused(text: str) -> str:
    """Return a text with a leading quote if a spreadsheet would take it for a formula."""
    return f"'{text}" if text.startswith(FORMULA_STARTS) else text


def _is_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True
