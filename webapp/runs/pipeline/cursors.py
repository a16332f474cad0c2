"""How far the sources of a rule that are read by cursor have been read, as of its last run."""

from __future__ import annotations

from typing import Any

import sqlalchemy as sa

from webapp.runs.models import rule_cursor, run
from webapp.runs.pipeline.codec import column_text
from webapp.runs.pipeline.journal import Claim
from webapp.runs.pipeline.sides import Sides


def name_of(sides: Sides) -> str:
    """Return the name under which the cursor of a rule's source is kept."""
    source = sides.source
    return str(column_text(f"{source.connection}/{source.object}/{sides.detect.field}"))


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
