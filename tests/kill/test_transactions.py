"""Random kills of the coordinator, the databases and the network between them, in the middle of two-phase commits.

A two-way rule between PostgreSQL and MariaDB writes to both sides of each pair. After each kill, recovery has to leave
all pairs of a chunk with the edits of both sides or of neither, and nothing in doubt.
"""

from __future__ import annotations

import contextlib
import json
import multiprocessing
import os
import random
import signal
import socket
import subprocess
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

import psutil
import psycopg
import pymysql
import pytest
import sqlalchemy as sa

from config import Settings
from tests import servers
from tests.houses import fresh_house
from tests.runs.conftest import ADMIN
from webapp.connections import services as connections
from webapp.extensions import House, open_house
from webapp.rulebook import services as rulebook
from webapp.runs.execution import execute
from webapp.runs.models import run
from webapp.runs.requests import start
from webapp.runs.transactions import recovery
from webapp.runs.transactions.models import global_transaction
from webapp.vault import people

# drivers, and the doors of this test, tell of connections that have died under them
pytestmark = [
    pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning"),
    pytest.mark.filterwarnings("ignore::ResourceWarning"),
]
PAIRS, CHUNK = 24, 8
DOCUMENT: dict[str, Any] = {
    "kind": "sync",
    "name": "pairs",
    "left": {"connection": "pg", "object": "one"},
    "right": {"connection": "my", "object": "other"},
    "direction": "two_way",
    "key": {"left": "id", "right": "id"},
    "fields": [{"left": name, "right": name} for name in ("id", "a", "b")],
    "conflict": {"default": "left"},
    "transaction": "two_phase",
    "errors": {"transient": {"retry": 1}},
}


class Door:
    """A way through the network to a server, which can be cut for a while."""

    def __init__(self, port: int) -> None:
        self.to = port
        self.open = True
        self.pairs: list[tuple[socket.socket, socket.socket]] = []
        self.listener = socket.create_server((servers.LOOPBACK, 0), backlog=64)
        self.port = int(self.listener.getsockname()[1])
        threading.Thread(target=self._accept, daemon=True).start()

    def cut(self) -> None:
        """Break all connections; new ones are refused."""
        self.open = False
        for pair in self.pairs:
            for end in pair:
                with contextlib.suppress(OSError):
                    end.shutdown(socket.SHUT_RDWR)

    def _accept(self) -> None:
        while True:
            try:
                client, _ = self.listener.accept()
            except OSError:
                return
            try:
                server = socket.create_connection((servers.LOOPBACK, self.to), 5) if self.open else None
            except OSError:
                server = None
            if server is None:
                client.close()
                continue
            server.settimeout(None)
            self.pairs = [*self.pairs[-40:], (client, server)]
            for ends in ((client, server), (server, client)):
                threading.Thread(target=_pump, args=ends, daemon=True).start()


def _pump(source: socket.socket, sink: socket.socket) -> None:
    with contextlib.suppress(OSError):
        while data := source.recv(65536):
            sink.sendall(data)
    for end in (source, sink):
        with contextlib.suppress(OSError):
            end.shutdown(socket.SHUT_RDWR)


@dataclass
class Mortal:
    """A database that can be killed and started again on the same files."""

    server: servers.Server
    knock: Callable[[], Any]
    later: list[subprocess.Popen[bytes]] = field(default_factory=list)

    @property
    def process(self) -> subprocess.Popen[bytes]:
        return self.later[-1] if self.later else self.server.process

    def kill(self) -> None:
        family = [*psutil.Process(self.process.pid).children(recursive=True), psutil.Process(self.process.pid)]
        for one in family:
            with contextlib.suppress(psutil.NoSuchProcess):
                one.kill()
        self.process.wait()
        psutil.wait_procs(family[:-1], timeout=15)

    def revive(self) -> None:
        """Start it again, if it is dead, and wait until it answers."""
        folder, deadline = self.server.socket.parent, time.monotonic() + 60
        while time.monotonic() < deadline:
            if self.process.poll() is not None:
                with (folder / "log").open("ab") as log:
                    again = subprocess.Popen(
                        self.server.process.args, cwd=folder, stdout=log, stderr=log, stdin=subprocess.DEVNULL,
                        start_new_session=True, user=servers._user(), env=servers._environment(folder),
                    )  # fmt: skip
                self.later.append(again)
            with contextlib.suppress(psycopg.Error, pymysql.Error, OSError):
                self.knock()
                return
            time.sleep(0.05)
        raise AssertionError((folder / "log").read_text(errors="replace")[-4000:])

    def stop(self, how: signal.Signals) -> None:
        for process in self.later:
            if process.poll() is None:
                process.send_signal(how)
                process.wait(20)


