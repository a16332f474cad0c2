"""What a person may do with deliveries: have them tried at once, or drop one; the audit log has both."""

from __future__ import annotations

from collections.abc import Sequence

import sqlalchemy as sa

from rules.text import Message, msg
from webapp.audit.services import Event, Subject, record
from webapp.audit.tags import Tag
from webapp.extensions import Actor, House
from webapp.runs.outbox import reading
from webapp.runs.outbox.models import delivery, delivery_lane
from webapp.runs.outbox.states import State


class NotDone(Exception):
    """The deed is not possible, and why."""

    def __init__(self, message: Message) -> None:
        super().__init__(str(message))
        self.message = message


def retry(house: House, rule: str | None, actor: Actor) -> int:
    """Let what waits be tried at once, of one rule or of all; return how many deliveries that are."""
    now, c = house.clock(), delivery.c
    mine = [c.state == State.WAITING.value, *([c.rule_name == rule] if rule else [])]
    with house.db.begin() as tx:
        waiting = {row.rule_id: row.rule_name for row in tx.execute(sa.select(c.rule_id, c.rule_name).where(*mine))}
        lanes = sa.update(delivery_lane).where(delivery_lane.c.rule_id.in_(list(waiting)))
        tx.execute(lanes.values(due_at=now))  # first, as who sends does: else the two would wait for each other
        number = tx.execute(sa.update(delivery).where(*mine).values(due_at=now)).rowcount
        events = [Event(Tag.DELIVERY_RETRIED, Subject("rule", name), None, {}) for name in sorted(waiting.values())]
        if events:
            record(tx, actor, now, *events)
    return number


def drop(house: House, numbers: Sequence[int], reason: str, actor: Actor) -> None:
    """Take deliveries out of the outbox unsent; raises `NotDone`.

    A run that meets such a record again sends it again if it differs from what both sides last agreed on.
    """
    if not reason.strip():
        raise NotDone(msg("Say why: the reason is kept in the audit log."))
    for number in numbers:
        _drop(house, number, reason.strip(), actor)


def _drop(house: House, number: int, reason: str, actor: Actor) -> None:
    now, mine = house.clock(), (delivery.c.id == number, delivery.c.state == State.WAITING.value)
    ended = {"state": State.DROPPED.value, "ended_at": now, "fields": None, "record": None}
    with house.db.begin() as tx:
        row = tx.execute(sa.select(delivery).where(delivery.c.id == number)).one_or_none()
        if (
            row is None
            or reading.get(tx, number) is None
            or tx.execute(sa.update(delivery).where(*mine).values(ended)).rowcount != 1
        ):
            raise NotDone(msg("Delivery {number} does not wait: it has ended, or is being sent.", number=number))
        told = {"delivery": number, "connection": row.connection, "object": row.object, "op": row.op}
        event = Event(Tag.DELIVERY_DROPPED, Subject("rule", row.rule_name, row.key), told, None, reason, row.run_id)
        record(tx, actor, now, event)
