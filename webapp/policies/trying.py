"""What a line that is not saved yet would let somebody see: counted over the records that there are."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import sqlalchemy as sa

from webapp.access import models
from webapp.access.role_editing import Role
from webapp.policies import catalogue
from webapp.policies.catalogue import Counted
from webapp.policies.documents import Line, Policy
from webapp.policies.grants import grant
from webapp.policies.objects import DataObject, PolicyField
from webapp.policies.rights import Rights
from webapp.policies.who import Who, current_who, who_of

_FEW = 5


@dataclass(frozen=True)
class Tried:
    """How many records a user would see by the line alone."""

    username: str
    counted: Counted


def sample(tx: sa.Connection, role: Role, line: Line, fields: Sequence[PolicyField] | None) -> list[Tried]:
    """Return what a few of those who hold the role would see by this line alone, of all records.

    Where nobody holds the role yet, it is told for who asks.
    """
    if fields is None or not (line.rows.strip() or line.deny_rows.strip()):
        return []
    found = (_tried(tx, who, role, line, fields) for who in _holders(tx, role))
    return [one for one in found if one is not None]


def _tried(tx: sa.Connection, who: Who, role: Role, line: Line, fields: Sequence[PolicyField]) -> Tried | None:
    data = DataObject.of(line.on)
    said = grant(who, (role.name, role.grants, Policy((line,))), data, fields)
    counted = catalogue.counted(tx, Rights(who, data, tuple(fields), (said,)))
    return None if counted is None else Tried(who.username, counted)


def _holders(tx: sa.Connection, role: Role) -> list[Who]:
    held, member, given, user = models.user_role, models.group_user, models.group_role, models.user
    direct = sa.select(held.c.user_id).where(held.c.role_id == role.id)
    brought = sa.select(member.c.user_id).join(given, given.c.group_id == member.c.group_id)
    ids = direct.union(brought.where(given.c.role_id == role.id))
    query = sa.select(user.c.id).where(user.c.id.in_(ids), user.c.active).order_by(user.c.username).limit(_FEW)
    found = [who_of(tx, number) for number in tx.scalars(query)]
    return found or [current_who()]
