"""What is wrong with configuration files, each mistake at its place in the file."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from rules.text import N_, Message, msg


@dataclass(frozen=True)
class Mistake:
    """One mistake: the file, line and column (from 1; 0 where it stands in none), and what to do about it."""

    file: str
    line: int
    column: int
    message: Message

    def __str__(self) -> str:
        """Return it as compilers print it, so that editors find the place."""
        return f"{self.file}:{self.line}:{self.column}: {self.message}" if self.line else f"{self.file}: {self.message}"

    def to_json(self) -> dict[str, Any]:
        """Return a plain form."""
        return {"file": self.file, "line": self.line, "column": self.column, "message": str(self.message)}


class ConfigurationRefused(Exception):
    """The files cannot be applied; nothing was changed."""

    def __init__(self, mistakes: Sequence[Mistake]) -> None:
        self.mistakes = tuple(mistakes)
        text = N_("Nothing was changed. Mistakes found: {count}. The first: {first}")
        self.message = msg(text, count=len(mistakes), first=str(mistakes[0]))
        super().__init__(str(self.message))
