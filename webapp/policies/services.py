"""Policies of roles: read, saved and audited; and the rights that come of them."""

from __future__ import annotations

import json
import re
import secrets
from collections.abc import Collection, Mapping, Sequence
from dataclasses import replace
from datetime import datetime
from functools import cache, lru_cache, partial
from typing import Any

import sqlalchemy as sa
from flask import g, has_request_context

from rules.text import N_, msg
from webapp.access import hooks as access_hooks
from webapp.access import models as access
from webapp.access import role_editing, roles, users
from webapp.access.errors import Refused
from webapp.access.role_editing import Role
from webapp.access.users import require_permissions
from webapp.approvals.deeds import Order
from webapp.audit.services import Event, Subject, record
from webapp.audit.tags import Tag
from webapp.extensions import Actor, House
from webapp.policies import approving, documents, hooks
from webapp.policies.documents import Policy
from webapp.policies.grants import Rooms, grant, of_rooms
from webapp.policies.models import policy, policy_key
from webapp.policies.objects import ACTIONS, DataObject, PolicyField
from webapp.policies.rights import Rights
from webapp.policies.schema import policy_schema
from webapp.policies.seeds import SEEDS
from webapp.policies.who import SYSTEM_WHO, Who, current_who, known, who_of
from webapp.web.request import house

_OF_USERS = re.compile(r"\buser\s*\.\s*(\w+)")
PART = "policy"
"""What documents of roles call the policy."""


def rights_of(tx: sa.Connection, who: Who, data: DataObject, fields: Sequence[PolicyField]) -> Rights:
    """Return what a user may see and do with the records of a data object."""
    if who.system:
        return Rights(who, data, tuple(fields), ())
    said = tuple(grant(who, role, data, fields) for role in _said(tx, who.roles))
    limit = None if who.limit is None else rights_of(tx, who.limit, data, fields)
    found = Rights(who, data, tuple(fields), said, limit=limit)
    return replace(found, key=mask_key(tx)) if found.masked else found


def rights(data: DataObject, fields: Sequence[PolicyField]) -> Rights:
    """Return the rights of who makes this request; worked out once a request."""
    who = current_who()
    if who.system or not has_request_context():
        return Rights(SYSTEM_WHO, data, tuple(fields), ())
    kept: dict[Any, Rights] = g.setdefault("policy_rights", {})
    asked = (id(who), data, tuple(fields))
    if asked not in kept:
        with house().db.read() as tx:
            kept[asked] = rights_of(tx, who, data, fields)
    return kept[asked]


def _said(tx: sa.Connection, names: tuple[str, ...]) -> list[tuple[str, Rooms, Policy]]:
    """Return what roles say, read once a request however many objects are asked about."""
    if not has_request_context():
        return roles_said(tx, names)
    kept: dict[tuple[str, ...], list[tuple[str, Rooms, Policy]]] = g.setdefault("policy_said", {})
    if names not in kept:
        kept[names] = roles_said(tx, names)
    return kept[names]


def roles_said(tx: sa.Connection, names: Sequence[str]) -> list[tuple[str, Rooms, Policy]]:
    """Return name, permissions for rooms and policy of roles."""
    roles_, granted_, policies = _queries()
    rows = tx.execute(roles_, {"names": list(names)}).all()
    ids: dict[str, Any] = {"ids": [row.id for row in rows]}
    granted: dict[int, set[tuple[str, str]]] = {}
    for action, room, role_id in tx.execute(granted_, ids):
        granted.setdefault(role_id, set()).add((room, action.removeprefix("can_")))
    stored = dict(tx.execute(policies, ids).all())
    return [
        (row.name, frozenset(granted.get(row.id, ())), _built(json.dumps(_stated(row.name, stored.get(row.id)))))
        for row in rows
    ]


