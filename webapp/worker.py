"""The worker process: RQ brings run numbers, nothing else; the work is done in a child process.

Redis may bring a number twice or never: the claim in the database decides who works on a run.
"""

from __future__ import annotations

import contextlib
import logging
import os
import random
import signal
import socket
import time
from collections.abc import Iterator
from functools import cache
from importlib import import_module
from typing import Any

import pyarrow as pa
import redis
from rq import Worker
from rq.serializers import JSONSerializer
from rq.utils import import_attribute
from rq.utils import now as utcnow
from rq.worker import WorkerStatus
from rq.worker_registration import register

import webapp.runs.execution  # noqa: F401 - imported before the fork, so that a job starts at once
from config import Settings, from_environment
from connectors.builtin.database_idle import KEPT
from rules.documents.shape import json_schema
from rules.documents.sync import SyncRule
from rules.language.nodes import Literal
from rules.language.runtime import ensure_depth
from webapp import tracing
from webapp.cases import pairs
from webapp.connections.catalogue import connector_class
from webapp.connections.store import list_connections
from webapp.entities import hub
from webapp.events import sources
from webapp.evidence import desk
from webapp.extensions import House, open_house
from webapp.lifeline import die_with_parent
from webapp.redis_client import open_redis
from webapp.runs.execution import installation_id
from webapp.runs.pipeline.stopping import request_stop, requested
from webapp.runs.queue import queue
from webapp.runs.taking import take_turns
from webapp.vault import people
from webapp.wake import ping
from webapp.workhorse import Horse, Order, orders

PAUSE = 1.0
"""Seconds between two attempts to be given runs by a Redis that answers with an error."""

log = logging.getLogger(__name__)


def work_on(run_id: int) -> None:  # noqa: ARG001 - whoever looks into Redis sees which run has woken a worker up
    """Carry out the runs whose turn it is; the job that RQ calls where one waits."""
    take_turns(_house(), f"{os.uname().nodename}:{os.getppid()}")


def work_on_audit(job_id: int) -> None:
    """Do work on the audit log as a whole; the job that RQ calls."""
    desk.work(_house(), job_id)


@cache
def _house() -> House:
    """Return the house of this process, which is opened once."""
    house = open_house(from_environment())
    hub.register(house)
    sources.register()
    pairs.register()
    people.register(house)
    return house


