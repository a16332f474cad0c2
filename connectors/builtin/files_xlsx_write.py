"""Changing a sheet of a workbook row by row, with all other parts of the workbook as they were."""

from __future__ import annotations

import re
import zipfile
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import polars as pl
from lxml import etree

from connectors.builtin.files_overlay import Overlay, Values
from connectors.builtin.files_xlsx_book import MAIN, Book
from connectors.builtin.files_xlsx_cells import Filler, Reader, column_of, reference_of
from connectors.casting import cast
from connectors.errors import Misconfigured
from connectors.value_text import PLAIN, Style
from rules.text import msg

_DATA, _SIZE = f"{MAIN}sheetData", f"{MAIN}dimension"
_ROW, _CELL, _FORMULA = f"{MAIN}row", f"{MAIN}c", f"{MAIN}f"
_NAMES: Any = {None: MAIN[1:-1]}
_BATCH = 1_000
_CHAIN = re.compile(rb"<(?:Override|Relationship)\b[^>]*calcChain[^>]*/>")
Element = Any


class XlsxWriter:
    """Copies a workbook with the changes of an overlay to one sheet."""

    def __init__(
        self, book: Book, sheet: str, names: Sequence[str], styles: Mapping[str, Style], overlay: Overlay
    ) -> None:
        self.book = book
        self.sheet = book.sheet(sheet)
        self.names = names
        self.styles = styles
        self.overlay = overlay
        self.reader = Reader.of(book)
        self.filler = Filler(book.kinds, book.from_1904)
        self._there: list[Any] = []
        self._model: dict[int, str | None] = {}
        self._last = 0
        self.with_names = True

    def write(self, target: Path, head_end: int) -> None:
        """Write the workbook; rows up to `head_end` are left alone."""
        with zipfile.ZipFile(target, "w", zipfile.ZIP_DEFLATED) as out:
            for info in self.book.zip.infolist():
                if info.filename == self.sheet.part:
                    with out.open(info.filename, "w", force_zip64=True) as file:
                        self._sheet(file, head_end)
                elif info.filename != "xl/calcChain.xml":  # the order of calculation, which Excel finds again
                    data = self.book.zip.read(info)
                    listing = info.filename.endswith((".rels", "[Content_Types].xml"))
                    out.writestr(info, _CHAIN.sub(b"", data) if listing else data)

    def _sheet(self, file: Any, head_end: int) -> None:
        """Write the sheet's part: what stands around the rows, and the rows with their changes."""
        events = self.book.elements(self.sheet.part)
        _, root = next(events)
        out = _Part(file, root)
        for event, element in events:
            if event == "start" and element.tag == _DATA:
                out.text("<sheetData>" if element.prefix is None else f"<{element.prefix}:sheetData>")
                self._data(out, _batches(events), head_end)
                out.text("</sheetData>" if element.prefix is None else f"</{element.prefix}:sheetData>")
            elif event == "end" and element.getparent() is root and element.tag not in (_DATA, _SIZE):
                out.write(element)
        out.end()

    def _data(self, out: _Part, batches: Iterator[list[Element]], head_end: int) -> None:
        for batch in batches:
            for row in self._copied(batch, head_end):
                out.write(row)
        if not self._last and self.with_names:
            out.write(self._row(1, list(self.names)))
        for record in self._new():
            out.write(self._row(self._last + 1, [record.get(name) for name in self.names]))

    def _copied(self, batch: Sequence[Element], head_end: int) -> Iterator[Element]:
        """Yield the rows of the sheet as they will be."""
        numbers = []
        for row in batch:
            self._last = int(row.get("r") or self._last + 1)
            numbers.append(self._last)
        verdicts = self.overlay.verdicts(self._keys(batch))
        for number, row, values in zip(numbers, batch, verdicts, strict=True):
            if number > head_end:
                if row is batch[-1]:
                    self._model = _styles(row)
                self._change(row, number, dict.fromkeys(self.names) if values is None else values)
            if values is not None or len(row):
                yield row

    def _keys(self, batch: Sequence[Element]) -> list[Any]:
        key = self.overlay.key
        place = self.names.index(key)
        texts = [self.reader.cell(row, place) for row in batch]
        keys = cast(pl.Series(key, texts, pl.String), self.overlay.schema[key]).to_list()
        self._there += [value for value in keys if value in self.overlay.created]
        return keys

    def _change(self, row: Element, number: int, values: Values) -> None:
        """Set the cells of a row; cells without a value are taken out."""
        if not values:
            return
        cells = {column_of(cell.get("r"), n): cell for n, cell in enumerate(row.iterchildren(_CELL))}
        for name, value in values.items():
            column = self.names.index(name)
            cell = cells.get(column)
            if cell is not None:
                self._empty(cell)
            if value is None:
                if cell is not None:
                    row.remove(cells.pop(column))
                continue
            if cell is None:
                cell = self._cell(column, number)
                cells[column] = cell
            self.filler.fill(cell, value, self.styles.get(name, PLAIN))
        row[:] = [cells[column] for column in sorted(cells)]

    def _empty(self, cell: Element) -> None:
        formula = cell.find(_FORMULA)
        if formula is not None and formula.get("ref"):
            raise Misconfigured(
                msg("Cell {cell} of the sheet '{sheet}' holds a formula that other cells share.",
                    cell=cell.get("r"), sheet=self.sheet.name),
                msg("Replace the formulas in the columns that are written by their values."),
            )  # fmt: skip
        del cell[:]
        cell.attrib.pop("t", None)

    def _cell(self, column: int, number: int) -> Element:
        cell = etree.Element(_CELL, {"r": reference_of(column, number)}, nsmap=_NAMES)
        style = self._model.get(column)
        if style:
            cell.set("s", style)
        return cell

    def _row(self, number: int, values: Sequence[Any]) -> Element:
        row = etree.Element(_ROW, {"r": str(number)}, nsmap=_NAMES)
        for column, value in enumerate(values):
            if value is not None:
                cell = self._cell(column, number)
                self.filler.fill(cell, value, self.styles.get(self.names[column], PLAIN))
                row.append(cell)
        self._last = number
        return row

    def _new(self) -> Iterator[Values]:
        known = pl.Series(self._there, dtype=self.overlay.schema[self.overlay.key].dtype)
        return self.overlay.new(self.overlay.schema, known).iter_rows(named=True)


