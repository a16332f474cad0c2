"""Rows of a sheet, block by block: plain ones are taken apart by xml2arrow and put together column by column.

A block is plain if every tag in it is accounted for: those of the rows, of the cells, and of the values that were
found. Where that is not so (formatted text, formulas without values, cells without their place ...), lxml looks at
each cell of the block.
"""

from __future__ import annotations

import json
import re
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import cache, cached_property
from typing import IO, Any, NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import xml2arrow
from lxml import etree

from connectors.builtin.files_format import FIRST_BLOCK, block_bytes
from connectors.builtin.files_xlsx_book import MAIN, Book, unescaped
from connectors.builtin.files_xlsx_cells import Reader, Row, column_of
from connectors.plain_texts import plain_array
from rules.schema import Field, FieldType

_LARGEST = 4 * 1024 * 1024
_HEAD = 65536
_WINDOW = 2**18
"""So many bytes are counted at a time: as many as the processor keeps close."""
_BEGIN, _END = b"<sheetData>", b"</sheetData"
_ROW_END = b"</row>"
_OPEN, _CLOSE = b"<r>", b"</r>"
_NUMBER = re.compile(rb'<row(?:\s[^<>]*?)?\sr="(\d+)"[^<>]*>')
_MOST_COLUMNS = 20_000
_EMPTY = "\x1d"
_EMPTIES = tuple(f"<{start}></{start[0]}>".encode() for start in ("t", 't xml:space="preserve"', "v"))
_EMPTIES += (b"<t/>", b"<v/>")
_FLOAT = Field("", FieldType.FLOAT)
Numbers = np.ndarray[Any, Any]


def shown(cells: Sequence[str | None]) -> str:
    """Return what a row looks like."""
    return " | ".join(cell or "" for cell in cells)


class Part(NamedTuple):
    """Some rows that are not blank: their numbers, and the texts of the wanted columns."""

    numbers: Sequence[int]
    columns: dict[int, Any]


class Block:
    """The text of some rows, `before` the number of the row before them."""

    def __init__(self, sheet: SheetBlocks, text: bytes, before: int) -> None:
        self.sheet, self.text, self.before = sheet, text, before

    def part(self, wanted: Sequence[int]) -> Part | None:
        """Return the rows by columns, or None if they are not plain."""
        try:
            cells = _cells(self.text)
            return None if cells is None else _Table(self.sheet, *cells).part(wanted)
        except (ValueError, IndexError, KeyError, TypeError, pa.ArrowException):
            return None

    @cached_property
    def rows(self) -> list[Row] | None:
        """Return the rows as lxml gives them, None if the sheet has to be read as a whole."""
        sheet, text = self.sheet, self.text[len(_OPEN) : -len(_CLOSE)]
        try:
            root = etree.fromstring(sheet.head + text + b"</sheetData></worksheet>", _careful())
            return list(sheet.reader.rows(root.iter(f"{MAIN}row"), sheet.width, self.before))
        except (etree.XMLSyntaxError, ValueError, IndexError):
            return None

    @cached_property
    def shown(self) -> Mapping[int, str]:
        """Return what rows look like, by their numbers."""
        return {number: shown(cells) for number, cells in self.rows or ()}


class SheetBlocks:
    """Reads the rows of one sheet, with so many cells each."""

    def __init__(self, book: Book, reader: Reader, width: int) -> None:
        self.book, self.reader, self.width = book, reader, width
        self.head = b""

    def blocks(self, name: str, size: int) -> Iterator[Block | None]:
        """Yield the rows in blocks of about `size`; None where the rest has to be read row by row."""
        before = 0
        with self.book.zip.open(self.book.sheet(name).part) as file:
            left = self._begin(file)
            whole = left is not None
            for text, rest in _texts(file, left or b"", size) if whole else ():
                left = rest
                if not text:
                    continue
                yield Block(self, text, before)
                last = next(_NUMBER.finditer(text, text.rfind(b"<row")), None)
                whole = last is not None
                if last is None:
                    break
                before = int(last[1])
            if not (whole and self._is_end(left or b"", file)):
                yield None

    def _begin(self, file: Any) -> bytes | None:
        """Return what was read behind the beginning of the rows, None if the sheet is not a plain one."""
        data = file.read(_HEAD)
        end = data.find(_BEGIN)
        self.head = data[: end + len(_BEGIN)]
        if end < 0 or b"<!" in self.head:
            return None
        try:
            root = etree.fromstring(self.head + b"</sheetData></worksheet>", _careful())
        except etree.XMLSyntaxError:
            return None
        plain = root.tag == f"{MAIN}worksheet" and not root.prefix
        encoding = (root.getroottree().docinfo.encoding or "UTF-8").upper()
        return data[len(self.head) :] if plain and encoding in ("UTF-8", "ASCII", "US-ASCII") else None

    def _is_end(self, rest: bytes, file: Any) -> bool:
        """Tell whether what is behind the last row is the rest of a well-formed sheet."""
        checker = _careful(target=_Nothing())
        try:
            checker.feed(self.head)
            checker.feed(rest)
            while data := file.read(FIRST_BLOCK):
                checker.feed(data)
            checker.close()
        except etree.XMLSyntaxError:
            return False
        return True


