"""Cells of a sheet: from what is stored to text, and from typed values to what is stored."""

from __future__ import annotations

import datetime as dt
import math
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from decimal import Decimal
from functools import cache, cached_property
from typing import Any

import pyarrow as pa
from lxml import etree

from connectors.builtin.files_xlsx_book import CLOCK, DAY, MAIN, Book, escaped, text_of, unescaped
from connectors.value_text import Style

_EPOCH = dt.datetime(1899, 12, 30)  # noqa: DTZ001 - a sheet has no time zones
_EPOCH_1904 = dt.datetime(1904, 1, 1)  # noqa: DTZ001
_FIRST = dt.datetime(1900, 3, 1)  # noqa: DTZ001 - Excel believes in a 29 February 1900
_SPACE = "{http://www.w3.org/XML/1998/namespace}space"
_PRECISE = 15
_CELL, _VALUE, _FORMULA, _INLINE = f"{MAIN}c", f"{MAIN}v", f"{MAIN}f", f"{MAIN}is"
Element = Any
Row = tuple[int, list[str | None]]
"""The number of a row, and the texts of its cells."""


@dataclass(frozen=True)
class Reader:
    """Gives the texts of cells; `exact` are the columns whose numbers are wanted to the last bit."""

    texts: Sequence[str]
    kinds: Sequence[str | None]
    from_1904: bool
    exact: frozenset[int] = frozenset()

    @classmethod
    def of(cls, book: Book, exact: frozenset[int] = frozenset()) -> Reader:
        """Return a reader of a workbook's cells."""
        return cls(book.texts, book.kinds, book.from_1904, exact)

    def rows(self, rows: Iterable[Element], width: int, before: int = 0) -> Iterator[Row]:
        """Yield those that are not blank; one without a number follows the one before, `before` the first one."""
        number = before
        for row in rows:
            number = int(row.get("r") or number + 1)
            cells = self.cells(row, width)
            if any(cell is not None for cell in cells):
                yield number, cells

    def cells(self, row: Element, width: int) -> list[str | None]:
        """Return the texts of a row, at most `width` if that is not 0."""
        found: list[str | None] = []
        for cell in row:
            if cell.tag != _CELL:
                continue
            column = column_of(cell.get("r"), len(found))
            if width and column >= width:
                continue
            found += [None] * (column + 1 - len(found))
            found[column] = self.text(cell, column)
        return found + [None] * (width - len(found))

    def cell(self, row: Element, column: int) -> str | None:
        """Return the text of one cell of a row."""
        following = 0
        for cell in row.iterchildren(_CELL):
            following = column_of(cell.get("r"), following)
            if following >= column:
                return self.text(cell, column) if following == column else None
            following += 1
        return None

    def text(self, cell: Element, column: int) -> str | None:
        """Return the value of a cell as text, or None for an empty one."""
        kind = cell.get("t")
        value = formula = inline = None
        for part in cell:  # much faster than three searches, and there are millions of cells
            if part.tag == _VALUE:
                value = part.text
            elif part.tag == _FORMULA:
                formula = part.text or ""
            elif part.tag == _INLINE:
                inline = part
        if kind == "inlineStr":
            return None if inline is None else unescaped(text_of(inline))
        if value is None:
            return _without_value(kind, formula)
        return self._value(cell, kind, column, value)

    def _value(self, cell: Element, kind: str | None, column: int, value: str) -> str:
        if kind == "s":
            return self.texts[int(value)]
        if kind in (None, "n"):
            return self.number(int(cell.get("s") or 0), column, value)
        if kind == "b":
            return "true" if value == "1" else "false"
        return unescaped(value) if kind == "str" else value

    @cached_property
    def shared(self) -> Any:
        """Return the shared texts as an Arrow array."""
        return pa.array(self.texts, pa.string())

    def number(self, style: int, column: int, value: str) -> str:
        """Return the text of a number in a cell of this style; raises `ValueError` if it is none."""
        kind = self.kinds[style] if style < len(self.kinds) else None
        number = float(value)
        if kind is not None:
            return self._time(number, kind) or value
        if len(value) < _PRECISE and value.isdigit():
            return value
        if column in self.exact:
            return repr(number)
        return decimal_text(f"{number:.{_PRECISE}g}")

    def _time(self, number: float, kind: str) -> str | None:
        """Return what a date format shows: a day, a clock time, or both."""
        try:
            passed = dt.timedelta(milliseconds=round(number * 86_400_000))
            moment = (_EPOCH_1904 if self.from_1904 else _EPOCH) + passed
        except (OverflowError, ValueError):
            return None
        if kind == CLOCK and passed < dt.timedelta(days=1):
            return moment.time().isoformat() if number >= 0 else None
        if not self.from_1904 and moment < _FIRST:
            if not 1 <= number < 60:
                return None
            moment += dt.timedelta(days=1)
        return moment.date().isoformat() if kind == DAY and moment.time() == dt.time() else moment.isoformat()


