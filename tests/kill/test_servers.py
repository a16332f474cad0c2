"""kill -9 of the database that is source and target, and its restart, at named points of a run.

The target has no unique key. What the database had committed when it died stays, what it had not is written again, and
a run waits for it to come back.
"""

from __future__ import annotations

import contextlib
import gc
import os
import signal
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path
from typing import Any

import psutil
import psycopg
import pytest

from connectors.builtin.postgresql import PostgreSQL
from connectors.errors import Unavailable
from rules.text import msg
from tests import houses, servers
from tests.runs.conftest import ADMIN, World, numbers, open_world
from webapp.connections import services as connections
from webapp.runs.execution import execute
from webapp.runs.pipeline.journal import Journal

pytestmark = [
    pytest.mark.kill,
    pytest.mark.timeout(600),
    # the driver tells of cursors whose connection has died under them
    pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning"),
]
RECORDS = 60


@dataclass
class Mortal:
    """A PostgreSQL that can be killed and started again on the same files."""

    server: servers.Server
    kills: int = 0
    _later: list[subprocess.Popen[bytes]] = field(default_factory=list)
    _one: threading.Lock = field(default_factory=threading.Lock)
    """A run reads and writes in threads, and each of them may wait for the server."""

    @property
    def login(self) -> dict[str, Any]:
        s = self.server
        return {"host": s.host, "port": s.port, "dbname": "postgres", "user": s.user, "password": s.password}

    def sql(self, *statements: str) -> list[Any]:
        with psycopg.connect(**self.login) as db:
            found = [db.execute(statement) for statement in statements][-1]
            return found.fetchall() if found.description else []

    def kill(self) -> None:
        """Kill the server with all its processes at once, if it lives."""
        with self._one:
            process = self._later[-1] if self._later else self.server.process
            if process.poll() is not None:
                return
            family = psutil.Process(process.pid).children(recursive=True)
            for one in (process, *family):
                with contextlib.suppress(psutil.NoSuchProcess):
                    one.kill()
            process.wait()
            psutil.wait_procs(family, timeout=15)
            self.kills += 1

    def start(self) -> None:
        """Start it again, if it is dead."""
        with self._one:
            if (self._later or [self.server.process])[-1].poll() is not None:
                self._start()

    def _start(self) -> None:
        # what its processes left behind may keep it from starting for a moment
        folder = self.server.socket.parent
        deadline = time.monotonic() + 60
        while time.monotonic() < deadline:
            if not self._later or self._later[-1].poll() is not None:
                with (folder / "log").open("ab") as log:
                    one = subprocess.Popen(
                        self.server.process.args, cwd=folder, stdout=log, stderr=log, stdin=subprocess.DEVNULL,
                        start_new_session=True, user=servers._user(), env=servers._environment(folder),
                    )  # fmt: skip
                self._later.append(one)
            with contextlib.suppress(psycopg.Error):
                psycopg.connect(**self.login).close()
                return
            time.sleep(0.05)
        raise AssertionError((folder / "log").read_text(errors="replace"))

    def stop(self) -> None:
        for process in self._later:
            if process.poll() is None:
                process.send_signal(signal.SIGQUIT)
                process.wait(20)


@pytest.fixture(scope="module")
def mortal() -> Iterator[Mortal]:
    with servers.postgres(synchronous_commit="on") as server:  # what was committed outlives kill -9
        made = Mortal(server)
        try:
            yield made
        finally:
            made.stop()
            if server.process.poll() is None:
                os.kill(server.process.pid, signal.SIGQUIT)


@pytest.fixture
def world(tmp_path: Path) -> Iterator[World]:
    with open_world(tmp_path / "data") as made:
        yield made
    gc.collect()  # so that such cursors are told of here, where that is expected


def prepare(world: World, mortal: Mortal, direction: str) -> int:
    mortal.sql(
        "DROP TABLE IF EXISTS l, r",
        "CREATE TABLE l (id bigint PRIMARY KEY, name text)",
        "CREATE TABLE r (no bigint, title text CHECK (title <> 'n7'))",
        f"INSERT INTO l SELECT n, 'n' || n FROM generate_series(1, {RECORDS}) n",
    )
    s = mortal.server
    settings = {"host": s.host, "port": s.port, "database": "postgres", "user": s.user, "password": s.password}
    document = {"kind": "connection", "name": "pg", "connector": "postgresql", "settings": settings}
    connections.create(world.house, document, ADMIN)
    both = direction == "two_way"
    world.rule(
        left={"connection": "pg", "object": "l"},
        right={"connection": "pg", "object": "r"},
        direction=direction,
        fields=[
            {"left": "id", "right": "no", **({"on": ["create"]} if both else {})},
            {"left": "name", "right": "title"},
        ],
        deletes={"detect": "full_scan"},
        situations={"deleted_left": "delete"},
    )
    return world.pages_of(10).request()


