"""What is forgotten after some days: events that nothing open needs, fired timers, ended processes, done actions."""

from __future__ import annotations

import time
from datetime import timedelta

import sqlalchemy as sa

from webapp.events.hook_intake import REMEMBERED
from webapp.events.models import (
    event,
    event_action,
    event_hook_delivery,
    event_hook_seen,
    event_kept,
    event_match,
    event_process,
    event_timer,
    notice,
)
from webapp.extensions import House
from webapp.rulebook.models import rule

EVERY = 600.0
BATCH = 1000


class Sweeper:
    """Sweeps now and then."""

    def __init__(self, house: House) -> None:
        self._house = house
        self._next = time.monotonic() + 5.0

    def turn(self) -> None:
        """Sweep if it is time to."""
        if time.monotonic() >= self._next:
            self._next = time.monotonic() + EVERY
            sweep(self._house)


def sweep(house: House) -> int:
    """Forget what is old, and what is open for rules that are gone; return how many events were forgotten."""
    old = house.clock() - timedelta(days=house.settings.event_days)
    _drop_orphans(house)
    forgotten = 0
    while count := _sweep_some(house, old):
        forgotten += count
    with house.db.begin() as tx:
        tx.execute(sa.delete(event_timer).where(event_timer.c.fired_at < old))
        tx.execute(sa.delete(event_process).where(event_process.c.ended_at < old))
        waiting = sa.exists().where(
            event_action.c.match_id == event_match.c.id, event_action.c.state.in_(("pending", "running"))
        )
        tx.execute(sa.delete(event_match).where(event_match.c.recorded_at < old, ~waiting))
        known = sa.exists().where(event_match.c.id == event_action.c.match_id)
        tx.execute(sa.delete(event_action).where(event_action.c.ended_at < old, ~known))
        tx.execute(sa.delete(notice).where(notice.c.at < old))
        tx.execute(sa.delete(event_hook_delivery).where(event_hook_delivery.c.at < old))
        tx.execute(sa.delete(event_hook_seen).where(event_hook_seen.c.at < house.clock() - REMEMBERED))
    return forgotten


def _sweep_some(house: House, old: object) -> int:
    needed = sa.exists().where(event_kept.c.position == event.c.position)
    query = sa.select(event.c.id).where(event.c.received_at < old, event.c.position.is_not(None), ~needed).limit(BATCH)
    with house.db.begin() as tx:
        ids = tx.scalars(query).all()
        if ids:
            tx.execute(sa.delete(event).where(event.c.id.in_(ids)))
    return len(ids)


def _drop_orphans(house: House) -> None:
    known = sa.select(rule.c.id)
    with house.db.begin() as tx:
        tx.execute(sa.delete(event_kept).where(event_kept.c.rule_id.not_in(known)))
        gone = event_timer.c.rule_id.not_in(known), event_timer.c.fired_at.is_(None)
        tx.execute(sa.delete(event_timer).where(*gone))
        open_ = event_process.c.rule_id.not_in(known), event_process.c.ended_at.is_(None)
        now = house.clock()
        tx.execute(sa.update(event_process).where(*open_).values(ended_at=now, changed_at=now))
