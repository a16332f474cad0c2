"""Users: who they are, which roles they hold, how they are disabled.

Nobody can give what they do not hold themselves: who manages users without being an administrator can neither make one
nor take one over. One active administrator is always left.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Any

import sqlalchemy as sa

from rules.text import msg
from webapp.access import groups, hooks, leaving, memberships, models, roles, sessions
from webapp.access.errors import Missing, Refused
from webapp.access.passwords import check_new, fits, generate_password, hashed
from webapp.approvals.deeds import Deed
from webapp.approvals.errors import SecondPersonNeeded
from webapp.audit.services import Event, Subject, record
from webapp.audit.tags import Tag
from webapp.extensions import Actor, House

_USERNAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._@-]{1,63}")
_EMAIL = re.compile(r"""[^@\s,;:<>\[\]()"\\]+@[^@\s,;:<>\[\]()"\\]+""")


@dataclass(frozen=True)
class NewUser:
    """What a user is made of."""

    username: str
    first_name: str
    last_name: str
    email: str
    roles: tuple[str, ...]


@dataclass(frozen=True)
class User:
    """A user as lists and forms show it."""

    id: int
    username: str
    first_name: str
    last_name: str
    email: str
    active: bool
    last_login: datetime | None
    roles: tuple[str, ...]

    @property
    def name(self) -> str:
        """Return the full name."""
        return full_name(self.first_name, self.last_name)


def full_name(first: str, last: str) -> str:
    """Return a name as it is said: in Chinese the family name comes first, without a space."""
    return last + first if first > "\u2e7f" and last > "\u2e7f" else f"{first} {last}".strip()


def list_users(connection: sa.Connection, search: str = "", after: str = "", limit: int = 100) -> list[User]:
    """Return users by name; `after` is the last name of the page before."""
    user = models.user
    people = models.access_profile.c.owner_id.is_(None)  # programs have a page of their own
    query = models.users().where(people).order_by(user.c.username).limit(limit)
    if after:
        query = query.where(user.c.username > after)
    if search:
        columns = (user.c.username, user.c.first_name, user.c.last_name, user.c.email)
        query = query.where(sa.or_(*(column.icontains(search, autoescape=True) for column in columns)))
    rows = connection.execute(query).all()
    held = _roles_of(connection, [row.id for row in rows])
    return [_user(row, held.get(row.id, ())) for row in rows]


def get_user(connection: sa.Connection, user_id: int) -> User:
    """Return a user; raises `Missing`."""
    row = connection.execute(models.users().where(models.user.c.id == user_id)).one_or_none()
    if row is None:
        raise Missing
    return _user(row, _roles_of(connection, [user_id]).get(user_id, ()))


def _user(row: Any, held: tuple[str, ...]) -> User:
    last = row.last_login.replace(tzinfo=UTC) if row.last_login else None
    return User(row.id, row.username, row.first_name, row.last_name, row.email, bool(row.active), last, held)


def _roles_of(connection: sa.Connection, ids: list[int]) -> dict[int, tuple[str, ...]]:
    held, role = models.user_role, models.role
    query = (
        sa.select(held.c.user_id, role.c.name).join(role, role.c.id == held.c.role_id).where(held.c.user_id.in_(ids))
    )
    found: dict[int, list[str]] = {}
    for user_id, name in connection.execute(query.order_by(role.c.name)):
        found.setdefault(user_id, []).append(name)
    return {user_id: tuple(names) for user_id, names in found.items()}


def create_user(house: House, new: NewUser, actor: Actor) -> tuple[int, str, Deed | None]:
    """Add a user; returns the id and the password for the first sign-in, which has to be changed then.

    Where a second person has to approve the roles, the user has none yet, and giving them is returned as well.
    """
    password = generate_password()
    with house.db.begin() as tx:
        check(tx, new, None)
        user_id, waits = add_user_in(tx, new, password, actor, house.clock(), must_change=True)
    return user_id, password, waits


def add_user_in(
    tx: sa.Connection, new: NewUser, password: str, actor: Actor, at: datetime, *, must_change: bool = False
) -> tuple[int, Deed | None]:
    """Do what `create_user` does within the caller's transaction, with what was checked."""
    require_rights(tx, actor, new.roles)
    waits = memberships.waiting(tx, new.username, ((), new.roles), actor)
    given = replace(new, roles=()) if waits else new
    user_id = insert_user(tx, given, password, actor, at, must_change=must_change)
    require_reach(tx, actor, user_id)
    return user_id, waits


