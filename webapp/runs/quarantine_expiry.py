"""Parked records that nobody has settled in the time that their rule gives (`errors.expire`) are discarded."""

from __future__ import annotations

from datetime import datetime

import sqlalchemy as sa

from rules.documents.policies import duration
from rules.text import Message
from webapp.audit.services import Event, Subject, record
from webapp.audit.tags import Tag
from webapp.extensions import SYSTEM, House
from webapp.rulebook import reading as rulebook
from webapp.runs.models import quarantine

AT_ONCE = 1000


def expire_due(house: House) -> int:
    """Discard what has waited too long since its last attempt, a thousand records a rule at once; return how many."""
    now = house.clock()
    with house.db.read() as tx:
        waiting = set(tx.scalars(sa.select(quarantine.c.rule_name).where(quarantine.c.state == "open").distinct()))
        rows = [row for row in rulebook.list_rules(tx) if row.name in waiting and row.published] if waiting else []
    spans = {row.name: (row.published or {}).get("errors", {}).get("expire") for row in rows}
    return sum(_expire(house, name, now - duration(span), now) for name, span in spans.items() if span)


def _expire(house: House, rule: str, until: datetime, now: datetime) -> int:
    q = quarantine.c
    due = (q.rule_name == rule, q.state == "open", q.last_at < until)
    with house.db.read() as tx:
        if tx.scalar(sa.select(q.id).where(*due).limit(1)) is None:
            return 0
    with house.db.begin() as tx:
        rows = tx.execute(
            sa.select(q.id, q.left_key, q.run_id, q.reason).where(*due).order_by(q.id).limit(AT_ONCE)
        ).all()
        values = {"state": "discarded", "resolved_by": SYSTEM.name, "last_at": now, "version": q.version + 1}
        tx.execute(sa.update(quarantine).where(q.id.in_([row.id for row in rows]), q.state == "open").values(values))
        events = [
            Event(
                Tag.QUARANTINE_EXPIRED,
                Subject("rule", rule, row.left_key),
                None,
                {"reason": str(Message.from_json(row.reason))},
                run_id=row.run_id,
            )
            for row in rows
        ]
        record(tx, SYSTEM, now, *events)
    return len(rows)
