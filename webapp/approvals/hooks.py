"""Where rooms above the approvals hang in what only they know: who people are, and how they are told."""

from __future__ import annotations

from collections.abc import Callable, Collection
from dataclasses import dataclass
from datetime import datetime
from typing import Protocol

import sqlalchemy as sa

from rules.text import Message
from webapp.extensions import Actor

Pair = tuple[str, str]
"""(action, room), such as ("publish", "Rules")."""


@dataclass(frozen=True)
class Person:
    """A user: `permissions` are what the user may do now, `owner` is whose service account it is."""

    id: int
    username: str
    active: bool
    permissions: Collection[Pair]
    owner: int | None = None

    @property
    def behind(self) -> int:
        """Return the user who answers for what this one does."""
        return self.id if self.owner is None else self.owner


class People(Protocol):
    """Who people are: the access room knows."""

    def acting(self, tx: sa.Connection, actor: Actor) -> Person | None:
        """Return the user who acts, also by a key; None for the command line and Syncline itself."""

    def holders(self, tx: sa.Connection, wanted: Collection[Pair]) -> list[Person]:
        """Return the active users who hold all of the wanted permissions."""

    def key_hands(self, tx: sa.Connection, key: Actor, since: datetime) -> set[str]:
        """Return the names, in small letters, of the users who have had a key in hand.

        For the key of a service account these are also its owner, and who has said since a time who that is.
        """


@dataclass(frozen=True)
class Told:
    """What people are to be told of: to whom, the sentence and the page."""

    uid: str
    usernames: tuple[str, ...]
    message: Message
    path: str
    at: datetime


people: list[People] = []
"""The first is asked."""

connections: list[Callable[[sa.Connection], list[str]]] = []
"""Each returns the names of connections that deeds can be limited to."""

told: list[Callable[[sa.Connection, Told], None]] = []
"""Each is called in the transaction of what it tells."""


def the_people() -> People:
    """Return who knows people."""
    return people[0]


def tell(tx: sa.Connection, news: Told) -> None:
    """Tell people of something that is done in this transaction."""
    for each in told:
        each(tx, news)
