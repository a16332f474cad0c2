"""The RQ queue of runs. A job carries a run's number and nothing else; the database says what it means."""

from __future__ import annotations

import redis
from rq import Queue
from rq.serializers import JSONSerializer

QUEUE = "syncline-runs"


def queue(connection: redis.Redis) -> Queue:
    """Return the queue of runs."""
    return Queue(QUEUE, connection=connection, serializer=JSONSerializer, default_timeout=-1)


def enqueue(runs: Queue, run_id: int) -> None:
    """Announce a run; RQ neither retries nor keeps results, the database does."""
    _call(runs, "webapp.worker.work_on", run_id)


def enqueue_audit(runs: Queue, job_id: int) -> None:
    """Announce work on the audit log in the same way."""
    _call(runs, "webapp.worker.work_on_audit", job_id)


def _call(runs: Queue, function: str, number: int) -> None:
    runs.enqueue_call(function, args=(number,), timeout=-1, result_ttl=0, failure_ttl=0, ttl=600)
