"""Carrying runs out and waiting for them, with or without workers."""

from __future__ import annotations

import os
import time
from collections.abc import Callable

import sqlalchemy as sa

from webapp import wake
from webapp.commands.session import Failed, Session
from webapp.runs import execution, ordering, reading
from webapp.runs.reading import RunRow
from webapp.supervisor import instance

PATIENCE = 3.0
"""Seconds that a worker has to take a run before this process carries it out itself."""
POLL = 0.1

Progress = Callable[[RunRow], None]


def finish(session: Session, run_id: int, progress: Progress = lambda _row: None) -> RunRow:
    """Wait until a run has ended and return it.

    Where no worker takes it, because none runs or all are at work, this process carries it out. A claim in the database
    decides who does, so a worker that comes at the same moment does no harm. Raises `Failed` where the run waits for
    one that a person has paused.
    """
    house = session.house
    patience = PATIENCE if workers_expected(session) else 0.0
    started = time.monotonic()
    while True:
        with house.db.read() as tx:
            row = reading.get(tx, run_id)
        progress(row)
        if not row.active:
            return row
        if row.state == "queued" and time.monotonic() - started >= patience:
            ordering.call_off(house)
            with house.db.read() as tx:
                first = ordering.next_up(tx, run_id)
                _refuse_paused(tx, first)
            if not execution.execute(house, first, f"cli-{os.getpid()}"):
                time.sleep(POLL)
            patience = PATIENCE if first == run_id else patience
        else:
            time.sleep(POLL)


def _refuse_paused(tx: sa.Connection, run_id: int) -> None:
    """Raise `Failed` where a run waits for a paused one: only a person lets that go on."""
    for number, rule, _state in ordering.awaited(tx, run_id):
        before = reading.get(tx, number)
        if before.paused:
            raise Failed(
                f"Run {run_id} waits for run {number} of the rule '{rule}', which {before.pause_by} has paused. "
                f"Resume it with 'syncline runs resume {number}', or cancel it."
            )


def workers_expected(session: Session) -> bool:
    """Tell whether a worker may take a run: one that `syncline up` watches, or one of another machine."""
    return instance.running(session.settings.data) or not session.house.db.is_sqlite


def announce(session: Session) -> None:
    """Wake the dispatcher; where nothing runs there is nobody to wake."""
    if workers_expected(session):
        wake.announce(session.settings)
