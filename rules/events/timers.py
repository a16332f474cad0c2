"""The timers of one rule: moments in order, each with what it is for."""

from __future__ import annotations

import heapq
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import datetime

from rules.events.interface import Timer


@dataclass(order=True, frozen=True)
class _Entry:
    due: datetime
    order: int
    key: str = field(compare=False)
    name: str = field(compare=False)
    number: int = field(compare=False)


class Timers:
    """Timers by key and number; those of one moment fire in the order in which they were set."""

    def __init__(self) -> None:
        self._heap: list[_Entry] = []
        self._live: dict[tuple[str, int], _Entry] = {}
        self._order = 0

    def set(self, due: datetime, key: str, number: int, name: str) -> None:
        """Set a timer; there is at most one for a key and number."""
        self._order += 1
        entry = _Entry(due, self._order, key, name, number)
        self._live[key, number] = entry
        heapq.heappush(self._heap, entry)

    def clear(self, key: str, number: int) -> None:
        """Take a timer back; nothing happens where there is none."""
        self._live.pop((key, number), None)

    def next(self) -> datetime | None:
        """Return the moment of the next timer."""
        while self._heap and self._live.get((self._heap[0].key, self._heap[0].number)) is not self._heap[0]:
            heapq.heappop(self._heap)
        return self._heap[0].due if self._heap else None

    def fired(self, until: datetime) -> Iterator[tuple[datetime, str, int]]:
        """Yield moment, key and number of each timer up to `until`, also of those that are set meanwhile."""
        while (due := self.next()) is not None and due <= until:
            entry = heapq.heappop(self._heap)
            del self._live[entry.key, entry.number]
            yield entry.due, entry.key, entry.number

    def of(self, key: str) -> tuple[Timer, ...]:
        """Return the timers of a key, the next first."""
        mine = sorted(entry for (owner, _), entry in self._live.items() if owner == key)
        return tuple(Timer(entry.due, entry.key, entry.name) for entry in mine)
