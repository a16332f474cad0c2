"""Explains the validations of a record: which were asked, and which it meets."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any

import polars as pl

from rules.documents.validation import OnFailure
from rules.language.program import Program
from rules.trace.steps import Step
from rules.validations import Compiled


@dataclass(frozen=True)
class ValidationTrace:
    """What one validation asked of a record.

    `met` is None where it was not asked, and where only the run knew: whether values are unique, or exist elsewhere.
    """

    name: str
    severity: OnFailure
    message: str
    asked: bool
    met: bool | None
    check: Step | None = None
    when: Step | None = None
    unique: tuple[str, ...] = ()
    reference: str | None = None

    def to_json(self) -> dict[str, Any]:
        """Return the validation as plain data."""
        return {
            "name": self.name,
            "severity": self.severity.value,
            "asked": self.asked,
            "met": self.met,
            "check": None if self.check is None else self.check.to_json(),
            "when": None if self.when is None else self.when.to_json(),
        }


def trace_validations(
    checks: Iterable[Compiled], record: pl.DataFrame, explain: Callable[[Program, pl.DataFrame], Step]
) -> tuple[ValidationTrace, ...]:
    """Return what each validation asked of a record (a batch of one); `explain` tells how a condition came out."""
    return tuple(_traced(item, record, explain) for item in checks)


def _traced(item: Compiled, record: pl.DataFrame, explain: Callable[[Program, pl.DataFrame], Step]) -> ValidationTrace:
    validation = item.validation
    when = None if item.when is None else explain(item.when, record)
    asked = when is None or when.value is True
    check = explain(item.check, record) if asked and item.check is not None else None
    met = None if check is None else check.value is True
    if when is not None and when.error is not None:
        met = False
    there = None if validation.reference is None else validation.reference.object
    words = (validation.name, validation.severity, validation.message)
    return ValidationTrace(*words, asked, met, check, when, validation.unique, there)
