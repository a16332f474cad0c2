"""Where the vault hangs in what hides personal values in events. Filled once for each database of a process."""

from __future__ import annotations

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
