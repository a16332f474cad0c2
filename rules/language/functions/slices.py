"""Functions that take texts apart and put them together, as people know them from spreadsheets."""

from __future__ import annotations

from rules.language.functions.bounds import check_repeated
from rules.language.functions.registry import Chapter, FunctionError, Group
from rules.text import N_, msg

_text = Chapter(Group.TEXT)


def _count(count: int) -> int:
    if count < 0:
        raise FunctionError(msg("The number of characters must not be negative, as {count} is.", count=count))
    return count


def _separator(separator: str) -> str:
    if separator == "":
        raise FunctionError(msg("The text to look for is empty here."))
    return separator


def left(text: str, count: int) -> str:
    """Return the first characters."""
    return text[: _count(count)]


def right(text: str, count: int) -> str:
    """Return the last characters."""
    return text[max(0, len(text) - _count(count)) :]


def before(text: str, separator: str) -> str:
    """Return what stands before the first separator, the whole text where there is none."""
    return text.partition(_separator(separator))[0]


def after(text: str, separator: str) -> str:
    """Return what stands after the first separator, nothing where there is none."""
    return text.partition(_separator(separator))[2]


def before_last(text: str, separator: str) -> str:
    """Return what stands before the last separator, the whole text where there is none."""
    head, found, tail = text.rpartition(_separator(separator))
    return head if found else tail


def after_last(text: str, separator: str) -> str:
    """Return what stands after the last separator, nothing where there is none."""
    _, found, tail = text.rpartition(_separator(separator))
    return tail if found else ""


def between(text: str, start: str, end: str) -> str:
    """Return what stands between two marks, nothing where one of them is missing."""
    rest = after(text, start)
    return before(rest, end) if _separator(end) in rest else ""


def repeat(text: str, count: int) -> str:
    """Return the text several times in a row."""
    check_repeated(len(text) * _count(count))
    return text * count


def count_of(text: str, part: str) -> int:
    """Return how often a text occurs in another, without overlaps."""
    return text.count(_separator(part))


_text.own(
    N_("Takes the first characters."),
    {"'Syncline'.left(4)": "'Sync'", "'ab'.left(5)": "'ab'"},
    {"left(text: text, count: integer) -> text": left},
)
_text.own(
    N_("Takes the last characters."),
    {"'Syncline'.right(4)": "'line'", "'ab'.right(0)": "''"},
    {"right(text: text, count: integer) -> text": right},
)
_text.own(
    N_("Takes what stands before the first separator; the whole text where there is none."),
    {"'ada@example.com'.before('@')": "'ada'", "'ada'.before('@')": "'ada'"},
    {"before(text: text, separator: text) -> text": before},
)
_text.own(
    N_("Takes what stands after the first separator; nothing ('') where there is none."),
    {"'ada@example.com'.after('@')": "'example.com'", "'ada'.after('@')": "''"},
    {"after(text: text, separator: text) -> text": after},
)
_text.own(
    N_("Takes what stands before the last separator; the whole text where there is none."),
    {"'a.tar.gz'.beforeLast('.')": "'a.tar'"},
    {"beforeLast(text: text, separator: text) -> text": before_last},
)
_text.own(
    N_("Takes what stands after the last separator; nothing ('') where there is none."),
    {"'a.tar.gz'.afterLast('.')": "'gz'"},
    {"afterLast(text: text, separator: text) -> text": after_last},
)
_text.own(
    N_("Takes what stands between two marks; nothing ('') where one of them is missing."),
    {"'Ada (London)'.between('(', ')')": "'London'"},
    {"between(text: text, start: text, end: text) -> text": between},
)
_text.own(
    N_("Repeats a text."),
    {"'ab'.repeat(3)": "'ababab'"},
    {"repeat(text: text, count: integer) -> text": repeat},
)
_text.own(
    N_("Counts how often a text occurs in another."),
    {"'a-b-c'.countOf('-')": "2"},
    {"countOf(text: text, part: text) -> integer": count_of},
)
_text.own(
    N_("Tells whether a text contains another, small and capital letters being the same."),
    {"'Syncline GmbH'.containsIgnoreCase('GMBH')": "true"},
    {"containsIgnoreCase(text: text, part: text) -> boolean": lambda text, part: part.casefold() in text.casefold()},
)
_text.own(
    N_("Tells whether two texts are equal, small and capital letters being the same."),
    {"'Straße'.equalsIgnoreCase('STRASSE')": "true"},
    {"equalsIgnoreCase(text: text, other: text) -> boolean": lambda text, other: text.casefold() == other.casefold()},
)
