"""What those who say who somebody is have in common: the refusal, the roles of groups, for how long their word counts.

Whom the company has let go, its identity provider lets in no more, but it does not tell us so. What lets a person in
without the provider therefore counts for some days only since it has let them in last.
"""

from __future__ import annotations

from collections.abc import Collection
from datetime import timedelta

import sqlalchemy as sa

from rules.text import Message, msg
from webapp.access import models
from webapp.extensions import House


class NotAdmitted(Exception):
    """Somebody is not let in; `message` says why, for them and for the log."""

    def __init__(self, message: Message) -> None:
        super().__init__(str(message))
        self.message = message


def roles_of(groups: Collection[str], held: tuple[tuple[str, str], ...]) -> tuple[str, ...]:
    """Return the roles that groups hold, by a setting; raises `NotAdmitted` where there are none."""
    found = {role for group, role in held if group == "*" or group in groups}
    if not found:
        raise NotAdmitted(msg("Your groups give you no role here. Ask an administrator."))
    return tuple(sorted(found))


def confirmed(house: House, days: int) -> sa.ColumnElement[bool]:
    """Return the condition for users whom their provider has let in within some days, or who come from none.

    Args:
        house: The house.
        days: How many; 0 for any number.
    """
    table = models.access_identity
    last = sa.select(sa.func.max(table.c.confirmed_at)).where(table.c.user_id == models.user.c.id).scalar_subquery()
    since = house.clock() - timedelta(days=days)
    return sa.or_(last.is_(None), last > since) if days else sa.true()
