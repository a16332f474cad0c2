"""Who answers for which service account."""

from __future__ import annotations

from datetime import datetime

import sqlalchemy as sa

from webapp.access import models
from webapp.audit.services import Event, Subject, record
from webapp.audit.tags import Tag
from webapp.extensions import Actor


def is_service_account(tx: sa.Connection, user_id: int) -> bool:
    """Tell whether a user is a program, for which a person answers."""
    profile = models.access_profile
    return tx.scalar(sa.select(profile.c.owner_id).where(profile.c.user_id == user_id)) is not None


def orphan(tx: sa.Connection, user_id: int, actor: Actor, at: datetime) -> None:
    """Disable the service accounts of a user who goes; the next owner enables them."""
    profile, user = models.access_profile, models.user
    mine = sa.select(user.c.id, user.c.username).join(profile, profile.c.user_id == user.c.id)
    for row in tx.execute(mine.where(profile.c.owner_id == user_id, user.c.active)).all():
        tx.execute(sa.update(user).where(user.c.id == row.id).values(active=False))
        told = Event(Tag.USER_UPDATED, Subject("user", row.username), before={"active": True}, after={"active": False})
        record(tx, actor, at, told)
