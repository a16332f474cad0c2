"""Which checkpoint has arrived where; what failed is tried again, less and less often, and told of.

A delivery is claimed by raising its number of attempts. Should the process end between the answer and its note, the
same checkpoint arrives twice, which does no harm. Where a target has been told of more events than the log has, the log
was put back: that is told of as a problem, and the checkpoint is sent all the same, so that the target can tell too.
"""

from __future__ import annotations

import hashlib
import logging
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

import sqlalchemy as sa

from connectors.errors import ConnectorError
from rules.text import N_, Message, msg
from webapp.audit.keys import public_keys
from webapp.audit.models import audit_checkpoint
from webapp.audit.notes import BadNote, checkpoint
from webapp.audit.sealing import head
from webapp.evidence.models import audit_delivery
from webapp.evidence.targets import send, shown
from webapp.extensions import House

_PUT_BACK = N_(
    "The log was put back: {said} events had been told of here, and it has {size}. Run: syncline audit verify"
)
_NOT_GENUINE = N_("The newest checkpoint of the log is not genuine: {why}. Run: syncline audit verify")
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
        newest = head(tx).size
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
    problem = _put_back(row, newest) or (Message.from_json(row.problem) if row and row.problem else None)
    sent_at, attempts = (row.sent_at, row.attempts) if row else (None, 0)
    return Delivery(shown(target), size, sent_at, attempts, max(0, newest - size), lag, problem)


def send_due(house: House) -> int:
    """Send the newest checkpoint wherever one is due; return to how many targets it went."""
    with house.db.read() as tx:
        size = head(tx).size
        note = tx.scalar(sa.select(audit_checkpoint.c.note).where(audit_checkpoint.c.size == size))
    if not size:
        return 0
    return sum(_send(house, target, size, note or "") for target in house.settings.checkpoints_to)


def _send(house: House, target: str, size: int, note: str) -> bool:
    row = _claim(house, target, size)
    if row is None:
        return False
    back = _put_back(row, size)
    if back is not None:
        log.error("%s: %s", shown(target), back)
    problem = back.to_json() if back else None
    try:
        with house.db.read() as tx:
            said = checkpoint(note, public_keys(tx))
        send(house, target, said, note)
    except (ConnectorError, BadNote) as error:
        why = error.message if isinstance(error, ConnectorError) else msg(_NOT_GENUINE, why=str(error))
        log.warning("The checkpoint over %s events was not sent to %s: %s", size, shown(target), why)
        _note(house, target, {"problem": problem or why.to_json()})
        return False
    now = house.clock()
    due = now + timedelta(minutes=house.settings.checkpoint_minutes)
    _note(house, target, {"size": size, "sent_at": now, "attempts": 0, "due_at": due, "problem": problem})
    return True


def _put_back(row: Any, size: int) -> Message | None:
    """Return what to say where a target knows more events than the log has; told until the log has grown past that."""
    if row is None:
        return None
    told = Message.from_json(row.problem) if row.problem else None
    before = told.values.get("said", 0) if told and told.template == _PUT_BACK else 0
    most = max(row.size, int(str(before)))
    return msg(_PUT_BACK, said=most, size=size) if most > size else None


def _claim(house: House, target: str, size: int) -> Any:
    """Take a delivery for one attempt and return its row; None where it is not due, or another process was faster."""
    now, key = house.clock(), _key(target)
    with house.db.read() as tx:
        row = tx.execute(sa.select(audit_delivery).where(audit_delivery.c.target == key)).one_or_none()
    if row is None:
        row = _begin(house, key, now)
    if row is None or row.size == size or row.due_at > now:
        return None
    wait = min(FIRST_WAIT * 2 ** min(row.attempts, 10), LONGEST_WAIT)
    mine = (audit_delivery.c.target == key, audit_delivery.c.attempts == row.attempts, audit_delivery.c.due_at <= now)
    with house.db.begin() as tx:
        taken = tx.execute(
            sa.update(audit_delivery).where(*mine).values(attempts=row.attempts + 1, due_at=now + wait)
        ).rowcount
    return row if taken == 1 else None


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
    """Return the name of a target in the database, which tells nothing that may be a secret in it."""
    return hashlib.sha256(target.encode()).hexdigest()
