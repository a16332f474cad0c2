"""Functions on text."""

from __future__ import annotations

import re
import unicodedata

from rules.language.functions.bounds import MAX_TEXT, check_length, check_repeated
from rules.language.functions.registry import Builtin, Chapter, FunctionError, Group
from rules.text import N_, msg

__all__ = ["MAX_TEXT"]
_text = Chapter(Group.TEXT)


def replace(text: str, old: str, new: str) -> str:
    """Return the text with every `old` replaced."""
    if old == "":
        raise FunctionError(msg("replace() needs the text to look for; it is empty here."))
    check_length(len(text) + text.count(old) * (len(new) - len(old)))
    return text.replace(old, new)


def substring(text: str, start: int, end: int | None = None) -> str:
    """Return the characters from `start` (0 is the first) up to but not including `end`."""
    if start < 0 or (end is not None and end < start):
        raise FunctionError(msg("substring() from {start} to {end} is not possible.", start=start, end=end))
    return text[start:end]


def split(text: str, separator: str) -> list[str]:
    """Return the parts between the separators."""
    if separator == "":
        raise FunctionError(msg("split() needs a separator; it is empty here."))
    return text.split(separator)


def join(parts: list[object], separator: str) -> str:
    """Return the parts in one text."""
    texts = [part for part in parts if isinstance(part, str)]
    if len(texts) < len(parts):
        raise FunctionError(msg("join() joins text only; part {number} is not text.", number=_first_other(parts)))
    return separator.join(texts)


def _first_other(parts: list[object]) -> int:
    return next(number for number, part in enumerate(parts, 1) if not isinstance(part, str))


def _padding(text: str, length: int, fill: str) -> str:
    check_repeated(length)
    if len(fill) != 1:
        raise FunctionError(msg("Padding needs exactly one character to fill with."))
    return fill * (length - len(text))


def pad_left(text: str, length: int, fill: str = " ") -> str:
    """Return the text filled up at its start."""
    return _padding(text, length, fill) + text


def pad_right(text: str, length: int, fill: str = " ") -> str:
    """Return the text filled up at its end."""
    return text + _padding(text, length, fill)


def normalize_space(text: str) -> str:
    """Return the text trimmed, with single spaces."""
    return " ".join(text.split())


def digits(text: str) -> str:
    """Return the decimal digits only, as 0-9."""
    return "".join(str(unicodedata.digit(char)) for char in text if char.isdecimal())


def to_half_width(text: str) -> str:
    """Return full-width letters, digits, punctuation and spaces as their usual forms."""
    return "".join(_half(char) for char in text)


def _half(char: str) -> str:
    if char == "　":
        return " "
    return unicodedata.normalize("NFKC", char) if unicodedata.east_asian_width(char) == "F" else char


def capitalize(text: str) -> str:
    """Return the text with a capital first letter in every word."""
    return re.sub(r"\w+", lambda m: m[0][0].upper() + m[0][1:].lower(), text)


_text.own(
    N_("Removes spaces, tabs and line breaks at both ends."),
    {"'  Ada '.trim()": "'Ada'"},
    {"trim(text: text) -> text": str.strip},
)
_text.own(N_("Writes all letters large."), {"'Straße'.upper()": "'STRASSE'"}, {"upper(text: text) -> text": str.upper})
_text.own(N_("Writes all letters small."), {"'ÀB'.lower()": "'àb'"}, {"lower(text: text) -> text": str.lower})
_text.own(
    N_("Writes every word with a capital first letter."),
    {"'ada LOVELACE'.capitalize()": "'Ada Lovelace'"},
    {"capitalize(text: text) -> text": capitalize},
)
_text.own(
    N_("Replaces every place where a text occurs."),
    {"'a-b-c'.replace('-', '/')": "'a/b/c'"},
    {"replace(text: text, old: text, new: text) -> text": replace},
)
_text.own(
    N_("Takes the characters from a position up to, but not including, another. The first character has position 0."),
    {"'Syncline'.substring(0, 4)": "'Sync'", "'Syncline'.substring(4)": "'line'", "'客户😀名'.substring(2, 3)": "'😀'"},
    {
        "substring(text: text, start: integer) -> text": substring,
        "substring(text: text, start: integer, end: integer) -> text": substring,
    },
)
_text.own(
    N_("Cuts a text into a list at every separator."),
    {"'a;b;c'.split(';')": "['a', 'b', 'c']"},
    {"split(text: text, separator: text) -> list of text": split},
)
_text.own(
    N_("Joins a list of texts with a separator between them."),
    {"['a', 'b'].join(', ')": "'a, b'"},
    {"join(parts: list, separator: text) -> text": join},
)
_text.own(
    N_("Fills a text up at its start until it has the given length."),
    {"'7'.padLeft(3, '0')": "'007'"},
    {
        "padLeft(text: text, length: integer, fill: text) -> text": pad_left,
        "padLeft(text: text, length: integer) -> text": pad_left,
    },
)
_text.own(
    N_("Fills a text up at its end until it has the given length."),
    {"'ab'.padRight(4, '.')": "'ab..'"},
    {
        "padRight(text: text, length: integer, fill: text) -> text": pad_right,
        "padRight(text: text, length: integer) -> text": pad_right,
    },
)
_text.own(
    N_("Trims a text and makes every run of spaces a single one."),
    {"'  Ada   Lovelace '.normalizeSpace()": "'Ada Lovelace'"},
    {"normalizeSpace(text: text) -> text": normalize_space},
)
_text.own(
    N_("Keeps the digits only."),
    {"'+86 (21) 5888-1234'.digits()": "'862158881234'"},
    {"digits(text: text) -> text": digits},
)
_text.own(
    N_("Turns full-width letters, digits, punctuation and spaces into their usual forms."),
    {"'ＡＢＣ１２３（上海）'.toHalfWidth()": "'ABC123(上海)'"},
    {"toHalfWidth(text: text) -> text": to_half_width},
)
_text.builtin(
    Builtin.MEMBER,
    N_("Tells whether a text starts with another."),
    {"'CN-100'.startsWith('CN')": "true"},
    "startsWith(text: text, start: text) -> boolean",
)
_text.builtin(
    Builtin.MEMBER,
    N_("Tells whether a text ends with another."),
    {"'a.csv'.endsWith('.csv')": "true"},
    "endsWith(text: text, end: text) -> boolean",
)
_text.builtin(
    Builtin.MEMBER,
    N_("Tells whether a text contains another."),
    {"'上海分公司'.contains('上海')": "true"},
    "contains(text: text, part: text) -> boolean",
)
