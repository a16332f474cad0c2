"""What is wrong with a document, and where: the path of the key, and the place inside an expression."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from rules.language.problems import Problem, Severity
from rules.text import Message


@dataclass(frozen=True)
class DocumentProblem:
    """One mistake in a document; `path` is like `fields/3/to_right`, empty for the whole document.

    `line` and `column` count from 1 inside the expression that stands at `path`, `length` is how many characters from
    there are meant; None where it is the value itself.
    """

    path: str
    message: Message
    line: int | None = None
    column: int | None = None
    suggestion: str | None = None
    severity: Severity = Severity.ERROR
    length: int | None = None

    @classmethod
    def of(cls, path: str, problem: Problem) -> DocumentProblem:
        """Return the problem of the expression at `path` as a problem of the document."""
        place = problem.line, problem.column
        return cls(path, problem.message, *place, problem.suggestion, problem.severity, problem.length)


class DocumentError(Exception):
    """A document cannot be used; `problems` says why."""

    def __init__(self, problems: Iterable[DocumentProblem]) -> None:
        self.problems = tuple(problems)
        super().__init__(" ".join(f"{p.path}: {p.message}" if p.path else str(p.message) for p in self.problems))


def errors(problems: Iterable[DocumentProblem]) -> tuple[DocumentProblem, ...]:
    """Return those problems that keep the document from being used."""
    return tuple(p for p in problems if p.severity is Severity.ERROR)
