"""Users and roles as a company's directory manages them by SCIM: users are Users, roles are Groups.

A change is put together as a whole resource first (`scim_patch`) and then stored in one transaction, so that half a
change never stays. What a directory does is guarded and audited as if a person did it in the console.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

import sqlalchemy as sa

from webapp.access import attributes, models, role_editing, scim_schemas, users
from webapp.access.passwords import generate_password
from webapp.access.scim_errors import ScimError
from webapp.access.scim_filter import Simple
from webapp.access.users import NewUser
from webapp.extensions import Actor, House

Resource = dict[str, Any]
_LONGEST_ID = 200
_COLUMNS = {
    "username": models.user.c.username,
    "externalid": models.access_profile.c.external_id,
    "id": models.user.c.id,
}


def user_resources(
    connection: sa.Connection, wanted: Simple | None = None, user_id: int | None = None
) -> list[Resource]:
    """Return users in the order of their ids.

    Args:
        connection: The database.
        wanted: Only those with a value.
        user_id: Only this one; its row is kept from others until the end of the transaction.
    """
    user, profile = models.user, models.access_profile
    query = (
        sa.select(user, profile.c.external_id)
        .select_from(user.outerjoin(profile, profile.c.user_id == user.c.id))
        .where(profile.c.owner_id.is_(None))  # programs are ours
        .order_by(user.c.id)
    )
    if user_id is not None:
        query = query.where(user.c.id == user_id).with_for_update(of=user)
    if wanted is not None:
        query = query.where(_condition(wanted))
    rows = connection.execute(query).all()
    held = _roles_of(connection, [row.id for row in rows])
    return [_user(row, held.get(row.id, [])) for row in rows]


def can_ask(wanted: Simple) -> bool:
    """Tell whether the database can find users by this filter."""
    return wanted.attribute in _COLUMNS and isinstance(wanted.value, str)


def _condition(wanted: Simple) -> sa.ColumnElement[bool]:
    column: sa.ColumnElement[Any] = _COLUMNS[wanted.attribute]
    if wanted.attribute == "id":
        return column == (int(wanted.value) if wanted.value.isascii() and wanted.value.isdigit() else -1)
    if wanted.attribute == "username":
        return sa.func.lower(column) == wanted.value.lower()
    return column == wanted.value


def _user(row: Any, held: Sequence[tuple[int, str]]) -> Resource:
    first, last = row.first_name or "", row.last_name or ""
    name = users.full_name(first, last)
    made: Resource = {
        "schemas": [scim_schemas.USER], "id": str(row.id), "userName": row.username,
        "name": _given({"givenName": first, "familyName": last}), "displayName": name,
        "emails": [{"value": row.email}], "active": bool(row.active),
        "groups": [{"value": str(n), "display": d} for n, d in held],
    }  # fmt: skip
    if row.external_id:
        made["externalId"] = row.external_id
    return _with_meta("User", made, row.created_on, row.changed_on)


def group_resources(connection: sa.Connection, role_id: int | None = None) -> list[Resource]:
    """Return roles with the users that hold them, in the order of their ids; one role's row is kept from others."""
    role, more, held, user = models.role, models.access_role, models.user_role, models.user
    query = (
        sa.select(role.c.id, role.c.name, more.c.external_id)
        .select_from(role.outerjoin(more, more.c.role_id == role.c.id))
        .where(role.c.name != "Public")
        .order_by(role.c.id)
    )
    if role_id is not None:
        query = query.where(role.c.id == role_id).with_for_update(of=role)
    members = sa.select(held.c.role_id, user.c.id).join(user, user.c.id == held.c.user_id)
    found: dict[int, list[dict[str, str]]] = {}
    rows = connection.execute(query).all()
    wanted = members.where(held.c.role_id.in_([row.id for row in rows])).order_by(user.c.id)
    for number, user_id in connection.execute(wanted):
        found.setdefault(number, []).append({"value": str(user_id)})
    return [_group(row, found.get(row.id, [])) for row in rows]


def _group(row: Any, members: list[dict[str, str]]) -> Resource:
    made: Resource = {
        "schemas": [scim_schemas.GROUP], "id": str(row.id), "displayName": row.name, "members": members,
    }  # fmt: skip
    if row.external_id:
        made["externalId"] = row.external_id
    return _with_meta("Group", made, None, None)


