"""The one writer of audit events, and how they are found again."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import sqlalchemy as sa

from webapp.audit import personal
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
    personal: Collection[str] = ()
    """Names of values, before and after, that tell of a person: of the subject. They can be erased later."""


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
    tx.execute(sa.insert(audit_event), [{**who, **_row(tx, event)} for event in events])


def _hidden(tx: sa.Connection, event: Event, values: Any) -> Any:
    subject = event.subject
    who = personal.person(subject.kind, subject.name, subject.record)
    return personal.hidden(tx, who, values, personal.names_of(event.tag, values, event.personal))


def _row(tx: sa.Connection, event: Event) -> dict[str, Any]:
    subject = event.subject
    if event.personal or event.tag in personal.ALWAYS:
        before, after = (_hidden(tx, event, values) for values in (event.before, event.after))
    else:
        before, after = event.before, event.after
    return {
        "tag": event.tag.value,
        "subject_kind": subject.kind,
        "subject": subject.name,
        "record_key": subject.record,
        "run_id": event.run_id,
        "before": before,
        "after": after,
        "reason": event.reason,
    }
