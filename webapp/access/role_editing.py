"""Roles of one's own: the built-in ones belong to this version and do not change."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Any

import sqlalchemy as sa

from rules.text import N_, msg
from webapp.access import groups, hooks, models, roles
from webapp.access.errors import Missing, Refused
from webapp.access.users import require_permissions
from webapp.approvals import gate
from webapp.approvals.deeds import ROLE, Deed
from webapp.audit.services import Event, Subject, record
from webapp.audit.tags import Tag
from webapp.extensions import Actor, House

Parts = Mapping[str, Mapping[str, Any]]
"""What rooms above keep of a role, by key."""
Pair = tuple[str, str]
"""(room, action), such as ("Rules", "publish")."""

KIND = "role"
"""What documents of roles say they are, and deeds on them."""


@dataclass(frozen=True)
class Role:
    """A role as lists and forms show it."""

    id: int | None = None
    name: str = ""
    description: str = ""
    users: int = 0
    grants: frozenset[Pair] = field(default_factory=frozenset)

    @property
    def built_in(self) -> bool:
        """Tell whether the role comes with this version."""
        return self.name in roles.SEED_NAMES


def list_roles(connection: sa.Connection) -> list[Role]:
    """Return all roles, the built-in ones first."""
    found = [_role(connection, row) for row in connection.execute(_query())]
    order = [seed.name for seed in roles.ROLES]
    return sorted(found, key=lambda role: (order.index(role.name) if role.built_in else len(order), role.name))


def get_role(connection: sa.Connection, role_id: int) -> Role:
    """Return a role; raises `Missing`."""
    row = connection.execute(_query().where(models.role.c.id == role_id)).one_or_none()
    if row is None:
        raise Missing
    return _role(connection, row)


def _query() -> sa.Select[Any]:
    role, more, held = models.role, models.access_role, models.user_role
    users = sa.select(sa.func.count()).where(held.c.role_id == role.c.id).scalar_subquery()
    return sa.select(role.c.id, role.c.name, more.c.description, users.label("users")).select_from(
        role.outerjoin(more, more.c.role_id == role.c.id)
    )


def _role(connection: sa.Connection, row: Any) -> Role:
    pairs = connection.execute(models.granted().where(models.role_permission.c.role_id == row.id))
    grants = frozenset((room, action.removeprefix("can_")) for action, room in pairs)
    return Role(row.id, row.name, row.description or "", row.users, grants)


def save_role(house: House, wanted: Role, actor: Actor) -> int:
    """Add the role, or change it if it has an id; returns the id."""
    with house.db.begin() as tx:
        return save_role_in(tx, wanted, actor, house.clock())


def save_role_in(tx: sa.Connection, wanted: Role, actor: Actor, at: datetime, parts: Parts | None = None) -> int:
    """Do what `save_role` does within the caller's transaction; `parts` None leaves what rooms above keep of it."""
    old = get_role(tx, wanted.id) if wanted.id is not None else None
    _check(tx, wanted, old)
    require_permissions(tx, actor, _permissions(wanted.grants | (old.grants if old else frozenset())))
    before, after = _told(old) if old else None, _told(wanted)
    kept = hooks.parts_of(tx, wanted.id)
    stated = kept if parts is None else {key: value for key, value in parts.items() if value}
    if before != after or stated != kept:
        second_person(tx, old or wanted, wanted, {} if old else {"new": True}, stated)
    role_id = wanted.id if old and wanted.id is not None else roles.add_role(tx, wanted.name, wanted.description)
    _store(tx, role_id, wanted)
    tag = Tag.ROLE_UPDATED if old else Tag.ROLE_CREATED
    if before != after:
        record(tx, actor, at, Event(tag, Subject("role", wanted.name), before=before, after=after))
    for part in hooks.role_parts:
        if stated.get(part.key, {}) != kept.get(part.key, {}):
            part.save(tx, role_id, stated.get(part.key, {}), actor, at)
    return role_id


def add_empty(tx: sa.Connection, name: str, actor: Actor, at: datetime) -> int:
    """Add a role that permits nothing yet, for a company's directory; returns the id."""
    wanted = Role(name=name)
    _check_name(tx, wanted)
    role_id = roles.add_role(tx, name, "")
    record(tx, actor, at, Event(Tag.ROLE_CREATED, Subject("role", name), after=_told(wanted)))
    return role_id