def _worker(settings: Settings, run_id: int) -> None:
    """A worker in a process of its own, which may be killed at any moment."""
    house = open_house(settings)
    people.register(house)
    execute(house, run_id, "w", wait=lambda _seconds: None)


@dataclass
class Scene:
    """Both databases behind doors, the rule between them, and what is killed."""

    house: House
    one: Mortal
    other: Mortal
    doors: tuple[Door, Door]
    names: tuple[str, str]
    chance: random.Random
    kills: Counter[str] = field(default_factory=Counter)
    edition: int = 0
    took: float = 1.0

    def pg(self, statement: str, *values: Any) -> list[Any]:
        s = self.one.server
        with psycopg.connect(host=s.host, port=s.port, user=s.user, password=s.password, dbname=self.names[0]) as db:
            found = db.execute(statement, values)
            return found.fetchall() if found.description else []

    def my(self, statement: str, *values: Any) -> list[Any]:
        s, name = self.other.server, self.names[1]
        with (
            contextlib.closing(
                pymysql.connect(host=s.host, port=s.port, user=s.user, password=s.password, database=name)
            ) as db,
            db.cursor() as cursor,
        ):
            cursor.execute(statement, values)
            db.commit()
            return list(cursor.fetchall())

    def edit(self) -> None:
        """Change `a` on the left and `b` on the right of every pair: every chunk has to write to both sides."""
        self.edition += 1
        self.pg("UPDATE one SET a = %s", self.edition)
        self.my("UPDATE other SET b = %s", self.edition)

    def request(self) -> int:
        with self.house.db.begin() as tx:
            tx.execute(sa.update(run).values(lease_until=datetime.now(UTC) - timedelta(seconds=1)))
            waiting = tx.scalar(sa.select(run.c.id).where(run.c.state.in_(("queued", "running"))))
        return waiting or start(self.house, "pairs", "live", ADMIN)

    def work(self) -> multiprocessing.process.BaseProcess:
        worker = multiprocessing.get_context("forkserver").Process(
            target=_worker, args=(self.house.settings, self.request()), daemon=True
        )
        worker.start()
        return worker

    def whole(self) -> None:
        """Work undisturbed until both sides agree, and note how long that takes."""
        for _ in range(5):  # a busy machine may let a connection fail
            begun = time.monotonic()
            worker = self.work()
            worker.join(120)
            with self.house.db.read() as tx:
                last = tx.execute(sa.select(run.c.state, run.c.message).order_by(run.c.id.desc())).first()
            if last is not None and last.state == "succeeded":
                break
        assert last is not None
        assert last.state == "succeeded", json.dumps(last.message)
        self.took = time.monotonic() - begun
        expected = [(self.edition, self.edition, PAIRS)]
        count = "SELECT a, b, count(*) FROM {} GROUP BY a, b"
        assert self.pg(count.format("one")) == expected
        assert self.my(count.format("other")) == expected

    def disturb(self, victim: str) -> None:
        """Kill something in the middle of a run, then let recovery do its work and see that nothing is half done."""
        worker = self.work()
        time.sleep(self.chance.uniform(0, self.took))
        if victim == "coordinator":
            worker.kill()
        elif victim == "network":
            self.chance.choice(self.doors).cut()
        else:
            (self.one if victim == "postgresql" else self.other).kill()
        if victim != "coordinator":
            worker.join(self.chance.uniform(0, 0.5))
            worker.kill()
        worker.join()
        self.kills[victim] += 1
        for database in (self.one, self.other):
            database.revive()
        for door in self.doors:
            door.open = True
        self.recovered()

    def recovered(self) -> None:
        with self.house.db.begin() as tx:
            tx.execute(sa.update(run).values(lease_until=datetime.now(UTC) - timedelta(seconds=1)))
        deadline = time.monotonic() + 60
        while recovery.recover(self.house) or recovery.sweep(self.house):
            assert time.monotonic() < deadline, "something stays in doubt"
            time.sleep(0.05)
        assert self.pg("SELECT gid FROM pg_prepared_xacts") == []
        assert self.my("XA RECOVER") == []
        lefts = dict(self.pg("SELECT id, b = %s FROM one", self.edition))
        rights = dict(self.my("SELECT id, a = %s FROM other", self.edition))
        assert lefts == {number: bool(done) for number, done in rights.items()}, "a pair is half done"


