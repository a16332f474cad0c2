"""Removing a user, with all that lets one in; the audit log keeps the name."""

from __future__ import annotations

from datetime import datetime

import sqlalchemy as sa

from rules.text import msg
from webapp.access import hooks, leaving, models, owners, users
from webapp.access.errors import Refused
from webapp.access.users import NewUser
from webapp.audit.services import Event, Subject, record
from webapp.audit.tags import Tag
from webapp.extensions import Actor, House
from webapp.vault import services as vault


def delete_user(house: House, user_id: int, actor: Actor) -> str:
    """Remove a user with sessions and keys; the audit log keeps the name. Returns it."""
    with house.db.begin() as tx:
        return delete_user_in(tx, user_id, actor, house.clock())


def delete_user_in(tx: sa.Connection, user_id: int, actor: Actor, at: datetime) -> str:
    """Do what `delete_user` does within the caller's transaction."""
    old = users.owned(tx, user_id, actor)
    if users.own_id(tx, actor) == user_id:
        raise Refused("", msg("You cannot delete yourself. Ask another administrator."))
    leaving.require_deleting(tx, old.username, actor)
    for table, column in (
        (models.access_session, "user_id"),
        (models.access_recovery, "user_id"),
        (models.access_passkey, "user_id"),
        (models.access_identity, "user_id"),
        (models.access_key, "user_id"),
        (models.access_profile, "user_id"),
        (models.user_role, "user_id"),
        (models.group_user, "user_id"),
        (models.user, "id"),
    ):
        tx.execute(sa.delete(table).where(table.c[column] == user_id))
    owners.orphan(tx, user_id, actor, at)
    vault.forget(tx, vault.Owner("user", old.username), actor, at)
    for forget in hooks.deleted:
        forget(tx, old.username)
    users.require_administrator(tx)
    before = users.told(NewUser(old.username, old.first_name, old.last_name, old.email, old.roles))
    record(tx, actor, at, Event(Tag.USER_DELETED, Subject("user", old.username), before=before))
    return old.username
