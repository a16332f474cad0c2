"""CSV text block by block: what is plainly well-formed is taken apart by Arrow, all else is left to the scanner.

A block is plainly well-formed if every record in it has the right number of fields, which Arrow says, and all its
quotation marks fit, which is seen by what stands beside them.
"""

from __future__ import annotations

import codecs
from collections.abc import Iterator, Sequence
from functools import cached_property, partial
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
import polars as pl
import pyarrow as pa
import pyarrow.csv
import re2

from connectors.builtin.files_csv_scan import Dialect, Record, Scanner
from connectors.builtin.files_format import FIRST_BLOCK, RawPage, Texts, block_bytes
from connectors.plain_texts import plain_frame
from rules.schema import Schema

_LARGEST = 32 * 1024 * 1024
_OPEN_LINES = 200
_CLOSELY = 1000
"""So many records are looked at closely before a block is tried again."""
_BYTEWISE = ("utf-8", "utf-8-sig", "gb18030", "cp1252")
_TRANSCODED = ("gb18030", "cp1252")
_NEWLINE = ord("\n")
Numbers = np.ndarray[Any, np.dtype[np.int64]]


def is_bytewise(dialect: Dialect, width: int) -> bool:
    """Tell whether blocks of such a file can be looked at as bytes."""
    plain = len(dialect.delimiter.encode()) == 1 and dialect.newline != "\r"
    return plain and width > 1 and dialect.encoding in _BYTEWISE


class Blocks:
    """Reads the fields of a schema from a line on; all fields, as texts, if the schema has none."""

    def __init__(self, path: Path, dialect: Dialect, names: Sequence[str], schema: Schema) -> None:
        self.path, self.dialect, self.names, self.schema = path, dialect, names, schema
        self._wanted = FIRST_BLOCK
        self.line = 0

    def parts(self, begin: int, size: int) -> Iterator[RawPage | list[Record]]:
        """Yield pages, or the records of a part that has to be looked at closely; `line` is the last line of each."""
        with self.path.open("rb") as file:
            self.line, offset = begin, self._behind(file, begin)
            while True:
                file.seek(offset)
                data, whole = self._block(file)
                if not data:
                    return
                block = self._taken_apart(data) if whole else None
                if block is None:
                    file.seek(offset)
                    found, used = self._scanned(file, size)
                    offset += used
                    yield found
                else:
                    offset += len(data)
                    self._wanted = block_bytes(size, len(data), block.frame.height, _LARGEST)
                    for page in block.pages(self.line, size):
                        self.line = page.end
                        yield page

    def _behind(self, file: BinaryIO, lines: int) -> int:
        """Return the offset behind so many lines."""
        begin = file.read(3)
        start = 3 if begin == codecs.BOM_UTF8 and self.dialect.encoding == "utf-8-sig" else 0
        file.seek(start)
        for _ in range(lines):
            if not file.readline():
                break
        return file.tell()

    def _block(self, file: BinaryIO) -> tuple[bytes, bool]:
        """Return some text, and whether it consists of whole records."""
        data = file.read(self._wanted)
        if len(data) < self._wanted:
            return data, True
        end = self._end(data)
        return (data[:end], True) if end else (data, False)

    def _end(self, data: bytes) -> int:
        """Return the end of the last line that quotation marks do not reach over, 0 if there is none."""
        quote, end = self.dialect.quote.encode(), data.rfind(b"\n") + 1
        marks = _count(data, quote, end)
        for _ in range(_OPEN_LINES):
            if marks % 2 == 0:
                return end
            before = data.rfind(b"\n", 0, end - 1) + 1
            marks -= data.count(quote, before, end)
            end = before
        return end

    def _taken_apart(self, data: bytes) -> Block | None:
        """Return the records of a block, or None if it has to be looked at closely."""
        try:
            text = data.decode(self.dialect.encoding).encode() if self.dialect.encoding in _TRANSCODED else data
            text = text if text.endswith(b"\n") else text + b"\n"
            marks = self._marks(text)
            if marks is None or (b"\r" in text and _count(text, b"\r") != text.count(b"\r\n")):
                return None
            table = pyarrow.csv.read_csv(pa.BufferReader(text), *self._options(text))
        except (pa.ArrowInvalid, UnicodeError):
            return None
        columns = {name: table[name].chunk(0) for name in table.column_names}
        block = Block(text, plain_frame(columns, self.schema), marks)
        return block if len(block.ends) == block.frame.height else None

    def _marks(self, text: bytes) -> Numbers | None:
        """Return where quotation marks begin and end quoted parts, None if they do not fit."""
        quote = self.dialect.quote.encode()
        if quote not in text:
            return np.empty(0, np.int64)
        signs = np.frombuffer(text, np.uint8)
        marks = np.flatnonzero(signs == ord(quote))
        before, behind = self._beside
        if len(marks) % 2 == 0 and before[signs[marks[::2] - 1]].all() and behind[signs[marks[1::2] + 1]].all():
            return marks
        return np.empty(0, np.int64) if self._pattern.fullmatch(text) else None

    @cached_property
    def _beside(self) -> tuple[Any, Any]:
        """Return which bytes may stand before an opening and behind a closing quotation mark."""
        before = np.zeros(256, np.bool_)
        before[[_NEWLINE, ord(self.dialect.quote), ord(self.dialect.delimiter)]] = True
        behind = before.copy()
        behind[ord("\r")] = True
        return before, behind

    def _options(self, text: bytes) -> tuple[Any, Any, Any]:
        null, quote, csv = self.dialect.null_text, self.dialect.quote, pyarrow.csv
        wanted = [name for name in self.names if name in self.schema]
        return (
            csv.ReadOptions(use_threads=False, block_size=len(text) + 1, column_names=list(self.names)),
            csv.ParseOptions(
                delimiter=self.dialect.delimiter, quote_char=quote if quote.encode() in text else False
            ),
            csv.ConvertOptions(
                column_types=dict.fromkeys(self.names, pa.string()), include_columns=wanted, null_values=[null],
                strings_can_be_null=True, quoted_strings_can_be_null=False,
            ),
        )  # fmt: skip

    def _scanned(self, file: BinaryIO, size: int) -> tuple[list[Record], int]:
        """Return the next records, read one by one, and how many bytes they have."""
        lines = _Decoded(file, self.dialect.encoding)
        scanner = Scanner(lines, self.dialect, len(self.names), self.line)
        found: list[Record] = []
        records = iter(scanner)
        while len(found) < min(size, _CLOSELY) and (record := next(records, None)) is not None:
            found.append(record)
        self.line = scanner.line
        return found, lines.taken(scanner.pending)

    @cached_property
    def _pattern(self) -> Any:
        """Return what well-formed text is like; unquoted fields may have quotation marks inside."""
        d, q = re2.escape(self.dialect.delimiter), re2.escape(self.dialect.quote)
        field = rf"(?:{q}(?:[^{q}\r\n]|{q}{q})*{q}|[^{d}{q}\r\n][^{d}\r\n]*|)"
        options = re2.Options()
        options.encoding, options.max_mem = re2.Options.Encoding.LATIN1, 2**26  # type: ignore[attr-defined]
        options.log_errors = False
        text = rf"(?:{field}(?:{d}{field}){{{len(self.names) - 1}}}\r?\n)*"
        return re2.compile(text.encode("latin-1"), options)


