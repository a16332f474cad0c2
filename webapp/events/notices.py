"""E-mails to people about what waits for them: who wishes which, and the box of those that are to be sent.

A notice is put into the box in the transaction of what it tells of; `postman` sends it afterwards.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from enum import StrEnum
from typing import Any

import sqlalchemy as sa

from rules.text import Message
from webapp.access.roles import READ, permission_name
from webapp.events.models import notice, notice_wish
from webapp.extensions import House
from webapp.rulebook.models import rule, rule_version

SHOWN = 20
_ROOMS = {"runs": "Runs", "cases": "Cases", "quarantine": "Quarantine", "approvals": "Approvals"}
"""By the first part of a page's address, what has to be readable for a line about it."""


class Wish(StrEnum):
    """What a person can wish to be told of; all but the first are about rules that they have made or published."""

    ASSIGNED = "assigned"
    OPENED = "opened"
    PARKED = "parked"
    STOPPED = "stopped"


@dataclass(frozen=True)
class Line:
    """One thing that a notice tells, and the page where it stands."""

    message: Message
    path: str


@dataclass(frozen=True)
class Notice:
    """A notice; it is sent, waits, or has been given up (`problem` says why, `ended_at` is set)."""

    id: int
    uid: str
    username: str
    lines: tuple[Line, ...]
    at: datetime
    due_at: datetime
    attempts: int
    sent_at: datetime | None
    ended_at: datetime | None
    problem: Message | None


def wishes(tx: sa.Connection) -> dict[str, frozenset[Wish]]:
    """Return by user what they wish to be told of; only those who wish something."""
    rows = tx.execute(sa.select(notice_wish.c.username, notice_wish.c.wishes))
    known = {wish.value for wish in Wish}
    return {row.username: frozenset(Wish(one) for one in row.wishes if one in known) for row in rows if row.wishes}


def wish(house: House, username: str, wanted: Sequence[str]) -> None:
    """Keep what a user wishes to be told of; a taste, so it is not audited."""
    kept = [one.value for one in Wish if one.value in wanted]
    with house.db.begin() as tx:
        tx.execute(sa.delete(notice_wish).where(notice_wish.c.username == username))
        if kept:
            tx.execute(sa.insert(notice_wish).values(username=username, wishes=kept))


def owners(tx: sa.Connection, rule_name: str) -> set[str]:
    """Return who has made a rule or published a version of it."""
    made = sa.select(rule.c.created_by).where(rule.c.name == rule_name)
    published = sa.select(rule_version.c.published_by).where(rule_version.c.rule_name == rule_name)
    return {str(name) for name in tx.scalars(made.union(published))}


def forget(tx: sa.Connection, username: str) -> None:
    """Remove what a deleted user wished for and was told of, so that nobody inherits it with the name."""
    for table in (notice, notice_wish):
        tx.execute(sa.delete(table).where(table.c.username == username))


def readable(one: Notice, granted: Collection[tuple[str, str]]) -> Notice:
    """Return a notice with only those lines whose page may be read under these permissions."""
    rooms = {room for action, room in granted if action == permission_name(READ)}
    return replace(one, lines=tuple(line for line in one.lines if _room(line.path) in rooms))


def _room(path: str) -> str | None:
    return _ROOMS.get(path.partition("?")[0].strip("/").partition("/")[0])


def add(tx: sa.Connection, uid: str, username: str, lines: Sequence[Line], at: datetime) -> None:
    """Put a notice into the box, in the caller's transaction; nothing where there is nothing to tell."""
    if not lines:
        return
    told = [{"message": line.message.to_json(), "path": line.path} for line in lines]
    values = {"uid": uid[:200], "username": username, "lines": told, "at": at, "due_at": at, "attempts": 0}
    tx.execute(sa.insert(notice).values(values))


def of(row: sa.RowMapping) -> Notice:
    """Return a notice from its row."""
    values: dict[str, Any] = dict(row)
    lines = tuple(Line(Message.from_json(one["message"]), one["path"]) for one in values.pop("lines"))
    problem = values.pop("problem")
    return Notice(**values, lines=lines, problem=Message.from_json(problem) if problem else None)


def latest(tx: sa.Connection, username: str, granted: Collection[tuple[str, str]]) -> list[Notice]:
    """Return the latest notices to a user, as far as they may be read under these permissions."""
    query = sa.select(notice).where(notice.c.username == username).order_by(notice.c.id.desc()).limit(SHOWN)
    found = (readable(of(row), granted) for row in tx.execute(query).mappings())
    return [one for one in found if one.lines]
