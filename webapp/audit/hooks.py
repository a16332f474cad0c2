"""Where rooms above hang in what hides values of events: the vault those of persons, runs what one may not see."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Protocol

import sqlalchemy as sa


class Guard(Protocol):
    """Hides values under a key of their person, so that destroying the key erases them."""

    def hide(self, tx: sa.Connection, person: str, values: dict[str, Any]) -> dict[str, str]:
        """Return each value as a text that tells nothing without the person's key."""

    def show(self, tx: sa.Connection, hidden: list[str]) -> dict[str, Any]:
        """Return text -> value for those that can still be read."""


guards: dict[sa.URL, Guard] = {}
"""By the address of the database."""


def guard(tx: sa.Connection) -> Guard | None:
    """Return what hides personal values in this database; None in a process that has registered nothing."""
    return guards.get(tx.engine.url)


class Seen:
    """An event's row as who asks may see it: with other values, and its key where it is another one."""

    def __init__(self, event: Any, before: Any, after: Any, record_key: str | None = None) -> None:
        self._event = event
        self.before = before
        self.after = after
        self.record_key = event.record_key if record_key is None else record_key

    def __getattr__(self, name: str) -> Any:
        return getattr(self._event, name)


sights: list[Callable[[sa.Connection, Sequence[Any]], list[Any]]] = []
"""Each returns events as far as who asks may see them."""
whole: list[Callable[[sa.Connection], bool]] = []
"""Each tells whether who asks may see all that events hold, so that they may also search in it."""


def seen(tx: sa.Connection, events: Sequence[Any]) -> list[Any]:
    """Return events as who asks may see them."""
    found = list(events)
    for sight in sights:
        found = sight(tx, found)
    return found


def sees_whole(tx: sa.Connection) -> bool:
    """Tell whether who asks may search in all that events hold."""
    return all(ask(tx) for ask in whole)
