"""What is known of the deliveries of web hooks: those that came in lately, and why others did not."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

import sqlalchemy as sa

from webapp.events.models import event_hook_delivery

LATEST = 20


@dataclass(frozen=True)
class Received:
    """A delivery that became an event; `key` is the id of the key that signed it."""

    uid: str
    at: datetime
    address: str
    size: int
    key: str


def latest(tx: sa.Connection, hook_id: int, limit: int = LATEST) -> list[Received]:
    """Return the deliveries of a hook, the latest first."""
    table = event_hook_delivery
    query = sa.select(table).where(table.c.hook_id == hook_id).order_by(table.c.at.desc(), table.c.uid).limit(limit)
    return [Received(row.uid, row.at, row.address, row.size, row.key) for row in tx.execute(query)]


def last_times(tx: sa.Connection, hook_ids: Sequence[int]) -> dict[int, tuple[int, datetime]]:
    """Return for each hook how many deliveries are stored, and when the last one came in."""
    table = event_hook_delivery
    query = sa.select(table.c.hook_id, sa.func.count(), sa.func.max(table.c.at)).group_by(table.c.hook_id)
    return {number: (count, at) for number, count, at in tx.execute(query.where(table.c.hook_id.in_(hook_ids)))}


def last_uses(tx: sa.Connection, hook_id: int) -> dict[str, datetime]:
    """Return when each key, by its id, signed a delivery last."""
    table = event_hook_delivery
    query = sa.select(table.c.key, sa.func.max(table.c.at).label("at")).where(table.c.hook_id == hook_id)
    return {row.key: row.at for row in tx.execute(query.group_by(table.c.key))}
