"""CSV text, record by record: exact about quotation marks and lines, and never stopped by a broken record.

An unquoted field that equals the null text has no value; a quoted one is always a text. A record whose quotation marks
do not fit is given back alone, and reading goes on with the next line.
"""

from __future__ import annotations

import re
from collections import deque
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import cached_property
from typing import NamedTuple

from rules.text import Message, msg

_UNDECODED = re.compile("[\ud800-\udfff]")
_LONGEST = 200


@dataclass(frozen=True)
class Dialect:
    """How a CSV file is written; `newline` ends the records that we add."""

    encoding: str = "utf-8"
    delimiter: str = ","
    quote: str = '"'
    newline: str = "\n"
    header: bool = True
    null_text: str = ""

    @cached_property
    def field(self) -> re.Pattern[str]:
        """Return the pattern of one field with the delimiter behind it."""
        d, q = re.escape(self.delimiter), re.escape(self.quote)
        return re.compile(rf"({q}(?:[^{q}]|{q}{q})*+{q}|[^{d}{q}\r\n][^{d}\r\n]*+|){d}")

    @cached_property
    def opened(self) -> re.Pattern[str]:
        """Return the pattern of a quoted field that is not closed."""
        q = re.escape(self.quote)
        return re.compile(rf"{q}(?:[^{q}]|{q}{q})*+\Z")

    def tokens(self, text: str) -> list[str] | None:
        """Return the fields of a record as they are written, or None if its quotation marks do not fit."""
        body = text.rstrip("\r\n") + self.delimiter
        found: list[str] = self.field.findall(body)
        return found if sum(map(len, found)) + len(found) == len(body) else None

    def is_open(self, text: str) -> bool:
        """Tell whether a text ends inside of quotation marks."""
        position = 0
        while found := self.field.match(text, position):
            position = found.end()
        return self.opened.match(text, position) is not None

    def value(self, token: str) -> str | None:
        """Return what a field means."""
        if token[:1] == self.quote:
            return token[1:-1].replace(self.quote * 2, self.quote)
        return None if token == self.null_text else token

    def token(self, value: str | None) -> str:
        """Return how a value is written."""
        if value is None:
            return self.null_text
        marks = (self.delimiter, self.quote, "\r", "\n")
        if value in ("", self.null_text) or value != value.strip() or any(mark in value for mark in marks):
            return self.quote + value.replace(self.quote, self.quote * 2) + self.quote
        return value


class Record(NamedTuple):
    """One record: its line, its text, and its values or what is wrong; a blank line has neither."""

    line: int
    text: str
    cells: list[str | None] | None
    problem: Message | None = None


class Scanner:
    """Yields the records of a file's lines; `line` is the number of the last line taken."""

    def __init__(self, lines: Iterable[str], dialect: Dialect, width: int | None = None, line: int = 0) -> None:
        """Take lines with their ends, behind line number `line`; a record must have `width` fields if one is given."""
        self.dialect = dialect
        self.width = width
        self.line = line
        self._rest = iter(lines)
        self._back: deque[str] = deque()

    def __iter__(self) -> Iterator[Record]:
        quote, plain = self.dialect.quote, self._plain
        while (text := self._take()) is not None:
            if quote in text:
                yield self._quoted(text)
            elif text.isascii() or not _UNDECODED.search(text):
                yield plain(text)
            else:
                yield Record(self.line, text, None, _undecodable())

    @property
    def pending(self) -> int:
        """Return how many of the lines that were taken are still to be looked at."""
        return len(self._back)

    def _take(self) -> str | None:
        text = self._back.popleft() if self._back else next(self._rest, None)
        self.line += text is not None
        return text

    def _plain(self, text: str) -> Record:
        body = text.rstrip("\r\n")
        if not body:
            return Record(self.line, text, None)
        cells = body.split(self.dialect.delimiter)
        if self.width is not None and len(cells) != self.width:
            blank = not body.strip()
            return Record(self.line, text, None, None if blank else _wrong_width(len(cells), self.width))
        null = self.dialect.null_text
        return Record(self.line, text, [None if cell == null else cell for cell in cells])

    def _quoted(self, text: str) -> Record:
        taken = [text]
        while (tokens := self.dialect.tokens("".join(taken))) is None:
            more = self._take() if len(taken) < _LONGEST and self.dialect.is_open("".join(taken)) else None
            if more is None:
                return self._only_first(taken, _unclosed() if self.dialect.is_open(text) else _misplaced())
            taken.append(more)
        if self.width is not None and len(tokens) != self.width:
            return self._only_first(taken, _wrong_width(len(tokens), self.width))
        joined = "".join(taken)
        if not joined.isascii() and _UNDECODED.search(joined):
            return self._only_first(taken, _undecodable())
        return Record(self.line - len(taken) + 1, joined, list(map(self.dialect.value, tokens)))

    def _only_first(self, taken: list[str], problem: Message) -> Record:
        """Give up the first line of a broken record and look at the others again."""
        self.line -= len(taken) - 1
        self._back.extendleft(reversed(taken[1:]))
        return Record(self.line, taken[0], None, problem)


def _wrong_width(found: int, width: int) -> Message:
    return msg("The record has {found} fields, but the file has {width} columns.", found=found, width=width)


def _unclosed() -> Message:
    return msg("A quotation mark is opened in this line and never closed.")


def _misplaced() -> Message:
    return msg("There is text behind a closing quotation mark. Inside of quotation marks they must be doubled.")


def _undecodable() -> Message:
    return msg("The line has characters that are not in the encoding of the file.")
