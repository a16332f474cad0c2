"""Trying again: what a system fails to do for a moment is repeated, with growing waits."""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeVar

from connectors.errors import RateLimited, Retriable
from rules.text import N_, Message

T = TypeVar("T")
LONGEST = 60.0


def at_once(work: Callable[[], T]) -> T:
    """Return what `work` returns, without trying again."""
    return work()


class Notes:
    """Tells each thing once for an object, however often it is read."""

    def __init__(self, tell: Callable[[Message], None]) -> None:
        self._tell = tell
        self._told: set[tuple[str, str]] = set()

    def __call__(self, message: Message) -> None:
        """Tell a thing that has not been told."""
        mark = (message.template, str(message.values.get("object")))
        if mark not in self._told:
            self._told.add(mark)
            self._tell(message)


@dataclass(frozen=True)
class Retry:
    """How often to try again, whether waits grow, and how to wait (seconds) and tell (error, attempt, seconds)."""

    times: int
    exponential: bool
    wait: Callable[[float], None]
    tell: Callable[[Retriable, int, float], None]
    note: Callable[[Message], None] = lambda _message: None
    """Takes what is odd about a system, each thing once for an object."""

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

    def words(self, error: Retriable, attempt: int, seconds: float) -> Message:
        """Return what to say of a failed attempt."""
        text = N_("{error} Trying again in {seconds} s (attempt {attempt} of {times}).")
        values = {"error": str(error), "seconds": round(seconds, 1), "attempt": attempt, "times": self.times}
        return Message(text, values)

    def _seconds(self, error: Retriable, attempt: int) -> float:
        if isinstance(error, RateLimited):
            return min(error.after, LONGEST * 5)
        base = min(2.0 ** (attempt - 1) if self.exponential else 1.0, LONGEST)
        return base * random.uniform(0.8, 1.2)  # noqa: S311 - spreads load, guards nothing
