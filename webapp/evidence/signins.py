"""Who has signed in and who was refused, from where, and which sessions are open."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

import sqlalchemy as sa

from webapp.access import models
from webapp.access.sessions import device
from webapp.audit import queries
from webapp.audit.models import audit_event
from webapp.audit.tags import Tag
from webapp.extensions import House

AREA = "access:session"
KINDS = {"in": Tag.SIGNED_IN, "refused": Tag.SIGN_IN_FAILED, "out": Tag.SIGNED_OUT, "ended": Tag.SESSIONS_ENDED}
SHOWN = 20
MOST_SESSIONS = 200


@dataclass(frozen=True)
class Address:
    """What came from one address."""

    address: str
    successes: int
    refusals: int
    names: int
    last: datetime


@dataclass(frozen=True)
class Open:
    """A session that is not over."""

    user: str
    address: str
    device: str
    by: str
    created_at: datetime
    seen_at: datetime


@dataclass(frozen=True)
class SignIns:
    """A look at sign-ins since some time."""

    successes: int
    refusals: int
    users: int
    addresses: list[Address]
    sessions: list[Open]


def since(house: House, days: int) -> SignIns:
    """Return what sign-ins of the last days come to."""
    start = house.clock() - timedelta(days=days)
    table = audit_event.c
    mine = (table.at >= start, table.tag.in_((Tag.SIGNED_IN, Tag.SIGN_IN_FAILED)))
    good = sa.func.sum(sa.case((table.tag == Tag.SIGNED_IN, 1), else_=0)).label("successes")
    bad = sa.func.sum(sa.case((table.tag == Tag.SIGN_IN_FAILED, 1), else_=0)).label("refusals")
    names, last = sa.func.count(sa.distinct(table.subject)).label("names"), sa.func.max(table.at).label("last")
    by_address = sa.select(table.address, good, bad, names, last).where(*mine).group_by(table.address)
    with house.db.read() as tx:
        found = tx.execute(by_address.order_by(bad.desc(), good.desc()).limit(SHOWN)).all()
        users = sa.select(sa.func.count(sa.distinct(table.subject))).where(table.at >= start)
        sums = tx.execute(sa.select(good, bad).where(*mine)).one()
        count = tx.scalar(users.where(table.tag == Tag.SIGNED_IN)) or 0
        sessions = _sessions(tx, house)
    addresses = [Address(row.address or "–", row.successes, row.refusals, row.names, row.last) for row in found]
    return SignIns(sums.successes or 0, sums.refusals or 0, count, addresses, sessions)


def _sessions(tx: sa.Connection, house: House) -> list[Open]:
    table, now, settings = models.access_session, house.clock(), house.settings
    idle = now - timedelta(minutes=settings.session_idle_minutes)
    alive = (table.c.seen_at > idle, table.c.created_at > now - timedelta(hours=settings.session_hours))
    query = sa.select(table, models.user.c.username).join(models.user, models.user.c.id == table.c.user_id)
    rows = tx.execute(query.where(*alive).order_by(table.c.seen_at.desc()).limit(MOST_SESSIONS))
    return [Open(r.username, r.address, device(r.agent), r.by, r.created_at, r.seen_at) for r in rows]


def page(tx: sa.Connection, kind: str, text: str, limit: int, before: int | None) -> list[Any]:
    """Return events of sign-ins, the newest first: of one kind, or with words in them."""
    tag = KINDS[kind].value if kind in KINDS else AREA
    return queries.page(tx, queries.Filter(tag=tag, text=text), limit, before)
