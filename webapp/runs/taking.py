"""What a worker does that was woken up: it takes the run whose turn it is, whichever it was woken up for."""

from __future__ import annotations

import time
from collections.abc import Callable

import sqlalchemy as sa

from webapp.extensions import House
from webapp.runs.admission import waiting
from webapp.runs.claims import lapsed
from webapp.runs.execution import execute
from webapp.runs.models import run
from webapp.runs.pipeline import stopping
from webapp.runs.slices import leases as slices

TRIES = 8
"""So many runs are tried: others may be quicker."""
LONGEST = 30.0
"""Seconds after which no further run is begun, so that other work that waits for a worker gets its turn."""


def take_turns(house: House, worker: str, work: Callable[[House, int, str], bool] = execute) -> int:
    """Carry out runs as long as there are any that may begin; return how many.

    Args:
        house: The house.
        worker: Who works.
        work: Carries a run out, and tells whether it was free.
    """
    began, done = time.monotonic(), 0
    while _take(house, worker, work):
        done += 1
        if stopping.requested() or time.monotonic() - began > LONGEST:
            _hand_on(house)
            break
    return done


def _take(house: House, worker: str, work: Callable[[House, int, str], bool]) -> bool:
    """Carry out the first run that is free; tell whether there was one."""
    return any(work(house, run_id, worker) for run_id in _next(house))


def _next(house: House) -> list[int]:
    """Return the runs whose turn it is: those that were left behind first, a chunk of theirs may be half-done.

    A run that is split keeps one worker, as any run does; others join where no run waits.
    """
    now = house.clock()
    left = sa.and_(run.c.state == "running", lapsed(run.c.lease_until, now, house.settings.lease_seconds))
    with house.db.read() as tx:
        behind = tx.scalars(sa.select(run.c.id).where(left).order_by(run.c.id).limit(TRIES)).all()
        abandoned, more = slices.joinable(tx, now, house.settings.lease_seconds)
        return [*behind, *abandoned, *(one.run_id for one in waiting(tx, now)), *more][:TRIES]


def _hand_on(house: House) -> None:
    """Let the next runs be announced anew: the worker that was to take them leaves."""
    with house.db.begin() as tx:
        ids = [one.run_id for one in waiting(tx, house.clock())[:TRIES]]
        tx.execute(sa.update(run).where(run.c.id.in_(ids)).values(announced_at=None))
