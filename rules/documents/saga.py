"""The saga of a sync rule: what is done for a record in other systems behind the write, and how it is taken back."""

# ruff: noqa: RUF009 - `entry` declares a key, as `dataclasses.field` would
from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from rules.documents.shape import NAME, entry

RECORD = "record"
"""What the first step is called, which writes the rule's own record."""
KEY = "_key"
"""Behind the name of a step: the key of the record that it has written, for the expressions of later steps."""


class CreatedBack(StrEnum):
    """What becomes of a record that a step has created, when it is taken back."""

    DELETE = "delete"
    UPDATE = "update"
    NONE = "none"


class UpdatedBack(StrEnum):
    """What becomes of a record that a step has updated, when it is taken back."""

    RESTORE = "restore"
    UPDATE = "update"
    NONE = "none"


@dataclass(frozen=True)
class SetField:
    """One field that a step writes."""

    field: str = entry("The field of the step's object.", minLength=1)
    value: str = entry("Its value: an expression over the source record and the keys of earlier steps.", minLength=1)


@dataclass(frozen=True)
class Compensation:
    """How a step is taken back."""

    created: CreatedBack = entry(
        "What becomes of a record that the step has created: delete: it is deleted again; update: `fields` are written "
        "into it; none: it stays.",
        CreatedBack.DELETE,
    )
    updated: UpdatedBack = entry(
        "What becomes of a record that the step has updated: restore: its fields get their values back; update: "
        "`fields` are written into it; none: it stays as it is.",
        UpdatedBack.RESTORE,
    )
    fields: tuple[SetField, ...] = entry("update: what is written.", (), maxItems=50)


@dataclass(frozen=True)
class SagaStep:
    """One step behind the write of a record."""

    name: str = entry("The name of the step; `NAME_key` is the key of its record for later steps.", pattern=NAME)
    connection: str = entry("The connection that is written to.", minLength=1)
    object: str = entry("The object that is written to.", minLength=1)
    match: str = entry(
        "The field by which the step's record is found: updated where it is there, else created. One of `fields`.",
        minLength=1,
    )
    fields: tuple[SetField, ...] = entry("What the step writes.", minItems=1, maxItems=200)
    key: str | None = entry(
        "The key field of the object; the one that its system states, else `match`, if left out.", None, minLength=1
    )
    compensate: Compensation = entry("How the step is taken back.", Compensation())


@dataclass(frozen=True)
class Saga:
    """The steps of a saga, in their order."""

    steps: tuple[SagaStep, ...] = entry("The steps behind the write of the rule's own record.", minItems=1, maxItems=10)
    compensate: Compensation = entry("How the rule's own record is taken back.", Compensation())

    @property
    def texts(self) -> tuple[str, ...]:
        """Return all its expressions."""
        parts = (
            self.compensate.fields,
            *(part for step in self.steps for part in (step.fields, step.compensate.fields)),
        )
        return tuple(one.value for part in parts for one in part)
