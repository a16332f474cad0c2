"""What applying a mapping gives: records, and for which of them a field has no value."""

from __future__ import annotations

from dataclasses import dataclass, field

import polars as pl

from rules.documents.sync import On, OnError, Strength
from rules.text import Message


@dataclass(frozen=True)
class FieldError:
    """A record whose target field has no value; `column` is the place in the expression, from 1.

    `policy` is what the rule says to do about it.
    """

    row: int
    field: str
    message: Message
    column: int | None = None
    policy: OnError = OnError.QUARANTINE


@dataclass(frozen=True)
class FieldPlan:
    """When and how a mapped target field is written; `conditional` if it has a `when`."""

    name: str
    on: tuple[On, ...]
    strength: Strength
    conditional: bool


@dataclass(frozen=True)
class Mapped:
    """The mapped records, row by row as in the source batch.

    `errors` are those that keep their record from being written; in `replaced` are those where the rule said to leave
    the field empty or to write a default. `applies` has a mask for each conditional field: where it is false, the
    target field is left alone.
    """

    records: pl.DataFrame
    errors: tuple[FieldError, ...] = ()
    applies: dict[str, pl.Series] = field(default_factory=dict)
    replaced: tuple[FieldError, ...] = ()
