"""The words of an expression: the lexical part of CEL's grammar.

https://github.com/google/cel-spec/blob/master/doc/langdef.md#syntax
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from enum import StrEnum


class TokenKind(StrEnum):
    """What a word is; `wrong` is a character that begins no word."""

    STRING = "string"
    BYTES = "bytes"
    FLOAT = "float"
    INTEGER = "integer"
    NAME = "name"
    QUOTED = "quoted"
    SYMBOL = "symbol"
    END = "end"
    WRONG = "wrong"


@dataclass(frozen=True, slots=True)
class Token:
    """One word and where it stands: offsets in characters, the end not included."""

    kind: TokenKind
    text: str
    start: int
    end: int


class BadEscape(ValueError):
    """A backslash is followed by something that has no meaning."""


_ESCAPE = r"\\(?:[abfnrtv\\?\"'`]|[xX][0-9a-fA-F]{2}|u[0-9a-fA-F]{4}|U[0-9a-fA-F]{8}|[0-3][0-7]{2})"
_QUOTES = tuple(
    f"{quote}(?:{_ESCAPE}|[^\\\\{quote[0]}\\r\\n])*{quote}"
    if len(quote) == 1
    else f"{quote}(?:{_ESCAPE}|(?!{quote})[^\\\\])*{quote}"
    for quote in ('"""', "'''", '"', "'")
)
_RAW = tuple(
    f"{quote}[^{quote}\\r\\n]*{quote}" if len(quote) == 1 else f"{quote}(?:(?!{quote})[\\s\\S])*{quote}"
    for quote in ('"""', "'''", '"', "'")
)
_EXPONENT = r"[eE][+-]?[0-9]+"
_TOKEN = re.compile(
    rf"""(?P<space>(?:[\t\n\f\r\ ]|//[^\n]*)+)
    |(?P<bytes>(?:[bB][rR]|[rR][bB])(?:{"|".join(_RAW)})|[bB](?:{"|".join(_QUOTES)}))
    |(?P<string>[rR](?:{"|".join(_RAW)})|(?:{"|".join(_QUOTES)}))
    |(?P<float>[0-9]+\.[0-9]+(?:{_EXPONENT})?|[0-9]+{_EXPONENT}|\.[0-9]+(?:{_EXPONENT})?)
    |(?P<integer>(?:0x[0-9a-fA-F]+|[0-9]+)[uU]?)
    |(?P<name>[_a-zA-Z][_a-zA-Z0-9]*)
    |(?P<quoted>`[-a-zA-Z0-9_./\ ]+`)
    |(?P<symbol>==|!=|<=|>=|&&|\|\||[-+*/%<>!?:.,()\[\]{{}}])""",
    re.VERBOSE,
)
_SIMPLE = dict(zip("abfnrtv", "\a\b\f\n\r\t\v", strict=True))
_DIGITS = {"x": 2, "X": 2, "u": 4, "U": 8}
_SURROGATES = range(0xD800, 0xE000)


def tokens(text: str) -> Iterator[Token]:
    """Yield the words, then one of kind `end`; a character that begins no word ends the search."""
    offset = 0
    while offset < len(text):
        found = _TOKEN.match(text, offset)
        if found is None:
            yield Token(TokenKind.WRONG, text[offset], offset, offset + 1)
            return
        if found.lastgroup != "space":
            yield Token(TokenKind(str(found.lastgroup)), found[0], offset, found.end())
        offset = found.end()
    yield Token(TokenKind.END, "", offset, offset)


def word_length(text: str, offset: int) -> int:
    """Return how many characters the word at an offset has, at least one within the text."""
    found = _TOKEN.match(text, offset)
    length = found.end() - offset if found is not None and found.lastgroup != "space" else 1
    return min(length, max(len(text) - offset, 0))


def text_of(token: Token) -> str:
    """Return the value of a text in quotes; raises `BadEscape`."""
    raw, body = _body(token.text)
    return body if raw else "".join(chr(code) for code in _codes(body, unicode=True))


def bytes_of(token: Token) -> bytes:
    """Return the value of binary data in quotes; raises `BadEscape`."""
    raw, body = _body(token.text)
    if raw:
        return body.encode()
    return b"".join(bytes([code]) if escaped else chr(code).encode() for code, escaped in _marked(body, unicode=False))


def _body(text: str) -> tuple[bool, str]:
    """Return whether a text in quotes is raw, and what stands between its quotes."""
    quoted = text.lstrip("rRbB")
    size = 3 if quoted[:3] in ('"""', "'''") and len(quoted) >= 6 else 1
    return "r" in text[: len(text) - len(quoted)].lower(), quoted[size:-size]


def _codes(body: str, *, unicode: bool) -> Iterator[int]:
    return (code for code, _escaped in _marked(body, unicode=unicode))


def _marked(body: str, *, unicode: bool) -> Iterator[tuple[int, bool]]:
    """Yield the code of each character, and whether it was written as a number."""
    offset = 0
    while offset < len(body):
        char = body[offset]
        if char != "\\":
            yield ord(char), False
            offset += 1
            continue
        code, length, numeric = _escape(body, offset, unicode=unicode)
        yield code, numeric
        offset += length


def _escape(body: str, offset: int, *, unicode: bool) -> tuple[int, int, bool]:
    """Return the code of an escape, its length and whether it is a number."""
    char = body[offset + 1]
    if char in _SIMPLE:
        return ord(_SIMPLE[char]), 2, False
    if char in _DIGITS:
        size = _DIGITS[char]
        code = int(body[offset + 2 : offset + 2 + size], 16)
        if code > 0x10FFFF or code in _SURROGATES or (size > 2 and not unicode):
            raise BadEscape
        return code, size + 2, True
    if char.isdigit():
        return int(body[offset + 1 : offset + 4], 8), 4, True
    return ord(char), 2, False
