"""How much work there is for workers: what is under way, what could begin, what waits, and for how long."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta

import redis
import sqlalchemy as sa

from webapp import wake
from webapp.extensions import House
from webapp.runs.admission import joining, together, under_way
from webapp.runs.models import run

LONG = timedelta(minutes=2)
"""A run that could begin and has waited for longer tells of too few workers."""
HEARD = 120
"""Seconds within which a worker has to have been heard of."""


@dataclass(frozen=True)
class Demand:
    """What workers could do now."""

    under_way: int
    ready: int
    """Runs, and slices of runs, that could begin at once, as far as limits and the order of rules allow."""
    waiting: Mapping[str, int]
    """Priority -> how many runs wait."""
    oldest: Mapping[str, float]
    """Priority -> for how many seconds the oldest of them has waited."""
    ready_since: float = 0.0
    """For how many seconds the oldest run has waited that could begin."""

    @property
    def workers(self) -> int:
        """Return how many workers would find something to do."""
        return self.under_way + self.ready


def demand(tx: sa.Connection, now: datetime) -> Demand:
    """Return how much work there is."""
    count, oldest = sa.func.count(), sa.func.min(run.c.requested_at)
    query = sa.select(run.c.priority, count, oldest).where(run.c.state == "queued").group_by(run.c.priority)
    found = tx.execute(query).all()
    ready = together(tx, now) if found else []
    since = min((one.requested_at for one in ready), default=now)
    return Demand(
        len(under_way(tx)),
        len(ready) + joining(tx),
        {row[0]: row[1] for row in found},
        {row[0]: max((now - row[2]).total_seconds(), 0.0) for row in found},
        max((now - since).total_seconds(), 0.0),
    )


@dataclass(frozen=True)
class Shortage:
    """There are fewer workers than would find something to do, and runs have waited for long."""

    waiting: int
    minutes: int
    workers: int
    needed: int


def shortage(house: House, tx: sa.Connection) -> Shortage | None:
    """Return how short of workers an installation is; None where it is not, or Redis does not say how many live."""
    now = house.clock()
    oldest = tx.scalar(sa.select(sa.func.min(run.c.requested_at)).where(run.c.state == "queued"))
    if oldest is None or now - oldest < LONG:
        return None
    asked = demand(tx, now)
    if asked.ready_since < LONG.total_seconds():
        return None
    try:
        heard = wake.heard(house.settings, now)
    except (redis.RedisError, OSError):
        return None
    workers = sum(kind == "worker" and seconds <= HEARD for (kind, _name), seconds in heard.items())
    if workers >= asked.workers:
        return None
    return Shortage(sum(asked.waiting.values()), int(asked.ready_since // 60), workers, asked.workers)
