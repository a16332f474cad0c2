"""Sessions of the console: they are kept here, so that one that has ended is over whoever still holds its cookie.

A session ends when its user signs out, ends it from another one, gets another password or is disabled; when nothing has
been asked for during `SYNCLINE_SESSION_IDLE_MINUTES`; and after `SYNCLINE_SESSION_HOURS` at the latest.
"""

from __future__ import annotations

import re
import secrets
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import cache
from typing import Any

import sqlalchemy as sa

from webapp.access import models
from webapp.access.passwords import digest
from webapp.audit.services import Event, Subject, record
from webapp.audit.tags import Tag
from webapp.extensions import Actor, House, away

NEVER = datetime(1970, 1, 1, tzinfo=UTC)
_NOTED = timedelta(minutes=1)
"""That a session is in use is written down no more often than this."""
_UNDER_WAY = timedelta(seconds=10)
"""For so long the token counts that a session had before its user showed again who they are."""
_AGENT = 300
_BROWSERS = (("Edg", "Edge"), ("OPR", "Opera"), ("Firefox", "Firefox"), ("Chrome", "Chrome"), ("Safari", "Safari"))
_SYSTEMS = (
    ("Android", "Android"),
    ("iPhone", "iPhone"),
    ("iPad", "iPad"),
    ("Windows", "Windows"),
    ("Mac OS X", "macOS"),
    ("Linux", "Linux"),
)


@dataclass(frozen=True)
class Entry:
    """How somebody has come in.

    Attributes:
        by: How they have signed in.
        id_token: What an identity provider wants to see again when the session ends.
        proven_at: When they have shown who they are; now, if not given.
        vouched: Whether the identity provider has asked for a second factor.
    """

    by: str = "password"
    id_token: str | None = None
    proven_at: datetime | None = None
    vouched: bool = False


@dataclass(frozen=True)
class Session:
    """A session as its user sees it; `device` is what the browser says of itself, or an empty text."""

    id: int
    created_at: datetime
    seen_at: datetime
    address: str
    device: str


def begin(house: House, user_id: int, origin: tuple[str, str], entry: Entry) -> str:
    """Begin a session and return its token, which only the cookie holds; `origin` is an address and a browser."""
    token, now = secrets.token_urlsafe(32), house.clock()
    table = models.access_session
    (address, agent), values = origin, {"digest": digest(token), "user_id": user_id, "by": entry.by}
    values |= {"address": address[:64], "agent": agent[:_AGENT], "id_token": entry.id_token, "vouched": entry.vouched}
    shown = min(entry.proven_at or now, now)
    with house.db.begin() as tx:
        tx.execute(sa.delete(table).where(~_alive(*_since(house))))
        tx.execute(sa.insert(table).values(**values, created_at=now, seen_at=now, proven_at=shown))
    return token


def user_of(house: House, token: str, *, in_use: bool = True) -> Any:
    """Return the user's row of a session, with its number as `session_id`; None if it is over or the user disabled.

    Unless it is `in_use`, the request does not count against its end. A proof counts for the token that it has made:
    whoever still holds the one before has shown nothing.
    """
    seen, begun = _since(house)
    times = {"seen": seen, "begun": begun, "under_way": house.clock() - _UNDER_WAY}
    with house.db.read() as tx:
        row = tx.execute(_of_token(), {"held": digest(token), **times}).one_or_none()
    noted = min(_NOTED, timedelta(minutes=house.settings.session_idle_minutes) / 10)
    if row is not None and in_use and row.seen_at < house.clock() - noted:
        _note(house, row.session_id)
    return row


@cache
def _of_token() -> sa.Select[*tuple[Any, ...]]:
    """Return what asks for the user of a session by the digest of its token, `held`; made once, it is asked each time.

    Requests that were `under_way` may still hold the token before.
    """
    table = models.access_session
    held = sa.bindparam("held", type_=table.c.digest.type)
    shown = sa.case((table.c.digest == held, table.c.proven_at), else_=sa.literal(NEVER, table.c.proven_at.type))
    query = models.users().add_columns(
        table.c.id.label("session_id"), table.c.seen_at, table.c.by.label("signed_in_by"), table.c.seen_as,
        shown.label("proven_at"), table.c.vouched,
    )  # fmt: skip
    before = sa.and_(table.c.earlier == held, table.c.proven_at > sa.bindparam("under_way"))
    alive = _alive(sa.bindparam("seen"), sa.bindparam("begun"))
    query = query.join(table, table.c.user_id == models.user.c.id).where(sa.or_(table.c.digest == held, before))
    return query.where(alive, models.user.c.active)


