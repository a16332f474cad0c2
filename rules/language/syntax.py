"""Syntax errors in plain words: the parser's own messages name tokens; a person wants to know what to type instead."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Callable

from rules.language.problems import Problem, place
from rules.text import Message, msg

Words = tuple[Message, str | None]

_REPORT = re.compile(r"ERROR: <input>:(-?\d+):(-?\d+): (.*)")
_WORDS = {"and": "&&", "or": "||", "not": "!"}
_QUOTES = {"“": '"', "”": '"', "‘": "'", "’": "'"}


def syntax_problem(report: str, text: str) -> Problem:
    """Return the first mistake of a parser's report about `text`, with what to do about it."""
    found = _REPORT.search(report)
    if found is None or "recursion" in report:
        return Problem(msg("This expression is nested too deeply or has too many terms in a row. Split it up."))
    line, column, reason = int(found[1]), int(found[2]), found[3]
    offset = _offset(text, line, column)
    for pattern, words in _REASONS:
        match = re.search(pattern, reason)
        if match is not None:
            message, suggestion = words(match, text, offset)
            return Problem(message, *place(text, offset), suggestion)
    return Problem(msg("This cannot be read: {reason}.", reason=reason), *place(text, offset))


def _offset(text: str, line: int, column: int) -> int:
    lines = text.split("\n")
    return sum(len(part) + 1 for part in lines[: line - 1]) + column - 1


def _token(match: re.Match[str], text: str, offset: int) -> Words:
    char = text[offset : offset + 1]
    for test, words in _TOKENS:
        if test(char):
            return words(char, text, offset)
    return msg("The character '{char}' has no meaning here.", char=char or match[1]), None


def _equals(_char: str, _text: str, _offset: int) -> Words:
    return msg("Use == to compare two values."), "=="


def _and_or(char: str, _text: str, _offset: int) -> Words:
    return msg("Use {operator} here.", operator=char * 2), char * 2


def _open_quote(_char: str, _text: str, _offset: int) -> Words:
    return msg(
        "The text that starts here has no end quote, or a backslash in it is not followed by a known letter."
    ), None


def _full_width(char: str, _text: str, _offset: int) -> Words:
    plain = _ascii(char)
    return msg(
        "'{char}' is a full-width or typographic character. Type {plain} instead.", char=char, plain=plain
    ), plain


def _letter(_char: str, text: str, offset: int) -> Words:
    found = re.match(r"\w+", text[offset:])
    name = found[0] if found else ""
    written = f'record["{name}"]'
    return msg("A name with other characters than a-z, 0-9 and _ is written {written}.", written=written), written


def _ascii(char: str) -> str:
    plain = _QUOTES.get(char) or unicodedata.normalize("NFKC", char)
    return plain if len(plain) == 1 and plain.isascii() else ""


_TOKENS: tuple[tuple[Callable[[str], bool], Callable[[str, str, int], Words]], ...] = (
    (lambda c: c == "=", _equals),
    (lambda c: c in ("&", "|"), _and_or),
    (lambda c: c in ("'", '"'), _open_quote),
    (lambda c: c != "" and not c.isascii() and _ascii(c) != "", _full_width),
    (str.isalpha, _letter),
)


def _extra(match: re.Match[str], text: str, offset: int) -> Words:
    word = match[1].strip("'")
    before = re.search(r"(\w+)\s*$", text[:offset])
    for candidate in (word, before[1] if before else ""):
        operator = _WORDS.get(candidate.lower())
        if operator is not None:
            return msg("Write {operator} for '{word}'.", operator=operator, word=candidate), operator
    return msg("'{word}' is not expected here. Is an operator such as +, == or && missing before it?", word=word), None


def _unexpected(match: re.Match[str], text: str, offset: int) -> Words:
    if text[max(offset - 1, 0) : offset + 1] == "<>":
        return msg("Use != to ask whether two values differ."), "!="
    return msg("'{word}' is not expected here. A value or a field name is missing.", word=match[1]), None


def _fixed(message: Message) -> Callable[[re.Match[str], str, int], Words]:
    return lambda _match, _text, _offset: (message, None)


_REASONS: tuple[tuple[str, Callable[[re.Match[str], str, int], Words]], ...] = (
    (r"token recognition error at: '(.*)'", _token),
    (r"missing '\)'", _fixed(msg("A closing bracket ) is missing."))),
    (r"input '<EOF>'", _fixed(msg("The expression ends too early: something is missing at its end."))),
    (r"input '(.+?)' expecting <EOF>", _extra),
    (r"no viable alternative at input '\.", _fixed(msg("A field name is missing behind the dot."))),
    (
        r"reserved identifier: (\w+)",
        _fixed(msg('This word is reserved. Write record["..."] for a field of that name.')),
    ),
    (r"has\(\) argument", _fixed(msg("has() asks for a field, like has(record.phone)."))),
    (r"variable name must be", _fixed(msg("The first part in the brackets must be a new name for the items, like x."))),
    (r"invalid int literal", _fixed(msg("This whole number is too large."))),
    (r"unsupported syntax", _fixed(msg("This form is not supported."))),
    (r"input '(.+?)'", _unexpected),
)
