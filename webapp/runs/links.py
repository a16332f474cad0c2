"""What the rulebook's pages want to know of runs; it asks through hooks, since it stands below."""

from __future__ import annotations

from collections.abc import Sequence

import sqlalchemy as sa

from rules.text import Message, msg
from webapp.rulebook.hooks import LastRun
from webapp.runs.models import run
from webapp.runs.reading import ACTIVE, latest


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