def _careful(**more: Any) -> Any:
    return etree.XMLParser(resolve_entities=False, no_network=True, load_dtd=False, huge_tree=True, **more)


class _Nothing:
    """What a checked document becomes."""

    def close(self) -> None:
        """End the document."""


def _texts(file: IO[bytes], left: bytes, size: int) -> Iterator[tuple[bytes, bytes]]:
    """Yield the text of whole rows, in one element, and what was read behind them; no text at the end of the rows."""
    wanted, done = FIRST_BLOCK, False
    while not done:
        data = b"" if _END in left else file.read(wanted)
        ended = not data
        if ended:
            left, data = b"", left
        end = data.rfind(_ROW_END) + len(_ROW_END)
        if end >= len(_ROW_END):
            rows = b"".join((_OPEN, left, memoryview(data)[:end], _CLOSE))
            left = data[end:]
            wanted = block_bytes(size, min(end, _HEAD), data.count(_ROW_END, 0, _HEAD), _LARGEST)
            yield rows, left
        elif ended:
            done = True
            yield b"", data
        else:
            left += data


def _cells(text: bytes) -> tuple[Any, list[int]] | None:
    """Return a table with a row for each cell, and the numbers of the rows; None if not all tags are among these."""
    tags = _tags(text)
    if tags is None:
        return None
    numbers = [int(number) for number in _NUMBER.findall(text)]
    found = _accounted(text, tags, len(numbers))
    if found is None:
        filled = text
        for empty in _EMPTIES:
            filled = filled.replace(empty, empty[:2] + b">" + _EMPTY.encode() + b"</" + empty[1:2] + b">")
        found = _accounted(filled, _tags(filled, seen=True), len(numbers)) if len(filled) > len(text) else None
    return None if found is None else (found, numbers)


def _tags(text: bytes, *, seen: bool = False) -> int | None:
    """Return the number of tags, empty ones counted twice; None if there is more than tags and text.

    That is control characters, comments and the like, or `]]>`. Where that was `seen` before, tags are only counted.
    """
    signs, count = np.frombuffer(text, np.uint8), 0
    for start in range(0, len(signs), _WINDOW):
        first, second = signs[start : start + _WINDOW], signs[start + 1 : start + _WINDOW + 1]
        begins = first == ord("<")
        count += int(np.count_nonzero(begins))
        first, begins = first[: len(second)], begins[: len(second)]
        count += int(np.count_nonzero((first == ord("/")) & (second == ord(">"))))
        if not seen and _is_odd(first, second, begins):
            return None
    return count


def _is_odd(first: Numbers, second: Numbers, begins: Numbers) -> bool:
    control = first[first < ord(" ")]
    strange = len(control) and not np.isin(control, (ord("\n"), ord("\t"))).all()
    instructions = (begins & ((second == ord("!")) | (second == ord("?")))).any()
    return bool(strange or instructions or ((first == ord("]")) & (second == ord("]"))).any())


def _accounted(text: bytes, tags: int | None, rows: int) -> Any:
    try:
        cells = _parser().parse(text)["cells"]
    except Exception:  # noqa: BLE001 - whatever it is, lxml looks at the block
        return None
    v, f, i = (len(cells) - cells[name].null_count for name in "vfi")
    return cells if tags == 2 * (1 + rows + len(cells) + v + f + 2 * i) else None


