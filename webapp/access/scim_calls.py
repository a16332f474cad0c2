"""What the company's directory asked of the SCIM server lately, and what it has brought here."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

import sqlalchemy as sa

from webapp.access import models
from webapp.access.keys import Key, list_keys, waiting
from webapp.extensions import House

KEPT = 200
"""So many calls are kept: enough to see why a directory is refused; what it changed is in the audit log."""

SCOPES = ("provisioning:read", "provisioning:update")
_LONGEST = 300


@dataclass(frozen=True)
class Call:
    """One call; `said` is why it was refused."""

    at: datetime
    key: str
    method: str
    path: str
    status: int
    said: str


@dataclass(frozen=True)
class Brought:
    """How many of the users and roles a directory manages."""

    users: int
    active: int
    roles: int


def note(house: House, key: str, request: tuple[str, str], status: int, said: str = "") -> None:
    """Keep a call and forget the oldest.

    Args:
        house: The house.
        key: The name of the key.
        request: Method and path.
        status: What was answered.
        said: Why it was refused.
    """
    call, (method, path) = models.access_scim_call, request
    row = {"key": key, "method": method, "path": path[:_LONGEST], "status": status, "said": said[:_LONGEST]}
    with house.db.begin() as tx:
        number = tx.execute(sa.insert(call).values(at=house.clock(), **row).returning(call.c.id)).scalar_one()
        tx.execute(sa.delete(call).where(call.c.id <= number - KEPT))


def recent(connection: sa.Connection, most: int = 50) -> list[Call]:
    """Return the last calls, the newest first."""
    call = models.access_scim_call
    rows = connection.execute(sa.select(call).order_by(call.c.id.desc()).limit(most))
    return [Call(row.at, row.key, row.method, row.path, row.status, row.said) for row in rows]


def brought(connection: sa.Connection) -> Brought:
    """Count what the directory manages, which is what has a name in it."""
    profile, more, user = models.access_profile, models.access_role, models.user
    people = sa.select(sa.func.count(), sa.func.sum(sa.case((user.c.active, 1), else_=0)))
    source = user.join(profile, profile.c.user_id == user.c.id)
    total, active = connection.execute(people.select_from(source).where(profile.c.external_id.is_not(None))).one()
    roles = sa.select(sa.func.count()).select_from(more).where(more.c.external_id.is_not(None))
    return Brought(total, int(active or 0), connection.scalar(roles) or 0)


def keys_for_it(connection: sa.Connection, house: House) -> list[Key]:
    """Return the keys that a directory can use, those that are over last."""
    found = [key for key in list_keys(connection, house.clock(), waiting(house)) if set(SCOPES) <= set(key.scopes)]
    return sorted(found, key=lambda key: key.state != "active")
