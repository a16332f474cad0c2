"""Change capture: what a system has to offer so that rules can be fed by its own log of changes.

The log says which records changed; what they are now is read from the records themselves. So no value is ever older
than one that was read before, values are exactly those of a plain read, and what the log leaves out (large values that
did not change, computed fields) does not matter.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import Any

from rules.text import Message

Mark = dict[str, Any]
"""A place in a log, as JSON values; made and read by the same connector only."""


@dataclass(frozen=True)
class LogState:
    """How a log stands, seen from a place in it.

    `lost` says why it cannot be read on from there. `behind` counts the bytes written since (of all objects), `seconds`
    is how long ago the log was read up to there, and `kept` counts the bytes that the system keeps for this reader
    (None: the system keeps its log by its own rules). `place` is where the log was read to, as administrators of the
    system know it, and `limit` is at how many bytes the system gives the reader up (None: it does not).
    """

    lost: Message | None = None
    behind: int = 0
    seconds: float = 0.0
    kept: int | None = None
    place: str = ""
    limit: int | None = None


class ChangeLog(ABC):
    """A system's log of changes, as one reader reads it for one object."""

    @abstractmethod
    def missing(self) -> list[Message]:
        """Return what keeps the log from being read, each with what to do about it; nothing if all is well."""

    @abstractmethod
    def keep(self) -> Message | None:
        """Let the system keep its log for this reader from now on; return what was made there, None for nothing."""

    @abstractmethod
    def state(self, since: Mark) -> LogState:
        """Return how the log stands, seen from a place in it."""

    @abstractmethod
    def pending(self, since: Mark) -> bool:
        """Tell whether the log has anything for this reader behind a place; True where it cannot be read on."""

    @abstractmethod
    def drop(self) -> Message | None:
        """Take away what `keep` has made; return what was taken away, None for nothing."""