def _with_meta(kind: str, made: Resource, created: datetime | None, changed: datetime | None) -> Resource:
    """Return a resource with its version, which is a digest of all that it says."""
    digest = hashlib.sha256(json.dumps(made, sort_keys=True).encode()).hexdigest()[:24]
    times = {"created": created, "lastModified": changed or created}
    meta = {name: at.replace(tzinfo=UTC).isoformat().replace("+00:00", "Z") for name, at in times.items() if at}
    made["meta"] = {"resourceType": kind, **meta, "version": f'W/"{digest}"'}
    return made


def _given(parts: Mapping[str, str]) -> dict[str, str]:
    return {name: value for name, value in parts.items() if value}


def one(connection: sa.Connection, kind: str, resource_id: str) -> Resource:
    """Return a user or a group; raises `ScimError`."""
    number = int(resource_id) if resource_id.isascii() and resource_id.isdigit() and len(resource_id) < 10 else -1
    found = (
        user_resources(connection, user_id=number) if kind == "User" else group_resources(connection, role_id=number)
    )
    if not found:
        raise ScimError(404, f"There is no {kind.lower()} '{resource_id}'.")
    return found[0]


def create_user(tx: sa.Connection, house: House, given: Resource, actor: Actor) -> str:
    """Add a user, who has a first password that nobody knows; returns the id."""
    new, at = _new_user(given, ()), house.clock()
    users.check(tx, new, None, roles_needed=False)
    user_id = users.insert_user(tx, new, generate_password(), actor, at, must_change=True)
    _store_external_id(tx, models.access_profile, "user_id", user_id, given)
    _take_attributes(tx, house, user_id, given, actor)
    if not _flag(given.get("active"), usual=True):
        users.switch_in(tx, users.get_user(tx, user_id), False, actor, at)  # takes nothing from anybody
    return str(user_id)


def replace_user(tx: sa.Connection, house: House, before: Resource, given: Resource, actor: Actor) -> None:
    """Make a user what a resource says; what it does not say of `active` stays."""
    old, at = users.owned(tx, int(before["id"]), actor), house.clock()
    if str(given.get("userName") or old.username).lower() != old.username.lower():
        raise ScimError(400, f"The user name '{old.username}' cannot be changed.", "mutability")
    new = _new_user({**given, "userName": old.username}, old.roles)
    users.check(tx, new, old, roles_needed=False)
    if (new.first_name, new.last_name, new.email) != (old.first_name, old.last_name, old.email):
        users.update_user_in(tx, old, new, actor, at)
    _store_external_id(tx, models.access_profile, "user_id", old.id, given)
    _take_attributes(tx, house, old.id, given, actor)
    active = _flag(given.get("active"), usual=old.active)
    if active != old.active:
        users.set_active_in(tx, old.id, active, actor, at)


def _take_attributes(tx: sa.Connection, house: House, user_id: int, given: Resource, actor: Actor) -> None:
    """Keep what fills attributes of users, wherever a directory tells it: in the resource or in an extension."""
    extensions = [part for name, part in given.items() if name.lower().startswith("urn:") and isinstance(part, Mapping)]
    claims = {name: value for part in (given, *extensions) for name, value in part.items()}
    found, before = attributes.told(house.settings.user_attributes, claims), attributes.attributes_of(tx, user_id)
    attributes.take_over(tx, user_id, found, actor, house.clock())
    if attributes.attributes_of(tx, user_id) != before:
        users.require_reach(tx, actor, user_id)


def _new_user(given: Resource, roles: tuple[str, ...]) -> NewUser:
    name, emails = given.get("name") or {}, given.get("emails") or []
    username = given.get("userName")
    if not isinstance(username, str) or not isinstance(name, Mapping) or not isinstance(emails, list):
        raise ScimError(400, "A user has a userName, a name with its parts and a list of emails.", "invalidValue")
    addresses = [v for v in emails if isinstance(v, Mapping) and v.get("value")]
    email = next((v["value"] for v in sorted(addresses, key=lambda v: not _flag(v.get("primary"), usual=False))), None)
    first, last = (str(name.get(part) or "").strip() for part in ("givenName", "familyName"))
    if not first:
        first, last = last or str(given.get("displayName") or name.get("formatted") or username)[:64], ""
    if email is None and "@" in username:
        email = username
    return NewUser(username, first, last, str(email or "").strip(), roles)


