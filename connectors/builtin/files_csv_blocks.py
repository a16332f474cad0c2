"""CSV text block by block: what is plainly well-formed is taken apart by polars, all else is left to the scanner.

A block is plainly well-formed if every record in it has the right number of fields and all its quotation marks fit. One
regular expression without a memory of its own says so, at a small part of the cost of taking the block apart.
"""

from __future__ import annotations

import codecs
from collections.abc import Callable, Iterator, Sequence
from functools import cache, cached_property, partial
from pathlib import Path
from typing import Any, BinaryIO

import polars as pl
import re2

from connectors.builtin.files_csv_scan import Dialect, Record, Scanner
from connectors.builtin.files_format import RawPage, Texts

_FIRST = 1024 * 1024
_LARGEST = 32 * 1024 * 1024
_OPEN_LINES = 200
_CLOSELY = 1000
"""So many records are looked at closely before a block is tried again."""
_BYTEWISE = ("utf-8", "utf-8-sig", "gb18030", "cp1252")


def is_bytewise(dialect: Dialect, width: int) -> bool:
    """Tell whether blocks of such a file can be looked at as bytes."""
    plain = len(dialect.delimiter.encode()) == 1 and dialect.newline != "\r"
    return plain and width > 1 and dialect.encoding in _BYTEWISE


class Blocks:
    """Reads a file from a line on."""

    def __init__(self, path: Path, dialect: Dialect, names: Sequence[str]) -> None:
        self.path, self.dialect, self.names = path, dialect, names
        self._wanted = _FIRST
        self.line = 0

    def parts(self, begin: int, size: int) -> Iterator[RawPage | list[Record]]:
        """Yield pages, or the records of a part that has to be looked at closely; `line` is the last line of each."""
        with self.path.open("rb") as file:
            self.line, offset = begin, self._behind(file, begin)
            while True:
                file.seek(offset)
                block = self._block(file)
                if not block:
                    return
                frame = self._taken_apart(block)
                if frame is None:
                    file.seek(offset)
                    found, used = self._scanned(file, size)
                    offset += used
                    yield found
                else:
                    offset += len(block)
                    yield from self._pages(block, frame, size)

    def _behind(self, file: BinaryIO, lines: int) -> int:
        """Return the offset behind so many lines."""
        begin = file.read(3)
        start = 3 if begin == codecs.BOM_UTF8 and self.dialect.encoding == "utf-8-sig" else 0
        file.seek(start)
        for _ in range(lines):
            if not file.readline():
                break
        return file.tell()

    def _block(self, file: BinaryIO) -> bytes:
        """Return whole records, or all up to the end."""
        data = file.read(self._wanted)
        if len(data) < self._wanted:
            return data
        quote, end = self.dialect.quote.encode(), data.rfind(b"\n")
        marks = data.count(quote, 0, end + 1) if end >= 0 else 0
        for _ in range(_OPEN_LINES):
            if end < 0 or marks % 2 == 0:
                break
            before = data.rfind(b"\n", 0, end)
            marks -= data.count(quote, before + 1, end + 1)
            end = before
        return data[: end + 1] if end >= 0 else data

    def _taken_apart(self, block: bytes) -> pl.DataFrame | None:
        """Return the fields of a block, or None if it has to be looked at closely."""
        null, quoted = self.dialect.null_text, self.dialect.quote.encode() in block
        if not block.endswith(b"\n"):
            block += b"\n"
        if (null and quoted) or not self._pattern.fullmatch(block):
            return None
        try:
            if self.dialect.encoding in ("gb18030", "cp1252"):
                block = block.decode(self.dialect.encoding).encode()
            return pl.read_csv(
                block, has_header=False, new_columns=list(self.names), infer_schema=False,
                separator=self.dialect.delimiter, quote_char=self.dialect.quote if quoted else None,
                empty_string_is_null=not null, null_values=[null] if null else None,
            )  # fmt: skip
        except (pl.exceptions.PolarsError, UnicodeError):
            return None

    def _pages(self, block: bytes, frame: pl.DataFrame, size: int) -> Iterator[RawPage]:
        count, height = block.count(b"\n") + (not block.endswith(b"\n")), frame.height
        if count == height:
            ends: Sequence[int] = range(self.line + 1, self.line + height + 1)
            lines = cache(block.splitlines)
            codec = self.dialect.encoding.removesuffix("-sig")
            text = lambda row: lines()[row].decode(codec, "replace")  # noqa: E731 - the two are one
        else:
            more = pl.sum_horizontal(frame.select(pl.all().str.count_matches("\n", literal=True).fill_null(0)))
            ends = (frame.select(more=more)["more"] + 1).cum_sum().to_list()
            ends = [self.line + end for end in ends]
            text = lambda row: self.dialect.delimiter.join(map(self.dialect.token, frame.row(row)))  # noqa: E731
        begins = [self.line + 1, *(end + 1 for end in ends[:-1])] if count != height else ends
        for start in range(0, height, size):
            part = frame.slice(start, size)
            stop = start + part.height
            self.line = ends[stop - 1]
            yield RawPage(part, begins[start:stop], Texts(part.height, partial(_from, text, start)), [], self.line, 0)
        self._wanted = max(_FIRST // 16, min(_LARGEST, len(block) * size // max(height, 1)))

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
        d, q = re2.escape(self.dialect.delimiter), re2.escape(self.dialect.quote)
        field = rf"(?:{q}(?:[^{q}\r]|{q}{q}|\r\n)*{q}|[^{d}{q}\r\n][^{d}\r\n]*|)"
        options = re2.Options()
        options.encoding, options.max_mem = re2.Options.Encoding.LATIN1, 2**26  # type: ignore[attr-defined]
        options.log_errors = False
        text = rf"(?:{field}(?:{d}{field}){{{len(self.names) - 1}}}\r?\n)*"
        return re2.compile(text.encode("latin-1"), options)


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


def _from(text: Callable[[int], str], start: int, row: int) -> str:
    return text(start + row)
