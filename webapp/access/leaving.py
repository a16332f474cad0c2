"""Who is no longer let in, as a deed that can need a second person: disabling or deleting users and service accounts.

Ending sessions, a new password and revoking a key need nobody, so that who must be out at once is out at once.
"""

from __future__ import annotations

from typing import Any

import sqlalchemy as sa

from webapp.approvals import gate
from webapp.approvals.deeds import REMOVAL, Deed
from webapp.extensions import Actor

DISABLE, DELETE = "disable_user", "delete_user"


def document(username: str, number: int, *, active: bool) -> dict[str, Any]:
    """Return a user as proposals show it; the number tells another user of the same name apart."""
    return {"username": username, "number": number, "active": active}


def require_disabling(tx: sa.Connection, username: str, number: int, actor: Actor) -> None:
    """Let a user be disabled; raises `SecondPersonNeeded`."""
    _require(tx, Deed(DISABLE, username, (REMOVAL,), document(username, number, active=False)), actor)


def require_deleting(tx: sa.Connection, username: str, actor: Actor) -> None:
    """Let a user be deleted; raises `SecondPersonNeeded`."""
    _require(tx, Deed(DELETE, username, (REMOVAL,), None), actor)


def _require(tx: sa.Connection, deed: Deed, actor: Actor) -> None:
    if actor.kind != "system":
        gate.require(tx, deed)
