"""Groups are made, changed and deleted: nobody brings others into more than they hold themselves."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Any

import sqlalchemy as sa

from rules.text import msg
from webapp.access import models
from webapp.access.errors import Missing, Refused
from webapp.access.users import require_reach, require_rights
from webapp.approvals import gate
from webapp.approvals.deeds import MEMBERSHIP, ROLE, Deed
from webapp.audit.services import Event, Subject, record
from webapp.audit.tags import Tag
from webapp.extensions import Actor, House

KIND = "group"
MAX_NAME, MAX_DESCRIPTION = 100, 500


@dataclass(frozen=True)
class Group:
    """A group as lists and forms show it; `roles` and `members` are names."""

    id: int | None = None
    name: str = ""
    description: str = ""
    roles: tuple[str, ...] = ()
    members: tuple[str, ...] = ()


def list_groups(tx: sa.Connection) -> list[Group]:
    """Return all groups by name."""
    return _groups(tx, sa.true())


def get_group(tx: sa.Connection, group_id: int) -> Group:
    """Return a group; raises `Missing`."""
    found = _groups(tx, models.group.c.id == group_id)
    if not found:
        raise Missing
    return found[0]


def save_group(house: House, wanted: Group, actor: Actor) -> int:
    """Add the group, or change it if it has an id; returns the id. Raises `Missing` and `Refused`."""
    with house.db.begin() as tx:
        return save_group_in(tx, wanted, actor, house.clock())


def save_group_in(tx: sa.Connection, wanted: Group, actor: Actor, at: datetime) -> int:
    """Do what `save_group` does within the caller's transaction."""
    old = Group() if wanted.id is None else get_group(tx, wanted.id)
    _check(tx, wanted)
    # who comes in gets all of its roles, and who is in gets or loses those that change
    require_rights(tx, actor, {*wanted.roles, *old.roles})
    switches: tuple[str, ...] = (ROLE,) if {*wanted.roles} != {*old.roles} else ()
    if _given(wanted) != _given(old):
        switches += (MEMBERSHIP,)
    gate.require(tx, Deed(KIND, old.name or wanted.name, switches, to_document(wanted)))
    values = {"name": wanted.name, "label": wanted.name, "description": wanted.description}
    if wanted.id is None:
        key = tx.execute(sa.insert(models.group).values(**values)).inserted_primary_key
        group_id = int(key[0]) if key else 0
    else:
        group_id = wanted.id
        tx.execute(sa.update(models.group).where(models.group.c.id == group_id).values(**values))
    _link(tx, group_id, wanted)
    same = {*wanted.roles} == {*old.roles}
    _require_reach(tx, actor, {*wanted.members} ^ {*old.members} if same else {*wanted.members, *old.members})
    before, after = (None if wanted.id is None else to_document(old)), to_document(get_group(tx, group_id))
    if before != after:
        tag = Tag.GROUP_CREATED if wanted.id is None else Tag.GROUP_UPDATED
        record(tx, actor, at, Event(tag, Subject("group", wanted.name), before=before, after=after))
    return group_id


def delete_group(house: House, group_id: int, actor: Actor) -> str:
    """Remove a group; its members lose what it brought. Returns its name."""
    with house.db.begin() as tx:
        return delete_group_in(tx, group_id, actor, house.clock())


def delete_group_in(tx: sa.Connection, group_id: int, actor: Actor, at: datetime) -> str:
    """Do what `delete_group` does within the caller's transaction."""
    old = get_group(tx, group_id)
    require_rights(tx, actor, old.roles)
    if old.roles:
        gate.require(tx, Deed(KIND, old.name, (ROLE, MEMBERSHIP) if old.members else (ROLE,), None))
    for table, column in ((models.group_user, "group_id"), (models.group_role, "group_id"), (models.group, "id")):
        tx.execute(sa.delete(table).where(table.c[column] == group_id))
    _require_reach(tx, actor, {*old.members} if old.roles else set())
    record(tx, actor, at, Event(Tag.GROUP_DELETED, Subject("group", old.name), before=to_document(old)))
    return old.name


def _given(group: Group) -> set[tuple[str, str]]:
    """Return which members a group gives which roles."""
    return {(member, role) for member in group.members for role in group.roles}


def _require_reach(tx: sa.Connection, actor: Actor, names: set[str]) -> None:
    """Refuse what gives members more than the actor holds, be it by what they lose."""
    user = models.user
    for user_id in tx.scalars(sa.select(user.c.id).where(user.c.username.in_(names)).order_by(user.c.id)).all():
        require_reach(tx, actor, user_id)


def _groups(tx: sa.Connection, wanted: sa.ColumnElement[bool]) -> list[Group]:
    group, given, member = models.group, models.group_role, models.group_user
    rows = tx.execute(sa.select(group).where(wanted).order_by(group.c.name)).all()
    ids = [row.id for row in rows]
    roles = _names(tx, given.c.group_id, models.role.c.name, given.c.role_id == models.role.c.id, ids)
    members = _names(tx, member.c.group_id, models.user.c.username, member.c.user_id == models.user.c.id, ids)
    return [Group(row.id, row.name, row.description or "", roles[row.id], members[row.id]) for row in rows]


def _names(
    tx: sa.Connection, of: sa.Column[int], name: sa.Column[str], joined: sa.ColumnElement[bool], ids: list[int]
) -> dict[int, tuple[str, ...]]:
    """Return the sorted names of what belongs to each of some groups."""
    found: dict[int, list[str]] = {number: [] for number in ids}
    for number, text in tx.execute(sa.select(of, name).join_from(of.table, name.table, joined).where(of.in_(ids))):
        found[number].append(text)
    return {number: tuple(sorted(names)) for number, names in found.items()}


def _check(tx: sa.Connection, wanted: Group) -> None:
    if not 2 <= len(wanted.name) <= MAX_NAME or wanted.name != wanted.name.strip():
        raise Refused("name", msg("Enter a name of 2 to {count} characters.", count=MAX_NAME))
    if len(wanted.description) > MAX_DESCRIPTION:
        raise Refused("description", msg("Use at most {count} characters.", count=MAX_DESCRIPTION))
    group = models.group
    same = sa.select(group.c.id).where(sa.func.lower(group.c.name) == wanted.name.lower())
    if tx.scalar(same.where(group.c.id != (wanted.id or 0))) is not None:
        raise Refused("name", msg("There is already a group '{name}'.", name=wanted.name))
    for field, names, column in (
        ("roles", wanted.roles, models.role.c.name),
        ("members", wanted.members, models.user.c.username),
    ):
        known = set(tx.scalars(sa.select(column).where(column.in_(names))))
        if unknown := sorted({*names} - known):
            raise Refused(field, msg("There is no '{name}'.", name=unknown[0]))


def _link(tx: sa.Connection, group_id: int, wanted: Group) -> None:
    """Write which roles a group brings and who is in it."""
    for table, column, known, names in (
        (models.group_role, "role_id", models.role.c, wanted.roles),
        (models.group_user, "user_id", models.user.c, wanted.members),
    ):
        name = known.name if column == "role_id" else known.username
        tx.execute(sa.delete(table).where(table.c.group_id == group_id))
        ids = tx.scalars(sa.select(known.id).where(name.in_(names)).order_by(known.id)).all()
        for number in ids:
            tx.execute(sa.insert(table).values({"group_id": group_id, column: number}))


def to_document(group: Group) -> dict[str, Any]:
    """Return a group as a document."""
    told = {"name": group.name, "description": group.description}
    return {**told, "roles": sorted({*group.roles}), "members": sorted({*group.members})}