def insert_user(
    tx: sa.Connection, new: NewUser, password: str, actor: Actor, at: datetime, *, must_change: bool = False
) -> int:
    """Add a user with profile, roles and audit event, unchecked; returns the id."""
    naive = at.astimezone(UTC).replace(tzinfo=None)
    values = {
        **_columns(new),
        "username": new.username,
        "password": hashed(password),
        "active": True,
        "login_count": 0,
        "fail_login_count": 0,
    }
    key = tx.execute(sa.insert(models.user).values(**values, created_on=naive, changed_on=naive)).inserted_primary_key
    user_id = int(key[0]) if key else 0
    tx.execute(sa.insert(models.access_profile).values(user_id=user_id, must_change_password=must_change))
    _set_roles(tx, user_id, new.roles)
    record(tx, actor, at, Event(Tag.USER_CREATED, Subject("user", new.username), after={**told(new), "active": True}))
    return user_id


def update_user(house: House, user_id: int, new: NewUser, actor: Actor) -> None:
    """Change a user's names, address and roles; the user name stays."""
    with house.db.begin() as tx:
        old = owned(tx, user_id, actor)
        check(tx, new, old)
        require_rights(tx, actor, {*new.roles} ^ {*old.roles})
        waits = memberships.waiting(tx, old.username, (old.roles, new.roles), actor)
        update_user_in(tx, old, replace(new, roles=old.roles) if waits else new, actor, house.clock())
    if waits:  # names are saved, roles are proposed
        raise SecondPersonNeeded(waits)


def update_user_in(tx: sa.Connection, old: User, new: NewUser, actor: Actor, at: datetime) -> None:
    """Do what `update_user` does within the caller's transaction, with what was checked."""
    require_rights(tx, actor, {*new.roles} ^ {*old.roles})
    memberships.require(tx, old.username, (old.roles, new.roles), actor)
    changed = {**_columns(new), "changed_on": at.astimezone(UTC).replace(tzinfo=None)}
    tx.execute(sa.update(models.user).where(models.user.c.id == old.id).values(**changed))
    _set_roles(tx, old.id, new.roles)
    require_administrator(tx)
    before = told(NewUser(old.username, old.first_name, old.last_name, old.email, old.roles))
    if before != told(new):
        require_reach(tx, actor, old.id)
    _record_change(tx, actor, at, old.username, (before, told(new)))


def set_active(house: House, user_id: int, active: bool, actor: Actor) -> None:
    """Enable or disable a user; disabling ends all sessions."""
    with house.db.begin() as tx:
        set_active_in(tx, user_id, active, actor, house.clock())


def set_active_in(tx: sa.Connection, user_id: int, active: bool, actor: Actor, at: datetime) -> None:
    """Do what `set_active` does within the caller's transaction."""
    old = owned(tx, user_id, actor)
    if not active and own_id(tx, actor) == user_id:
        raise Refused("", msg("You cannot disable yourself. Ask another administrator."))
    if old.active and not active:
        leaving.require_disabling(tx, old.username, user_id, actor)
    switch_in(tx, old, active, actor, at)


def switch_in(tx: sa.Connection, old: User, active: bool, actor: Actor, at: datetime) -> None:
    """Enable or disable a user, with what was checked."""
    user_id = old.id
    changed = {"active": active, "changed_on": at.astimezone(UTC).replace(tzinfo=None)}
    tx.execute(sa.update(models.user).where(models.user.c.id == user_id).values(**changed))
    sessions.forget(tx, user_id)
    require_administrator(tx)
    _record_change(tx, actor, at, old.username, ({"active": old.active}, {"active": active}))


def reset_password(house: House, user_id: int, actor: Actor) -> str:
    """Give a user a new password, to be changed at the next sign-in; ends all sessions. Returns it, once."""
    password = generate_password()
    stored = hashed(password)
    with house.db.begin() as tx:
        old = owned(tx, user_id, actor)
        refuse_oneself(tx, user_id, actor)
        _store_password(tx, user_id, stored, must_change=True)
        record(tx, actor, house.clock(), Event(Tag.PASSWORD_CHANGED, Subject("user", old.username)))
    return password


