"""Cells for people's spreadsheets: a text that a spreadsheet would take for a formula is defused."""

from __future__ import annotations

from typing import Any

_STARTS = ("=", "+", "-", "@", "\t", "\r", "\n")


def safe_cell(value: Any) -> Any:
    """Return the value for a CSV or XLSX cell; numbers stay as they are, texts like `=1+1` get a leading quote."""
    if isinstance(value, str) and value.startswith(_STARTS) and not _is_number(value):
        return f"'{value}"
    return value


def _is_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True
