"""Which checkpoint has arrived where; what failed is tried again, less and less often, and told of.

A delivery is claimed by raising its number of attempts. Should the process end between the answer and its note, the
same checkpoint arrives twice, which does no harm.
"""

from __future__ import annotations

import logging
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

import sqlalchemy as sa

from connectors.errors import ConnectorError
from rules.text import Message
from webapp.audit.keys import public_keys
from webapp.audit.models import audit_checkpoint
from webapp.audit.notes import checkpoint
from webapp.evidence.models import audit_delivery
from webapp.evidence.targets import send, shown
from webapp.extensions import House

FIRST_WAIT, LONGEST_WAIT = timedelta(seconds=30), timedelta(hours=1)

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Delivery:
    """How far a target has come: `behind` events, the oldest unsent checkpoint being `lag_seconds` old."""

    target: str
    size: int
    sent_at: datetime | None
    attempts: int
    behind: int
    lag_seconds: float
    problem: Message | None

    def to_json(self) -> dict[str, Any]:
        """Return the delivery as the command line and the API show it."""
        values = {name: getattr(self, name) for name in self.__dataclass_fields__}
        return {**values, "problem": str(self.problem) if self.problem else None}


def state(house: House) -> list[Delivery]:
    """Return how far every target of the settings has come."""
    now = house.clock()
    with house.db.read() as tx:
        newest = tx.scalar(sa.select(sa.func.max(audit_checkpoint.c.size))) or 0
        return [_state(tx, target, newest, now) for target in house.settings.checkpoints_to]


def _state(tx: sa.Connection, target: str, newest: int, now: datetime) -> Delivery:
    row = tx.execute(sa.select(audit_delivery).where(audit_delivery.c.target == _key(target))).one_or_none()
    size = row.size if row else 0
    oldest = tx.execute(
        sa.select(audit_checkpoint.c.at)
        .where(audit_checkpoint.c.size > size)
        .order_by(audit_checkpoint.c.size)
        .limit(1)
    ).scalar()
    lag = max(0.0, (now - oldest).total_seconds()) if oldest else 0.0
    problem = Message.from_json(row.problem) if row and row.problem else None
    sent_at, attempts = (row.sent_at, row.attempts) if row else (None, 0)
    return Delivery(shown(target), size, sent_at, attempts, newest - size, lag, problem)


def send_due(house: House) -> int:
    """Send the newest checkpoint wherever one is due; return to how many targets it went."""
    with house.db.read() as tx:
        newest = tx.execute(sa.select(audit_checkpoint).order_by(audit_checkpoint.c.size.desc()).limit(1)).one_or_none()
    if newest is None:
        return 0
    return sum(_send(house, target, newest) for target in house.settings.checkpoints_to)


def _send(house: House, target: str, newest: Any) -> bool:
    attempts = _claim(house, target, newest.size)
    if attempts is None:
        return False
    with house.db.read() as tx:
        said = checkpoint(newest.note, public_keys(tx))
    try:
        send(house, target, said, newest.note)
    except ConnectorError as error:
        log.warning("The checkpoint over %s events was not sent to %s: %s", newest.size, shown(target), error)
        _note(house, target, {"problem": error.message.to_json()})
        return False
    now = house.clock()
    due = now + timedelta(minutes=house.settings.checkpoint_minutes)
    _note(house, target, {"size": newest.size, "sent_at": now, "attempts": 0, "due_at": due, "problem": None})
    return True


def _claim(house: House, target: str, size: int) -> int | None:
    """Take a delivery for one attempt; None where it is not due, or another process was faster."""
    now, key = house.clock(), _key(target)
    with house.db.read() as tx:
        row = tx.execute(sa.select(audit_delivery).where(audit_delivery.c.target == key)).one_or_none()
    if row is None:
        row = _begin(house, key, now)
    if row is None or row.size >= size or row.due_at > now:
        return None
    wait = min(FIRST_WAIT * 2 ** min(row.attempts, 10), LONGEST_WAIT)
    mine = (audit_delivery.c.target == key, audit_delivery.c.attempts == row.attempts, audit_delivery.c.due_at <= now)
    with house.db.begin() as tx:
        taken = tx.execute(
            sa.update(audit_delivery).where(*mine).values(attempts=row.attempts + 1, due_at=now + wait)
        ).rowcount
    return row.attempts + 1 if taken == 1 else None


def _begin(house: House, key: str, now: datetime) -> Any:
    try:
        with house.db.begin() as tx:
            tx.execute(sa.insert(audit_delivery).values(target=key, size=0, attempts=0, due_at=now))
            return tx.execute(sa.select(audit_delivery).where(audit_delivery.c.target == key)).one()
    except sa.exc.IntegrityError:  # another process was faster
        return None


def _note(house: House, target: str, values: dict[str, Any]) -> None:
    with house.db.begin() as tx:
        tx.execute(sa.update(audit_delivery).where(audit_delivery.c.target == _key(target)).values(values))


def _key(target: str) -> str:
    return shown(target)[:255]
