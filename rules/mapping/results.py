"""What applying a mapping gives: records, and for which of them a field has no value."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace

import polars as pl

from rules.documents.sync import On, OnError, Strength
from rules.text import Message

MAP = "map"


@dataclass(frozen=True)
class Cause:
    """Why a field has no value for a record, where in its expression, and at which stage of its way that shows."""

    message: Message
    column: int | None = None
    stage: str = MAP


@dataclass(frozen=True)
class FieldError:
    """A record whose target field has no value; `column` is the place in the expression, from 1.

    `policy` is what the rule says to do about it, `stage` where on its way the record is parked.
    """

    row: int
    field: str
    message: Message
    column: int | None = None
    policy: OnError = OnError.QUARANTINE
    stage: str = MAP


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

    `errors` are those that keep their record from being written, of each record first the ones that are to stop the
    run; in `replaced` are those where the rule said to leave the field empty or to write a default. `applies` has a
    mask for each conditional field: where it is false, the target field is left alone.
    """

    records: pl.DataFrame
    errors: tuple[FieldError, ...] = ()
    applies: dict[str, pl.Series] = field(default_factory=dict)
    replaced: tuple[FieldError, ...] = ()


def merged(parts: Sequence[tuple[Mapped, pl.Series]]) -> Mapped:
    """Return the results of the parts of a batch as those of the batch; each comes with the places of its records."""
    order = pl.concat([places for _, places in parts]).arg_sort()

    def errors(kind: Callable[[Mapped], tuple[FieldError, ...]]) -> tuple[FieldError, ...]:
        found = [replace(error, row=places[error.row]) for part, places in parts for error in kind(part)]
        return tuple(sorted(found, key=lambda error: error.row))

    masks = {name: pl.concat([part.applies[name] for part, _ in parts]).gather(order) for name in parts[0][0].applies}
    return Mapped(
        pl.concat([part.records for part, _ in parts])[order],
        errors(lambda part: part.errors),
        masks,
        errors(lambda part: part.replaced),
    )