def rename(tx: sa.Connection, role_id: int, name: str, actor: Actor, at: datetime) -> None:
    """Give a role another name."""
    old = get_role(tx, role_id)
    wanted = replace(old, name=name)
    _refuse_built_in(old)
    _check_name(tx, wanted)
    require_permissions(tx, actor, _permissions(old.grants))
    second_person(tx, old, wanted, {"rename": True}, hooks.parts_of(tx, role_id))
    tx.execute(sa.update(models.role).where(models.role.c.id == role_id).values(name=name))
    record(tx, actor, at, Event(Tag.ROLE_UPDATED, Subject("role", name), before=_told(old), after=_told(wanted)))


def delete_role(house: House, role_id: int, actor: Actor) -> str:
    """Remove a role that nobody holds; returns its name."""
    with house.db.begin() as tx:
        return delete_role_in(tx, role_id, actor, house.clock())


def delete_role_in(tx: sa.Connection, role_id: int, actor: Actor, at: datetime) -> str:
    """Do what `delete_role` does within the caller's transaction."""
    old = get_role(tx, role_id)
    _refuse_built_in(old)
    require_permissions(tx, actor, _permissions(old.grants))
    if old.users:
        text = N_("{count} users hold the role '{name}'. Take it from them first.")
        raise Refused("", msg(text, count=old.users, name=old.name))
    if brought := groups.groups_of_role(tx, role_id):
        text = N_("The group '{group}' brings the role '{name}'. Take it from the group first.")
        raise Refused("", msg(text, group=brought[0], name=old.name))
    second_person(tx, old, None, {}, {})
    for table, column in (
        (models.role_permission, "role_id"),
        (models.access_role, "role_id"),
        (models.role, "id"),
    ):
        tx.execute(sa.delete(table).where(table.c[column] == role_id))
    for forget in hooks.role_deleted:
        forget(tx, role_id)
    record(tx, actor, at, Event(Tag.ROLE_DELETED, Subject("role", old.name), before=_told(old)))
    return old.name


def to_document(role: Role) -> dict[str, Any]:
    """Return the document of a role; areas and actions in the order of the console."""
    document: dict[str, Any] = {"kind": KIND, "name": role.name}
    if role.description:
        document["description"] = role.description
    held = {room: [a for a in actions if (room, a) in role.grants] for room, actions in roles.PERMISSIONS.items()}
    return {**document, "permissions": {room: actions for room, actions in held.items() if actions}}


def second_person(tx: sa.Connection, old: Role, wanted: Role | None, detail: dict[str, Any], parts: Parts) -> None:
    """Let the change through if one person may make it, or a second one has approved it; `parts` as they are to be."""
    after = None if wanted is None else {**to_document(wanted), **parts}
    gate.require(tx, Deed(KIND, old.name, (ROLE,), after, detail))


def _check(tx: sa.Connection, wanted: Role, old: Role | None) -> None:
    if old:
        _refuse_built_in(old)
    _check_name(tx, wanted)
    if len(wanted.description) > 500:
        raise Refused("description", msg("Use at most {count} characters.", count=500))
    if not all(action in roles.PERMISSIONS.get(room, ()) for room, action in wanted.grants):
        raise Refused("grants", msg("There is no such permission."))
    if not wanted.grants:
        raise Refused("grants", msg("Tick at least one permission."))


def _check_name(tx: sa.Connection, wanted: Role) -> None:
    if not 2 <= len(wanted.name) <= 64 or wanted.name != wanted.name.strip():
        raise Refused("name", msg("Enter a name of 2 to 64 characters."))
    query = sa.select(models.role.c.id).where(
        sa.func.lower(models.role.c.name) == wanted.name.lower(), models.role.c.id != (wanted.id or 0)
    )
    if tx.scalar(query) is not None or wanted.name.lower() == "public":
        raise Refused("name", msg("There is already a role '{name}'.", name=wanted.name))


def _refuse_built_in(role: Role) -> None:
    if role.built_in:
        raise Refused(
            "", msg("The role '{name}' is built in and does not change. Make a copy and change that.", name=role.name)
        )


def _permissions(grants: frozenset[Pair]) -> list[tuple[str, str]]:
    return [(roles.permission_name(action), room) for room, action in grants]


def _store(tx: sa.Connection, role_id: int, wanted: Role) -> None:
    tx.execute(sa.update(models.role).where(models.role.c.id == role_id).values(name=wanted.name))
    tx.execute(
        sa.update(models.access_role)
        .where(models.access_role.c.role_id == role_id)
        .values(description=wanted.description)
    )
    ids = roles.permission_ids(tx)
    roles.grant(tx, role_id, {ids[(action, room)] for room, action in wanted.grants})


def _told(role: Role) -> dict[str, Any]:
    grants: dict[str, list[str]] = {}
    for room, action in sorted(role.grants):
        grants.setdefault(room, []).append(action)
    return {
        "name": role.name,
        "description": role.description,
        **{f"{room}": actions for room, actions in grants.items()},
    }
