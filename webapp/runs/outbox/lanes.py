"""Who sends: each lane is held by one deliverer at a time, by a lease; its token locks an older holder out."""

from __future__ import annotations

import logging
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

import sqlalchemy as sa

from connectors.errors import Fenced
from webapp.extensions import House
from webapp.runs.claims import EVERY_RULE, lapsed
from webapp.runs.models import fence
from webapp.runs.outbox.models import delivery, delivery_lane
from webapp.runs.outbox.states import OPEN, State, backoff

BATCH = 500
"""So many deliveries are sent at once, each of another key."""

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Lane:
    """A lane that we hold; `failures` counts how often in a row nothing of it got through."""

    rule_id: int
    no: int
    token: int
    failures: int


def free(house: House, limit: int) -> list[tuple[int, int]]:
    """Return lanes in which something is due and that nobody holds: rule and number, longest waiting first."""
    now, c = house.clock(), delivery_lane.c
    idle = sa.or_(c.lease_until.is_(None), lapsed(c.lease_until, now, house.settings.lease_seconds))
    mine = (delivery.c.rule_id == c.rule_id, delivery.c.lane == c.lane, delivery.c.due_at <= now)
    waits = [sa.exists().where(delivery.c.state == state, *mine) for state in OPEN]
    query = sa.select(c.rule_id, c.lane).where(c.due_at <= now, idle, sa.or_(*waits))
    with house.db.read() as tx:
        return [(row.rule_id, row.lane) for row in tx.execute(query.order_by(c.due_at, c.rule_id, c.lane).limit(limit))]


def take(house: House, rule_id: int, no: int, worker: str) -> Lane | None:
    """Return a lane, now ours; None where somebody was faster."""
    now, c = house.clock(), delivery_lane.c
    idle = sa.or_(c.lease_until.is_(None), lapsed(c.lease_until, now, house.settings.lease_seconds))
    with house.db.begin() as tx:
        floor = tx.scalar(sa.select(fence.c.token).where(fence.c.rule_name == EVERY_RULE)) or 0
        token = sa.case((c.token > floor, c.token), else_=floor) + 1  # a store that was put back goes on behind
        values = {"token": token, "worker": worker, "lease_until": _until(house)}
        mine = (c.rule_id == rule_id, c.lane == no)
        if tx.execute(sa.update(delivery_lane).where(*mine, idle, c.due_at <= now).values(values)).rowcount != 1:
            return None
        row = tx.execute(sa.select(c.token, c.failures).where(*mine)).one()
    return Lane(rule_id, no, row.token, row.failures)


def guard(tx: sa.Connection, house: House, lane: Lane, **values: Any) -> None:
    """Renew our lease, setting `values` of the lane; raises `Fenced` where somebody else has it."""
    c = delivery_lane.c
    mine = (c.rule_id == lane.rule_id, c.lane == lane.no, c.token == lane.token)
    new = {"lease_until": _until(house), **values}
    if tx.execute(sa.update(delivery_lane).where(*mine).values(new)).rowcount != 1:
        raise Fenced


def leave(tx: sa.Connection, house: House, lane: Lane, *, away: bool) -> None:
    """Give a lane back in the caller's transaction; a target that is away is asked again later."""
    failures = lane.failures + 1 if away else 0
    guard(tx, house, lane, lease_until=None, failures=failures, due_at=house.clock() + backoff(failures) * away)


def pick(house: House, lane: Lane) -> list[sa.Row[Any]]:
    """Return what is sent next, of each key the oldest that is open, if it is due.

    It is noted as being sent; what is returned still tells of the attempts before this one.
    """
    c, older = delivery.c, delivery.alias()
    mine = (c.rule_id == lane.rule_id, c.lane == lane.no, c.state.in_(OPEN), c.due_at <= house.clock())
    before = (older.c.rule_id == c.rule_id, older.c.key == c.key, older.c.state.in_(OPEN), older.c.id < c.id)
    oldest = sa.select(delivery).where(*mine, ~sa.exists().where(*before)).order_by(c.id).limit(BATCH)
    with house.db.begin() as tx:
        guard(tx, house, lane)
        rows = list(tx.execute(oldest).all())
        values = {"state": State.SENDING.value, "attempts": c.attempts + 1, "sent_at": house.clock()}
        tx.execute(sa.update(delivery).where(c.id.in_([row.id for row in rows])).values(values))
    return rows


@contextmanager
def held(house: House, lane: Lane) -> Iterator[None]:
    """Keep the lease while the block runs, also through a long call to a slow system."""
    done = threading.Event()
    keeper = threading.Thread(target=_keep, args=(house, lane, done), name=f"lane-{lane.no}", daemon=True)
    keeper.start()
    try:
        yield
    finally:
        done.set()
        keeper.join()


def _keep(house: House, lane: Lane, done: threading.Event) -> None:
    while not done.wait(house.settings.lease_seconds / 3):
        try:
            with house.db.begin() as tx:
                guard(tx, house, lane)
        except Fenced:
            return
        except sa.exc.SQLAlchemyError as error:
            log.warning("the lease of lane %s of rule %s could not be renewed: %s", lane.no, lane.rule_id, error)


def _until(house: House) -> Any:
    return house.clock() + timedelta(seconds=house.settings.lease_seconds)