def end_access(tx: sa.Connection, house: House, user: User) -> None:
    """Let nobody in by what a user had until now: password, sessions and keys."""
    _store_password(tx, user.id, hashed(generate_password()), must_change=False)
    key = models.access_key
    mine = (key.c.user_id == user.id, key.c.revoked_at.is_(None))
    tx.execute(sa.update(key).where(*mine).values(revoked_at=house.clock()))


def end_sessions(house: House, user_id: int, actor: Actor) -> int:
    """End all sessions of a user; return how many there were."""
    with house.db.read() as tx:
        owned(tx, user_id, actor)
    return sessions.end_others(house, user_id, None, actor)


def change_own_password(house: House, user_id: int, current: str | None, new: str, actor: Actor) -> None:
    """Change one's own password; ends all sessions, also this one. Nobody waits while passwords are looked at."""
    with house.db.read() as tx:
        row = proven(tx, user_id, current)
    if current == new:
        raise Refused("password", msg("The new password is the current one. Choose another."))
    check_new(new, row.username)
    stored, user = hashed(new), models.user
    with house.db.begin() as tx:
        held = tx.scalar(sa.select(user.c.password).where(user.c.id == user_id).with_for_update())  # one at a time
        if held != row.password:
            raise Refused("current", msg("The current password is wrong."))
        _store_password(tx, user_id, stored, must_change=False)
        record(tx, actor, house.clock(), Event(Tag.PASSWORD_CHANGED, Subject("user", row.username)))


def proven(tx: sa.Connection, user_id: int, password: str | None) -> Any:
    """Return the row of a user who knows the password, or (None) has shown otherwise who it is; raises `Refused`."""
    row = tx.execute(models.users().where(models.user.c.id == user_id)).one()
    if password is not None and not fits(row.password, password):
        raise Refused("current", msg("The current password is wrong."))
    return row


def require_rights(tx: sa.Connection, actor: Actor, names: Iterable[str]) -> None:
    """Refuse to give roles that hold more than the actor does."""
    names = list(names)
    require_permissions(tx, actor, _permissions_of_roles(tx, names))
    own = None if actor.kind in {"cli", "system"} else own_id(tx, actor)
    if own is not None and names:
        for refuse in hooks.giving:
            refuse(tx, own, names)


def require_reach(tx: sa.Connection, actor: Actor, user_id: int) -> None:
    """Refuse to give a user, who may be oneself, or to do as that one, what the actor does not hold."""
    own = None if actor.kind in {"cli", "system"} else own_id(tx, actor)
    if own is not None:
        for refuse in hooks.reaching:
            refuse(tx, own, user_id)


def require_permissions(tx: sa.Connection, actor: Actor, wanted: Iterable[tuple[str, str]]) -> None:
    """Refuse to give permissions that the actor does not hold."""
    if actor.kind in {"cli", "system"}:
        return
    own = own_id(tx, actor)
    mine = set() if own is None else _held_by(tx, own)
    lacking = sorted(set(wanted) - mine)
    if lacking:
        action, room = lacking[0]
        text = msg(
            "This takes permissions that you do not hold yourself, such as '{action}' in {room}.",
            action=action.removeprefix("can_"),
            room=room,
        )
        raise Refused("roles", text)


def refuse_oneself(tx: sa.Connection, user_id: int, actor: Actor) -> None:
    """Refuse to do to oneself without a password what is meant for others."""
    if own_id(tx, actor) == user_id:
        raise Refused("", msg("For yourself, do this under My account."))


def own_id(tx: sa.Connection, actor: Actor) -> int | None:
    """Return the user who acts, also by a key; None for the command line and Syncline itself."""
    if actor.kind == "key" and actor.id:
        return tx.scalar(sa.select(models.access_key.c.user_id).where(models.access_key.c.id == int(actor.id)))
    return int(actor.id) if actor.kind == "user" and actor.id else None


def _held_by(tx: sa.Connection, user_id: int) -> set[tuple[str, str]]:
    query = models.granted().where(models.role_permission.c.role_id.in_(groups.role_ids_of(user_id)))
    return {(row[0], row[1]) for row in tx.execute(query)}


