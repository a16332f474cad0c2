"""What the check found, sorted to the places of a page."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from rules.documents import DocumentProblem, errors
from webapp.rulebook.key_names import key_name
from webapp.web.language import translated


@dataclass(frozen=True)
class Findings:
    """The problems of one document; `document` names their places."""

    document: Mapping[str, Any]
    problems: Sequence[DocumentProblem]

    def __len__(self) -> int:
        return len(self.problems)

    @property
    def errors(self) -> list[DocumentProblem]:
        """Return those that keep the rule from being published."""
        return list(errors(self.problems))

    def under(self, *paths: str) -> list[DocumentProblem]:
        """Return the problems at the given places and below them."""
        return [p for p in self.problems if any(p.path == path or p.path.startswith(path + "/") for path in paths)]

    def at(self, *paths: str) -> str:
        """Return what is wrong at the given places as one text, empty where nothing is."""
        return " ".join(sentence(problem) for problem in self.under(*paths))

    def broken(self, *paths: str) -> str:
        """Return what keeps the rule from being published at the given places, as one text."""
        return " ".join(sentence(problem) for problem in errors(self.under(*paths)))

    def remarks(self, *paths: str) -> str:
        """Return what should be looked at at the given places, though the rule can be published with it."""
        return " ".join(sentence(problem) for problem in self.under(*paths) if problem not in self.errors)

    def elsewhere(self, *paths: str) -> list[DocumentProblem]:
        """Return the problems that a page which shows the given places does not show."""
        shown = {id(problem) for problem in self.under(*paths)}
        return [problem for problem in self.problems if id(problem) not in shown]

    def place(self, problem: DocumentProblem) -> str:
        """Return what people call the place of a problem."""
        return key_name(problem.path.split("/") if problem.path else [], self.document)


_TWO_WAY = ("correlate", "auto_link", "review", "conflict", "deletes", "guards", "drift", "service")


def sentence(problem: DocumentProblem) -> str:
    """Return a problem in the reader's language, with its place inside an expression."""
    return translated(problem.message)


def tab_of(problem: DocumentProblem, home: str = "") -> str:
    """Return the tab of the rule's page on which a problem can be mended; `home` is the editor of kinds with one."""
    head = problem.path.partition("/")[0]
    if home:
        return "tests" if head == "tests" else home
    if head in {"fields", "key"}:
        return "fields"
    if head == "tests":
        return "tests"
    if head in {"validations", "decisions"}:
        return "validations"
    shown = {"situations", "detect", "errors", "schedule", "after", "direction", "priority", *_TWO_WAY}
    shown |= {"transaction", "saga", "execute", "split", "explain"}
    return "behaviour" if head in shown or problem.path.endswith("/where") else "source"
