"""The history of what was configured: the states of a rule, a connection, an entity, a role, one after the other.

States are put together from audit events, so they are as sure as the log is. An event tells of the whole document or of
the values that changed; both are taken in the same way: what it had before goes, what it has after comes.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import sqlalchemy as sa

from webapp.audit import personal
from webapp.audit.models import audit_event
from webapp.audit.tags import Tag

KINDS: Mapping[str, tuple[Tag, ...]] = {
    "rule": (Tag.RULE_CREATED, Tag.RULE_UPDATED, Tag.RULE_PUBLISHED, Tag.RULE_ROLLED_BACK, Tag.RULE_DELETED),
    "connection": (Tag.CONNECTION_CREATED, Tag.CONNECTION_UPDATED, Tag.CONNECTION_DELETED),
    "entity": (Tag.ENTITY_CREATED, Tag.ENTITY_UPDATED, Tag.ENTITY_DELETED),
    "role": (Tag.ROLE_CREATED, Tag.ROLE_UPDATED, Tag.POLICY_SET, Tag.ROLE_DELETED),
}
_GONE = (Tag.RULE_DELETED, Tag.CONNECTION_DELETED, Tag.ENTITY_DELETED, Tag.ROLE_DELETED)
_VERSIONS = (Tag.RULE_PUBLISHED, Tag.RULE_ROLLED_BACK)
_PART = {Tag.POLICY_SET: "policy"}
"""Events that tell of one part of the subject, and what that part is called here."""
MOST = 500


@dataclass(frozen=True)
class Thing:
    """What has a history: a rule, a connection, an entity, a role."""

    kind: str
    name: str
    changes: int
    changed_at: datetime
    changed_by: str


@dataclass(frozen=True)
class State:
    """A thing as it was behind an event; an empty document: it was gone. `version` of a rule that was published."""

    event: Any
    document: Mapping[str, Any]
    version: int | None = None

    @property
    def number(self) -> int:
        """Return the event that names the state."""
        return int(self.event.id)


def things(tx: sa.Connection, kind: str = "", text: str = "") -> list[Thing]:
    """Return what was configured, the last changed first."""
    table = audit_event.c
    tags = [tag for tags in ([KINDS[kind]] if kind in KINDS else KINDS.values()) for tag in tags]
    last, count = sa.func.max(table.id).label("last"), sa.func.count().label("changes")
    query = sa.select(table.subject_kind, table.subject, last, count).where(table.tag.in_(tags))
    query = query.where(table.subject.icontains(text, autoescape=True)) if text else query
    found = query.group_by(table.subject_kind, table.subject).order_by(last.desc()).limit(MOST).subquery()
    columns = (found.c.subject_kind, found.c.subject, found.c.changes, table.at, table.actor_name)
    joined = sa.select(*columns).join(found, found.c.last == table.id).order_by(found.c.last.desc())
    return [Thing(*row) for row in tx.execute(joined)]


def states(tx: sa.Connection, kind: str, name: str) -> list[State]:
    """Return the states of a thing, the latest first."""
    table = audit_event.c
    mine = (table.subject_kind == kind, table.subject == name, table.tag.in_(KINDS.get(kind, ())))
    rows = tx.execute(sa.select(audit_event).where(*mine).order_by(table.id)).all()
    found: list[State] = []
    document: dict[str, Any] = {}
    for event in personal.shown(tx, rows):
        before, after, version = _sides(event)
        document = {} if event.tag in _GONE else _moved(document, before, after)
        found.append(State(event, document, version))
    return found[::-1]


def _sides(event: Any) -> tuple[Mapping[str, Any], Mapping[str, Any], int | None]:
    before, after = (side if isinstance(side, Mapping) else {} for side in (event.before, event.after))
    if event.tag in _VERSIONS:
        return _document(before), _document(after), after.get("version")
    part = _PART.get(event.tag)
    return ({part: before}, {part: after}, None) if part else (before, after, None)


def _document(side: Mapping[str, Any]) -> Mapping[str, Any]:
    found = side.get("document")
    return found if isinstance(found, Mapping) else {}


def _moved(document: Mapping[str, Any], before: Mapping[str, Any], after: Mapping[str, Any]) -> dict[str, Any]:
    return {**{name: value for name, value in document.items() if name not in before}, **after}
