"""What the rulebook's pages want to know of runs; it asks through hooks, since it stands below."""

from __future__ import annotations

from collections.abc import Sequence

import sqlalchemy as sa

from rules.decisions import merge_hits
from rules.documents.decision_table import KIND as DECISION_TABLE
from rules.text import Message, msg
from webapp.rulebook.hooks import LastRun
from webapp.rulebook.library import pins
from webapp.runs.models import run
from webapp.runs.reading import ACTIVE, latest

COUNTED = 1_000
"""So many of the latest runs are looked at for the hits of a table."""


def last_runs(tx: sa.Connection, names: Sequence[str]) -> dict[str, LastRun]:
    """Return how the last run of each named rule went."""
    return {
        name: LastRun(
            row.id, row.mode, row.state, row.ended_at or row.started_at or row.requested_at, f"/runs/{row.id}"
        )
        for name, row in latest(tx, names).items()
    }


def hindrance(tx: sa.Connection, name: str) -> Message | None:
    """Say why a rule cannot be deleted now."""
    busy = tx.scalar(sa.select(run.c.id).where(run.c.rule_name == name, run.c.state.in_(ACTIVE)))
    return (
        msg("Run {run} of '{name}' is still at work. Wait for it, or cancel it.", run=busy, name=name) if busy else None
    )


def table_hits(tx: sa.Connection, name: str) -> list[int]:
    """Return how many records of finished and working runs each row of a decision table decided, as published now."""
    pinned = pins(tx)[DECISION_TABLE].get(name)
    query = sa.select(run.c.hits, run.c.uses).where(run.c.hits.is_not(None)).order_by(run.c.id.desc()).limit(COUNTED)
    found = [row.hits.get(name) for row in tx.execute(query) if row.uses[DECISION_TABLE].get(name) == pinned]
    return merge_hits(hits for hits in found if hits)