@pytest.fixture(scope="module")
def scene(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Scene]:
    folder = tmp_path_factory.mktemp("transactions")
    with contextlib.ExitStack() as stack:
        pg = stack.enter_context(servers.postgres(synchronous_commit="on"))
        try:
            my = stack.enter_context(servers.mariadb("--innodb-flush-log-at-trx-commit=1"))
        except servers.NotInstalledError as missing:
            pytest.skip(str(missing))
        names = "postgres", "pairs"
        login = {"host": pg.host, "port": pg.port, "user": pg.user, "password": pg.password, "dbname": names[0]}
        one = Mortal(pg, lambda: psycopg.connect(**login).close())
        there = {"host": my.host, "port": my.port, "user": my.user, "password": my.password}
        other = Mortal(my, lambda: pymysql.connect(**there).close())
        stack.callback(one.stop, signal.SIGQUIT)
        stack.callback(other.stop, signal.SIGKILL)
        doors = Door(pg.port), Door(my.port)
        house = stack.enter_context(fresh_house(folder, SYNCLINE_PAGE_SIZE=str(CHUNK)))
        made = Scene(house, one, other, doors, names, random.Random(os.environ.get("SYNCLINE_TEST_SEED") or None))
        _prepare(made, there)
        yield made


def _prepare(scene: Scene, there: dict[str, Any]) -> None:
    with contextlib.closing(pymysql.connect(**there)) as db:
        db.cursor().execute(f"CREATE DATABASE {scene.names[1]}")
    for kind, sql, door, server, name in (
        ("postgresql", scene.pg, scene.doors[0], scene.one.server, "pg"),
        ("mysql", scene.my, scene.doors[1], scene.other.server, "my"),
    ):
        table, database = ("one", scene.names[0]) if name == "pg" else ("other", scene.names[1])
        sql(f"CREATE TABLE {table} (id integer PRIMARY KEY, a integer, b integer)")
        settings = {"host": server.host, "port": door.port, "database": database, "user": server.user}
        settings |= {"password": server.password}
        document = {"kind": "connection", "name": name, "connector": kind, "settings": settings}
        connections.create(scene.house, document, ADMIN)
    scene.pg("INSERT INTO one SELECT n, 0, 0 FROM generate_series(1, %s) n", PAIRS)
    rulebook.create(scene.house, DOCUMENT, ADMIN)
    rulebook.publish(scene.house, "pairs", ADMIN)
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(["webapp.runs.execution", "tests.kill.test_transactions"])
    scene.whole()
    scene.edit()
    scene.whole()


VICTIMS = ("coordinator",) * 12 + ("network",) * 5 + ("postgresql",) * 2 + ("mariadb",)


def storm(scene: Scene, kills: int) -> None:
    """Kill at random, so many times; now and then let a run end and see that both sides agree."""
    scene.kills.clear()
    while scene.kills.total() < kills:
        scene.edit()
        for _ in range(scene.chance.randint(1, 6)):
            scene.disturb(scene.chance.choice(VICTIMS))
        scene.whole()
    with scene.house.db.read() as tx:
        found = dict(
            tx.execute(
                sa.select(global_transaction.c.state, sa.func.count()).group_by(global_transaction.c.state)
            ).all()
        )
    print(f"\nkills {dict(scene.kills)}; transactions {found}")  # noqa: T201 - what the closing note quotes
    assert set(found) <= {"committed", "aborted"}
    assert found["committed"]


@pytest.mark.kill
@pytest.mark.timeout(600)
def test_some_kills_leave_nothing_half_done(scene: Scene):
    """Two dozen kills: every decided transaction is applied everywhere, no other one anywhere, none is in doubt."""
    storm(scene, 24)


@pytest.mark.soak
@pytest.mark.parametrize("part", range(4))
def test_a_thousand_kills_leave_nothing_half_done(scene: Scene, part: int):
    """A thousand kills of coordinator, databases and network, with the same result; in parts, to go side by side."""
    del part
    storm(scene, 250)
