"""Who works on a run: claimed with one conditional update that raises the token, held by a lease.

Two runs of one rule never work at the same time; the later one waits.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime, timedelta

import sqlalchemy as sa

from webapp.audit.services import Event, Subject, record
from webapp.audit.tags import Tag
from webapp.extensions import SYSTEM, House
from webapp.runs import ordering
from webapp.runs.admission import admitted, used
from webapp.runs.models import fence, run
from webapp.runs.pipeline.journal import Claim
from webapp.runs.slices.leases import are_waiting, renew

EVERY_RULE = ""
"""In place of a rule: the token behind which rules go on that had none when a backup was put back."""

log = logging.getLogger(__name__)


def claim(house: House, run_id: int, worker: str) -> Claim | None:
    """Return the run if it is free to be worked on, else None."""
    now = house.clock()
    taken = {
        "state": "running",
        "attempts": run.c.attempts + 1,
        "worker": worker,
        "lease_until": now + timedelta(seconds=house.settings.lease_seconds),
        "started_at": sa.func.coalesce(run.c.started_at, sa.literal(now, run.c.started_at.type)),
        "ended_at": None,
    }
    with house.db.begin() as tx:
        allowed = _allowed(tx, run_id, lapsed(run.c.lease_until, now, house.settings.lease_seconds))
        if are_waiting(tx, run_id):  # for their connections: the run keeps its place, and goes on with one of them
            tx.execute(sa.update(run).where(run.c.id == run_id, *allowed).values(lease_until=taken["lease_until"]))
            return None
        if tx.execute(sa.update(run).where(run.c.id == run_id, *allowed).values(taken)).rowcount != 1:
            return None
        tx.execute(sa.update(run).where(run.c.id == run_id).values(token=_next_token(tx, run_id, now)))
        row = tx.execute(sa.select(run).where(run.c.id == run_id)).one()
        tag = Tag.RUN_STARTED if row.attempts == 1 else Tag.RUN_RESUMED
        after = {"worker": worker, "token": row.token, "mode": row.mode}
        record(tx, SYSTEM, now, Event(tag, Subject("rule", row.rule_name), None, after, run_id=run_id))
    return Claim.of(row)


def _allowed(tx: sa.Connection, run_id: int, left: sa.ColumnElement[bool]) -> tuple[sa.ColumnElement[bool], ...]:
    """Return what has to hold of a run that a worker may have; locks what others could change of it meanwhile."""
    columns = (run.c.rule_id, run.c.state, run.c.left_connection, run.c.right_connection)
    row = tx.execute(sa.select(*columns).where(run.c.id == run_id)).one_or_none()
    if row is None:
        return (sa.false(),)
    one_at_a_time(tx, row.rule_id)
    other = run.alias()
    mine = (other.c.rule_id == run.c.rule_id, other.c.id != run.c.id)
    # one that was left behind goes first: its chunk may be half-way into the target; and it holds its place
    busy = sa.exists().where(*mine, other.c.state == "running")
    if row.state == "running":
        return (run.c.state == "running", left, ~busy)
    if not admitted(tx, row.rule_id, used(row)):
        return (sa.false(),)
    return (run.c.state == "queued", ordering.free(), ~busy)


def lapsed(until: sa.ColumnElement[datetime], now: datetime, seconds: float) -> sa.ColumnElement[bool]:
    """Tell of a lease of so many seconds whether it is over.

    One that would last for more than two leases was given before the clock was set back: to wait for its end could take
    for ever, and to end it early does no harm, since the token locks its holder out.
    """
    return sa.or_(until < now, until > now + timedelta(seconds=2 * seconds))


def one_at_a_time(tx: sa.Connection, rule_id: int | None) -> None:
    """Let what is decided about one rule's runs wait for each other on PostgreSQL; SQLite has one writer anyway."""
    if tx.dialect.name == "postgresql":
        tx.execute(sa.text("SELECT pg_advisory_xact_lock(7301, CAST(:rule AS integer))"), {"rule": rule_id})


def _next_token(tx: sa.Connection, run_id: int, now: datetime) -> int:
    """Return a token that is higher than any before it of the rule, which has its turn now."""
    name = tx.scalar(sa.select(run.c.rule_name).where(run.c.id == run_id))
    mine = fence.c.rule_name == name
    if tx.execute(sa.update(fence).where(mine).values(token=fence.c.token + 1, claimed_at=now)).rowcount == 0:
        floor = tx.scalar(sa.select(fence.c.token).where(fence.c.rule_name == EVERY_RULE)) or 0
        tx.execute(sa.insert(fence).values(rule_name=name, token=floor + 1, claimed_at=now))
    return int(tx.scalar(sa.select(fence.c.token).where(mine)) or 0)


@contextmanager
def held(house: House, claimed: Claim) -> Iterator[None]:
    """Keep the lease while the block runs, also through a long call to a slow system."""
    done = threading.Event()
    every = house.settings.lease_seconds / 3
    keeper = threading.Thread(
        target=_keep, args=(house, claimed, done, every), name=f"lease-{claimed.run_id}", daemon=True
    )
    keeper.start()
    try:
        yield
    finally:
        done.set()
        keeper.join()


def _keep(house: House, claimed: Claim, done: threading.Event, every: float) -> None:
    mine = (run.c.id == claimed.run_id, run.c.token == claimed.token, run.c.state == "running")
    while not done.wait(every):
        until = house.clock() + timedelta(seconds=house.settings.lease_seconds)
        try:
            with house.db.begin() as tx:
                if claimed.slice is not None:
                    kept = renew(tx, claimed, until)
                else:
                    kept = tx.execute(sa.update(run).where(*mine).values(lease_until=until)).rowcount == 1
            if not kept:
                return
        except sa.exc.SQLAlchemyError as error:
            log.warning("run %s: the lease could not be renewed: %s", claimed.run_id, error)
