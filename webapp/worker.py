"""The worker process: RQ brings run numbers, nothing else; the work is done in a forked child.

Redis may bring a number twice or never: the claim in the database decides who works on a run.
"""

from __future__ import annotations

import contextlib
import logging
import os
import signal
from typing import Any

import redis
from rq import Worker
from rq.serializers import JSONSerializer

import webapp.runs.execution  # noqa: F401 - imported before the fork, so that a job starts at once
from config import Settings, from_environment
from rules.documents.shape import json_schema
from rules.documents.sync import SyncRule
from webapp.cases import pairs
from webapp.entities import hub
from webapp.events import sources
from webapp.extensions import open_house
from webapp.lifeline import die_with_parent
from webapp.runs.execution import execute
from webapp.runs.pipeline.stopping import request_stop
from webapp.runs.queue import queue

log = logging.getLogger(__name__)


def work_on(run_id: int) -> None:
    """Carry out a run; the job that RQ calls."""
    house = open_house(from_environment())
    hub.register(house)
    sources.register()
    pairs.register()
    try:
        execute(house, run_id, f"{os.uname().nodename}:{os.getppid()}")
    finally:
        house.db.engine.dispose()


class RunWorker(Worker):
    """An RQ worker whose child dies with it, and ends at the next chunk when asked to stop."""

    def main_work_horse(self, job: Any, queue: Any) -> None:
        """Tie the child to its parent before it works."""
        die_with_parent(self.pid or os.getppid())()
        super().main_work_horse(job, queue)

    def setup_work_horse_signals(self) -> None:
        """Let the child finish its chunk on SIGTERM; Ctrl-C is for the parent."""
        signal.signal(signal.SIGINT, signal.SIG_IGN)
        signal.signal(signal.SIGTERM, lambda *_: request_stop())

    def handle_warm_shutdown_request(self) -> None:
        """Pass the request on to the child."""
        super().handle_warm_shutdown_request()  # type: ignore[no-untyped-call]
        if self.horse_pid:
            with contextlib.suppress(ProcessLookupError):  # it may have ended at this very moment
                os.kill(self.horse_pid, signal.SIGTERM)


def run(settings: Settings, name: str) -> None:
    """Work until SIGTERM or SIGINT."""
    connection = redis.Redis.from_url(settings.redis)
    worker = RunWorker(
        [queue(connection)],
        name=f"{name}-{os.getpid()}",
        connection=connection,
        serializer=JSONSerializer,
        log_job_description=False,
    )
    logging.getLogger("rq.worker").setLevel(logging.WARNING)
    json_schema(SyncRule)  # the types of documents are worked out once, for all children
    worker.work(with_scheduler=False, logging_level="WARNING")
