"""What validations said of a run: how many records each was asked for, how many failed, and the records warned of."""

from __future__ import annotations

from dataclasses import dataclass

import sqlalchemy as sa

from rules.text import Message
from webapp.runs.models import run_validation, run_warning


@dataclass(frozen=True)
class RunTally:
    """One validation of a run; `listed` warnings of `failed` can be looked at."""

    validation: str
    severity: str
    asked: int
    failed: int
    listed: int


@dataclass(frozen=True)
class RunWarning:
    """One record that was written although it does not meet a validation."""

    id: int
    validation: str
    record_no: int
    left_key: str | None
    field: str | None
    message: Message


def tallies(tx: sa.Connection, run_id: int) -> list[RunTally]:
    """Return the validations of a run in the order of the rule."""
    columns = (run_validation.c[name] for name in RunTally.__dataclass_fields__)
    query = sa.select(*columns).where(run_validation.c.run_id == run_id)
    found = tx.execute(query.order_by(run_validation.c.place, run_validation.c.validation))
    return [RunTally(*row) for row in found]


def warnings(
    tx: sa.Connection, run_id: int, validation: str | None = None, *, after: int = 0, limit: int = 50
) -> list[RunWarning]:
    """Return the listed warnings of a run in the order read, behind row `after`."""
    query = sa.select(run_warning).where(run_warning.c.run_id == run_id, run_warning.c.id > after)
    if validation:
        query = query.where(run_warning.c.validation == validation)
    rows = tx.execute(query.order_by(run_warning.c.id).limit(limit)).all()
    return [
        RunWarning(row.id, row.validation, row.record_no, row.left_key, row.field, Message.from_json(row.reason))
        for row in rows
    ]
