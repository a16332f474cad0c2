"""Cells of a sheet, one by one."""

from __future__ import annotations

import datetime as dt
from decimal import Decimal
from typing import Any

import pytest
from lxml import etree

from connectors.builtin.files_xlsx_book import CLOCK, DAY, MAIN, MOMENT
from connectors.builtin.files_xlsx_cells import Filler, Reader, decimal_text
from connectors.value_text import PLAIN

KINDS = (None, DAY, MOMENT, CLOCK)
DAYS = dt.date(2024, 2, 29)


def cell(inner: str = "", **attributes: str) -> Any:
    given = " ".join(f'{name}="{value}"' for name, value in attributes.items())
    return etree.fromstring(f'<c xmlns="{MAIN[1:-1]}" {given}>{inner}</c>')


@pytest.mark.parametrize(
    ("inner", "attributes", "text"),
    [
        ("<v>42</v>", {}, "42"),
        ("<v>0.30000000000000004</v>", {}, "0.3"),
        ("<v>1E-7</v>", {}, "0.0000001"),
        ("<v>1e300</v>", {}, "1e+300"),
        ("<v>1</v>", {"t": "s"}, "two"),
        ("<v>a_x000D_b</v>", {"t": "str"}, "a\rb"),
        ("<v>_xD83D_</v>", {"t": "str"}, "_xD83D_"),
        ("<v/>", {"t": "str"}, ""),
        ("<is><t>in</t><rPh><t>reading</t></rPh></is>", {"t": "inlineStr"}, "in"),
        ("", {"t": "inlineStr"}, None),
        ("", {"s": "1"}, None),
        ("<v/>", {}, None),
        ("<f>A1+1</f>", {}, "=A1+1"),
        ("<v>#N/A</v>", {"t": "e"}, "#N/A"),
        ("<v>0</v>", {"t": "b"}, "false"),
        ("<v>2024-01-01T00:00:00</v>", {"t": "d"}, "2024-01-01T00:00:00"),
        ("<v>45351</v>", {"s": "1"}, "2024-02-29"),
        ("<v>45351.5</v>", {"s": "1"}, "2024-02-29T12:00:00"),
        ("<v>45351</v>", {"s": "2"}, "2024-02-29T00:00:00"),
        ("<v>45351.000011574</v>", {"s": "2"}, "2024-02-29T00:00:01"),
        ("<v>0.25</v>", {"s": "3"}, "06:00:00"),
        ("<v>45351.25</v>", {"s": "3"}, "2024-02-29T06:00:00"),
        ("<v>1</v>", {"s": "1"}, "1900-01-01"),
        ("<v>59</v>", {"s": "1"}, "1900-02-28"),
        ("<v>60</v>", {"s": "1"}, "60"),
        ("<v>61</v>", {"s": "1"}, "1900-03-01"),
        ("<v>-5</v>", {"s": "1"}, "-5"),
        ("<v>-0.5</v>", {"s": "3"}, "-0.5"),
        ("<v>1e99</v>", {"s": "1"}, "1e99"),
        ("<v>5</v>", {"s": "99"}, "5"),
    ],
)
def test_what_is_stored_is_read(inner: str, attributes: dict[str, str], text: str | None) -> None:
    """Each kind of cell gives the text that a person would see, and nothing where there is nothing."""
    assert Reader(("one", "two"), KINDS, from_1904=False).text(cell(inner, **attributes), 0) == text


def test_days_from_1904() -> None:
    """Workbooks of old Macs count days from 1904."""
    reader = Reader((), KINDS, from_1904=True)
    assert reader.text(cell("<v>0</v>", s="1"), 0) == "1904-01-01"
    filled = cell(s="1")
    Filler(KINDS, from_1904=True).fill(filled, dt.date(1904, 1, 2), PLAIN)
    assert reader.text(filled, 0) == "1904-01-02"


def test_exact_numbers() -> None:
    """A column of floats has all its digits."""
    reader = Reader((), KINDS, from_1904=False, exact=frozenset({2}))
    assert reader.text(cell("<v>0.30000000000000004</v>"), 2) == "0.30000000000000004"
    assert decimal_text("1e-300") == "1e-300"


def test_single_cells_are_found() -> None:
    """A cell is found by its letters, or by its place where it has none."""
    row = etree.fromstring(
        f'<row xmlns="{MAIN[1:-1]}"><c r="B1"><v>1</v></c><c><v>2</v></c><c r="F1"><v>3</v></c><extLst/></row>'
    )
    reader = Reader((), KINDS, from_1904=False)
    assert [reader.cell(row, column) for column in range(7)] == [None, "1", "2", None, None, "3", None]
    assert reader.cells(row, 7) == [None, "1", "2", None, None, "3", None]
    assert reader.cells(row, 2) == [None, "1"]


@pytest.mark.parametrize(
    ("value", "style", "kind", "content"),
    [
        (7, "0", None, "7"),
        (10**15, "0", "inlineStr", str(10**15)),
        (2.5, "0", None, "2.5"),
        (float("inf"), "0", "inlineStr", "inf"),
        (Decimal("1.10"), "0", None, "1.1"),
        (Decimal("1.2345678901234567"), "0", "inlineStr", "1.2345678901234567"),
        (True, "0", "b", "1"),
        ("=1", "0", "inlineStr", "=1"),
        ("a\rb_x000D_", "0", "inlineStr", "a_x000D_b_x005F_x000D_"),
        (DAYS, "0", "inlineStr", "2024-02-29"),
        (DAYS, "1", None, "45351"),
        (dt.datetime.combine(DAYS, dt.time(12)), "2", None, "45351.5"),
        (dt.datetime.combine(DAYS, dt.time(12), dt.UTC), "2", "inlineStr", "2024-02-29T12:00:00Z"),
        (dt.datetime.combine(DAYS, dt.time(0, 0, 0, 1)), "2", "inlineStr", "2024-02-29T00:00:00.000001"),
        (dt.date(1900, 1, 1), "1", "inlineStr", "1900-01-01"),
        (dt.time(6), "3", None, "0.25"),
        (dt.time(6), "1", "inlineStr", "06:00:00"),
        (DAYS, "3", "inlineStr", "2024-02-29"),
        (5, "1", "inlineStr", "5"),
        (5, "99", None, "5"),
        (b"\x00", "0", "inlineStr", "AA=="),
        (None, "0", None, None),
    ],
)
def test_values_are_stored_exactly_or_as_text(value: Any, style: str, kind: str | None, content: str | None) -> None:
    """A number or date is stored as one only where the cell gives it back exactly."""
    filled = cell(s=style)
    Filler(KINDS, from_1904=False).fill(filled, value, PLAIN)
    assert filled.get("t") == kind
    assert "".join(filled.itertext()) == (content or "")
