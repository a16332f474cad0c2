"""Ends of runs that only wait: no worker holds them, so who ends them tells the rooms above."""

from __future__ import annotations

from datetime import datetime

import sqlalchemy as sa

from rules.text import Message
from webapp.runs import hooks
from webapp.runs.models import run


def tell(tx: sa.Connection, run_id: int, at: datetime, why: Message | None = None) -> None:
    """Tell of a run whose row has just been ended, in the caller's transaction."""
    columns = (run.c.rule_name, run.c.mode, run.c.state, run.c.counts)
    name, mode, state, counts = tx.execute(sa.select(*columns).where(run.c.id == run_id)).one()
    # No worker has given a token to this end, and the last worker's may have been told of: so the time stands for it.
    token = -int(at.timestamp() * 1_000_000)
    told_of = hooks.Ended(run_id, name, mode, state, token, counts or {}, str(why or ""), at)
    for hear in hooks.ended:
        hear(tx, told_of)
    tx.execute(sa.update(run).where(run.c.id == run_id).values(told_chunks=run.c.chunks))
