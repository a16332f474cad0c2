"""The words of a cell: a small tokenizer that keeps exact positions."""

from __future__ import annotations

import re
from dataclasses import dataclass
from enum import StrEnum

from rules.decisions.cells import CellError
from rules.text import msg

MAX_LENGTH = 10_000


class Sort(StrEnum):
    """What a token is."""

    TEXT = "text"
    MOMENT = "moment"
    TIME = "time"
    NUMBER = "number"
    WORD = "word"
    SYMBOL = "symbol"
    END = "end"


@dataclass(frozen=True)
class Token:
    """A piece of a cell; `start` and `end` are 0-based offsets."""

    sort: Sort
    text: str
    start: int
    end: int


_PATTERN = re.compile(
    r"""
    (?P<text>"(?:[^"\\]|\\.)*"|'(?:[^'\\]|\\.)*')
    |(?P<moment>\d{4}-\d{2}-\d{2}(?:T\d{2}:\d{2}(?::\d{2}(?:\.\d{1,6})?)?(?:Z|[+-]\d{2}:\d{2})?)?(?!\w))
    |(?P<time>\d{1,2}:\d{2}(?::\d{2}(?:\.\d{1,6})?)?(?!\w))
    |(?P<number>\d+(?:\.\d+)?(?:[eE][+-]?\d+)?(?!\w))
    |(?P<word>\w+)
    |(?P<symbol><=|>=|==|!=|&&|\|\||\.\.|.)
    """,
    re.VERBOSE | re.DOTALL,
)
_ESCAPES = {"n": "\n", "t": "\t", "r": "\r"}
_ESCAPE = re.compile(r"\\(?:u([0-9a-fA-F]{4})|(.))", re.DOTALL)


def scan(text: str) -> list[Token]:
    """Return the tokens of a cell, the last one being its end; raises `CellError`."""
    if len(text) > MAX_LENGTH:
        raise CellError(msg("This cell has more than {limit} characters.", limit=MAX_LENGTH))
    found = []
    for match in _PATTERN.finditer(text):
        piece = match.group()
        if piece.isspace():
            continue
        if piece in ('"', "'"):
            raise CellError(msg("The text that begins here has no closing quote."), match.start() + 1)
        found.append(Token(Sort(str(match.lastgroup)), piece, match.start(), match.end()))
    return [*found, Token(Sort.END, "", len(text), len(text))]


def unquoted(token: Token) -> str:
    """Return what a text in quotes says."""
    text = _ESCAPE.sub(_unescaped, token.text[1:-1])
    if "\x00" in text or any(0xD800 <= ord(c) < 0xE000 for c in text):
        raise CellError(msg("This text has a character that is not possible."), token.start + 1)
    return text


def _unescaped(match: re.Match[str]) -> str:
    code, character = match.groups()
    return chr(int(code, 16)) if code else _ESCAPES.get(character, character)


def quoted(text: str) -> str:
    """Return a text in quotes, as cells write it."""
    escaped = text.replace("\\", "\\\\").replace('"', '\\"')
    return '"' + escaped.replace("\n", "\\n").replace("\t", "\\t").replace("\r", "\\r") + '"'
