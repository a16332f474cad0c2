"""Groups of users: whoever is in a group has its roles. Flask-AppBuilder's tables hold them."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache

import sqlalchemy as sa

from webapp.access import models


def names_of(tx: sa.Connection, user_id: int) -> tuple[str, ...]:
    """Return the names of the groups that a user is in."""
    return tuple(tx.scalars(_names(), {"user_id": user_id}))


@cache
def _names() -> sa.Select[str]:
    group, member = models.group, models.group_user
    query = sa.select(group.c.name).join(member, member.c.group_id == group.c.id)
    return query.where(member.c.user_id == sa.bindparam("user_id")).order_by(group.c.name)


@cache
def _direct() -> sa.Select[str]:
    role, held = models.role, models.user_role
    query = sa.select(role.c.name).join(held, held.c.role_id == role.c.id)
    return query.where(held.c.user_id == sa.bindparam("user_id")).order_by(role.c.name)


@cache
def _brought() -> sa.Select[str, str]:
    role, group, member, given = models.role, models.group, models.group_user, models.group_role
    source = member.join(group, group.c.id == member.c.group_id).join(given, given.c.group_id == group.c.id)
    pairs = sa.select(role.c.name, group.c.name).select_from(source.join(role, role.c.id == given.c.role_id))
    return pairs.where(member.c.user_id == sa.bindparam("user_id")).order_by(group.c.name)


def roles_of(tx: sa.Connection, user_id: int) -> tuple[tuple[str, ...], Mapping[str, tuple[str, ...]]]:
    """Return the roles that a user holds, and those that groups bring, with the groups that do."""
    direct = tuple(tx.scalars(_direct(), {"user_id": user_id}))
    brought: dict[str, tuple[str, ...]] = {}
    for role_name, group_name in tx.execute(_brought(), {"user_id": user_id}):
        brought[role_name] = (*brought.get(role_name, ()), group_name)
    return direct, brought


def groups_of_role(tx: sa.Connection, role_id: int) -> tuple[str, ...]:
    """Return the names of the groups that bring a role."""
    group, given = models.group, models.group_role
    query = sa.select(group.c.name).join(given, given.c.group_id == group.c.id).where(given.c.role_id == role_id)
    return tuple(tx.scalars(query.order_by(group.c.name)))


def role_ids_of(user_id: int | sa.BindParameter[int]) -> sa.CompoundSelect[tuple[int]]:
    """Return the query for the ids of a user's roles, held or brought by groups."""
    held, member, given = models.user_role, models.group_user, models.group_role
    direct = sa.select(held.c.role_id).where(held.c.user_id == user_id)
    brought = sa.select(given.c.role_id).join(member, member.c.group_id == given.c.group_id)
    return direct.union(brought.where(member.c.user_id == user_id))
