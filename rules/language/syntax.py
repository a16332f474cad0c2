"""Syntax errors in plain words: what to type instead of the word that has no place where it stands."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Callable

from rules.language.problems import ExpressionError, problem_at
from rules.language.tokens import Token, TokenKind
from rules.text import Message, msg

Words = tuple[Message, str | None]

RESERVED = frozenset(
    [
        "as",
        "break",
        "const",
        "continue",
        "else",
        "for",
        "function",
        "if",
        "import",
        "let",
        "loop",
        "package",
        "namespace",
        "return",
        "var",
        "void",
        "while",
    ]
)
_WORDS = {"and": "&&", "or": "||", "not": "!"}
_QUOTES = {"“": '"', "”": '"', "‘": "'", "’": "'"}
_MISSING = {
    ")": msg("A closing bracket ) is missing."),
    "]": msg("A closing bracket ] is missing."),
    "}": msg("A closing brace is missing."),
    ":": msg("A colon with the other result is missing, like in a ? b : c."),
}
_EARLY = msg("The expression ends too early: something is missing at its end.")
_NO_FIELD = msg("A field name is missing behind the dot.")
_OPTIONAL = msg("This form is not supported.")


def failure(
    text: str, at: int, message: Message, suggestion: str | None = None, *, end: int | None = None
) -> ExpressionError:
    """Return the error that says one thing about one place."""
    return ExpressionError([problem_at(text, at, message, suggestion, end=end)])


def no_value(token: Token, text: str) -> ExpressionError:
    """Return the error for a word that stands where a value should."""
    if token.kind is TokenKind.WRONG:
        return _no_word(token, text)
    if token.kind is TokenKind.END:
        return failure(text, token.start, _EARLY)
    if token.text == "?":
        return failure(text, token.start, _OPTIONAL)
    if text[max(token.start - 1, 0) : token.end] == "<>":
        return failure(text, token.start - 1, msg("Use != to ask whether two values differ."), "!=", end=token.end)
    message = msg("'{word}' is not expected here. A value or a field name is missing.", word=token.text)
    return failure(text, token.start, message)


def no_end(token: Token, text: str, wanted: str | None, before: Token | None) -> ExpressionError:
    """Return the error for a word behind a complete value, where `wanted` or an operator should stand."""
    if token.kind is TokenKind.WRONG:
        return _no_word(token, text)
    if token.kind is TokenKind.END:
        return failure(text, token.start, _MISSING.get(wanted or "", _EARLY))
    for word in (token, before):
        operator = _WORDS.get(word.text.lower()) if word is not None else None
        if word is not None and operator is not None:
            message = msg("Write {operator} for '{word}'.", operator=operator, word=word.text)
            return failure(text, word.start, message, operator)
    shown = token.text.strip("'\"")
    message = msg("'{word}' is not expected here. Is an operator such as +, == or && missing before it?", word=shown)
    return failure(text, token.start, message)


def no_field(token: Token, text: str) -> ExpressionError:
    """Return the error for a word behind a dot that cannot be a name."""
    if token.kind is TokenKind.WRONG:
        return _no_word(token, text)
    if token.text == "?":
        return failure(text, token.start - 1, _OPTIONAL, end=token.end)
    return failure(text, token.start, _NO_FIELD)


def reserved(token: Token, text: str) -> ExpressionError:
    """Return the error for a word that CEL keeps for itself."""
    message = msg('This word is reserved. Write record["..."] for a field of that name.')
    return failure(text, token.start, message, f'record["{token.text}"]')


def _no_word(token: Token, text: str) -> ExpressionError:
    """Return the error for a character that begins no word."""
    words = next((words for test, words in _CHARACTERS if test(token.text)), None)
    if words is None:
        return failure(text, token.start, msg("The character '{char}' has no meaning here.", char=token.text))
    (message, suggestion), length = words(token.text, text[token.start :])
    return failure(text, token.start, message, suggestion, end=token.start + length)


def _equals(_char: str, _rest: str) -> tuple[Words, int]:
    return (msg("Use == to compare two values."), "=="), 1


def _and_or(char: str, _rest: str) -> tuple[Words, int]:
    return (msg("Use {operator} here.", operator=char * 2), char * 2), 1


def _open_quote(_char: str, rest: str) -> tuple[Words, int]:
    text = msg("The text that starts here has no end quote, or a backslash in it is not followed by a known letter.")
    return (text, None), len(rest.split("\n", 1)[0])


def _full_width(char: str, _rest: str) -> tuple[Words, int]:
    plain = _ascii(char)
    text = msg("'{char}' is a full-width or typographic character. Type {plain} instead.", char=char, plain=plain)
    return (text, plain), 1


def _letter(_char: str, rest: str) -> tuple[Words, int]:
    found = re.match(r"\w+", rest)
    name = found[0] if found else rest[0]
    written = f'record["{name}"]'
    text = msg("A name with other characters than a-z, 0-9 and _ is written {written}.", written=written)
    return (text, written), len(name)


def _ascii(char: str) -> str:
    plain = _QUOTES.get(char) or unicodedata.normalize("NFKC", char)
    return plain if len(plain) == 1 and plain.isascii() else ""


_CHARACTERS: tuple[tuple[Callable[[str], bool], Callable[[str, str], tuple[Words, int]]], ...] = (
    (lambda c: c == "=", _equals),
    (lambda c: c in ("&", "|"), _and_or),
    (lambda c: c in ("'", '"'), _open_quote),
    (lambda c: not c.isascii() and _ascii(c) != "", _full_width),
    (str.isalpha, _letter),
)