class RunWorker(Worker):
    """An RQ worker with one child, which stays; it dies with the worker, and ends at the next chunk when asked to.

    What RQ would keep in Redis of a job is forgotten as soon as it is taken up: the database knows what becomes of a
    run. So neither the run at hand nor the worker needs a Redis that answers; it is only waited for.
    """

    max_connection_wait_time = 2.0
    """Seconds at the most between two attempts to reach a Redis that does not answer; RQ waits up to a minute."""
    _horse: Horse | None = None
    _at_rest = True

    def dequeue_job_and_maintain_ttl(self, *args: Any, **more: Any) -> Any:
        """Wait for a job, with a child that is ready for it, at whatever Redis answers."""
        while True:
            self._living()
            try:
                return super().dequeue_job_and_maintain_ttl(*args, **more)
            except redis.RedisError as error:  # such as a master's that was made a replica, or that has no memory left
                log.warning("Redis gives no runs, and is asked again: %s", error)
                time.sleep(PAUSE)

    def execute_job(self, job: Any, queue: Any) -> None:
        """Let the child do a job, and let it go where it wants to leave."""
        self.set_state(WorkerStatus.BUSY)
        horse = self._living()
        self._horse_pid = horse.pid
        self._forget(job, queue)
        horse.send(Order(job.func_name, job.args))
        while not horse.answered(self.job_monitoring_interval):
            self.heartbeat()
        if not horse.settle():
            self._drop()
        self._horse_pid = 0
        self.set_state(WorkerStatus.IDLE)

    def register_birth(self) -> None:
        """Say that the worker is there, whoever had its name before it."""
        self.birth_date = utcnow()
        self.heartbeat()

    def heartbeat(self, timeout: int | None = None, pipeline: Any = None) -> None:  # noqa: ARG002 - RQ's, of its own jobs
        """Say all of the worker each time: Redis may be another one by now, which knows nothing."""
        self.last_heartbeat = utcnow()
        with _spared(), self.connection.pipeline() as pipe:
            pipe.hset(self.key, mapping=self.serialize())
            register(self, pipe)
            pipe.expire(self.key, self.worker_ttl + 60)
            pipe.execute()

    def set_state(self, state: str, pipeline: Any = None) -> None:
        """Note what the worker does."""
        with _spared():
            super().set_state(state, pipeline)

    def set_shutdown_requested_date(self) -> None:
        """Note that the worker was asked to stop."""
        with _spared():
            super().set_shutdown_requested_date()  # type: ignore[no-untyped-call]

    def register_death(self) -> None:
        """Say goodbye."""
        with _spared():
            super().register_death()  # type: ignore[no-untyped-call]

    def run_maintenance_tasks(self) -> None:
        """Let RQ look at jobs that workers of earlier versions have left."""
        with _spared():
            super().run_maintenance_tasks()  # type: ignore[no-untyped-call]

    def check_for_suspension(self, burst: bool) -> None:
        """Rules are paused in the database, not workers in Redis."""

    def subscribe(self) -> None:
        """Commands come by signals, not by Redis."""

    def teardown(self) -> None:
        """Let the child end, too."""
        self._drop()
        super().teardown()  # type: ignore[no-untyped-call]

    def handle_warm_shutdown_request(self) -> None:
        """Pass the request on to the child."""
        super().handle_warm_shutdown_request()  # type: ignore[no-untyped-call]
        if self.horse_pid:
            with contextlib.suppress(ProcessLookupError):  # it may have ended at this very moment
                os.kill(self.horse_pid, signal.SIGTERM)

    def _forget(self, job: Any, queue: Any) -> None:
        with _spared(), self.connection.pipeline() as pipe:
            pipe.lrem(queue.intermediate_queue_key, 1, job.id)
            pipe.delete(job.key)
            pipe.execute()

    def _living(self) -> Horse:
        if self._horse is None or not self._horse.alive():
            self._drop()
            self._horse = Horse.born(self._live)
        return self._horse

    def _drop(self) -> None:
        if self._horse is not None:
            self._horse.close()
            self._horse = None

    def _live(self, channel: socket.socket) -> None:
        """Be the child: tied to its parent, it does job after job until no more can come."""
        die_with_parent(self.pid or os.getppid())()
        random.seed()
        signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is for the parent
        signal.signal(signal.SIGTERM, self._stop)
        tracing.begin(_house().settings, "worker")
        warm_up()
        KEPT.begin(seconds=60)
        for order in orders(channel, self._rest):
            if not carried_out(order):
                break
        _leave()

    def _rest(self, at_rest: bool) -> None:
        self._at_rest = at_rest
        if at_rest and requested():  # the next run would stop behind its first chunk, and the one behind it
            _leave()

    def _stop(self, *_: Any) -> None:
        """Finish the chunk at hand, or end at once where there is none."""
        request_stop()
        if self._at_rest:
            _leave()


@contextlib.contextmanager
def _spared() -> Iterator[None]:
    """Leave out what Redis does not take: it is not needed for the work."""
    try:
        yield
    except redis.RedisError as error:
        log.warning("Redis was not told: %s", error)


def carried_out(order: Order) -> bool:
    """Do what a job says; return False where it has failed."""
    try:
        import_attribute(order.function)(*order.arguments)
    except Exception:
        log.exception("%s%s failed", order.function, tuple(order.arguments))
        return False
    return True


def _leave() -> None:
    """End this child, which has nothing to do."""
    tracing.end()
    os._exit(os.EX_OK)


def warm_up() -> None:
    """Do what the first run of a process would pay for; what goes wrong, goes wrong again where it is told of."""
    try:
        house = _house()
        installation_id(house)
        with house.db.read() as tx:
            used = {row.connector for row in list_connections(tx)}
        for name in used:
            connector_class(name)
    except Exception:
        log.exception("the worker could not make itself ready")


def prepare() -> None:
    """Load before the first fork what each child would load in its first run, and work out the types of documents.

    Arrow is given the memory of the C library: with an allocator of its own it holds on to 60 MB more.
    """
    pa.set_memory_pool(pa.system_memory_pool())
    json_schema(SyncRule)
    ensure_depth(Literal(0, value=True))
    import_module("numpy.ma")


def until_there(settings: Settings) -> None:
    """Wait for a Redis that answers: machines start in any order."""
    while not ping(settings):
        log.warning("Redis does not answer, and is asked again.")
        time.sleep(PAUSE)


def run(settings: Settings, name: str) -> None:
    """Work until SIGTERM or SIGINT."""
    until_there(settings)
    connection = open_redis(settings.redis)
    worker = RunWorker(
        [queue(connection)],
        name=f"{name}-{os.uname().nodename}-{os.getpid()}",
        connection=connection,
        serializer=JSONSerializer,
        log_job_description=False,
    )
    logging.getLogger("rq.worker").setLevel(logging.WARNING)
    prepare()
    worker.work(with_scheduler=False, logging_level="WARNING")