class Block:
    """Some records: their text, their columns, and where quotation marks are in the text, as far as lines need them."""

    def __init__(self, text: bytes, frame: pl.DataFrame, marks: Numbers) -> None:
        self.text, self.frame, self._marks = text, frame, marks

    @cached_property
    def ends(self) -> Numbers | range:
        """Return for each record the number of the line that it ends in, from 1."""
        count = _count(self.text, b"\n")
        if count == self.frame.height:
            return range(1, count + 1)
        ends: Numbers = np.flatnonzero(self._are_ends) + 1
        return ends

    def pages(self, line: int, size: int) -> Iterator[RawPage]:
        """Yield the records in pages; `line` is the number of the line before them."""
        ends, begins = self.ends, self._begins(line)
        for start in range(0, self.frame.height, size):
            part = self.frame.slice(start, size)
            stop = start + part.height
            shown = Texts(part.height, partial(self._shown, start))
            yield RawPage(part, begins[start:stop], shown, [], line + int(ends[stop - 1]), 0)

    def _begins(self, line: int) -> Sequence[int]:
        """Return the lines that the records begin in."""
        if isinstance(self.ends, range):
            return range(line + 1, line + 1 + len(self.ends))
        begins: list[int] = (np.concatenate(([0], self.ends[:-1])) + line + 1).tolist()
        return begins

    @cached_property
    def _newlines(self) -> Numbers:
        return np.flatnonzero(np.frombuffer(self.text, np.uint8) == _NEWLINE)

    @cached_property
    def _are_ends(self) -> Any:
        """Return which newlines are outside of quotation marks."""
        return np.searchsorted(self._marks, self._newlines) % 2 == 0

    @cached_property
    def _places(self) -> Numbers:
        """Return where in the text each record ends."""
        places: Numbers = self._newlines[self._are_ends]
        return places

    def _shown(self, start: int, row: int) -> str:
        places = self._places
        begin = places[start + row - 1] + 1 if start + row else 0
        return self.text[begin : places[start + row]].rstrip(b"\r").decode(errors="replace")


def _count(data: bytes, sign: bytes, end: int | None = None) -> int:
    """Return how often a sign is there, in a quarter of the time that `bytes.count` takes."""
    return int(np.count_nonzero(np.frombuffer(data, np.uint8)[:end] == sign[0]))


class _Decoded:
    """The lines of a file as text, and how many bytes those have that were taken."""

    def __init__(self, file: BinaryIO, encoding: str) -> None:
        self._file, self._encoding = file, encoding.removesuffix("-sig")
        self._lengths: list[int] = []

    def taken(self, back: int) -> int:
        """Return the bytes of the lines that were taken, but for the last ones that were given back."""
        return sum(self._lengths[: len(self._lengths) - back])

    def __iter__(self) -> Iterator[str]:
        for line in self._file:
            self._lengths.append(len(line))
            yield line.decode(self._encoding, "surrogateescape")