class _Table:
    """The cells of a block, a row for each."""

    def __init__(self, sheet: SheetBlocks, cells: Any, numbers: list[int]) -> None:
        self.sheet, self.numbers = sheet, np.array(numbers)
        self.rows = cells["<row>"].to_numpy()
        self.columns = _columns(cells["r"])
        kinds = cells["t"].fill_null("n").dictionary_encode()
        self.names, self.kinds = kinds.dictionary.to_pylist(), kinds.indices.to_numpy()
        self.styles = cells["s"].fill_null("0").cast(pa.int32()).to_numpy()
        self.values, self.formulas, self.inline = cells["v"], cells["f"], _meant(cells["i"])
        self.texts = _meant(cells["v"].fill_null("")) if "str" in self.names else self.inline
        if pc.any(pc.and_(pc.equal(self.values, _EMPTY), pa.array(~self._is("str")))).as_py():
            raise ValueError(_EMPTY)

    def part(self, wanted: Sequence[int]) -> Part | None:
        """Return the rows by columns, or None if cells are not in order or wait for their formula."""
        order = self.rows.astype(np.int64) * _MOST_COLUMNS + self.columns
        waiting = pc.and_(self.values.is_null(), self.formulas.is_valid())
        if (
            not (order[1:] > order[:-1]).all()
            or self.columns.max(initial=0) >= _MOST_COLUMNS
            or pc.any(waiting).as_py()
        ):
            return None
        kept = np.unique(self.rows[self._filled & (self.columns < self.sheet.width)])
        place = np.full(len(self.numbers), -1)
        place[kept] = np.arange(len(kept))
        by_column = np.argsort(self.columns.astype(np.int16), kind="stable")
        bounds = np.searchsorted(self.columns[by_column], np.arange(self.sheet.width + 1))
        found: dict[int, Any] = {}
        for column in wanted:
            at = by_column[bounds[column] : bounds[column + 1]]
            found[column] = _placed(self._texts(at, column), place[self.rows[at]], len(kept))
        return Part(self.numbers[kept].tolist(), found)

    @property
    def _filled(self) -> Any:
        """Return which cells have a value."""
        values, found = (column.is_valid().to_numpy(zero_copy_only=False) for column in (self.values, self.inline))
        return np.where(self._is("inlineStr"), found, values | self._is("str"))

    def _is(self, kind: str) -> Any:
        return self.kinds == (self.names.index(kind) if kind in self.names else -1)

    def _texts(self, at: Numbers, column: int) -> Any:
        """Return the texts of cells of one column."""
        return _by_group(self.kinds[at], lambda code, same: self._alike(at[same], self.names[code], column))

    def _alike(self, at: Numbers, kind: str, column: int) -> Any:
        """Return the texts of cells of one kind."""
        if kind in ("inlineStr", "str"):
            return (self.inline if kind == "inlineStr" else self.texts).take(pa.array(at))
        values = self.values.take(pa.array(at))
        if kind == "s":
            return self.sheet.reader.shared.take(values.cast(pa.int32()))
        if kind == "b":
            return pc.if_else(pc.equal(values, "1"), "true", "false")
        if kind != "n":
            return values
        return _by_group(self.styles[at], lambda style, same: self._numbers(values.take(pa.array(same)), style, column))

    def _numbers(self, values: Any, style: int, column: int) -> Any:
        reader = self.sheet.reader
        if _is_as_it_stands(values, reader, style, column):
            return values
        known = values.dictionary_encode()
        texts = [reader.number(style, column, text) for text in known.dictionary.to_pylist()]
        return pa.array(texts, pa.string()).take(known.indices)


def _is_as_it_stands(values: Any, reader: Reader, style: int, column: int) -> bool:
    """Tell whether values are whole numbers, or numbers of which every digit is wanted, without a format."""
    if style < len(reader.kinds) and reader.kinds[style] is not None:
        return False
    if column in reader.exact:
        return plain_array(values, _FLOAT) is not None
    return pc.all(pc.match_substring_regex(values, "^[0-9]{1,14}$")).as_py() is not False


def _by_group(codes: Numbers, texts: Callable[[int, Numbers], Any]) -> Any:
    """Return the texts of all cells, which are asked for by groups of cells with the same code."""
    if not len(codes) or (codes == codes[0]).all():
        return texts(int(codes[0]), np.arange(len(codes))) if len(codes) else pa.nulls(0, pa.string())
    places = [np.flatnonzero(codes == code) for code in np.unique(codes)]
    parts = [texts(int(codes[same[0]]), same) for same in places]
    return pa.concat_arrays(parts).take(pa.array(np.argsort(np.concatenate(places))))


def _columns(references: Any) -> Numbers:
    """Return the numbers of the columns; raises `ValueError` for a cell that does not say where it is."""
    if references.null_count:
        raise ValueError(references.null_count)
    known = pc.utf8_rtrim(references, "0123456789").dictionary_encode()
    columns = np.array([column_of(letters, -1) for letters in known.dictionary.to_pylist()], np.int64)
    if (columns < 0).any():
        raise ValueError(known.dictionary)
    found: Numbers = columns[known.indices.to_numpy()]
    return found


def _placed(texts: Any, rows: Numbers, count: int) -> Any:
    """Return texts in their rows, of which there are so many; no value in the others, nor of cells without a row."""
    if len(texts) == count and (rows >= 0).all():
        return texts
    at = np.full(count, -1)
    at[rows[rows >= 0]] = np.flatnonzero(rows >= 0)
    return texts.take(pa.array(at, mask=at < 0))


def _meant(texts: Any) -> Any:
    """Return what stored texts mean."""
    if not any(pc.any(pc.match_substring(texts, sign)).as_py() for sign in ("_x", _EMPTY)):
        return texts
    return pa.array([text and unescaped(text.replace(_EMPTY, "")) for text in texts.to_pylist()], pa.string())


@cache
def _parser() -> xml2arrow.XmlToArrowParser:
    paths = {"r": "@r", "s": "@s", "t": "@t", "v": "v", "i": "is/t", "f": "f"}
    fields = [
        {"name": name, "xml_path": f"/r/row/c/{path}", "data_type": "Utf8", "nullable": True}
        for name, path in paths.items()
    ]
    rows = {"name": "rows", "xml_path": "/r", "levels": ["row"], "fields": []}
    cells = {"name": "cells", "xml_path": "/r/row", "levels": ["row"], "fields": fields}
    with tempfile.NamedTemporaryFile("w", suffix=".yaml") as file:
        json.dump({"tables": [rows, cells]}, file)
        file.flush()
        return xml2arrow.XmlToArrowParser(file.name)
