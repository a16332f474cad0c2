"""A document as text, and back: what the editor of the whole rule shows, reads and underlines."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from rules.documents import DocumentError, DocumentProblem, Format, Located, dump_document, load_documents
from rules.text import Message, msg


@dataclass(frozen=True)
class SyntaxProblem:
    """Text that holds no document, and where it stops doing so; lines and columns count from 1."""

    message: Message
    line: int = 1
    column: int = 1


def written(document: Mapping[str, Any], form: str) -> str:
    """Return the document as text: "yaml" or "json"."""
    if form == Format.JSON:
        return json.dumps(document, ensure_ascii=False, indent=2) + "\n"
    return dump_document(document)


@dataclass(frozen=True)
class Mark:
    """A range of a text to underline: `column` and `end` (the column behind it) in characters, from 1."""

    line: int
    column: int
    end: int
    message: str
    severity: str


def marks(
    located: Located, text: str, problems: Iterable[DocumentProblem], say: Callable[[Message], str]
) -> list[Mark]:
    """Return what to underline for each problem: the value, or the place inside its expression."""
    lines = text.split("\n")
    return [_mark(located, lines, problem, say(problem.message)) for problem in problems]


def _mark(located: Located, lines: list[str], problem: DocumentProblem, message: str) -> Mark:
    line, column = located.place(problem.path)
    shown = lines[line - 1] if line <= len(lines) else ""
    inside = _inside(located, shown, column, problem)
    if inside is not None:
        return Mark(line, inside, inside + (problem.length or 0), message, problem.severity.value)
    return Mark(line, column, len(shown.rstrip()) + 1, message, problem.severity.value)


def _inside(located: Located, shown: str, column: int, problem: DocumentProblem) -> int | None:
    """Return the column of a place in an expression that stands on one line as it is, without escapes."""
    value: Any = located.document
    for part in problem.path.split("/"):
        value = value[int(part)] if isinstance(value, list) else value.get(part) if isinstance(value, dict) else None
    if problem.column is None or not isinstance(value, str):
        return None
    start = shown.find(value, column - 1)
    return start + problem.column if start >= 0 else None


def read(text: str, form: str) -> tuple[Located | None, SyntaxProblem | None]:
    """Return the one document that a text holds, or why it holds none."""
    try:
        found = load_documents(text, form)
    except DocumentError as error:
        first = error.problems[0]
        return None, SyntaxProblem(first.message, first.line or 1, first.column or 1)
    if len(found) != 1:
        return None, SyntaxProblem(msg("The text has to be one document with keys such as name, left and right."))
    return found[0], None
