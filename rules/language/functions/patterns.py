"""Regular expressions. RE2 executes them, so the time is linear in the text whatever the pattern is."""

from __future__ import annotations

from collections.abc import Iterator
from functools import lru_cache
from typing import Any

import re2

from rules.language.functions.bounds import check_length
from rules.language.functions.registry import Chapter, FunctionError, Group, check_constants
from rules.text import N_, msg

MAX_PATTERN = 1_000
MAX_PROGRAM = 20_000
MAX_STEPS = 1_000_000_000
_text = Chapter(Group.TEXT)
_TOO_LARGE = msg("The pattern is too large. Use fewer or smaller repetitions.")
_GROUP_MARK = "\\"


@lru_cache(maxsize=64)
def pattern(text: str) -> Any:
    """Return a compiled pattern of limited size."""
    if len(text) > MAX_PATTERN:
        raise FunctionError(msg("A pattern may have at most {limit} characters.", limit=MAX_PATTERN))
    options = re2.Options()
    options.log_errors = False
    try:
        compiled = re2.compile(text, options)
    except re2.error as error:
        reason = _reason(error)
        message = msg("The pattern is not a regular expression: {reason}.", reason=reason)
        raise FunctionError(_TOO_LARGE if "too large" in reason else message) from None
    if compiled.programsize > MAX_PROGRAM:
        raise FunctionError(_TOO_LARGE)
    return compiled


def _reason(error: Exception) -> str:
    reason = error.args[0] if error.args else ""
    return reason.decode("utf-8", "replace") if isinstance(reason, bytes) else str(reason)


def _matches(text: str, compiled: Any) -> Iterator[Any]:
    """Yield the places that match. Each search may look at the whole rest of the text, so their sum is bounded."""
    cost = _cost(len(text), compiled)
    for found in compiled.finditer(text):
        yield found
        cost += _cost(len(text) - found.start(), compiled)
        if cost > MAX_STEPS:
            raise FunctionError(msg("Too many places of this long text match the pattern. Cut the text up first."))


def _cost(length: int, compiled: Any) -> int:
    """Return how many steps a search may take: its engine may look at every part of the pattern for a character."""
    steps = length * int(compiled.programsize)
    if steps > MAX_STEPS:
        raise FunctionError(msg("The text is too long for a pattern of this size. Cut it up first."))
    return steps


def matches(text: str, written: str) -> bool:
    """Tell whether a part of the text matches. What it may cost is bounded by the cost of the whole expression."""
    return pattern(written).search(text) is not None


def extract(text: str, written: str, group: int | None = None) -> str | None:
    """Return what the first match holds: the given group, else the first group, else all of it."""
    compiled = pattern(written)
    number = min(compiled.groups, 1) if group is None else group
    if not 0 <= number <= compiled.groups:
        message = msg(
            "The pattern has {count} groups; there is no group {number}.", count=compiled.groups, number=number
        )
        raise FunctionError(message)
    _cost(len(text), compiled)
    found = compiled.search(text)
    value: str | None = None if found is None else found[number]
    return value


def extract_all(text: str, written: str) -> list[str]:
    """Return what all matches hold: their first group where the pattern has one."""
    compiled = pattern(written)
    number = min(compiled.groups, 1)
    return [found[number] or "" for found in _matches(text, compiled)]


@lru_cache(maxsize=64)
def _pieces(replacement: str, groups: int) -> tuple[str | int, ...]:
    """Return the parts of a replacement: texts, and the numbers of groups."""
    head, *rest = replacement.replace("\\\\", "\x00").split(_GROUP_MARK)
    parts: list[str | int] = [head.replace("\x00", "\\")]
    for piece in rest:
        if not piece[:1].isdecimal() or not piece[:1].isascii() or int(piece[0]) > groups:
            text = N_(
                "'{mark}' in a replacement stands for a group of the pattern, \\0 to \\{count}; write \\\\ for \\."
            )
            raise FunctionError(msg(text, mark=_GROUP_MARK + piece[:1], count=groups))
        parts += [int(piece[0]), piece[1:].replace("\x00", "\\")]
    return tuple(parts)


def regex_replace(text: str, written: str, replacement: str) -> str:
    r"""Return the text with every match replaced; \1 stands for the first group, \0 for the match."""
    compiled = pattern(written)
    pieces = _pieces(replacement, compiled.groups)
    parts: list[str] = []
    end = length = 0
    for found in _matches(text, compiled):
        made = "".join(piece if isinstance(piece, str) else found[piece] or "" for piece in pieces)
        parts += [text[end : found.start()], made]
        length += found.start() - end + len(made)
        check_length(length)
        end = found.end()
    check_length(length + len(text) - end)
    return "".join([*parts, text[end:]])


check_constants("pattern", pattern)
_text.own(
    N_("Tells whether a part of the text matches a regular expression (RE2); ^ and $ stand for its ends."),
    {"'CN123'.matches('^[A-Z]{2}[0-9]+$')": "true"},
    {"matches(text: text, pattern: text) -> boolean": matches},
)
_text.own(
    N_(
        "Takes the part of a text that matches a regular expression (RE2): its first group where it has one, or the"
        " group with the given number. Empty (null) where nothing matches."
    ),
    {
        "'Order 4711 of today'.regexExtract('[0-9]+')": "'4711'",
        "'Order 4711'.regexExtract('Order ([0-9]+)')": "'4711'",
        "'2024-01-31'.regexExtract('([0-9]+)-([0-9]+)', 2)": "'01'",
        "'none'.regexExtract('[0-9]+')": "null",
    },
    {
        "regexExtract(text: text, pattern: text) -> text or null": extract,
        "regexExtract(text: text, pattern: text, group: integer) -> text or null": extract,
    },
)
_text.own(
    N_("Lists all parts of a text that match a regular expression (RE2): their first groups where it has one."),
    {"'a1 b22'.regexExtractAll('[0-9]+')": "['1', '22']"},
    {"regexExtractAll(text: text, pattern: text) -> list of text": extract_all},
)
_text.own(
    N_("Replaces every part that matches a regular expression (RE2); \\1 stands for the first group, \\0 for all."),
    {
        "'2024-01-31'.regexReplace('([0-9]+)-([0-9]+)-([0-9]+)', r'\\3.\\2.\\1')": "'31.01.2024'",
        "'a  b'.regexReplace(' +', ' ')": "'a b'",
    },
    {"regexReplace(text: text, pattern: text, replacement: text) -> text": regex_replace},
)