def assert_exact(world: World, mortal: Mortal, run_id: int) -> None:
    run = world.look(run_id)
    assert run.state == "succeeded", str(run.message)
    assert (run.counts["created"], run.counts["quarantined"]) == (RECORDS - 1, 1)
    expected = [(number, f"n{number}") for number in range(1, RECORDS + 1) if number != 7]
    assert mortal.sql("SELECT no, title FROM r ORDER BY no") == expected
    assert not {"created", "updated", "deleted"} & set(numbers(world.run()))


@pytest.fixture
def own(tmp_path: Path, mortal: Mortal) -> Iterator[World]:
    """Return a world whose metadata database is on the server, too."""
    name = f"own_{tmp_path.name}"[:60].lower().replace("-", "_")
    mortal.start()
    with psycopg.connect(**mortal.login, autocommit=True) as db:
        db.execute(f"CREATE DATABASE {name}".encode())
    s = mortal.server
    url = f"postgresql+psycopg://{s.user}:{s.password}@{s.host}:{s.port}/{name}"
    houses.prepare(url)
    with open_world(tmp_path / "data", url) as made:
        yield made
    gc.collect()


@pytest.mark.parametrize("direction", ["left_to_right", "two_way"])
def test_our_own_database_is_killed(own: World, mortal: Mortal, monkeypatch: pytest.MonkeyPatch, direction: str):
    """Our own database dies with both systems in each of several chunks: the run goes on by itself, and ends exactly.

    Nobody resumes it: it is in the queue again, or its lease is over.
    """
    run_id, kills = prepare(own, mortal, direction), mortal.kills
    deeds = [(PostgreSQL, "write"), (Journal, "_show"), (Journal, "plan"), (Journal, "end")]
    with monkeypatch.context() as patch:
        for owner, name in deeds:
            patch.setattr(owner, name, _killing(mortal, getattr(owner, name)))
        workers = 0
        while own.look(run_id).active and workers < 20:
            workers += 1
            own.shift += timedelta(seconds=own.house.settings.lease_seconds + 1)
            execute(own.house, run_id, f"w{workers}", wait=lambda _seconds: mortal.start())
            mortal.start()
    assert mortal.kills >= kills + len(deeds)
    assert_exact(own, mortal, run_id)


def _killing(mortal: Mortal, work: Callable[..., Any]) -> Callable[..., Any]:
    """Return a method during whose second call, or at the first one where there is no other, the server dies."""
    calls: list[int] = []

    def method(*args: Any, **more: Any) -> Any:
        calls.append(1)
        if len(calls) == (1 if work.__name__ == "end" else 2):
            mortal.kill()
        return work(*args, **more)

    return method


@pytest.mark.parametrize(
    ("point", "direction"),
    [
        ("before a write", "two_way"),
        ("the answer to a write is lost", "left_to_right"),
        ("the answer to a write is lost", "two_way"),
        ("between two pages", "left_to_right"),
    ],
)
def test_the_database_is_killed(
    world: World, mortal: Mortal, monkeypatch: pytest.MonkeyPatch, direction: str, point: str
):
    """Source and target die together, once in each of several chunks, and come back while the run waits."""
    run_id, kills = prepare(world, mortal, direction), mortal.kills
    write, check_in, calls = PostgreSQL.write, Journal.check_in, []

    def dies(self: PostgreSQL, *args: Any, **more: Any) -> Any:
        calls.append(1)
        if len(calls) % 2 and point == "before a write":
            mortal.kill()
        result = write(self, *args, **more)
        if len(calls) % 2 and point.startswith("the answer"):
            mortal.kill()
            raise Unavailable(msg("The line was cut."))
        return result

    def dies_behind(self: Journal, *args: Any) -> Any:
        result = check_in(self, *args)
        calls.append(1)
        if len(calls) % 3 == 1 and point == "between two pages":
            mortal.kill()
        return result

    with monkeypatch.context() as patch:
        patch.setattr(PostgreSQL, "write", dies)
        patch.setattr(Journal, "check_in", dies_behind)
        assert execute(world.house, run_id, "w1", wait=lambda _seconds: mortal.start())
    assert mortal.kills > kills
    mortal.start()
    assert_exact(world, mortal, run_id)