@cache
def _queries() -> tuple[sa.Select[Any, Any], sa.Select[Any, Any, Any], sa.Select[Any, Any]]:
    """Return what asks for roles by `names`, and for permissions and policies of roles by `ids`."""
    role = access.role
    ids: sa.BindParameter[Any] = sa.bindparam("ids", expanding=True)
    named = sa.select(role.c.id, role.c.name).where(role.c.name.in_(sa.bindparam("names", expanding=True)))
    granted = access.granted().add_columns(access.role_permission.c.role_id)
    return (
        named.order_by(role.c.name),
        granted.where(access.role_permission.c.role_id.in_(ids)),
        sa.select(policy.c.role_id, policy.c.document).where(policy.c.role_id.in_(ids)),
    )


def _stated(role: str, stored: Mapping[str, Any] | None) -> Mapping[str, Any]:
    return SEEDS.get(role, {}) if role in roles.SEED_NAMES else stored or {}


@lru_cache(maxsize=500)
def _built(text: str) -> Policy:
    return documents.build(json.loads(text))


def policy_of(tx: sa.Connection, role_id: int) -> Policy:
    """Return the policy of a role; raises `Missing`."""
    return documents.build(document_of(tx, role_id))


def document_of(tx: sa.Connection, role_id: int) -> dict[str, Any]:
    """Return the policy of a role as a document, empty where there is none; raises `Missing`."""
    name = role_editing.get_role(tx, role_id).name
    stored = tx.scalar(sa.select(policy.c.document).where(policy.c.role_id == role_id))
    return dict(_stated(name, stored))


def set_policy(house: House, role_id: int, document: Mapping[str, Any], actor: Actor) -> None:
    """Give a role a policy; raises `Missing`, `Refused` and `DocumentError`."""
    with house.db.begin() as tx:
        set_policy_in(tx, role_id, document, actor, house.clock())


def set_policy_in(tx: sa.Connection, role_id: int, document: Mapping[str, Any], actor: Actor, at: datetime) -> None:
    """Do what `set_policy` does within the caller's transaction."""
    role, before, wanted = _checked(tx, role_id, document, actor)
    if before != wanted:
        approving.require(tx, role.name, wanted)
        _write(tx, role, (before, wanted), actor, at)


def _save_part(tx: sa.Connection, role_id: int, document: Mapping[str, Any], actor: Actor, at: datetime) -> None:
    """Give a role the policy of its document, for which a second person has been asked as for the whole of it."""
    role, before, wanted = _checked(tx, role_id, document, actor)
    if before != wanted:
        _write(tx, role, (before, wanted), actor, at)


def _checked(
    tx: sa.Connection, role_id: int, document: Mapping[str, Any], actor: Actor
) -> tuple[Role, dict[str, Any], dict[str, Any]]:
    """Return the role, its policy as it is and as it is to be."""
    role = role_editing.get_role(tx, role_id)
    if role.built_in:
        text = N_("The role '{name}' is built in and does not change. Make a copy and change that.")
        raise Refused("", msg(text, name=role.name))
    require_permissions(tx, actor, [(roles.permission_name(action), room) for room, action in role.grants])
    _refuse_restricted(tx, actor)
    wanted = documents.to_document(documents.parse(document, partial(hooks.known_fields, tx)))
    return role, document_of(tx, role_id), wanted


def _write(
    tx: sa.Connection, role: Role, change: tuple[dict[str, Any], dict[str, Any]], actor: Actor, at: datetime
) -> None:
    before, wanted = change
    if has_request_context():
        g.pop("policy_said", None)
        g.pop("policy_rights", None)
    tx.execute(sa.delete(policy).where(policy.c.role_id == role.id))
    if wanted:
        values = {"document": wanted, "changed_at": at, "changed_by": actor.name}
        tx.execute(sa.insert(policy).values(role_id=role.id, **values))
    mask_key(tx, make=True)
    subject = Subject("role", role.name)
    record(tx, actor, at, Event(Tag.POLICY_SET, subject, before={"policy": before}, after={"policy": wanted}))


