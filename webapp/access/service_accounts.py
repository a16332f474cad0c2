"""Service accounts: users that are programs. They hold roles and API keys, cannot sign in, and a person owns each."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Any

import sqlalchemy as sa

from rules.text import msg
from webapp.access import keys, models, users
from webapp.access.errors import Missing, Refused
from webapp.access.keys import Key
from webapp.access.passwords import generate_password
from webapp.access.users import NewUser
from webapp.approvals.errors import SecondPersonNeeded
from webapp.audit.services import Event, Subject, record
from webapp.audit.tags import Tag
from webapp.extensions import Actor, House

_NOWHERE = "service.invalid"
"""Behind the @ of their addresses: nobody can have mail there (RFC 2606)."""
_LONGEST = 300


@dataclass(frozen=True)
class Wanted:
    """What a service account is made of; `owner` is a user name."""

    name: str
    purpose: str
    owner: str
    roles: tuple[str, ...]


@dataclass(frozen=True)
class ServiceAccount:
    """A service account as pages show it; `owner` is empty where that user is gone."""

    id: int
    name: str
    purpose: str
    owner: str
    owner_active: bool
    active: bool
    roles: tuple[str, ...]
    keys: tuple[Key, ...]

    @property
    def last_used_at(self) -> datetime | None:
        """Return when one of the keys was used last."""
        return max((key.last_used_at for key in self.keys if key.last_used_at), default=None)


def list_all(tx: sa.Connection, now: datetime, account_id: int | None = None) -> list[ServiceAccount]:
    """Return the service accounts by name, or one of them."""
    user, profile, owner = models.user, models.access_profile, models.user.alias("owner")
    query = (
        sa.select(
            user.c.id, user.c.username, user.c.active, profile.c.purpose,
            owner.c.username.label("owner"), owner.c.active.label("owner_active"),
        )
        .join(profile, profile.c.user_id == user.c.id)
        .outerjoin(owner, owner.c.id == profile.c.owner_id)
        .where(profile.c.owner_id.is_not(None))
    )  # fmt: skip
    if account_id is not None:
        query = query.where(user.c.id == account_id)
    known = keys.list_keys(tx, now)
    return [_account(tx, row, known) for row in tx.execute(query.order_by(user.c.username)).all()]


def get(tx: sa.Connection, account_id: int, now: datetime) -> ServiceAccount:
    """Return a service account; raises `Missing`."""
    found = list_all(tx, now, account_id)
    if not found:
        raise Missing
    return found[0]


def _account(tx: sa.Connection, row: Any, known: list[Key]) -> ServiceAccount:
    mine = tuple(key for key in known if key.user_id == row.id)
    roles = users.get_user(tx, row.id).roles
    return ServiceAccount(
        row.id, row.username, row.purpose or "", row.owner or "", bool(row.owner_active), bool(row.active), roles, mine
    )


def create(house: House, wanted: Wanted, actor: Actor) -> int:
    """Add a service account with an owner; returns its id. Raises `Refused`."""
    new = NewUser(wanted.name, wanted.name, "", f"{wanted.name}@{_NOWHERE}", wanted.roles)
    with house.db.begin() as tx:
        users.check(tx, new, None)
        owner_id = _checked(tx, wanted)
        account_id, waits = users.add_user_in(tx, new, generate_password(), actor, house.clock())
        _store(tx, account_id, owner_id, wanted)
        after = {"owner": wanted.owner, "purpose": wanted.purpose}
        record(tx, actor, house.clock(), Event(Tag.SERVICE_ACCOUNT_SET, Subject("user", wanted.name), after=after))
    if waits:  # the account is there, its roles are proposed
        raise SecondPersonNeeded(waits)
    return account_id


def update(house: House, account_id: int, wanted: Wanted, actor: Actor) -> None:
    """Change owner, purpose and roles of a service account; raises `Missing` or `Refused`."""
    with house.db.begin() as tx:
        old = get(tx, account_id, house.clock())
        user = users.owned(tx, account_id, actor)
        new = NewUser(user.username, user.first_name, user.last_name, user.email, wanted.roles)
        users.check(tx, new, user)
        owner_id = _checked(tx, wanted)
        users.update_user_in(tx, user, new, actor, house.clock())
        _store(tx, account_id, owner_id, wanted)
        before = {"owner": old.owner, "purpose": old.purpose}
        after = {"owner": wanted.owner, "purpose": wanted.purpose}
        if before != after:
            event = Event(Tag.SERVICE_ACCOUNT_SET, Subject("user", old.name), before=before, after=after)
            record(tx, actor, house.clock(), event)


def _checked(tx: sa.Connection, wanted: Wanted) -> int:
    """Return the id of the owner; raises `Refused`."""
    if not wanted.purpose or len(wanted.purpose) > _LONGEST:
        text = msg("Say in at most {count} characters which program this is and what it does.", count=_LONGEST)
        raise Refused("purpose", text)
    row = tx.execute(models.users().where(models.user.c.username == wanted.owner)).one_or_none()
    if row is None or not row.active or row.owner_id is not None:
        raise Refused("owner", msg("Choose a person who answers for it and is not disabled."))
    return int(row.id)


def _store(tx: sa.Connection, account_id: int, owner_id: int, wanted: Wanted) -> None:
    profile = models.access_profile
    mine = sa.update(profile).where(profile.c.user_id == account_id)
    tx.execute(mine.values(owner_id=owner_id, purpose=wanted.purpose))