def _flag(value: Any, *, usual: bool) -> bool:
    """Return a truth value; some directories send it as a text."""
    if value is None:
        return usual
    if isinstance(value, str) and value.lower() in ("true", "false"):
        return value.lower() == "true"
    if not isinstance(value, bool):
        raise ScimError(400, f"'{value}' is neither true nor false.", "invalidValue")
    return value


def create_group(tx: sa.Connection, house: House, given: Resource, actor: Actor) -> str:
    """Add a role that permits nothing yet, with the users that hold it; returns the id."""
    role_id = role_editing.add_empty(tx, _display_name(given), actor, house.clock())
    _store_external_id(tx, models.access_role, "role_id", role_id, given)
    replace_group(tx, house, one(tx, "Group", str(role_id)), given, actor)
    return str(role_id)


def replace_group(tx: sa.Connection, house: House, before: Resource, given: Resource, actor: Actor) -> None:
    """Make a role what a resource says: its name, and the users that hold it."""
    role_id, at = int(before["id"]), house.clock()
    name = _display_name(given)
    if name != before["displayName"]:
        role_editing.rename(tx, role_id, name, actor, at)
    _store_external_id(tx, models.access_role, "role_id", role_id, given)
    wanted = _members(given)
    held = {int(member["value"]) for member in before["members"]}
    known = set(tx.scalars(sa.select(models.user.c.id).where(models.user.c.id.in_(wanted))))
    if wanted - known:
        raise ScimError(400, f"There is no user '{min(wanted - known)}'.", "invalidValue")
    for user_id in sorted(wanted ^ held):
        old = users.get_user(tx, user_id)
        roles = (*old.roles, name) if user_id in wanted else tuple(role for role in old.roles if role != name)
        new = NewUser(old.username, old.first_name, old.last_name, old.email, roles)
        users.update_user_in(tx, old, new, actor, at)


def _members(given: Resource) -> set[int]:
    members = given.get("members") or []
    texts = (
        [str(m.get("value")) if isinstance(m, Mapping) else str(m) for m in members]
        if isinstance(members, list)
        else [""]
    )
    wrong = next((text for text in texts if not (text.isascii() and text.isdigit() and len(text) < 10)), None)
    if wrong is not None:
        raise ScimError(400, f"There is no user '{wrong}'.", "invalidValue")
    return set(map(int, texts))


def _display_name(given: Resource) -> str:
    name = given.get("displayName")
    if not isinstance(name, str) or not name.strip():
        raise ScimError(400, "A group has a displayName.", "invalidValue")
    return name.strip()


def delete_group(tx: sa.Connection, house: House, before: Resource, actor: Actor) -> None:
    """Take a role from all users and remove it."""
    replace_group(tx, house, before, {**before, "members": []}, actor)
    role_editing.delete_role_in(tx, int(before["id"]), actor, house.clock())


def _store_external_id(tx: sa.Connection, table: sa.Table, key: str, number: int, given: Resource) -> None:
    found = given.get("externalId")
    if found is not None and (not isinstance(found, str) or len(found) > _LONGEST_ID):
        raise ScimError(400, f"An externalId is a text of at most {_LONGEST_ID} characters.", "invalidValue")
    tx.execute(sa.update(table).where(table.c[key] == number).values(external_id=found or None))


def _roles_of(connection: sa.Connection, ids: list[int]) -> dict[int, list[tuple[int, str]]]:
    held, role = models.user_role, models.role
    query = (
        sa.select(held.c.user_id, role.c.id, role.c.name)
        .join(role, role.c.id == held.c.role_id)
        .where(held.c.user_id.in_(ids))
        .order_by(role.c.id)
    )
    found: dict[int, list[tuple[int, str]]] = {}
    for user_id, role_id, name in connection.execute(query):
        found.setdefault(user_id, []).append((role_id, name))
    return found