def _permissions_of_roles(tx: sa.Connection, names: Iterable[str]) -> set[tuple[str, str]]:
    role = models.role
    query = (
        models.granted().join(role, role.c.id == models.role_permission.c.role_id).where(role.c.name.in_(list(names)))
    )
    return {(row[0], row[1]) for row in tx.execute(query)}


def owned(tx: sa.Connection, user_id: int, actor: Actor) -> User:
    """Return the user if the actor holds at least the user's own permissions."""
    old = get_user(tx, user_id)
    direct, brought = groups.roles_of(tx, user_id)
    require_rights(tx, actor, {*direct, *brought})
    if own_id(tx, actor) != user_id:
        require_reach(tx, actor, user_id)
    return old


def check(tx: sa.Connection, new: NewUser, old: User | None, *, roles_needed: bool = True) -> None:
    """Refuse values that a user cannot have.

    Args:
        tx: The transaction.
        new: The values.
        old: The user as it is, None for a new one.
        roles_needed: A user has at least one role, given or by a group; one of a company's directory gets it later.
    """
    if old is None and not _USERNAME.fullmatch(new.username):
        raise Refused(
            "username",
            msg("Use 2 to 64 letters, digits, dots, dashes or underscores, starting with a letter or digit."),
        )
    if not new.first_name or len(new.first_name) > 64 or len(new.last_name) > 64:
        raise Refused("first_name", msg("Enter a name of at most 64 characters."))
    if not _EMAIL.fullmatch(new.email) or len(new.email) > 320:
        raise Refused("email", msg("Enter an e-mail address, such as name@example.com."))
    user = models.user
    for column, value in (("username", new.username), ("email", new.email)):
        query = sa.select(user.c.id).where(
            sa.func.lower(user.c[column]) == value.lower(), user.c.id != (old.id if old else 0)
        )
        if not (old and column == "username") and tx.scalar(query) is not None:
            raise Refused(column, msg("'{value}' belongs to another user.", value=value))
    known = set(tx.scalars(sa.select(models.role.c.name)))
    brought = bool(old and groups.roles_of(tx, old.id)[1])
    if (roles_needed and not new.roles and not brought) or not set(new.roles) <= known:
        raise Refused("roles", msg("Choose at least one role."))


def _columns(new: NewUser) -> dict[str, Any]:
    return {"first_name": new.first_name, "last_name": new.last_name, "email": new.email}


def told(new: NewUser) -> dict[str, Any]:
    """Return what the audit log tells of a user."""
    return {**_columns(new), "roles": sorted(new.roles)}


def _record_change(
    tx: sa.Connection, actor: Actor, at: datetime, username: str, pair: tuple[dict[str, Any], dict[str, Any]]
) -> None:
    changed = [key for key in pair[1] if pair[0].get(key) != pair[1][key]]
    if changed:
        before, after = ({key: side[key] for key in changed} for side in pair)
        record(tx, actor, at, Event(Tag.USER_UPDATED, Subject("user", username), before=before, after=after))


def _set_roles(tx: sa.Connection, user_id: int, names: Iterable[str]) -> None:
    table = models.user_role
    tx.execute(sa.delete(table).where(table.c.user_id == user_id))
    for role_id in tx.scalars(
        sa.select(models.role.c.id).where(models.role.c.name.in_(list(names))).order_by(models.role.c.id)
    ).all():
        tx.execute(sa.insert(table).values(user_id=user_id, role_id=role_id))


def _store_password(tx: sa.Connection, user_id: int, stored: str, *, must_change: bool) -> None:
    tx.execute(sa.update(models.user).where(models.user.c.id == user_id).values(password=stored))
    profile = models.access_profile
    tx.execute(sa.update(profile).where(profile.c.user_id == user_id).values(must_change_password=must_change))
    sessions.forget(tx, user_id)


def require_administrator(tx: sa.Connection) -> None:
    """Refuse a change after which nobody could administer; the lock makes two such changes wait for each other."""
    role_id = tx.scalar(sa.select(models.role.c.id).where(models.role.c.name == roles.ADMIN).with_for_update())
    held, user = models.user_role, models.user
    query = (
        sa.select(sa.func.count())
        .select_from(held.join(user, user.c.id == held.c.user_id))
        .where(held.c.role_id == role_id, user.c.active)
    )
    if not tx.scalar(query):
        raise Refused("roles", msg("This is the last active administrator. Make another user an administrator first."))
