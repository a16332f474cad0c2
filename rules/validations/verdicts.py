"""What validations say of a batch: who does not meet which one, how bad that is, and why."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import polars as pl

from rules.documents.validation import OnFailure, Validation
from rules.text import Message, msg

_RANK = {OnFailure.WARN: 0, OnFailure.QUARANTINE: 1, OnFailure.REJECT: 2}


@dataclass(frozen=True)
class Verdict:
    """One record that does not meet one validation.

    `message` is what people read where they see the record; `seen` are the values that decided, as a message quotes
    them. `field` is the field to correct where there is only one; `column` the place in the expression, from 1.
    """

    row: int
    validation: Validation
    message: Message
    seen: tuple[tuple[str, str], ...] = ()
    field: str | None = None
    column: int | None = None

    @property
    def severity(self) -> OnFailure:
        """Return what becomes of the record."""
        return self.validation.severity

    @property
    def reason(self) -> Message:
        """Return the message with the values that were found, for where the record itself is not at hand."""
        if not self.seen:
            return self.message
        found = ", ".join(f"{name} {value}" for name, value in self.seen)
        return msg("{problem} Found: {values}.", problem=self.message, values=found)


@dataclass(frozen=True)
class Tally:
    """How many records a validation was asked for, and how many of those meet it."""

    asked: int
    met: int

    @property
    def failed(self) -> int:
        """Return how many do not meet it."""
        return self.asked - self.met


@dataclass(frozen=True)
class Verdicts:
    """The failures of a batch by record and then in the order of the document, and the tally of each validation.

    `marks` are the unique values that the batch's records have taken (columns `MARKS`); whoever keeps the batch gives
    them to `Memory.remember`.
    """

    failures: tuple[Verdict, ...]
    tallies: dict[str, Tally]
    marks: pl.DataFrame

    @cached_property
    def blocking(self) -> dict[int, Verdict]:
        """Return row -> the verdict that keeps the record from going on: the gravest, and of equals the first."""
        found: dict[int, Verdict] = {}
        for verdict in self.failures:
            if verdict.severity is OnFailure.WARN:
                continue
            known = found.get(verdict.row)
            if known is None or _RANK[verdict.severity] > _RANK[known.severity]:
                found[verdict.row] = verdict
        return found

    @property
    def warnings(self) -> tuple[Verdict, ...]:
        """Return the failures that do not keep their records from going on."""
        return tuple(verdict for verdict in self.failures if verdict.severity is OnFailure.WARN)
