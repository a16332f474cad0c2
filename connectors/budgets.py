"""How much may be asked of one system: calls per second, calls at a time, and waits that it has asked for.

A `Budget` is shared by all who work with a connection where the house has one for them (`Context.budget`). Without one,
each process keeps the rate by itself, and each connector its calls at a time.
"""

from __future__ import annotations

import threading
import time
from typing import Protocol

PATIENCE = 20.0
"""Seconds for which a call is worth waiting for, here; longer waits are the caller's business."""


class Budget(Protocol):
    """What one opened connection may ask of its system, together with all others."""

    def turn(self, rate: int) -> float:
        """Return how many seconds the next call has to wait, and take its turn; no `rate` is no limit.

        Raises:
            RateLimited: The system has asked to be left alone for longer than `PATIENCE`.
        """

    def asked_to_wait(self, seconds: float) -> None:
        """Tell all who work with the connection that its system wants to be left alone for so long."""

    def room(self, most: int, busy: int) -> int:
        """Return how many calls may be under way here now, where all together may have `most`.

        It is asked again and again; `busy` are under way. Those that are above the room come to their end.
        """

    def close(self) -> None:
        """Give up the room."""


class Pace:
    """How fast calls may follow each other, for all threads of this process that call one service."""

    def __init__(self) -> None:
        self._next = 0.0
        self._lock = threading.Lock()

    def turn(self, rate: float) -> float:
        """Return how many seconds the next call has to wait, and take its turn."""
        if not rate:
            return 0.0
        with self._lock:
            now = time.monotonic()
            turn = max(self._next, now)
            self._next = turn + 1 / rate
            return turn - now


_paces: dict[str, Pace] = {}
_guard = threading.Lock()


def pace_of(service: str) -> Pace:
    """Return the pace that all in this process who call a service share."""
    with _guard:
        return _paces.setdefault(service, Pace())


class OwnBudget:
    """The budget of one process."""

    def __init__(self, service: str) -> None:
        self._pace = pace_of(service)

    def turn(self, rate: int) -> float:
        """Return how many seconds the next call has to wait, and take its turn."""
        return self._pace.turn(rate)

    def asked_to_wait(self, seconds: float) -> None:
        """Do nothing: who was asked waits by itself."""

    def room(self, most: int, busy: int) -> int:  # noqa: ARG002 - nobody else counts
        """Return that all of it is ours."""
        return most

    def close(self) -> None:
        """Do nothing: nothing is held."""
