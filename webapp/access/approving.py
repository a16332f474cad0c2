"""What the approvals ask of users, and how a change of a role is approved by a second person."""

from __future__ import annotations

from collections.abc import Collection
from datetime import datetime
from typing import Any

import sqlalchemy as sa

from rules.text import N_, Message, msg
from webapp.access import (
    group_editing,
    key_hands,
    labels,
    leaving,
    memberships,
    models,
    removal,
    role_documents,
    role_editing,
    services,
    users,
)
from webapp.access import hooks as own_hooks
from webapp.access.errors import Missing, Refused
from webapp.access.group_editing import Group
from webapp.approvals import hooks, settings
from webapp.approvals.deeds import Applier, Document, Order, Shown, plain_difference, register
from webapp.approvals.hooks import Pair, Person
from webapp.extensions import Actor, House


class Directory:
    """The users as the approvals ask for them."""

    def acting(self, tx: sa.Connection, actor: Actor) -> Person | None:
        """Return the user who acts, also by a key."""
        user_id = users.own_id(tx, actor)
        if user_id is None:
            return None
        row = tx.execute(models.users().where(models.user.c.id == user_id)).one_or_none()
        return None if row is None else _person(tx, row)

    def holders(self, tx: sa.Connection, wanted: Collection[Pair]) -> list[Person]:
        """Return the active people who hold all of the wanted permissions, directly or by a group."""
        ids = None
        for pair in wanted:
            found = set(tx.scalars(_holders(pair)))
            ids = found if ids is None else ids & found
        query = models.users().where(models.user.c.id.in_(ids or ()), models.user.c.active)
        rows = tx.execute(query.order_by(models.user.c.username)).all()
        return [_person(tx, row) for row in rows if row.owner_id is None]

    def key_hands(self, tx: sa.Connection, key: Actor, since: datetime) -> set[str]:
        """Return the names of the users who have had a key in hand, in small letters."""
        return key_hands.of(tx, key, since)


def _person(tx: sa.Connection, row: Any) -> Person:
    held = frozenset((action.removeprefix("can_"), room) for action, room in services.permissions_of(tx, row.id))
    return Person(row.id, row.username, bool(row.active), held, row.owner_id)


def _holders(pair: Pair) -> sa.CompoundSelect[Any]:
    """Return the query for the ids of the users who hold a permission."""
    action, room = pair
    granted, view, permission = models.permission_view, models.view, models.permission
    wanted = sa.select(granted.c.id).join(view, view.c.id == granted.c.view_menu_id)
    wanted = wanted.join(permission, permission.c.id == granted.c.permission_id)
    wanted = wanted.where(permission.c.name == f"can_{action}", view.c.name == room)
    role = models.role_permission
    roles = sa.select(role.c.role_id).where(role.c.permission_view_id.in_(wanted))
    group, member, held = models.group_role, models.group_user, models.user_role
    groups = sa.select(group.c.group_id).where(group.c.role_id.in_(roles))
    return sa.union(
        sa.select(held.c.user_id).where(held.c.role_id.in_(roles)),
        sa.select(member.c.user_id).where(member.c.group_id.in_(groups)),
    )


def _read(tx: sa.Connection, name: str) -> Document | None:
    tx.execute(sa.select(models.role.c.id).where(models.role.c.name == name).with_for_update())
    return role_documents.read(tx, name)


def _apply(order: Order) -> None:
    at = order.house.clock()
    if order.after is None:
        role_documents.remove(order.tx, order.subject, order.actor, at)
        return
    if order.detail.get("rename"):
        role = next((one for one in role_editing.list_roles(order.tx) if one.name == order.subject), None)
        if role is None or role.id is None:
            raise Missing
        role_editing.rename(order.tx, role.id, str(order.after["name"]), order.actor, at)
        return
    role_documents.save(order.tx, order.after, order.actor, at, called=order.subject)


def _shown(before: Document, after: Document) -> Shown:
    rooms = {room: label for room, (label, _meaning) in labels.rooms().items()}
    names = {"name": N_("Name"), "description": N_("What it is for"), **rooms}
    sides = tuple(_flat(side) for side in (before, after))
    changed = [name for name in {**sides[0], **sides[1]} if sides[0].get(name) != sides[1].get(name)]
    old, new = ({name: side[name] for name in changed if name in side} for side in sides)
    for part in own_hooks.role_parts:
        was, will = part.shown(before.get(part.key, {}), after.get(part.key, {}))
        old, new = {**old, **was}, {**new, **will}
    return Shown(old, new, names)


def _flat(document: Document) -> dict[str, Any]:
    words = labels.actions()
    rooms = {room: [words.get(a, a) for a in actions] for room, actions in document.get("permissions", {}).items()}
    apart = {"kind", "permissions", *(part.key for part in own_hooks.role_parts)}
    return {**{key: value for key, value in document.items() if key not in apart}, **rooms}


