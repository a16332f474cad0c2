"""Our own database goes away while a run works: the run is given back once it answers again, and goes on elsewhere.

What a transaction has done whose end nobody has heard of is not guessed at. The run is taken up like one whose worker
has died, behind its last chunk, and its token says who may write. While the database is away nobody can take it over;
once it answers, it is given back at once, unless another worker was quicker. A database that stays away for longer than
the lease is left to the dispatcher, which finds the run as one that was left behind.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import sqlalchemy as sa

from connectors.errors import Fenced
from rules.text import N_, msg
from webapp.entities.hub import HubAway
from webapp.extensions import House, away
from webapp.runs.pipeline import stopping
from webapp.runs.pipeline.journal import Claim
from webapp.runs.pipeline.slice_journal import journal_of

PAUSE = 1.0
"""Seconds between two attempts to reach the database."""

log = logging.getLogger(__name__)


def is_outage(error: BaseException) -> bool:
    """Tell whether an error means that our own database does not answer for now."""
    return isinstance(error, HubAway) or away(error)


@contextmanager
def given_back(house: House, claimed: Claim, wait: Callable[[float], None]) -> Iterator[None]:
    """Give the run back where the block ends because our own database has gone away."""
    try:
        yield
    except (sa.exc.SQLAlchemyError, HubAway) as error:
        if not is_outage(error):
            raise
        log.warning("run %s: the database of Syncline does not answer: %s", claimed.run_id, error)
        _give_back(house, claimed, wait)


def _give_back(house: House, claimed: Claim, wait: Callable[[float], None]) -> None:
    text = N_("Syncline's own database did not answer for a while. The run goes on behind its last chunk.")
    left = house.settings.lease_seconds
    while True:
        try:
            journal_of(house, claimed).release(msg(text))
        except Fenced:
            return  # it has ended after all, or another worker has it
        except sa.exc.SQLAlchemyError as error:
            if not away(error):
                raise
        else:
            return
        if left <= 0 or stopping.requested():
            log.warning("run %s: left to the dispatcher", claimed.run_id)
            return
        wait(PAUSE)
        left -= PAUSE
