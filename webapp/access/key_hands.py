"""In whose hands an API key has been: who holds the key of a service account can do whatever the account does."""

from __future__ import annotations

import re
from datetime import datetime

import sqlalchemy as sa

from webapp.access import models
from webapp.access.keys import KEPT_OF_A_NAME
from webapp.audit.models import audit_event
from webapp.audit.tags import Tag
from webapp.extensions import Actor

_ASIDE = re.compile(r"( \(\d+\))+$")
"""What stands behind the name of a key that was replaced."""


def of(tx: sa.Connection, key: Actor, since: datetime) -> set[str]:
    """Return the names of the users who have had a key in hand: whose it is, and who has made or replaced it.

    For the key of a service account these are also its owner, and who has said since a time who that is.
    """
    user, profile, owner = models.user, models.access_profile, models.user.alias("owner")
    query = (
        sa.select(user.c.username, owner.c.username.label("owner"))
        .select_from(models.access_key.join(user, user.c.id == models.access_key.c.user_id))
        .outerjoin(profile, profile.c.user_id == user.c.id)
        .outerjoin(owner, owner.c.id == profile.c.owner_id)
        .where(models.access_key.c.id == int(key.id or 0))
    )
    row = tx.execute(query).one_or_none()
    found = _makers(tx, key.name)
    if row is not None:
        found |= {row.username, *filter(None, [row.owner])} | _setters(tx, row.username, since)
    return {name.lower() for name in found}


def _makers(tx: sa.Connection, name: str) -> set[str]:
    event, plain = audit_event.c, _ASIDE.sub("", name)
    named: sa.ColumnElement[bool] = event.subject.in_([name, plain])
    if len(plain) == KEPT_OF_A_NAME:  # it was longer, perhaps
        named = sa.or_(named, event.subject.startswith(plain, autoescape=True))
    tags = event.tag.in_([Tag.KEY_CREATED.value, Tag.KEY_ROTATED.value])
    query = sa.select(event.actor_name).where(tags, event.subject_kind == "key", event.actor_kind == "user", named)
    return set(tx.scalars(query))


def _setters(tx: sa.Connection, account: str, since: datetime) -> set[str]:
    event = audit_event.c
    about = (event.tag == Tag.SERVICE_ACCOUNT_SET.value, event.subject_kind == "user", event.subject == account)
    return set(tx.scalars(sa.select(event.actor_name).where(*about, event.actor_kind == "user", event.at >= since)))
