"""The threads of one process that deliver; any number of processes on any number of machines may do so."""

from __future__ import annotations

import logging
import os
import threading
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta

import sqlalchemy as sa

from connectors.errors import Fenced
from webapp.entities.hub import HubAway
from webapp.extensions import House
from webapp.rounds import Rounds
from webapp.runs.outbox import batches, lanes
from webapp.runs.outbox.models import delivery

EVERY = 0.5
"""Seconds between two looks for what is due."""
THREADS = 4
KEPT = timedelta(days=30)
"""So long a delivery is kept behind its end."""
SWEEP = 1200
"""So many looks between two sweeps of what is not kept any more."""

log = logging.getLogger(__name__)


class Deliverer(Rounds):
    """Delivers in threads of its own: targets may take their time."""

    name = "deliverer"
    again = "Deliveries will be looked at again"
    expected = (sa.exc.SQLAlchemyError,)

    def __init__(self, house: House) -> None:
        super().__init__(EVERY)
        self._house = house
        self._worker = f"{os.uname().nodename}:{os.getpid()}"
        self._pool = ThreadPoolExecutor(THREADS, thread_name_prefix="deliver")
        self._busy: set[tuple[int, int]] = set()
        self._lock = threading.Lock()
        self._looks = 0

    def close(self) -> None:
        """End with the batches at hand."""
        super().close()
        self._pool.shutdown(wait=True)

    def turn(self) -> None:
        """Begin with what is due, and now and then sweep."""
        sweeps, self._looks = self._looks % SWEEP == 0, self._looks + 1
        self._begin()
        if sweeps:
            forget_old(self._house)

    def _begin(self) -> None:
        with self._lock:
            room = THREADS - len(self._busy)
        for place in lanes.free(self._house, THREADS)[:room]:
            with self._lock:
                if place in self._busy:
                    continue
                self._busy.add(place)
            self._pool.submit(self._one, place)

    def _one(self, place: tuple[int, int]) -> None:
        try:
            while not self.stopping.is_set() and deliver_lane(self._house, place, self._worker):
                pass
        except Exception:
            log.exception("lane %s of rule %s", place[1], place[0])
        finally:
            with self._lock:
                self._busy.discard(place)


def deliver_lane(house: House, place: tuple[int, int], worker: str) -> int:
    """Send one batch of a lane; return how many deliveries were sent, 0 where nothing was due or others were faster."""
    lane = lanes.take(house, *place, worker)
    if lane is None:
        return 0
    try:
        return batches.deliver(house, lane)
    except Fenced:
        return 0
    except (sa.exc.OperationalError, HubAway) as error:
        log.warning("lane %s of rule %s will be looked at again: %s", place[1], place[0], error)
        return 0


def deliver_due(house: House, worker: str = "by hand") -> int:
    """Send all that is due now; return how many deliveries were sent."""
    sent = 0
    while places := lanes.free(house, THREADS):
        count = sum(deliver_lane(house, place, worker) for place in places)
        if not count:
            break
        sent += count
    return sent


def forget_old(house: House) -> int:
    """Delete deliveries that ended long ago; return how many."""
    old = sa.select(delivery.c.id).where(delivery.c.ended_at < house.clock() - KEPT).limit(1000)
    forgotten = 0
    while True:
        with house.db.begin() as tx:
            ids = tx.scalars(old).all()
            tx.execute(sa.delete(delivery).where(delivery.c.id.in_(ids)))
        forgotten += len(ids)
        if not ids:
            return forgotten
