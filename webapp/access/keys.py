"""API keys: made once, stored as a digest, limited to their scopes and to what their owner may do."""

from __future__ import annotations

import secrets
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta
from itertools import count
from typing import Any

import sqlalchemy as sa

from rules.text import msg
from webapp.access import groups, hooks, identities, models, owners, roles, services
from webapp.access.errors import Missing, Refused
from webapp.access.passwords import digest
from webapp.access.users import own_id, require_permissions, require_reach
from webapp.audit.services import Event, Subject, record
from webapp.audit.tags import Tag
from webapp.extensions import Actor, House

PREFIX = "syn_"
API_ROOMS = (
    "Connections",
    "Entities",
    "Records",
    "Rules",
    "Runs",
    "Quarantine",
    "Cases",
    "Events",
    "Approvals",
    "Audit",
    "Provisioning",
)
SECRETS = "connections:secrets"
"""Setting the secrets of connections is asked for beside what changes them: a person shows anew who they are for it."""
KEPT_OF_A_NAME = 118
"""Characters that are left of a key's name where a number is put behind it."""
_TOUCH = timedelta(minutes=1)
_LONGEST = timedelta(days=3660)


@dataclass(frozen=True)
class NewKey:
    """What a key is made of; `days` is None for a key that does not expire."""

    name: str
    scopes: tuple[str, ...]
    days: int | None


@dataclass(frozen=True)
class Key:
    """A key as lists show it."""

    id: int
    name: str
    prefix: str
    scopes: tuple[str, ...]
    owner: str
    created_at: datetime
    expires_at: datetime | None
    last_used_at: datetime | None
    state: str
    user_id: int


def scopes() -> list[str]:
    """Return every scope that a key can have."""
    return [*(f"{room.lower()}:{action}" for room in API_ROOMS for action in roles.PERMISSIONS[room]), SECRETS]


def create_key(house: House, new: NewKey, actor: Actor, account_id: int | None = None) -> str:
    """Make a key that acts within the rights of the actor, or of a service account; returns it, once."""
    now = house.clock()
    with house.db.begin() as tx:
        _check(tx, new, actor)
        if account_id is not None:
            _check_account(tx, account_id, new.scopes)
            _require_sight(tx, account_id, actor)
        expires = now + timedelta(days=new.days) if new.days else None
        token = _insert(tx, new, int(actor.id or 0) if account_id is None else account_id, (now, expires))
        after = {"scopes": sorted(new.scopes), "expires_at": expires.isoformat() if expires else None}
        record(tx, actor, now, Event(Tag.KEY_CREATED, Subject("key", new.name), after=after))
    return token


def rotate_key(house: House, key_id: int, overlap: timedelta, actor: Actor) -> tuple[str, str]:
    """Make a key in the place of another, which goes on for a while; returns its name and itself, once.

    Args:
        house: The house.
        key_id: The key that is replaced; the new one has its name, its scopes and as long a life.
        overlap: For how long the old one goes on, under a name with a number behind it.
        actor: Its owner, or whoever manages keys, for a key of a service account.
    """
    key, now = models.access_key, house.clock()
    with house.db.begin() as tx:
        row = tx.execute(sa.select(key).where(key.c.id == key_id).with_for_update()).one_or_none()  # one at a time
        if row is None:
            raise Missing
        if row.revoked_at or (row.expires_at and row.expires_at <= now):
            raise Refused("", msg("The key has ended. Make a new one."))
        if actor.id != str(row.user_id) and not owners.is_service_account(tx, row.user_id):
            raise Refused("", msg("Only its owner can replace this key."))
        require_permissions(tx, actor, permissions(row.scopes))
        if actor.id != str(row.user_id):
            _require_sight(tx, row.user_id, actor)
        end = min(row.expires_at or now + overlap, now + overlap)
        tx.execute(sa.update(key).where(key.c.id == key_id).values(name=_aside(tx, row.name), expires_at=end))
        new = NewKey(row.name, tuple(row.scopes), None)
        expires = now + (row.expires_at - row.created_at) if row.expires_at else None
        token = _insert(tx, new, row.user_id, (now, expires))
        after = {"old_until": end.isoformat(), "expires_at": expires.isoformat() if expires else None}
        record(tx, actor, now, Event(Tag.KEY_ROTATED, Subject("key", row.name), after=after))
        return str(row.name), token


def _aside(tx: sa.Connection, name: str) -> str:
    """Return a name for a key that another one takes the name of."""
    taken = set(tx.scalars(sa.select(models.access_key.c.name)))
    return next(one for number in count(1) if (one := f"{name[:KEPT_OF_A_NAME]} ({number})") not in taken)


def _insert(tx: sa.Connection, new: NewKey, user_id: int, times: tuple[datetime, datetime | None]) -> str:
    token, (now, expires) = PREFIX + secrets.token_urlsafe(32), times
    values = {"name": new.name, "prefix": token[:10], "digest": digest(token), "scopes": sorted(new.scopes)}
    row = {**values, "user_id": user_id, "created_at": now, "expires_at": expires}
    tx.execute(sa.insert(models.access_key).values(**row))
    return token


