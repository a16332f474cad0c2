"""Forwards sealed events to other systems, in the order of the log: at least once, and nothing is left out.

How far a target is stands in the database and moves only behind what has arrived, so whoever stops half-way sends the
last batch again. A target that does not answer is asked again later and later; its events wait in the log, where they
are anyway. Any number of dispatchers may do this: a batch is claimed by moving the time at which it is due.
"""

from __future__ import annotations

import logging
import threading
from datetime import datetime, timedelta
from typing import Any

import sqlalchemy as sa

from connectors.errors import ConnectorError
from rules.text import Message, msg
from webapp.audit import sealing
from webapp.audit.canonical import FIELDS
from webapp.audit.models import audit_event, audit_leaf
from webapp.audit.services import Event, Subject, record
from webapp.audit.tags import Tag
from webapp.evidence import forwards
from webapp.evidence.deliveries import FIRST_WAIT, LONGEST_WAIT
from webapp.evidence.forward_wires import send
from webapp.evidence.forwards import Forward
from webapp.evidence.models import audit_forward
from webapp.evidence.signing import origin
from webapp.extensions import Actor, House
from webapp.vault.errors import VaultError

BATCH = 200
ROUNDS = 50
"""So many batches go to one target before the next one gets its turn."""
CLAIM = timedelta(seconds=90)
"""For so long a batch belongs to whoever has claimed it; sending one never takes so long."""
PAUSE = 2.0

log = logging.getLogger(__name__)


def send_due(house: House) -> int:
    """Send what waits for targets that are due; return how many events have arrived."""
    with house.db.read() as tx:
        found = [target for target in forwards.listing(tx) if target.enabled and target.behind]
    return sum(_send_all(house, target.id) for target in found)


def _send_all(house: House, number: int) -> int:
    done = 0
    for _ in range(ROUNDS):
        count = _send_batch(house, number)
        done += count or 0
        if count is None:
            break
    return done


def _send_batch(house: House, number: int) -> int | None:
    """Send the next batch; None where nothing is due, nothing waits, or it failed."""
    target = _claim(house, number)
    if target is None:
        return None
    with house.db.read() as tx:
        end = min(sealing.head(tx).size, target.position + BATCH)
        events = _events(tx, target, end)
    try:
        if events:
            send(house, target, events, origin(house))
    except (ConnectorError, VaultError) as error:
        why = getattr(error, "message", None) or msg("The secret cannot be read: {why}", why=str(error))
        _failed(house, target, why)
        return None
    return len(events) if _arrived(house, target, end, len(events)) else None


def _claim(house: House, number: int) -> Forward | None:
    now, table = house.clock(), audit_forward.c
    with house.db.begin() as tx:
        target = forwards.get(tx, number)
        if target is None or not target.enabled or not target.behind or target.due_at > now:
            return None
        mine = (table.id == number, table.position == target.position, table.due_at == target.due_at)
        tx.execute(sa.update(audit_forward).where(*mine).values(due_at=now + CLAIM, attempts=table.attempts + 1))
    return target


def _events(tx: sa.Connection, target: Forward, end: int) -> list[Any]:
    """Return the events of the places that are next; those that the retention has removed are not there any more."""
    joined = audit_leaf.join(audit_event, audit_event.c.id == audit_leaf.c.event_id)
    columns = [audit_leaf.c.seq, *(audit_event.c[name] for name in FIELDS)]
    query = sa.select(*columns).select_from(joined)
    query = query.where(audit_leaf.c.seq >= target.position, audit_leaf.c.seq < end)
    areas = str(target.settings.get("only") or "").split()
    if areas:
        query = query.where(sa.or_(*(audit_event.c.tag.startswith(area, autoescape=True) for area in areas)))
    return list(tx.execute(query.order_by(audit_leaf.c.seq)))


def _arrived(house: House, target: Forward, end: int, count: int) -> bool:
    now, table = house.clock(), audit_forward.c
    mine = (table.id == target.id, table.position == target.position)
    state = {"position": end, "attempts": 0, "due_at": now, "problem": None, "sent": table.sent + count}
    state |= {"sent_at": now} if count else {}
    with house.db.begin() as tx:
        return tx.execute(sa.update(audit_forward).where(*mine).values(state)).rowcount == 1


def _failed(house: House, target: Forward, why: Message) -> None:
    wait = min(FIRST_WAIT * 2 ** min(target.attempts, 10), LONGEST_WAIT)
    log.warning("Audit events were not forwarded to %s: %s", target.name, why)
    mine = (audit_forward.c.id == target.id, audit_forward.c.position == target.position)
    with house.db.begin() as tx:
        state = {"due_at": house.clock() + wait, "problem": why.to_json()}
        tx.execute(sa.update(audit_forward).where(*mine).values(state))


def try_out(house: House, number: int, actor: Actor) -> Message | None:
    """Send a test message to a target; return why it did not arrive, None where it did."""
    with house.db.read() as tx:
        target = forwards.get(tx, number)
    if target is None:
        return msg("There is no such target any more.")
    try:
        send(house, target, [_Trial(actor, target.name, house.clock())], origin(house))
    except (ConnectorError, VaultError) as error:
        problem = getattr(error, "message", None) or msg("The secret cannot be read: {why}", why=str(error))
    else:
        problem = None
    with house.db.begin() as tx:
        told = {"arrived": problem is None, "problem": str(problem) if problem else None}
        record(tx, actor, house.clock(), Event(Tag.FORWARD_TESTED, Subject("forward", target.name), after=told))
    return problem


class _Trial:
    """An event that is none: it has no place in the log."""

    def __init__(self, actor: Actor, name: str, at: datetime) -> None:
        self.seq, self.id, self.at, self.tag = -1, 0, at, Tag.FORWARD_TESTED.value
        self.actor_kind, self.actor_id, self.actor_name = actor.kind, actor.id, actor.name
        self.address, self.request_id = actor.address, actor.request_id
        self.subject_kind, self.subject, self.record_key, self.run_id = "forward", name, None, None
        self.before, self.after, self.reason = None, None, None


class Forwarder:
    """A thread beside the dispatcher: a target that answers slowly keeps neither the seal nor runs waiting."""

    def __init__(self, house: House, pause: float = PAUSE) -> None:
        self._house, self._pause, self._stop = house, pause, threading.Event()
        self._thread = threading.Thread(target=self._work, name="forwarder", daemon=True)

    def start(self) -> None:
        """Begin to work."""
        self._thread.start()

    def close(self) -> None:
        """Stop behind the batch at hand; what is left is sent when somebody starts again."""
        self._stop.set()
        self._thread.join(timeout=5)

    def _work(self) -> None:
        while not self._stop.wait(self._pause):
            try:
                send_due(self._house)
            except sa.exc.OperationalError as error:
                log.warning("The forwarder will try again: %s", error)
            except Exception:
                log.exception("The forwarder will try again.")
