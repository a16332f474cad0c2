"""The one writer of audit events, and how they are found again."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Any

import sqlalchemy as sa

from webapp.audit.models import audit_event
from webapp.audit.tags import Tag
from webapp.extensions import Actor


@dataclass(frozen=True)
class Subject:
    """What is acted upon: `kind` and `name` ("connection", "erp"); `record` is a key within it."""

    kind: str
    name: str
    record: str | None = None


@dataclass(frozen=True)
class Event:
    """One fact; `before` and `after` are JSON objects of the values that changed, never secrets."""

    tag: Tag
    subject: Subject
    before: Any = None
    after: Any = None
    reason: str | None = None
    run_id: int | None = None


def record(tx: sa.Connection, actor: Actor, at: datetime, *events: Event) -> None:
    """Append events in the caller's transaction: they stand or fall with what they tell of."""
    if not events:
        return
    who = {
        "at": at,
        "actor_kind": actor.kind,
        "actor_id": actor.id,
        "actor_name": actor.name,
        "address": actor.address,
        "request_id": actor.request_id,
    }
    tx.execute(sa.insert(audit_event), [{**who, **_row(event)} for event in events])


def _row(event: Event) -> dict[str, Any]:
    return {
        "tag": event.tag.value,
        "subject_kind": event.subject.kind,
        "subject": event.subject.name,
        "record_key": event.subject.record,
        "run_id": event.run_id,
        "before": event.before,
        "after": event.after,
        "reason": event.reason,
    }
