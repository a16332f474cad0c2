"""What validations said of a run: how many records each was asked for, how many failed, and the records warned of."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import sqlalchemy as sa

from rules.text import Message
from webapp.policies.masks import DOTS
from webapp.runs.models import run_validation, run_warning
from webapp.runs.sight import Sight, sight_of_run
from webapp.runs.sight_records import filled, kept


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
    """Return the listed warnings of a run in the order read, behind row `after`, as far as who asks may see them."""
    query = sa.select(run_warning).where(run_warning.c.run_id == run_id)
    if validation:
        query = query.where(run_warning.c.validation == validation)
    sight = sight_of_run(tx, run_id)

    def fetch(behind: int, count: int) -> list[RunWarning]:
        some = query.where(run_warning.c.id > behind).order_by(run_warning.c.id).limit(count)
        return [
            RunWarning(row.id, row.validation, row.record_no, row.left_key, row.field, Message.from_json(row.reason))
            for row in tx.execute(some)
        ]

    return filled(fetch, lambda found: _seen(tx, sight, run_id, found), lambda one: one.id, after, limit)


def _seen(tx: sa.Connection, sight: Sight, run_id: int, found: Sequence[RunWarning]) -> list[RunWarning]:
    """Return those that may be seen: of a run that reads both sides the side of a warning is not known."""
    if sight.everything:
        return list(found)
    wholes = kept(tx, sight, run_id, (one.record_no for one in found))
    seen = []
    for one in found:
        records = wholes.get(one.record_no, {})
        mine = list(records) or list(sight.sides)
        if sight.all_rows or (records and sight.sees(records)):
            keys = {sight.sides[side].key_text(one.left_key) for side in mine}
            key = keys.pop() if len(keys) == 1 else DOTS
            seen.append(replace(one, left_key=key, message=sight.message(one.message, [key])))
    return seen
