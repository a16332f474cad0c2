"""Where rooms above the access hang in what they keep of users and roles. Filled once a process."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import sqlalchemy as sa

from webapp.extensions import Actor

deleted: list[Callable[[sa.Connection, str], None]] = []
"""Each is called with the user name in the transaction that deletes the user: another one may take the name."""

role_deleted: list[Callable[[sa.Connection, int], None]] = []
"""Each is called with a role's id in the transaction that deletes it: another one may take the id."""

giving: list[Callable[[sa.Connection, int, Collection[str]], None]] = []
"""Each is called with the id of a user who gives or takes roles and their names; raises `Refused` for those that the
user cannot give."""

reaching: list[Callable[[sa.Connection, int, int], None]] = []
"""Each is called with the id of a user who acts and of one who is made, changed or acted for by that user, which may be
the same, as that one is then; raises `Refused` where that one may be given more than who acts holds."""


@dataclass(frozen=True)
class RolePart:
    """What a room above keeps of each role: a part of the role's document, under a key of its own.

    `read` gives it for a role's id, empty where there is none; `save` brings it to what is stated, within the caller's
    transaction, which has asked for a second person where one is needed. `shown` says in words what differs, as it was
    and as it is to be.
    """

    key: str
    schema: Callable[[], dict[str, Any]]
    read: Callable[[sa.Connection, int], Mapping[str, Any]]
    save: Callable[[sa.Connection, int, Mapping[str, Any], Actor, datetime], None]
    shown: Callable[[Mapping[str, Any], Mapping[str, Any]], tuple[Mapping[str, str], Mapping[str, str]]]


role_parts: list[RolePart] = []


def parts_of(tx: sa.Connection, role_id: int | None) -> dict[str, Mapping[str, Any]]:
    """Return what rooms above keep of a role, by key, without what is empty."""
    if role_id is None:
        return {}
    found = {part.key: part.read(tx, role_id) for part in role_parts}
    return {key: value for key, value in found.items() if value}
