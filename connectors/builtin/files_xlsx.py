"""Excel files (XLSX): one sheet, read row by row, changed in place with everything else of the workbook as it was.

Only the shared texts and the page at hand are in memory. The first row that is not blank holds the names; cells beside
the named columns are not read. A number is given with Excel's 15 digits, or exactly for a field of type float. Records
are deleted by emptying their row, so that formulas keep pointing at what they meant.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing
from dataclasses import replace
from functools import partial
from itertools import islice
from pathlib import Path
from typing import Any

import polars as pl
import xlsxwriter

from connectors.builtin.files_csv import names_of_columns
from connectors.builtin.files_format import SAMPLE_BYTES, SAMPLE_RECORDS, RawPage, Texts
from connectors.builtin.files_options import Options
from connectors.builtin.files_overlay import Overlay
from connectors.builtin.files_xlsx_blocks import Block, Part, SheetBlocks, shown
from connectors.builtin.files_xlsx_book import MAIN, Book, forget
from connectors.builtin.files_xlsx_cells import Reader, Row
from connectors.builtin.files_xlsx_write import XlsxWriter
from connectors.plain_texts import plain_frame
from connectors.sampling import Sample
from connectors.value_text import styles_of
from rules.schema import FieldType, Schema
from rules.text import Message, msg

LONGEST = 32_767
_STYLE_RECORDS = 1_000
_ROW = f"{MAIN}row"


class XlsxFile:
    """One sheet of a workbook; places are row numbers."""

    place = "row {}"

    def __init__(self, path: Path, options: Options) -> None:
        self.path = path
        self.options = options
        first = next(self._rows(0), (0, []))
        self._head_end = first[0] if options.header else 0
        cells = first[1]
        while cells and cells[-1] is None:
            cells.pop()
        self.names: tuple[str, ...] = names_of_columns(cells, header=options.header)

    def sample(self) -> Sample:
        """Return the whole sheet if the file is small, else its first records."""
        whole = self.path.stat().st_size <= SAMPLE_BYTES
        return self._sample(None if whole else SAMPLE_RECORDS)

    def pages(self, schema: Schema, after: int, first: int, size: int) -> Iterator[RawPage]:
        """Yield the records behind a row."""
        exact = {f.name for f in schema.fields if f.type is FieldType.FLOAT}
        columns = frozenset(number for number, name in enumerate(self.names) if name in exact)
        begin = max(after, self._head_end)
        for block in self._blocks(columns, size):
            pages = self._by_block(block, schema, begin, size) if block else None
            if pages is None:
                yield from _numbered(self._by_row(self._records(begin, columns), size), first)
                return
            for page in _numbered(pages, first):
                yield page
                begin, first = page.end, page.first + page.columns.height

    def _blocks(self, exact: frozenset[int], size: int) -> Iterator[Block | None]:
        """Yield the blocks of the sheet; None where the rest has to be read row by row."""
        if not self.names or not self.path.stat().st_size:
            yield None
            return
        with closing(Book(self.path)) as book:
            yield from SheetBlocks(book, Reader.of(book, exact), len(self.names)).blocks(self.options.sheet, size)

    def _by_row(self, rows: Iterator[Row], size: int) -> Iterator[RawPage]:
        while found := list(islice(rows, size)):
            texts, places = [shown(cells) for _, cells in found], [number for number, _ in found]
            yield RawPage(self._frame([cells for _, cells in found]), places, texts, [], places[-1], 0)

    def _by_block(self, block: Block, schema: Schema, begin: int, size: int) -> Iterator[RawPage] | None:
        """Return the pages of a block, None if it cannot be read on its own."""
        wanted = [number for number, name in enumerate(self.names) if name in schema or not schema.fields]
        part = block.part(wanted)
        if part is not None:
            return self._by_part(block, part, schema, begin, size)
        return None if block.rows is None else self._by_row((row for row in block.rows if row[0] > begin), size)

    def _by_part(self, block: Block, part: Part, schema: Schema, begin: int, size: int) -> Iterator[RawPage]:
        frame = plain_frame({self.names[number]: texts for number, texts in part.columns.items()}, schema)
        for start in range(bisect_right(part.numbers, begin), len(part.numbers), size):
            places = part.numbers[start : start + size]
            texts = Texts(len(places), partial(_shown, block, places))
            yield RawPage(frame.slice(start, size), places, texts, [], places[-1], 0)

    def unstorable(self, records: pl.DataFrame) -> Mapping[int, tuple[str, Message]]:
        """Return the rows with a text that is longer than a cell."""
        found: dict[int, tuple[str, Message]] = {}
        for column in records.select(pl.col(pl.String)):
            for row in (column.str.len_chars() > LONGEST).fill_null(value=False).arg_true().to_list():
                found[row] = (column.name, _too_long(column.name))
        return found

    def merge(self, overlay: Overlay, target: Path) -> None:
        """Write the workbook anew: changed and new rows of the sheet, all its other parts as they are."""
        if not self.path.stat().st_size:
            _new_book(target, self.options.sheet, overlay.schema.names if self.options.header else ())
            XlsxFile(target, self.options).rewrite(overlay, target, overlay.schema.names)
        else:
            self.rewrite(overlay, target, self.names or overlay.schema.names)

    def rewrite(self, overlay: Overlay, target: Path, names: Sequence[str]) -> None:
        """Write the workbook with the changes to `target`, which may be the file itself."""
        styles = styles_of(self._sample(_STYLE_RECORDS))
        temporary = target.with_name(target.name + "-part")
        with closing(Book(self.path)) as book:
            writer = XlsxWriter(book, self.options.sheet, names, styles, overlay)
            writer.with_names = self.options.header
            writer.write(temporary, self._head_end)
        temporary.replace(target)

    def _sample(self, most: int | None) -> Sample:
        rows = [cells for _, cells in islice(self._records(self._head_end, frozenset()), most)]
        return Sample(self._frame(rows), complete=most is None)

    def _records(self, after: int, exact: frozenset[int]) -> Iterator[Row]:
        width = len(self.names)
        return (row for row in self._rows(width, exact) if row[0] > after)

    def _rows(self, width: int, exact: frozenset[int] = frozenset()) -> Iterator[Row]:
        return rows_of(self.path, self.options.sheet, width, exact)

    def _frame(self, rows: Sequence[Sequence[str | None]]) -> pl.DataFrame:
        columns: Any = zip(*rows, strict=True) if rows else ((),) * len(self.names)
        return pl.DataFrame([pl.Series(n, c, pl.String) for n, c in zip(self.names, columns, strict=True)])


def rows_of(path: Path, sheet: str = "", width: int = 0, exact: frozenset[int] = frozenset()) -> Iterator[Row]:
    """Yield number and texts of a sheet's rows that are not blank; raises `Fatal` for a file that is no workbook.

    Args:
        path: the file; an empty one has no rows.
        sheet: the name of the sheet; the first one if left out.
        width: how many cells a row has; as many as it holds for 0.
        exact: columns whose numbers are wanted to the last bit, not as a sheet shows them.
    """
    if not path.stat().st_size:
        return
    with closing(Book(path)) as book:
        reader = Reader.of(book, exact)
        try:
            yield from reader.rows(_forgotten(book.elements(book.sheet(sheet).part, _ROW)), width)
        except (ValueError, IndexError) as error:
            raise book.broken(error) from error


def _forgotten(elements: Iterator[tuple[str, Any]]) -> Iterator[Any]:
    """Yield elements, each until the next one is asked for."""
    for _, element in elements:
        yield element
        forget(element)


def _new_book(target: Path, sheet: str, names: Sequence[str]) -> None:
    with xlsxwriter.Workbook(str(target)) as book:
        page = book.add_worksheet(sheet or None)
        for column, name in enumerate(names):
            page.write_string(0, column, name)


def _numbered(pages: Iterator[RawPage], first: int) -> Iterator[RawPage]:
    for page in pages:
        yield replace(page, first=first)
        first += page.columns.height


def _shown(block: Block, places: Sequence[int], row: int) -> str:
    return block.shown[places[row]]


def _too_long(field: str) -> Message:
    return msg("Field '{field}' is longer than the {count} characters of a cell.", field=field, count=LONGEST)
