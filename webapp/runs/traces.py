"""The trace that a run belongs to: that of who has asked for it, kept with the run for whoever works on it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager

import sqlalchemy as sa

from webapp import tracing
from webapp.extensions import House
from webapp.runs.models import run
from webapp.runs.pipeline.journal import Claim


def traces_of(house: House, ids: Sequence[int]) -> dict[int, str]:
    """Return where the spans about some runs belong; nothing where there are no traces."""
    if not ids or tracing.spans() is None:
        return {}
    with house.db.read() as tx:
        rows = tx.execute(
            sa.select(run.c.id, run.c.traceparent).where(run.c.id.in_(ids), run.c.traceparent.is_not(None))
        )
        return {row.id: row.traceparent for row in rows}


@contextmanager
def traced(claimed: Claim, since: int) -> Iterator[None]:
    """Make the block the span of a worker's work on a run, which it began to claim at `since` (nanoseconds)."""
    if tracing.spans() is None:
        yield
        return
    about: tracing.About = {
        "syncline.run.id": claimed.run_id,
        "syncline.run.mode": claimed.mode,
        "syncline.run.kind": claimed.kind,
        "syncline.rule": claimed.rule_name,
        "syncline.worker": claimed.worker,
    }
    with tracing.span(f"run {claimed.rule_name}", about, kind="consumer", parent=claimed.traceparent, since=since):
        with tracing.span("claim", since=since):
            pass
        yield
