"""`syncline up` as a person meets it."""

from __future__ import annotations

import os
import re
import signal
import time

import psutil
import pytest

from tests.supervisor.conftest import Installation, alive, wait_for

pytestmark = pytest.mark.kill


def test_first_start_stop_and_second_start(installation: Installation) -> None:
    """The first start shows the URL and a password; Ctrl-C stops all; a second start is quick and shows no password."""
    installation.start()
    first = installation.output
    assert f"Syncline is ready: http://127.0.0.1:{installation.port}" in first
    password = re.search(r"Sign in as admin with the password: (\S+)", first)
    assert password
    assert installation.page("/login/") == 200
    family = installation.family()
    assert len(family) >= 5, "redis, gunicorn and its worker, a worker, the scheduler"
    asked = time.monotonic()
    assert installation.stop(signal.SIGINT) == 0
    assert time.monotonic() - asked < 12
    assert alive(family) == []

    installation.start()
    assert "password" not in installation.output
    assert password[1] not in "".join(p.read_text() for p in (installation.data / "logs").glob("*.log"))
    assert installation.seconds < 6 * max(1.0, *os.getloadavg()), "6 s where nothing else uses the machine"
    assert installation.page("/login/") == 200
    family = installation.family()
    assert installation.stop(signal.SIGTERM) == 0
    assert alive(family) == []


def test_redis_listens_on_no_port(running: Installation) -> None:
    """The embedded Redis has a unix socket that only this user may use, and no TCP port."""
    redis = running.child("redis")
    assert redis is not None
    assert [c for c in redis.net_connections("inet") if c.status == psutil.CONN_LISTEN] == []
    assert (running.data / "run" / "redis.sock").stat().st_mode & 0o077 == 0


@pytest.mark.parametrize("name", ["redis", "scheduler", "events", "worker", "web"])
def test_a_killed_process_comes_back(running: Installation, name: str) -> None:
    """kill -9 of any process is followed by its restart, and the console answers."""
    before = running.child(name)
    assert before is not None
    before.kill()
    wait_for(lambda: (now := running.child(name)) is not None and now.pid != before.pid, what=name)
    wait_for(lambda: running.page("/readyz") == 200, what="the console")


def test_a_second_instance_is_refused(running: Installation) -> None:
    """One data folder has one supervisor; the message names the process that has it."""
    other = Installation(running.data)
    with pytest.raises(AssertionError, match=f"already runs on .*process {running.process.pid}"):
        other.start()
    assert running.page("/login/") == 200


def test_the_supervisors_death_leaves_no_orphan(installation: Installation) -> None:
    """kill -9 of the supervisor ends all other processes within seconds; the next start finds all data again."""
    installation.start()
    family = installation.family()
    os.kill(installation.process.pid, signal.SIGKILL)
    installation.process.wait()
    wait_for(lambda: alive(family) == [], 10, "the children's end")
    installation.start()
    assert "password" not in installation.output


def test_a_long_path_is_no_problem(tmp_path) -> None:
    """A data folder whose path is too long for a socket works all the same."""
    one = Installation(tmp_path / ("a folder with a rather long name " * 4).strip() / "data")
    one.data.parent.mkdir()
    one.start()
    assert not (one.data / "run" / "redis.sock").exists()
    assert one.page("/readyz") == 200
    assert one.stop() == 0


def test_a_damaged_redis_starts_empty(installation: Installation) -> None:
    """Redis holds nothing of value: where it cannot read its file, it is set aside and the start goes on."""
    folder = installation.data / "redis" / "appendonlydir"
    folder.mkdir(parents=True)
    (folder / "appendonly.aof.manifest").write_text("this is no manifest\n")
    installation.start()
    assert (installation.data / "redis.broken").exists()
    assert installation.page("/readyz") == 200
