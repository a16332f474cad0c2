"""The worker process: what its signals do."""

from __future__ import annotations

import os
import subprocess
import sys

import redis

from tests.servers import valkey
from webapp.runs.queue import queue
from webapp.worker import RunWorker


def test_stopping_a_worker_whose_child_has_just_ended_is_no_error() -> None:
    """A run may end at the very moment in which the worker is asked to stop."""
    child = subprocess.Popen([sys.executable, "-c", ""])
    child.wait()
    with valkey() as server, redis.Redis(unix_socket_path=str(server.socket)) as connection:
        worker = RunWorker([queue(connection)], connection=connection)
        worker._horse_pid = child.pid
        worker.handle_warm_shutdown_request()
    assert not os.path.exists(f"/proc/{child.pid}")
