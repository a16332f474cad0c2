"""Cells for spreadsheets."""

from __future__ import annotations

import pytest

from webapp.web.spreadsheet import safe_cell


@pytest.mark.parametrize("start", ["=", "+", "-", "@", "\t", "\r", "\n", "\0"])
def test_each_start_of_a_formula_is_defused(start: str) -> None:
    """A text that begins as a formula may gets a quote before it; numbers and other texts stay as they are."""
    assert safe_cell(f"{start}cmd|' /C calc'!A0") == f"'{start}cmd|' /C calc'!A0"
    assert [safe_cell(value) for value in ("-1.5", -1.5, "a=b", None, "")] == ["-1.5", -1.5, "a=b", None, ""]