def _note(house: House, session_id: int) -> None:
    table = models.access_session
    try:
        with house.db.begin() as tx:
            tx.execute(sa.update(table).where(table.c.id == session_id).values(seen_at=house.clock()))
    except sa.exc.SQLAlchemyError as error:
        if not away(error):
            raise


def prove(house: House, session_id: int, by: str, actor: Actor) -> str:
    """Note that the user of a session has just shown again who they are; return its new token."""
    with house.db.begin() as tx:
        token = renewed(tx, house, session_id)
        record(tx, actor, house.clock(), Event(Tag.PROVEN, Subject("user", actor.name), after={"by": by}))
    return token


def renewed(tx: sa.Connection, house: House, session_id: int) -> str:
    """Return a new token of a session whose user has just shown something; the old one ends, for whoever holds it."""
    token, table = secrets.token_urlsafe(32), models.access_session
    mine = sa.update(table).where(table.c.id == session_id)
    tx.execute(mine.values(digest=digest(token), earlier=table.c.digest, proven_at=house.clock()))
    return token


def id_token(house: House, session_id: int) -> str:
    """Return what the identity provider of a session wants to see when it ends, or an empty text."""
    table = models.access_session
    with house.db.read() as tx:
        return tx.scalar(sa.select(table.c.id_token).where(table.c.id == session_id)) or ""


def of_user(house: House, tx: sa.Connection, user_id: int) -> list[Session]:
    """Return the sessions of a user that are not over, the one used last first."""
    table = models.access_session
    query = sa.select(table).where(table.c.user_id == user_id, _alive(*_since(house))).order_by(table.c.seen_at.desc())
    return [Session(r.id, r.created_at, r.seen_at, r.address, device(r.agent)) for r in tx.execute(query)]


def end(house: House, user_id: int, session_id: int, actor: Actor) -> bool:
    """End one session of a user; False if it was over."""
    with house.db.begin() as tx:
        return _ended(tx, house, user_id, models.access_session.c.id == session_id, actor) > 0


def end_others(house: House, user_id: int, session_id: int | None, actor: Actor) -> int:
    """End all sessions of a user but one; return how many there were."""
    with house.db.begin() as tx:
        return _ended(tx, house, user_id, models.access_session.c.id != (session_id or 0), actor)


def forget(tx: sa.Connection, user_id: int, session_id: int | None = None) -> None:
    """End the sessions of a user, or one of them, in the caller's transaction, which says why."""
    table = models.access_session
    query = sa.delete(table).where(table.c.user_id == user_id)
    tx.execute(query if session_id is None else query.where(table.c.id == session_id))


def device(agent: str) -> str:
    """Return a browser and a system in short, from what the browser says of itself."""
    browser = next((name for mark, name in _BROWSERS if re.search(rf"{mark}\w*/", agent)), "")
    system = next((name for mark, name in _SYSTEMS if mark in agent), "")
    return ", ".join(filter(None, (browser, system))) or agent.split(" ", maxsplit=1)[0][:40]


def _ended(tx: sa.Connection, house: House, user_id: int, which: sa.ColumnElement[bool], actor: Actor) -> int:
    table = models.access_session
    count = tx.execute(sa.delete(table).where(table.c.user_id == user_id, which)).rowcount
    if count:
        name = tx.scalar(sa.select(models.user.c.username).where(models.user.c.id == user_id))
        event = Event(Tag.SESSIONS_ENDED, Subject("user", name or "?"), after={"sessions": count})
        record(tx, actor, house.clock(), event)
    return count


def _since(house: House) -> tuple[datetime, datetime]:
    """Return behind which times a session has to have been seen, and to have begun."""
    now, settings = house.clock(), house.settings
    return now - timedelta(minutes=settings.session_idle_minutes), now - timedelta(hours=settings.session_hours)


def _alive(seen: Any, begun: Any) -> sa.ColumnElement[bool]:
    table = models.access_session
    return sa.and_(table.c.seen_at > seen, table.c.created_at > begun)
