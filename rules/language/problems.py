"""What is wrong with an expression, and where."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from difflib import get_close_matches
from enum import StrEnum

from rules.language.tokens import word_length
from rules.text import Message


class Severity(StrEnum):
    """An error keeps a document from being used; a warning does not."""

    ERROR = "error"
    WARNING = "warning"


@dataclass(frozen=True)
class Problem:
    """One mistake in an expression; `line` and `column` count from 1, in characters.

    `length` is how many characters from there are meant (0 at the end of the text, where something is missing).
    `suggestion` is the text to put in their place, where one is likely.
    """

    message: Message
    line: int = 1
    column: int = 1
    suggestion: str | None = None
    severity: Severity = Severity.ERROR
    length: int = 0


class ExpressionError(Exception):
    """An expression cannot be used; `problems` says why."""

    def __init__(self, problems: Iterable[Problem]) -> None:
        self.problems = tuple(problems)
        super().__init__(" ".join(f"{p.message} (line {p.line}, column {p.column})" for p in self.problems))


def place(text: str, offset: int) -> tuple[int, int]:
    """Return the line and column, both from 1, of a 0-based offset in characters."""
    before = text[: max(offset, 0)]
    return before.count("\n") + 1, len(before) - (before.rfind("\n") + 1) + 1


def problem_at(
    text: str,
    offset: int,
    message: Message,
    suggestion: str | None = None,
    severity: Severity = Severity.ERROR,
    *,
    end: int | None = None,
) -> Problem:
    """Return a problem of the characters from an offset to `end`, to the end of the word there if that is left out."""
    length = word_length(text, offset) if end is None else end - offset
    return Problem(message, *place(text, offset), suggestion, severity, length)


def nearest(name: str, known: Iterable[str]) -> str | None:
    """Return the known name that `name` was most likely meant to be."""
    names = list(known)
    folded = {n.casefold(): n for n in reversed(names)}
    if name.casefold() in folded:
        return folded[name.casefold()]
    close = get_close_matches(name.casefold(), list(folded), n=1, cutoff=0.7)
    return folded[close[0]] if close else None
