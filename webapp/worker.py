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
from functools import cache
from importlib import import_module
from typing import Any

from rq import Worker
from rq.executions import Execution
from rq.job import Job
from rq.serializers import JSONSerializer

import webapp.runs.execution  # noqa: F401 - imported before the fork, so that a job starts at once
from config import Settings, from_environment
from connectors.builtin.database_idle import KEPT
from rules.documents.shape import json_schema
from rules.documents.sync import SyncRule
from rules.language.nodes import Literal
from rules.language.runtime import ensure_depth
from webapp.cases import pairs
from webapp.connections.catalogue import connector_class
from webapp.connections.store import list_connections
from webapp.entities import hub
from webapp.events import sources
from webapp.evidence import desk
from webapp.extensions import House, open_house
from webapp.lifeline import die_with_parent
from webapp.redis_client import open_redis
from webapp.runs.execution import execute, installation_id
from webapp.runs.pipeline.stopping import request_stop, requested
from webapp.runs.queue import queue
from webapp.vault import people
from webapp.workhorse import Horse, Order, orders

log = logging.getLogger(__name__)


def work_on(run_id: int) -> None:
    """Carry out a run; the job that RQ calls."""
    execute(_house(), run_id, f"{os.uname().nodename}:{os.getppid()}")


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
    """An RQ worker with one child, which stays; it dies with the worker, and ends at the next chunk when asked to."""

    max_connection_wait_time = 2.0
    """Seconds at the most between two attempts to reach a Redis that does not answer; RQ waits up to a minute."""
    _horse: Horse | None = None
    _at_rest = True

    def dequeue_job_and_maintain_ttl(self, *args: Any, **more: Any) -> Any:
        """Wait for a job, with a child that is ready for it."""
        self._living()
        return super().dequeue_job_and_maintain_ttl(*args, **more)

    def fork_work_horse(self, job: Any, queue: Any) -> None:  # noqa: ARG002 - there is one queue
        """Give the job to the child."""
        horse, (execution,) = self._living(), self.executions
        self._horse_pid = horse.pid
        horse.send(Order(job.id, execution))

    def wait_for_horse(self) -> tuple[Any, Any, Any]:
        """Wait until the child has done its job, or has died."""
        with contextlib.suppress(ChildProcessError):  # it has been waited for
            if self._horse is not None:
                return self._horse.wait()
        return None, None, None

    def execute_job(self, job: Any, queue: Any) -> None:
        """Let the child do a job, and let it go where it wants to leave."""
        super().execute_job(job, queue)
        if self._horse is not None and not self._horse.settle():
            self._drop()

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
        self._is_horse = True
        warm_up()
        KEPT.begin(seconds=60)
        for order in orders(channel, self._rest):
            job = Job.fetch(order.job, connection=self.connection, serializer=self.serializer)
            execution = Execution(order.execution, order.job, connection=self.connection, worker_name=self.name)
            self.executions = {execution.id: execution}
            if not self.perform_job(job, self.queues[0], execution):
                break
        os._exit(os.EX_OK)

    def _rest(self, at_rest: bool) -> None:
        self._at_rest = at_rest
        if at_rest and requested():  # the next run would stop behind its first chunk, and the one behind it
            os._exit(os.EX_OK)

    def _stop(self, *_: Any) -> None:
        """Finish the chunk at hand, or end at once where there is none."""
        request_stop()
        if self._at_rest:
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
    """Load before the first fork what each child would load in its first run, and work out the types of documents."""
    json_schema(SyncRule)
    ensure_depth(Literal(0, value=True))
    import_module("numpy.ma")


def run(settings: Settings, name: str) -> None:
    """Work until SIGTERM or SIGINT."""
    connection = open_redis(settings.redis)
    worker = RunWorker(
        [queue(connection)],
        name=f"{name}-{os.getpid()}",
        connection=connection,
        serializer=JSONSerializer,
        log_job_description=False,
    )
    logging.getLogger("rq.worker").setLevel(logging.WARNING)
    prepare()
    worker.work(with_scheduler=False, logging_level="WARNING")