def decimal_text(text: str) -> str:
    """Return a number without exponent, as far as it has a sensible length."""
    if "e" not in text:
        return text
    number = Decimal(text)
    return format(number, "f") if abs(number.adjusted()) < 38 else text


def column_of(reference: str | None, following: int) -> int:
    """Return the number of a cell's column from 0; a cell without a reference follows the one before."""
    letters = reference.rstrip("0123456789") if reference else ""
    return _column(letters) if letters else following


@cache
def _column(letters: str) -> int:
    number = 0
    for letter in letters.upper():
        number = number * 26 + ord(letter) - 64
    return number - 1


def _without_value(kind: str | None, formula: str | None) -> str | None:
    """Return what an empty cell means: nothing, an empty text, or a formula that was never calculated."""
    if kind == "str":
        return ""
    return None if formula is None else f"={formula}"


def reference_of(column: int, row: int) -> str:
    """Return a reference such as `B7`."""
    letters = ""
    column += 1
    while column:
        column, rest = divmod(column - 1, 26)
        letters = chr(65 + rest) + letters
    return f"{letters}{row}"


@dataclass(frozen=True)
class Filler:
    """Puts typed values into cells."""

    kinds: Sequence[str | None]
    from_1904: bool

    def fill(self, cell: Element, value: Any, style: Style) -> None:
        """Put a value into an emptied cell: as a number where that is exact, as a date where the cell shows dates."""
        number = int(cell.get("s") or 0)
        stored = self._stored(value, self.kinds[number] if number < len(self.kinds) else None)
        if isinstance(value, bool):
            cell.set("t", "b")
            etree.SubElement(cell, _VALUE).text = "1" if value else "0"
        elif stored is not None:
            etree.SubElement(cell, _VALUE).text = stored
        elif value is not None:
            cell.set("t", "inlineStr")
            text = etree.SubElement(etree.SubElement(cell, _INLINE), f"{MAIN}t")
            text.text = escaped(style.text(value) or "")
            text.set(_SPACE, "preserve")

    def _stored(self, value: Any, kind: str | None) -> str | None:
        """Return the number that a cell of this kind can hold for a value, or None if only text will do."""
        if kind is None:
            return _plain_number(value)
        if isinstance(value, dt.time):
            moment = dt.datetime.combine(_EPOCH.date(), value)
            return _serial(moment, _EPOCH) if kind == CLOCK else None
        if kind == CLOCK or not isinstance(value, dt.date):
            return None
        moment = value if isinstance(value, dt.datetime) else dt.datetime.combine(value, dt.time())
        if moment.tzinfo is not None or moment < _FIRST or (self.from_1904 and moment < _EPOCH_1904):
            return None
        return _serial(moment, _EPOCH_1904 if self.from_1904 else _EPOCH)


def _plain_number(value: Any) -> str | None:
    if isinstance(value, float):
        return repr(value) if math.isfinite(value) else None
    if isinstance(value, int):
        return str(value) if abs(value) < 10**_PRECISE else None
    if isinstance(value, Decimal):
        digits = value.normalize().as_tuple()
        short = len(digits.digits) <= _PRECISE and isinstance(digits.exponent, int) and abs(digits.exponent) < 20
        return format(value.normalize(), "f") if short else None
    return None


def _serial(moment: dt.datetime, epoch: dt.datetime) -> str | None:
    """Return the days since an epoch; None for parts of a millisecond, which a sheet does not keep."""
    if moment.microsecond % 1000:
        return None
    passed = moment - epoch
    return repr(passed.days + (passed.seconds + passed.microseconds / 1e6) / 86_400).removesuffix(".0")
