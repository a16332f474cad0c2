"""What rooms above tell pages of permissions: which data objects there are, how many records match, what one holds.

Filled once a process, as `webapp.policies.hooks`; what nobody knows is shown by its name alone.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import sqlalchemy as sa

from webapp.policies.objects import DataObject
from webapp.policies.rights import Rights


@dataclass(frozen=True)
class Named:
    """A data object, or all of a kind or connection, as people know it; `on` is how lines write it."""

    on: str
    title: str


@dataclass(frozen=True)
class Counted:
    """How many records somebody sees, of how many."""

    seen: int
    records: int


@dataclass(frozen=True)
class Found:
    """A record: what it holds, what it is called, and the address of its page."""

    values: Mapping[str, Any]
    title: str
    url: str


named: list[Callable[[sa.Connection], Sequence[Named]]] = []
"""Each gives data objects, in the order in which they are shown."""
counts: list[Callable[[sa.Connection, Rights], Counted | None]] = []
"""Each counts the records of an object that rights let somebody see; None where it does not know the object."""
records: list[Callable[[sa.Connection, DataObject, str], Found | None]] = []
"""Each gives a record by its key as people write it; None where it knows none."""


def every(tx: sa.Connection) -> list[Named]:
    """Return all data objects that are known."""
    return [one for ask in named for one in ask(tx)]


def counted(tx: sa.Connection, rights: Rights) -> Counted | None:
    """Return how many records rights let somebody see, None where that cannot be told here."""
    return next((found for ask in counts if (found := ask(tx, rights)) is not None), None)


def record(tx: sa.Connection, data: DataObject, key: str) -> Found | None:
    """Return a record by its key."""
    return next((found for ask in records if (found := ask(tx, data, key)) is not None), None)
