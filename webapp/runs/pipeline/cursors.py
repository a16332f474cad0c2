"""How far the sources of a rule that are read by cursor have been read, as of its last run."""

from __future__ import annotations

from typing import Any

import sqlalchemy as sa

from rules.documents.sync import Detect, DetectBy, Side
from webapp.runs.models import rule_cursor, run
from webapp.runs.pipeline.codec import column_text
from webapp.runs.pipeline.journal import Claim

LOG = "(log)"
"""Stands for the field where a side is fed by its system's log of changes."""


def name_of(side: Side, detect: Detect, name: str = "") -> str:
    """Return the name under which the cursor of a side is kept; `name` is that of the side where a rule reads both."""
    field = field_of(detect) or LOG
    return str(column_text(f"{name}:{side.connection}/{side.object}/{field}".removeprefix(":")))


def field_of(detect: Detect) -> str | None:
    """Return the field whose values tell how far a side has been read, None for a place in a log."""
    return None if detect.by is DetectBy.CDC else detect.field


def stored(tx: sa.Connection, claim: Claim, name: str) -> Any:
    """Return the value of the cursor, None where nothing has been read yet."""
    mine = (rule_cursor.c.rule_id == claim.rule_id, rule_cursor.c.source == name)
    return tx.scalar(sa.select(rule_cursor.c.value).where(*mine))


def advance(tx: sa.Connection, claim: Claim, name: str) -> None:
    """Move the cursor to where the run has ended, now that all data up to there is durable."""
    high = tx.scalar(sa.select(run.c.high).where(run.c.id == claim.run_id))
    if high is not None:
        put(tx, claim, name, high)


def put(tx: sa.Connection, claim: Claim, name: str, value: Any) -> None:
    """Set the value of the cursor."""
    tx.execute(sa.delete(rule_cursor).where(rule_cursor.c.rule_id == claim.rule_id, rule_cursor.c.source == name))
    row = {"rule_id": claim.rule_id, "source": name, "value": value, "run_id": claim.run_id}
    tx.execute(sa.insert(rule_cursor).values(row))
