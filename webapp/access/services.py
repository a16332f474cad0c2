"""Sign-in, and what is known of a user."""

from __future__ import annotations

from functools import cache
from typing import Any

import sqlalchemy as sa

from webapp.access import groups, models, roles, sessions
from webapp.access.passwords import NOBODY, fits, generate_password
from webapp.access.users import NewUser, insert_user
from webapp.audit.services import Event, Subject, record
from webapp.audit.tags import Tag
from webapp.extensions import SYSTEM, Actor, House


def permissions_of(connection: sa.Connection, user_id: int) -> frozenset[tuple[str, str]]:
    """Return the ("can_read", "Connections") pairs that a user's roles grant, held or brought by groups."""
    return frozenset((row[0], row[1]) for row in connection.execute(_permissions(), {"user_id": user_id}))


@cache
def _permissions() -> sa.Select[str, str]:
    mine = groups.role_ids_of(sa.bindparam("user_id"))
    return models.granted().where(models.role_permission.c.role_id.in_(mine))


def ensure_admin(house: House, password: str | None = None) -> str | None:
    """Create the first administrator where there is no user; returns the password that was generated or given, once."""
    with house.db.begin() as tx:
        if tx.scalar(sa.select(sa.func.count()).select_from(models.user)):
            return None
        password = password or generate_password()
        new = NewUser(house.settings.admin_name, "Administrator", "", "admin@localhost", (roles.ADMIN,))
        insert_user(tx, new, password, SYSTEM, house.clock())
    return password


def known(house: House, username: str, password: str) -> Any:
    """Return the user's row if the password is right, else None; `admitted` and `refused` tell the audit log."""
    with house.db.read() as connection:
        row = connection.execute(models.users().where(models.user.c.username == username)).one_or_none()
    right = fits(row.password if row else NOBODY, password)  # both cases take the same time
    return row if row and row.active and right and row.owner_id is None else None


def refused(house: House, username: str, actor: Actor) -> None:
    """Note that somebody has entered a wrong name or password."""
    with house.db.read() as connection:
        row = connection.execute(models.users().where(models.user.c.username == username)).one_or_none()
    reason = "unknown user" if row is None else "wrong password" if row.active else "user is disabled"
    _note_failure(house, username, row, actor, reason)


def admitted(house: House, user_id: int, actor: Actor, by: str) -> None:
    """Note that a user has shown all that was asked for, and what that was."""
    with house.db.read() as tx:
        row = tx.execute(models.users().where(models.user.c.id == user_id)).one()
    at = house.clock()
    who = Actor("user", row.username, str(row.id), actor.address, actor.request_id)
    with house.db.begin() as tx:
        counts = {
            "login_count": (row.login_count or 0) + 1,
            "fail_login_count": 0,
            "last_login": at.replace(tzinfo=None),
        }
        tx.execute(sa.update(models.user).where(models.user.c.id == row.id).values(**counts))
        record(tx, who, at, Event(Tag.SIGNED_IN, Subject("user", row.username), after={"by": by}))


def wrong(house: House, user_id: int, actor: Actor, what: str) -> None:
    """Note that somebody who has shown the password once has given something wrong."""
    with house.db.read() as tx:
        row = tx.execute(models.users().where(models.user.c.id == user_id)).one_or_none()
    _note_failure(house, row.username if row else "?", row, actor, what)


def not_admitted(house: House, why: str, actor: Actor) -> None:
    """Note that somebody whom the identity provider was asked about is not let in."""
    with house.db.begin() as tx:
        record(tx, actor, house.clock(), Event(Tag.SIGN_IN_FAILED, Subject("user", "?"), reason=why[:500]))


def _note_failure(house: House, username: str, row: Any, actor: Actor, reason: str) -> None:
    with house.db.begin() as tx:
        if row is not None:
            failures = sa.func.coalesce(models.user.c.fail_login_count, 0)
            tx.execute(sa.update(models.user).where(models.user.c.id == row.id).values(fail_login_count=failures + 1))
        record(
            tx, actor, house.clock(), Event(Tag.SIGN_IN_FAILED, Subject("user", username[:128] or "?"), reason=reason)
        )


def sign_out(house: House, user_id: int, session_id: int, actor: Actor) -> None:
    """End a session by its user's wish."""
    with house.db.begin() as tx:
        sessions.forget(tx, user_id, session_id)
        record(tx, actor, house.clock(), Event(Tag.SIGNED_OUT, Subject("user", actor.name)))


def denied(house: House, actor: Actor, path: str) -> None:
    """Tell the audit log that somebody asked for what they may not see or do."""
    with house.db.begin() as tx:
        record(tx, actor, house.clock(), Event(Tag.DENIED, Subject("page", path[:255])))


def set_language(house: House, user_id: int, language: str) -> None:
    """Remember a user's language; a taste, so it is not audited."""
    table = models.access_profile
    with house.db.begin() as tx:
        tx.execute(sa.update(table).where(table.c.user_id == user_id).values(language=language))
