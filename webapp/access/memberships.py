"""Who holds which roles, as a deed that can need a second person: giving roles to a user, or taking them away.

What the company's identity provider or directory says of a user's groups at a sign-in is not held up: it has its own
approvals.
"""

from __future__ import annotations

from collections.abc import Collection

import sqlalchemy as sa

from webapp.approvals import gate
from webapp.approvals.deeds import MEMBERSHIP, Deed
from webapp.extensions import Actor

KIND = "membership"


def require(tx: sa.Connection, username: str, roles: tuple[Collection[str], Collection[str]], actor: Actor) -> None:
    """Let a user's roles, as they are and as they are to be, be changed; raises `SecondPersonNeeded`."""
    if _concerns(roles, actor):
        gate.require(tx, _deed(username, roles[1]))


def waiting(
    tx: sa.Connection, username: str, roles: tuple[Collection[str], Collection[str]], actor: Actor
) -> Deed | None:
    """Return the deed that `require` would hold up, or None."""
    deed = _deed(username, roles[1])
    return deed if _concerns(roles, actor) and gate.asks(tx, deed) else None


def _concerns(roles: tuple[Collection[str], Collection[str]], actor: Actor) -> bool:
    return actor.kind != "system" and {*roles[0]} != {*roles[1]}


def _deed(username: str, roles: Collection[str]) -> Deed:
    return Deed(KIND, username, (MEMBERSHIP,), {"username": username, "roles": sorted({*roles})})