def _refuse_restricted(tx: sa.Connection, actor: Actor) -> None:
    own = users.own_id(tx, actor)
    if own is not None and restricted(tx, own):
        text = N_("You see only a part of the data, so you cannot say what others see. Ask an administrator.")
        raise Refused("", msg(text))


def restricted(tx: sa.Connection, user_id: int) -> bool:
    """Tell whether policies keep something from a user: then nobody may be given more by that user."""
    said = roles_said(tx, who_of(tx, user_id).roles)
    free = all(stated.empty for _, _, stated in said) or any(_whole(rooms, stated) for _, rooms, stated in said)
    return not said or not free or any(_denies(stated) for _, _, stated in said)


def _whole(rooms: Rooms, stated: Policy) -> bool:
    """Tell whether a role permits everything on all records, whatever other roles leave out."""
    anything = (DataObject.entity(""), DataObject.external("", ""))
    return stated.empty and all(of_rooms(rooms, data) == {*ACTIONS} for data in anything)


def _denies(stated: Policy) -> bool:
    lines = stated.data
    return any(line.deny or line.deny_rows or any(level.denied for level in line.levels) for line in lines)


def _refuse_to_give(tx: sa.Connection, user_id: int, names: Collection[str]) -> None:
    """Refuse who sees only a part of the data to give roles that show more: those that the user does not hold."""
    beyond = sorted({*names} - {*who_of(tx, user_id).roles})
    if beyond and restricted(tx, user_id):
        text = N_("You see only a part of the data, so you can give only roles that you hold, and not '{name}'.")
        raise Refused("roles", msg(text, name=beyond[0]))


def _refuse_to_reach(tx: sa.Connection, user_id: int, other_id: int) -> None:
    """Refuse who sees only a part of the data what would let somebody, be it oneself, see more or others of it."""
    if not restricted(tx, user_id):
        return
    if user_id == other_id:
        text = N_("You see only a part of the data, so you cannot change who you are and what you hold yourself.")
        raise Refused("", msg(text))
    mine, theirs = known(tx, user_id), known(tx, other_id)
    kept = {name for name, _, stated in roles_said(tx, mine.roles) if _denies(stated)}
    asked = {name for _, _, stated in roles_said(tx, theirs.roles) for name in _asked(stated)}
    if theirs.roles and (kept - {*theirs.roles} or any(_differs(mine, theirs, name) for name in asked)):
        text = N_(
            "You see only a part of the data, and {name} may see more of it, or another one. Ask an administrator."
        )
        raise Refused("", msg(text, name=theirs.username))


def _asked(stated: Policy) -> set[str]:
    """Return what of users the conditions of a policy ask."""
    return {name for line in stated.data for text in (line.rows, line.deny_rows) for name in _OF_USERS.findall(text)}


def _differs(mine: Who, theirs: Who, name: str) -> bool:
    """Tell whether a condition may choose other records for another user; what is not known there chooses none."""
    value = theirs.listed(name)
    return value is not None and {*value} != {*(mine.listed(name) or ())}


def mask_key(tx: sa.Connection, *, make: bool = False) -> bytes:
    """Return the key of the signs that stand for masked values; the first policy makes one."""
    found = tx.scalar(sa.select(policy_key.c.key).where(policy_key.c.id == 1))
    if found is None and make:
        found = secrets.token_bytes(32)
        tx.execute(sa.insert(policy_key).values(id=1, key=found))
    return bytes(found or b"")


def _forget(tx: sa.Connection, role_id: int) -> None:
    tx.execute(sa.delete(policy).where(policy.c.role_id == role_id))


access_hooks.role_deleted.append(_forget)
access_hooks.role_parts.append(access_hooks.RolePart(PART, policy_schema, document_of, _save_part, approving.shown))
access_hooks.giving.append(_refuse_to_give)
access_hooks.reaching.append(_refuse_to_reach)


def _approved(order: Order, role_id: int, document: Mapping[str, Any]) -> None:
    """Set a policy that a second person has approved."""
    set_policy_in(order.tx, role_id, document, order.actor, order.house.clock())


approving.offer(document_of, _approved)
