"""The worker process: what its signals do, and how long its child stays."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import psutil
import pytest
import redis

from tests.houses import settings_in
from tests.servers import valkey
from webapp.runs.queue import queue
from webapp.worker import RunWorker
from webapp.workhorse import GROWN

PATIENCE = 120.0  # seconds; a worker loads much, and the machine may be busy
ROOT = Path(__file__).resolve().parents[2]
WORKER = """
import sys, redis, webapp.workhorse
from rq.serializers import JSONSerializer
from webapp.runs.queue import queue
from webapp.worker import RunWorker
webapp.workhorse.MOST = 3
connection = redis.Redis(unix_socket_path=sys.argv[1])
RunWorker([queue(connection)], connection=connection, serializer=JSONSerializer).work(logging_level="CRITICAL")
"""


def note(socket: str, seconds: float = 0.0) -> None:
    """Note which process did the job; it may take a while."""
    with redis.Redis(unix_socket_path=socket) as connection:
        connection.rpush("begun", os.getpid())
        time.sleep(seconds)
        connection.rpush("done", os.getpid())


def grow(socket: str) -> None:
    """Take more memory than a child may keep."""
    bytearray(GROWN * 1024 + 64_000_000).count(1)
    note(socket)


def fail(socket: str) -> None:
    """End as no job should."""
    note(socket)
    raise ValueError("unexpected")


def die(socket: str) -> None:
    """End as the kernel ends what takes too much memory."""
    note(socket)
    os.kill(os.getpid(), signal.SIGKILL)


def linger(socket: str) -> None:
    """Leave something behind that waits for ever, as a system does that never answers."""
    threading.Thread(target=threading.Event().wait, daemon=True).start()
    note(socket)


def stop(socket: str) -> None:
    """Be asked to stop while the worker is not."""
    os.kill(os.getpid(), signal.SIGTERM)
    note(socket)


def wait_for(condition: Callable[[], bool], seconds: float, what: str) -> None:
    """Wait until something is so."""
    until = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < until, f"waited in vain for {what}"
        time.sleep(0.02)


class Stable:
    """A worker process and its queue."""

    def __init__(self, process: subprocess.Popen[bytes], socket: str) -> None:
        self.process, self.socket = process, socket
        self.connection = redis.Redis(unix_socket_path=socket)

    def ask(self, job: str, *more: float) -> None:
        """Put a job into the queue, as runs are."""
        queue(self.connection).enqueue_call(
            f"tests.webapp.test_worker.{job}", args=(self.socket, *more), timeout=-1, result_ttl=0, failure_ttl=0
        )

    def done(self, *jobs: str) -> list[int]:
        """Return which process did each of some jobs, one after the other."""
        before = self.connection.llen("done")
        for number, job in enumerate(jobs, 1):
            self.ask(job)
            wait_for(lambda n=number: self.connection.llen("done") == before + n, PATIENCE, job)
        return [int(pid) for pid in self.connection.lrange("done", before, -1)]

    def child(self) -> int:
        """Return the child's process."""
        found = psutil.Process(self.process.pid).children()
        return found[0].pid if found else 0


@pytest.fixture(scope="module")
def stable(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stable]:
    """Start a worker that goes on whatever happens to its children."""
    with started(tmp_path_factory.mktemp("stable")) as worker:
        yield worker


@pytest.fixture
def mortal(tmp_path: Path) -> Iterator[Stable]:
    """Start a worker that is to end."""
    with started(tmp_path) as worker:
        yield worker


@contextlib.contextmanager
def started(folder: Path) -> Iterator[Stable]:
    """Start a worker with a queue of its own."""
    settings_in(folder)
    with valkey() as server:
        environ = {**os.environ, "SYNCLINE_DATA": str(folder), "SYNCLINE_DATABASE_URL": ""}
        process = subprocess.Popen([sys.executable, "-c", WORKER, str(server.socket)], cwd=ROOT, env=environ)
        worker = Stable(process, str(server.socket))
        try:
            yield worker
        finally:
            worker.connection.close()
            with contextlib.suppress(ProcessLookupError):
                process.kill()
            process.wait(30)


def test_stopping_a_worker_whose_child_has_just_ended_is_no_error() -> None:
    """A run may end at the very moment in which the worker is asked to stop."""
    child = subprocess.Popen([sys.executable, "-c", ""])
    child.wait()
    with valkey() as server, redis.Redis(unix_socket_path=str(server.socket)) as connection:
        worker = RunWorker([queue(connection)], connection=connection)
        worker._horse_pid = child.pid
        worker.handle_warm_shutdown_request()
    assert not os.path.exists(f"/proc/{child.pid}")


def test_the_child_is_there_before_the_job_and_stays_for_the_next_ones(stable: Stable) -> None:
    """What the first job has warmed up serves the next ones, but a child does not live for ever."""
    wait_for(lambda: stable.child() != 0, PATIENCE, "the child")
    first = stable.child()
    assert stable.done("note", "note", "note") == [first] * 3
    assert stable.done("note") != [first]


@pytest.mark.parametrize("job", ["grow", "fail", "die", "linger", "stop"])
def test_a_child_that_is_not_as_it_was_leaves(stable: Stable, job: str) -> None:
    """Behind a job that took much memory, failed, was killed or stopped, or left a thread comes another child."""
    (first,) = stable.done(job)
    wait_for(lambda: not psutil.pid_exists(first), PATIENCE, "the child's end")
    second, third = stable.done("note", "note")
    assert first != second == third
    assert stable.process.poll() is None


def test_a_child_that_dies_at_rest_is_replaced(stable: Stable) -> None:
    """Nobody waits for it at that moment, and the next job is done all the same."""
    (first,) = stable.done("note")
    with contextlib.suppress(ProcessLookupError):  # it may just have made room for another one
        os.kill(first, signal.SIGKILL)
    (second,) = stable.done("note")
    assert second != first


@pytest.mark.parametrize("busy", [False, True])
def test_a_worker_that_is_stopped_ends_with_its_child(mortal: Stable, busy: bool) -> None:
    """At rest at once; behind its job where it has one."""
    mortal.done("note")
    child = mortal.child()
    if busy:
        mortal.ask("note", 1.0)
        wait_for(lambda: mortal.connection.llen("begun") == 2, PATIENCE, "the job")
    mortal.process.terminate()
    assert mortal.process.wait(30) == 0
    wait_for(lambda: not psutil.pid_exists(child), PATIENCE, "the child's end")
    assert mortal.connection.llen("done") == (2 if busy else 1)


def test_a_killed_worker_takes_its_child_with_it(mortal: Stable) -> None:
    """No orphan stays, at rest as little as at work."""
    mortal.done("note")
    child = mortal.child()
    mortal.process.kill()
    wait_for(lambda: not psutil.pid_exists(child), PATIENCE, "the child's end")


FIRST_RUN = """
import sys
from webapp.worker import prepare
prepare()
known = set(sys.modules)
import numpy, polars
from rules.language.program import compile_expression
from rules.schema import Field, FieldType, Schema
compile_expression("name.trim() + 'x'", Schema((Field("name", FieldType.TEXT),), ()))
polars.Series(numpy.zeros(3))
print(sorted(set(sys.modules) - known))
"""


def test_a_child_finds_loaded_what_its_first_run_needs() -> None:
    """Neither an expression nor a column of numbers loads a module once a worker has made itself ready to fork."""
    done = subprocess.run([sys.executable, "-c", FIRST_RUN], cwd=ROOT, capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
