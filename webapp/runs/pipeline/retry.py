"""Trying again: what a system fails to do for a moment is repeated, with growing waits."""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeVar

from connectors.errors import RateLimited, Retriable

T = TypeVar("T")
LONGEST = 60.0


def at_once(work: Callable[[], T]) -> T:
    """Return what `work` returns, without trying again."""
    return work()


@dataclass(frozen=True)
class Retry:
    """How often to try again, whether waits grow, and how to wait (seconds) and tell (error, attempt, seconds)."""

    times: int
    exponential: bool
    wait: Callable[[float], None]
    tell: Callable[[Retriable, int, float], None]

    def __call__(self, work: Callable[[], T]) -> T:
        """Return what `work` returns; raises its last `Retriable` when all attempts failed."""
        attempt = 0
        while True:
            try:
                return work()
            except Retriable as error:
                attempt += 1
                if attempt > self.times:
                    raise
                self.pause(error, attempt)

    def pause(self, error: Retriable, attempt: int) -> None:
        """Tell of a failed attempt and wait before the next."""
        seconds = self._seconds(error, attempt)
        self.tell(error, attempt, seconds)
        self.wait(seconds)

    def _seconds(self, error: Retriable, attempt: int) -> float:
        if isinstance(error, RateLimited):
            return min(error.after, LONGEST * 5)
        base = min(2.0 ** (attempt - 1) if self.exponential else 1.0, LONGEST)
        return base * random.uniform(0.8, 1.2)  # noqa: S311 - spreads load, guards nothing
