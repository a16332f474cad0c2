"""What a person may do with deliveries: have them tried at once, or drop one; the audit log has both."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from types import MappingProxyType

import sqlalchemy as sa

from rules.text import Message, msg
from webapp.audit.services import Event, Subject, record
from webapp.audit.tags import Tag
from webapp.extensions import Actor, House
from webapp.policies.errors import NotPermitted
from webapp.runs.outbox import reading
from webapp.runs.outbox.models import delivery, delivery_lane
from webapp.runs.outbox.states import State
from webapp.runs.sight import Sights

_ALL: Mapping[str, str | int] = MappingProxyType({})
_MOVED = msg("It has gone on since the page was shown. Look at it again.")


class NotDone(Exception):
    """The deed is not possible, and why."""

    def __init__(self, message: Message) -> None:
        super().__init__(str(message))
        self.message = message


def retry(house: House, rule: str | None, actor: Actor, only: Mapping[str, str | int] = _ALL) -> int:
    """Let what waits be tried at once, of one rule or of all; return how many deliveries that are.

    Those about which who asks may not decide wait on. `only` may narrow them further: connection, run, key.
    """
    now, c = house.clock(), delivery.c
    asked = {"rule_name": rule, "connection": only.get("connection"), "run_id": only.get("run")}
    mine = [c.state == State.WAITING.value, *(c[name] == value for name, value in asked.items() if value)]
    if key := only.get("key"):
        mine.append(sa.or_(c.key == key, c.target_key == key))
    with house.db.begin() as tx:
        sights = Sights(tx, doing=True)
        runs = tx.execute(sa.select(c.run_id, c.rule_id, c.rule_name).where(*mine).distinct()).all()
        runs = [row for row in runs if reading.decides(sights, row.run_id, row.rule_name)]
        mine.append(c.run_id.in_([row.run_id for row in runs]))
        waiting = {row.rule_id: row.rule_name for row in runs}
        lanes = sa.update(delivery_lane).where(delivery_lane.c.rule_id.in_(list(waiting)))
        tx.execute(lanes.values(due_at=now))  # first, as who sends does: else the two would wait for each other
        number = tx.execute(sa.update(delivery).where(*mine).values(due_at=now)).rowcount
        events = [Event(Tag.DELIVERY_RETRIED, Subject("rule", name), None, {}) for name in sorted(waiting.values())]
        if events:
            record(tx, actor, now, *events)
    return number


def drop(house: House, numbers: Sequence[int], reason: str, actor: Actor, seen: str | None = None) -> None:
    """Take deliveries out of the outbox unsent; raises `NotDone`, also for one that is not as it was `seen` any more.

    A run that meets such a record again sends it again if it differs from what both sides last agreed on.
    """
    if not reason.strip():
        raise NotDone(msg("Say why: the reason is kept in the audit log."))
    for number in numbers:
        _drop(house, number, (reason.strip(), actor), seen)


def _drop(house: House, number: int, said: tuple[str, Actor], seen: str | None) -> None:
    reason, actor = said
    now, mine = house.clock(), (delivery.c.id == number, delivery.c.state == State.WAITING.value)
    ended = {"state": State.DROPPED.value, "ended_at": now, "fields": None, "record": None}
    with house.db.begin() as tx:
        row = tx.execute(sa.select(delivery).where(delivery.c.id == number)).one_or_none()
        dropping = sa.update(delivery).where(*mine).values(ended)
        if row is None or not _shown(tx, number, seen) or tx.execute(dropping).rowcount != 1:
            raise NotDone(msg("Delivery {number} does not wait: it has ended, or is being sent.", number=number))
        told = {"delivery": number, "connection": row.connection, "object": row.object, "op": row.op}
        event = Event(Tag.DELIVERY_DROPPED, Subject("rule", row.rule_name, row.key), told, None, reason, row.run_id)
        record(tx, actor, now, event)


def _shown(tx: sa.Connection, number: int, seen: str | None) -> bool:
    """Tell whether who asks is shown a delivery.

    Raises `NotDone` where it is not as it was `seen` any more, `NotPermitted` for who sees not all of its record.
    """
    found = reading.get(tx, number)
    if found is None:
        return False
    if not reading.decides(Sights(tx, doing=True), found.run_id, found.rule_name):
        raise NotPermitted(msg("You may not see all of this record in both systems, so you cannot decide about it."))
    if seen is not None and found.mark != seen:
        raise NotDone(_MOVED)
    return True