def _title(subject: str, after: Document | None, detail: Document) -> Message:
    if after is None:
        return msg("Delete the role {name}", name=subject)
    if detail.get("new"):
        return msg("Add the role {name}", name=subject)
    return msg("Change the role {name}", name=subject)


def _url(_subject: str) -> str:
    return "/roles/"


def _group(tx: sa.Connection, name: str) -> Group | None:
    tx.execute(sa.select(models.group.c.id).where(models.group.c.name == name).with_for_update())
    return next((one for one in group_editing.list_groups(tx) if one.name == name), None)


def _read_group(tx: sa.Connection, name: str) -> Document | None:
    found = _group(tx, name)
    return None if found is None else group_editing.to_document(found)


def _apply_group(order: Order) -> None:
    found, at = _group(order.tx, order.subject), order.house.clock()
    number = None if found is None else found.id
    if order.after is None:
        group_editing.delete_group_in(order.tx, number or 0, order.actor, at)
        return
    names = {key: tuple(order.after[key]) for key in ("roles", "members")}
    wanted = Group(number, order.after["name"], order.after["description"], **names)
    group_editing.save_group_in(order.tx, wanted, order.actor, at)


def _group_title(subject: str, after: Document | None, _detail: Document) -> Message:
    text = N_("Delete the group {name}") if after is None else N_("Change the roles of the group {name}")
    return msg(text, name=subject)


def _read_roles(tx: sa.Connection, username: str) -> Document | None:
    user = models.user
    number = tx.scalar(sa.select(user.c.id).where(user.c.username == username).with_for_update())
    if number is None:
        return None
    return {"username": username, "roles": sorted(users.get_user(tx, number).roles)}


def _apply_roles(order: Order) -> None:
    number = order.tx.scalar(sa.select(models.user.c.id).where(models.user.c.username == order.subject))
    if number is None or order.after is None:
        raise Missing
    old = users.get_user(order.tx, number)
    new = users.NewUser(old.username, old.first_name, old.last_name, old.email, tuple(order.after["roles"]))
    users.update_user_in(order.tx, old, new, order.actor, order.house.clock())


def _roles_title(subject: str, _after: Document | None, _detail: Document) -> Message:
    return msg("Change the roles of {name}", name=subject)


def _read_user(tx: sa.Connection, username: str) -> Document | None:
    query = sa.select(models.user.c.id, models.user.c.active).where(models.user.c.username == username)
    row = tx.execute(query.with_for_update()).one_or_none()
    return None if row is None else leaving.document(username, row.id, active=bool(row.active))


def _apply_leaving(order: Order) -> None:
    found = _read_user(order.tx, order.subject)
    if found is None:
        raise Missing
    if order.after is None:
        removal.delete_user_in(order.tx, found["number"], order.actor, order.house.clock())
    else:
        users.set_active_in(order.tx, found["number"], False, order.actor, order.house.clock())


def _shown_leaving(before: Document, after: Document) -> Shown:
    names = {"username": N_("User name"), "number": N_("Number"), "active": N_("Active")}
    plain = plain_difference(before, after)
    return Shown(plain.before, plain.after, names)


def _leaving_title(subject: str, after: Document | None, _detail: Document) -> Message:
    text = N_("Delete the user {name}") if after is None else N_("Disable the user {name}")
    return msg(text, name=subject)


def prepare(house: House) -> None:
    """Tell the approvals of this process who people are and what kind of installation this is."""
    if not hooks.people:
        hooks.people.append(Directory())
    settings.profiles[house.db.engine.url] = house.settings.profile


register(
    Applier(
        role_editing.KIND, N_("Role"), ("update", "Roles"), _read, _apply, _title, _url,
        refusals=(Refused, Missing), shown=_shown,
    )
)  # fmt: skip
register(
    Applier(
        group_editing.KIND, N_("Group"), ("update", "Users"), _read_group, _apply_group, _group_title,
        lambda _name: "/groups/", refusals=(Refused, Missing),
    )
)  # fmt: skip
register(
    Applier(
        memberships.KIND, N_("Roles of a user"), ("update", "Users"), _read_roles, _apply_roles, _roles_title,
        lambda _name: "/users/", refusals=(Refused, Missing),
    )
)  # fmt: skip
for _kind, _label, _action in (
    (leaving.DISABLE, N_("Disabling a user"), "update"),
    (leaving.DELETE, N_("Deleting a user"), "delete"),
):
    register(
        Applier(
            _kind, _label, (_action, "Users"), _read_user, _apply_leaving, _leaving_title, lambda _name: "/users/",
            refusals=(Refused, Missing), shown=_shown_leaving,
        )
    )  # fmt: skip
