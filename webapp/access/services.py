"""Users and sign-in."""

from __future__ import annotations

import secrets
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import sqlalchemy as sa
from werkzeug.security import check_password_hash, generate_password_hash

from webapp.access import models, roles
from webapp.audit.services import Event, Subject, record
from webapp.audit.tags import Tag
from webapp.extensions import SYSTEM, Actor, House

# Compared when there is no such user, so that both cases take the same time.
_NOBODY = generate_password_hash(secrets.token_urlsafe(16))
_WORDS = (
    "amber anchor apple autumn bamboo beacon birch bridge bronze canal cedar cherry cloud copper coral cotton cedar delta "
    "ember falcon fern forest garden ginger granite harbor hazel island ivory jasmine juniper lagoon lantern lemon linen lotus "
    "maple marble meadow mint mosaic olive opal orchid oyster palm pebble pepper pine plum poppy prairie quartz raven reef river "
    "saffron sage sierra silver spruce summit sunset teal thistle timber topaz tulip valley velvet violet walnut willow winter zephyr"
).split()


def identity(connection: sa.Connection, user_id: int) -> Any:
    """Return a user's row with the profile, or None."""
    return connection.execute(_users().where(models.user.c.id == user_id)).one_or_none()


def _users() -> sa.Select[Any]:
    user, profile = models.user, models.access_profile
    columns = (profile.c.stamp, profile.c.language, profile.c.must_change_password)
    return sa.select(user, *columns).select_from(user.outerjoin(profile, profile.c.user_id == user.c.id))


def generate_password() -> str:
    """Return a password that is easy to read aloud and has more than 50 bits."""
    return "-".join([*(secrets.choice(_WORDS) for _ in range(4)), f"{secrets.randbelow(1_000_000_000):09d}"])


def new_stamp() -> str:
    """Return a session stamp."""
    return secrets.token_hex(16)


@dataclass(frozen=True)
class NewUser:
    """What a new user is made of."""

    username: str
    first_name: str
    last_name: str
    email: str
    roles: tuple[str, ...]
    password: str
    must_change_password: bool = True


def ensure_admin(house: House, password: str | None = None) -> str | None:
    """Create the user `admin` where there is no user at all; returns the password that was generated or given, once."""
    with house.db.begin() as tx:
        if tx.scalar(sa.select(sa.func.count()).select_from(models.user)):
            return None
        password = password or generate_password()
        new = NewUser("admin", "Administrator", "", "admin@localhost", (roles.ADMIN,), password, must_change_password=False)
        insert_user(tx, new, SYSTEM, house.clock())
    return password


def insert_user(tx: sa.Connection, new: NewUser, actor: Actor, at: datetime) -> int:
    """Add a user, with profile, roles and audit event; returns the id."""
    values = {
        "username": new.username,
        "first_name": new.first_name,
        "last_name": new.last_name,
        "email": new.email,
        "password": generate_password_hash(new.password, method="scrypt"),
        "active": True,
        "created_on": at.replace(tzinfo=None),
        "changed_on": at.replace(tzinfo=None),
        "login_count": 0,
        "fail_login_count": 0,
    }
    key = tx.execute(sa.insert(models.user).values(**values)).inserted_primary_key
    user_id = int(key[0]) if key else 0
    profile = {"user_id": user_id, "stamp": new_stamp(), "must_change_password": new.must_change_password}
    tx.execute(sa.insert(models.access_profile).values(**profile))
    set_roles(tx, user_id, new.roles)
    after = {"first_name": new.first_name, "last_name": new.last_name, "email": new.email, "roles": sorted(new.roles), "active": True}
    record(tx, actor, at, Event(Tag.USER_CREATED, Subject("user", new.username), after=after))
    return user_id


def set_roles(tx: sa.Connection, user_id: int, names: tuple[str, ...]) -> None:
    """Give a user exactly these roles."""
    table = models.user_role
    tx.execute(sa.delete(table).where(table.c.user_id == user_id))
    for role_id in tx.scalars(sa.select(models.role.c.id).where(models.role.c.name.in_(names)).order_by(models.role.c.id)).all():
        tx.execute(sa.insert(table).values(user_id=user_id, role_id=role_id))


def sign_in(house: House, username: str, password: str, actor: Actor) -> Any:
    """Return the user's row if the password is right, else None; either is audited."""
    with house.db.read() as connection:
        row = connection.execute(_users().where(models.user.c.username == username)).one_or_none()
    right = check_password_hash(row.password if row else _NOBODY, password)
    return _signed_in(house, row, actor) if row and row.active and right else _refused(house, username, row, actor)


def _signed_in(house: House, row: Any, actor: Actor) -> Any:
    at = house.clock()
    who = Actor("user", row.username, str(row.id), actor.address, actor.request_id)
    with house.db.begin() as tx:
        counts = {"login_count": (row.login_count or 0) + 1, "fail_login_count": 0, "last_login": at.replace(tzinfo=None)}
        tx.execute(sa.update(models.user).where(models.user.c.id == row.id).values(**counts))
        record(tx, who, at, Event(Tag.SIGNED_IN, Subject("user", row.username)))
    return row


def _refused(house: House, username: str, row: Any, actor: Actor) -> None:
    reason = "unknown user" if row is None else "wrong password" if row.active else "user is disabled"
    with house.db.begin() as tx:
        if row is not None:
            failures = models.user.c.fail_login_count
            tx.execute(sa.update(models.user).where(models.user.c.id == row.id).values(fail_login_count=sa.func.coalesce(failures, 0) + 1))
        record(tx, actor, house.clock(), Event(Tag.SIGN_IN_FAILED, Subject("user", username[:128] or "?"), reason=reason))


def signed_out(house: House, actor: Actor) -> None:
    """Tell the audit log that a user has signed out."""
    with house.db.begin() as tx:
        record(tx, actor, house.clock(), Event(Tag.SIGNED_OUT, Subject("user", actor.name)))


def set_language(house: House, user_id: int, language: str) -> None:
    """Remember a user's language; a taste, so it is not audited."""
    table = models.access_profile
    with house.db.begin() as tx:
        tx.execute(sa.update(table).where(table.c.user_id == user_id).values(language=language))
