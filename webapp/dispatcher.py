"""The dispatcher: fires schedules, announces waiting runs, and again those whose announcement or worker got lost.

Any number of dispatchers may run: a slot fires once by its unique row, a run is worked on once by its claim.
"""

from __future__ import annotations

import logging
import os
import signal
import threading
import time
from datetime import datetime, timedelta

import redis
import sqlalchemy as sa

from config import Settings
from webapp import tracing
from webapp.access import approving
from webapp.entities import hub
from webapp.entities.resealer import Resealer
from webapp.events.sources import register
from webapp.evidence import jobs
from webapp.evidence.forwarding import Forwarder
from webapp.evidence.notary import Notary
from webapp.extensions import House, open_house
from webapp.redis_client import open_redis
from webapp.runs import ordering, service_levels
from webapp.runs.admission import waiting
from webapp.runs.caretaking import Caretaker
from webapp.runs.claims import lapsed
from webapp.runs.dependencies import retry_forgotten
from webapp.runs.listening import Listening
from webapp.runs.models import run as run_table
from webapp.runs.outbox.deliverer import Deliverer
from webapp.runs.quarantine_expiry import expire_due
from webapp.runs.queue import enqueue, enqueue_audit, queue
from webapp.runs.schedules import fire_due
from webapp.runs.slices import leases as slices
from webapp.runs.traces import traces_of
from webapp.runs.transactions.recovery import Recoverer
from webapp.vault import people
from webapp.wake import LIST, announce, beat

POLL = 1.0
"""Seconds between two looks into the database when nobody rings."""
LOOK = 15.0
"""Seconds between two looks at the service levels, and at what systems keep for rules."""
HEAR = 2.0
"""Seconds between two looks at which systems to listen to."""
AGAIN = timedelta(seconds=15)
"""After this time a run that nobody has claimed is announced once more."""
AT_ONCE = 100
"""So many runs are announced, and schedules fired, at a time: what is asked for meanwhile does not wait for all."""

log = logging.getLogger(__name__)


def announce_waiting(house: House, connection: redis.Redis) -> int:
    """Announce runs that may begin, in the order of their turns, or whose lease has expired; return how many.

    Of a run that is split, slices that are free are announced one by one, so that more workers join.
    """
    now = house.clock()
    with house.db.read() as tx:
        left = tx.scalars(sa.select(run_table.c.id).where(*_left_behind(house, now)).order_by(run_table.c.id)).all()
        begin = [one.run_id for one in waiting(tx, now) if _long_ago(one.announced_at, now)]
        parts = slices.to_announce(tx, now, house.settings.lease_seconds, AGAIN)
    ids = [*left, *parts, *begin][:AT_ONCE]
    runs, traces = queue(connection), traces_of(house, ids)
    for run_id in ids:
        with tracing.span("announce run", {"syncline.run.id": run_id}, kind="producer", parent=traces.get(run_id)):
            enqueue(runs, run_id)
    if ids:
        with house.db.begin() as tx:
            tx.execute(sa.update(run_table).where(run_table.c.id.in_(ids)).values(announced_at=now))
            slices.announced(tx, parts, now)
    return len(ids)


def _left_behind(house: House, now: datetime) -> tuple[sa.ColumnElement[bool], ...]:
    told, until = run_table.c.announced_at, run_table.c.lease_until
    long_ago = sa.or_(told.is_(None), told < now - AGAIN, told > now + AGAIN)
    left = lapsed(until, now, house.settings.lease_seconds)
    return (run_table.c.state == "running", left, sa.or_(long_ago, told < until))


def _long_ago(told: datetime | None, now: datetime) -> bool:
    """Tell whether a run has to be announced; who did it later than now did it before the clock was set back."""
    return told is None or abs(now - told) > AGAIN


def announce_jobs(house: House, connection: redis.Redis) -> None:
    """Announce work on the audit log that nobody has taken up."""
    for number in jobs.waiting(house):
        enqueue_audit(queue(connection), number)


def turn(house: House, connection: redis.Redis) -> bool:
    """Do one round of work, and tell whether more schedules are due.

    A database or Redis that does not answer is told of and tried again.
    """
    fired: list[int] = []
    try:
        fired = fire_due(house, AT_ONCE)
        expire_due(house)
        ordering.call_off(house)
        retry_forgotten(house)
        announce_waiting(house, connection)
        announce_jobs(house, connection)
        beat(connection, "scheduler", f"{os.uname().nodename}:{os.getpid()}", house.clock())
    except (redis.RedisError, sa.exc.OperationalError) as error:
        log.warning("The dispatcher will try again: %s", error)
    return len(fired) >= AT_ONCE


def look_after(house: House, caretaker: Caretaker) -> None:
    """See whether rules keep their service levels, and whether logs are kept for nothing.

    A database that does not answer is asked again later.
    """
    try:
        service_levels.watch(house)
        caretaker.look()
    except sa.exc.OperationalError as error:
        log.warning("The dispatcher will look at service levels again: %s", error)


def listen(listening: Listening) -> None:
    """Listen to the systems that rules follow; a database that does not answer is asked again later."""
    try:
        listening.refresh()
    except sa.exc.OperationalError as error:
        log.warning("The dispatcher will look again for systems to listen to: %s", error)


def wait_for_ring(connection: redis.Redis, stop: threading.Event) -> None:
    """Return when someone rings, or after `POLL` seconds."""
    try:
        connection.blpop([LIST], timeout=POLL)
        connection.delete(LIST)
    except redis.RedisError:
        stop.wait(POLL)


def run(settings: Settings) -> None:
    """Dispatch until SIGTERM or SIGINT."""
    stop = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stop.set())
    house = open_house(settings)
    connection = open_redis(settings.redis, socket_timeout=POLL + 4)
    register()
    hub.register(house)
    people.register(house)
    approving.prepare(house)
    caretaker = Caretaker(house)
    listening = Listening(house, lambda: announce(settings))
    notary = Notary(house)
    notary.start()
    forwarder = Forwarder(house)
    forwarder.start()
    resealer = Resealer(house)
    resealer.start()
    recoverer = Recoverer(house)
    recoverer.start()
    tracing.begin(settings, "scheduler")
    deliverer = Deliverer(house)
    deliverer.start()
    due = heard = time.monotonic()
    while not stop.is_set():
        more = turn(house, connection)
        if time.monotonic() >= due:
            look_after(house, caretaker)
            due = time.monotonic() + LOOK
        if time.monotonic() >= heard:
            listen(listening)
            heard = time.monotonic() + HEAR
        if not more:
            wait_for_ring(connection, stop)
    tracing.end()
    listening.close()
    deliverer.close()
    recoverer.close()
    resealer.close()
    forwarder.close()
    notary.close()