def _check_account(tx: sa.Connection, account_id: int, wanted: Iterable[str]) -> None:
    if not owners.is_service_account(tx, account_id):
        raise Missing
    held = services.permissions_of(tx, account_id)
    if lacking := sorted(set(permissions(wanted)) - held):
        action, room = lacking[0]
        text = "The roles of this account do not hold '{action}' in {room}."
        raise Refused("scopes", msg(text, action=action.removeprefix("can_"), room=room))


def _require_sight(tx: sa.Connection, account_id: int, actor: Actor) -> None:
    """Refuse who sees only a part of the data a key of an account that may see more."""
    own = own_id(tx, actor)
    held, brought = groups.roles_of(tx, account_id)
    if own is not None:
        for refuse in hooks.giving:
            refuse(tx, own, {*held, *brought})
    require_reach(tx, actor, account_id)


def _check(tx: sa.Connection, new: NewKey, actor: Actor) -> None:
    if not 2 <= len(new.name) <= 128:
        raise Refused("name", msg("Enter a name of 2 to 128 characters that says which program uses the key."))
    if tx.scalar(sa.select(models.access_key.c.id).where(models.access_key.c.name == new.name)) is not None:
        raise Refused("name", msg("There is already a key '{name}'.", name=new.name))
    if not new.scopes or not set(new.scopes) <= set(scopes()):
        raise Refused("scopes", msg("Tick at least one scope."))
    if new.days is not None and not 1 <= new.days <= _LONGEST.days:
        raise Refused("days", msg("Choose when the key expires."))
    if actor.kind != "user" or not actor.id:
        raise Refused("", msg("Only a user can make a key, because a key acts within that user's rights."))
    require_permissions(tx, actor, permissions(new.scopes))


def permissions(names: Iterable[str]) -> list[tuple[str, str]]:
    """Return the permissions that scopes stand for."""
    parts = ((name if name != SECRETS else "connections:update").partition(":") for name in names)
    return [(roles.permission_name(action), room.capitalize()) for room, _, action in parts]


def waiting(house: House) -> sa.ColumnElement[bool]:
    """Return the condition for users whose keys wait until the company lets them in again."""
    return ~identities.confirmed(house, house.settings.company_key_days)


def list_keys(connection: sa.Connection, now: datetime, waits: sa.ColumnElement[bool] | None = None) -> list[Key]:
    """Return all keys, the newest first; `waits` says of which users they wait (see `waiting`)."""
    key, user = models.access_key, models.user
    waits = sa.false() if waits is None else waits
    query = sa.select(key, user.c.username, user.c.active, waits.label("waits"))
    query = query.outerjoin(user, user.c.id == key.c.user_id)
    return [_key(row, now) for row in connection.execute(query.order_by(key.c.id.desc()))]


def _key(row: Any, now: datetime) -> Key:
    expired = row.expires_at is not None and row.expires_at <= now
    live = "disabled" if not row.active else "lapsed" if row.waits else "active"
    state = "revoked" if row.revoked_at else "expired" if expired else live
    times = (row.created_at, row.expires_at, row.last_used_at)
    return Key(row.id, row.name, row.prefix, tuple(row.scopes), row.username or "", *times, state, row.user_id)


def revoke_key(house: House, key_id: int, actor: Actor) -> str:
    """End a key; returns its name."""
    key, now = models.access_key, house.clock()
    with house.db.begin() as tx:
        row = tx.execute(sa.select(key).where(key.c.id == key_id)).one_or_none()
        if row is None:
            raise Missing
        if row.revoked_at is None:
            tx.execute(sa.update(key).where(key.c.id == key_id).values(revoked_at=now))
            record(tx, actor, now, Event(Tag.KEY_REVOKED, Subject("key", row.name), before={"scopes": row.scopes}))
    return str(row.name)


def find(house: House, token: str) -> Any:
    """Return the row of a valid key, else None; remembers its use to the minute."""
    key, user, now = models.access_key, models.user, house.clock()
    query = sa.select(key).join(user, user.c.id == key.c.user_id).where(key.c.digest == digest(token), user.c.active)
    if house.settings.service_accounts_follow_owner:
        profile, owner = models.access_profile, models.user.alias("owner")
        query = query.outerjoin(profile, profile.c.user_id == key.c.user_id)
        query = query.outerjoin(owner, owner.c.id == profile.c.owner_id)
        query = query.where(sa.or_(profile.c.owner_id.is_(None), owner.c.active))
    query = query.where(~waiting(house))
    with house.db.read() as connection:
        row = connection.execute(query).one_or_none()
    if row is None or row.revoked_at or (row.expires_at and row.expires_at <= now):
        return None
    if row.last_used_at is None or row.last_used_at < now - _TOUCH:
        with house.db.begin() as tx:
            tx.execute(sa.update(key).where(key.c.id == row.id).values(last_used_at=now))
    return row
