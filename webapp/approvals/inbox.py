"""Which proposals somebody sees: those that wait for them, their own, all that wait, and those that were decided."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime

import sqlalchemy as sa

from webapp.approvals.deeds import appliers
from webapp.approvals.hooks import Person
from webapp.approvals.models import approval
from webapp.approvals.proposals import WAITING, Proposal, is_author, latest, waiting

FOR_ME, MINE, OPEN, DECIDED = "waiting", "mine", "open", "decided"
FILTERS = (FOR_ME, MINE, OPEN, DECIDED)

Can = Callable[[str, str], bool]
"""(action, room) -> whether who asks may do it."""


@dataclass(frozen=True)
class Reader:
    """Who looks, what they may do, and when."""

    person: Person | None
    can: Can
    now: datetime


def visible(found: Proposal, reader: Reader) -> bool:
    """Tell whether somebody may see a proposal: its author, and who may read what it is about."""
    mine = reader.person is not None and is_author(found, reader.person)
    return mine or reader.can("read", found.applier.permission[1])


def listed(tx: sa.Connection, chosen: str, reader: Reader, after: int = 0, limit: int = 50) -> list[Proposal]:
    """Return the proposals of a filter that somebody may see, the newest first."""
    return latest(tx, *_conditions(chosen, reader), after=after, limit=limit)


def count(tx: sa.Connection, chosen: str, reader: Reader) -> int:
    """Return how many proposals a filter finds."""
    query = sa.select(sa.func.count()).select_from(approval).where(*_conditions(chosen, reader))
    return tx.scalar(query) or 0


def _conditions(chosen: str, reader: Reader) -> list[sa.ColumnElement[bool]]:
    can, now, mine = reader.can, reader.now, _mine(reader.person)
    readable = [kind for kind, one in appliers.items() if can("read", one.permission[1])]
    seen = sa.or_(mine, approval.c.kind.in_(readable))
    if chosen == MINE:
        return [mine]
    if chosen == OPEN:
        return [waiting(now), seen]
    if chosen == DECIDED:
        return [sa.or_(approval.c.state != WAITING, approval.c.expires_at <= now), seen]
    kinds = [kind for kind, one in appliers.items() if can("approve", "Approvals") and can(*one.permission)]
    return [waiting(now), sa.not_(mine), approval.c.kind.in_(kinds)]


def _mine(person: Person | None) -> sa.ColumnElement[bool]:
    if person is None:
        return sa.false()
    by_name = sa.and_(approval.c.author_kind == "user", sa.func.lower(approval.c.author) == person.username.lower())
    return sa.or_(sa.func.coalesce(approval.c.author_user, -1) == person.behind, by_name)