class _Part:
    """The XML of a sheet, written element by element without saying its namespaces again and again."""

    def __init__(self, file: Any, root: Element) -> None:
        self._file = file
        tag = etree.tostring(etree.Element(root.tag, dict(root.attrib), nsmap=root.nsmap), encoding="unicode")
        self._name = tag[1:].split(maxsplit=1)[0].removesuffix("/>")
        self._known = [f' xmlns{":" + prefix if prefix else ""}="{uri}"' for prefix, uri in root.nsmap.items()]
        self.text('<?xml version="1.0" encoding="UTF-8" standalone="yes"?>\n' + tag.removesuffix("/>") + ">")

    def text(self, text: str) -> None:
        """Write XML as it is."""
        self._file.write(text.encode())

    def write(self, element: Element) -> None:
        """Write an element; what its first tag repeats of the outermost one is left out."""
        head, end, rest = etree.tostring(element, encoding="unicode", with_tail=False).partition(">")
        for known in self._known:
            head = head.replace(known, "")
        self.text(head + end + rest)

    def end(self) -> None:
        """Close the outermost element."""
        self.text(f"</{self._name}>")


def _styles(row: Element) -> dict[int, str | None]:
    """Return the styles of a row's cells by column."""
    return {column_of(cell.get("r"), n): cell.get("s") for n, cell in enumerate(row.iterchildren(_CELL))}


def _batches(events: Iterator[tuple[str, Element]]) -> Iterator[list[Element]]:
    """Yield the rows of a sheet, some at a time, and give back their memory."""
    batch: list[Element] = []
    for event, element in events:  # pragma: no branch - the end of the rows ends it
        if event == "end" and element.tag == _ROW:
            batch.append(element)
        if len(batch) == _BATCH or (event == "end" and element.tag == _DATA):
            yield batch
            for row in batch:
                row.getparent().remove(row)
            batch = []
        if event == "end" and element.tag == _DATA:
            return
