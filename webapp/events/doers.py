"""Carrying actions out: a few at a time in threads, each claimed and held by a lease."""

from __future__ import annotations

import logging
import threading
import time
from concurrent.futures import ThreadPoolExecutor

from connectors.errors import Fenced
from webapp.events import claims, deeds
from webapp.events.claims import Action, NotOurs
from webapp.extensions import House

log = logging.getLogger(__name__)


class Doers:
    """The threads of one process that carry actions out."""

    def __init__(self, house: House, worker: str, threads: int = 4) -> None:
        self._house = house
        self._worker = worker
        self._threads = threads
        self._pool = ThreadPoolExecutor(threads, thread_name_prefix="action")
        self._busy: set[int] = set()
        self._lock = threading.Lock()
        self._renewed = 0.0

    def turn(self) -> int:
        """Take up actions that are due, keep the leases of those at hand; return how many were taken up."""
        with self._lock:
            busy = set(self._busy)
        if busy and time.monotonic() - self._renewed > self._house.settings.lease_seconds / 3:
            claims.renew(self._house, self._worker, busy)
            self._renewed = time.monotonic()
        room = self._threads - len(busy)
        actions = claims.claim(self._house, self._worker, room) if room > 0 else []
        for action in actions:
            with self._lock:
                self._busy.add(action.id)
            self._pool.submit(self._do, action)
        return len(actions)

    def close(self) -> None:
        """Wait for the actions at hand."""
        self._pool.shutdown(wait=True)

    def _do(self, action: Action) -> None:
        try:
            do(self._house, action)
        finally:
            with self._lock:
                self._busy.discard(action.id)


def do(house: House, action: Action) -> bool:
    """Carry one claimed action out; tell whether it was done."""
    try:
        deeds.carry_out(house, action)
    except (NotOurs, Fenced):
        return False
    except Exception as error:
        message, again = deeds.failure(error)
        log.log(logging.INFO if again else logging.WARNING, "action %s of %s: %s", action.id, action.rule_name, message)
        if not isinstance(error, deeds.DeedFailed) and not again:
            log.debug("action %s", action.id, exc_info=error)
        try:
            claims.set_back(house, action, message, again=again)
        except NotOurs:
            return False
        return False
    return True
