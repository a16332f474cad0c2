"""kill -9 in the middle of a run: any process may die, and every record arrives exactly once."""

from __future__ import annotations

import contextlib
import os
import sqlite3
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import psutil
import psycopg
import pytest
import redis

import config
from tests.servers import Server, postgres_database
from tests.supervisor.conftest import ROOT, Installation, _end, environ, wait_for
from webapp.connections import services as connections
from webapp.extensions import Actor, House, open_house
from webapp.rulebook import services as rulebook
from webapp.runs import reading
from webapp.runs.requests import start
from webapp.supervisor.valkey import answers

pytestmark = [pytest.mark.kill, pytest.mark.timeout(600)]
ADMIN = Actor("cli", "test")
GRACE = 15  # seconds in which the kernel has ended the children of a killed process, also on a busy machine
RECORDS = 19_000
BAD = RECORDS // 20  # every 20th name is refused by the target; a rule bears 1,000 of them
TABLE = "CREATE TABLE customer (no bigint, name text CHECK (name <> 'bad'), amount numeric(14,2))"


@dataclass
class Scene:
    """An installation that copies a CSV file into a PostgreSQL table without a unique key."""

    installation: Installation
    house: House
    login: dict[str, object]
    inbox: Path

    def rows(self, query: str) -> list[tuple]:
        with psycopg.connect(**self.login) as db:
            return db.execute(query).fetchall()

    def prepare(self, name: str) -> int:
        with psycopg.connect(**self.login) as db:
            db.execute("DROP TABLE IF EXISTS customer")
            db.execute(TABLE)
        fields = [{"left": n, "right": m} for n, m in (("id", "no"), ("name", "name"), ("amount", "amount"))]
        document = {
            "kind": "sync", "name": name, "direction": "left_to_right", "key": {"left": "id", "right": "no"},
            "left": {"connection": "inbox", "object": "customers.csv"},
            "right": {"connection": "erp", "object": "customer"}, "fields": fields,
        }  # fmt: skip
        rulebook.create(self.house, document, ADMIN)
        rulebook.publish(self.house, name, ADMIN)
        return start(self.house, name, "live", ADMIN)

    def look(self, run_id: int) -> reading.RunRow:
        with self.house.db.read() as tx:
            return reading.get(tx, run_id)

    def middle(self, run_id: int) -> None:
        wait_for(lambda: self.look(run_id).chunks >= 3, what="the middle of the run")
        assert self.look(run_id).state == "running", "the run was over too soon to be killed"

    def end(self, run_id: int) -> reading.RunRow:
        wait_for(lambda: not self.look(run_id).active, 120, "the end of the run")
        return self.look(run_id)

    def assert_exact(self, run: reading.RunRow) -> None:
        assert run.state == "succeeded", str(run.message)
        found = {name: number for name, number in run.counts.items() if number}
        assert found == {"read": RECORDS, "created": RECORDS - BAD, "quarantined": BAD}
        expected = [(RECORDS - BAD, RECORDS - BAD, sum(n for n in range(1, RECORDS + 1) if n % 20))]
        assert self.rows("SELECT count(*), count(DISTINCT no), sum(no)::bigint FROM customer") == expected


@pytest.fixture(scope="module")
def scene(tmp_path_factory: pytest.TempPathFactory, postgres_server: Server) -> Iterator[Scene]:
    data = tmp_path_factory.mktemp("kill") / "data"
    one = Installation(data, more={"SYNCLINE_PAGE_SIZE": "400", "SYNCLINE_LEASE_SECONDS": "3"})
    s = postgres_server
    with postgres_database(s) as name, contextlib.ExitStack() as stack:
        stack.callback(_end, one)
        one.start()
        house = open_house(config.from_environment({"SYNCLINE_DATA": str(data)}))
        stack.callback(house.db.engine.dispose)
        inbox = data / "files"
        lines = (f"{n},{'n' if n % 20 else 'bad'},{n}.05" for n in range(1, RECORDS + 1))
        (inbox / "customers.csv").write_text("id,name,amount\n" + "\n".join(lines) + "\n")
        address = {"host": s.host, "port": s.port, "database": name, "user": s.user, "password": s.password}
        document = {"kind": "connection", "name": "erp", "connector": "postgresql", "settings": address}
        connections.create(house, document, ADMIN)
        settings = {"path": str(inbox), "format": "csv"}
        connections.create(
            house, {"kind": "connection", "name": "inbox", "connector": "files", "settings": settings}, ADMIN
        )
        login = {"host": s.host, "port": s.port, "dbname": name, "user": s.user, "password": s.password}
        yield Scene(one, house, login, inbox)


def kill(process: psutil.Process) -> None:
    family = process.children(recursive=True)
    process.kill()
    _gone, alive = psutil.wait_procs(family, timeout=GRACE)
    assert not alive, "the children of a killed process went on working"


@pytest.mark.parametrize("name", ["worker", "scheduler", "redis", "web"])
def test_a_killed_process_loses_nothing(scene, name):
    """The process is started again, the run ends, and the target holds every record exactly once."""
    run_id = scene.prepare(f"kill_{name}")
    scene.middle(run_id)
    victim = scene.installation.child(name)
    assert victim is not None
    kill(victim)
    scene.assert_exact(scene.end(run_id))
    wait_for(lambda: (now := scene.installation.child(name)) is not None and now.pid != victim.pid, what=name)


def test_the_working_child_may_be_killed_again_and_again(scene):
    """The process that carries out the run is killed five times in a row; it ends all the same."""
    run_id = scene.prepare("kill_child")
    killed = 0
    while killed < 5 and scene.look(run_id).active:
        chunks = scene.look(run_id).chunks
        wait_for(lambda seen=chunks: scene.look(run_id).chunks > seen or not scene.look(run_id).active, what="a chunk")
        worker = scene.installation.child("worker")
        for child in worker.children() if worker else []:
            with contextlib.suppress(psutil.NoSuchProcess):
                child.kill()
                killed += 1
    run = scene.end(run_id)
    assert killed >= 3
    assert run.attempts > killed
    scene.assert_exact(run)


def test_the_run_is_taken_up_within_two_leases(scene):
    """After its worker has died, a run goes on within twice the lease."""
    run_id = scene.prepare("takeover")
    scene.middle(run_id)
    kill(scene.installation.child("worker"))
    died, chunks = time.monotonic(), scene.look(run_id).chunks
    wait_for(lambda: scene.look(run_id).attempts == 2, what="the next worker")
    waited = time.monotonic() - died
    scene.assert_exact(scene.end(run_id))
    assert chunks >= 3
    assert waited < 2 * 3 + 6 * max(1.0, *os.getloadavg()), "two leases, and the start of a worker on a busy machine"


OPEN = """SELECT count(*)::int FROM pg_stat_activity
WHERE application_name = 'syncline' AND xact_start IS NOT NULL AND pid <> pg_backend_pid()"""


def asleep(scene, family):
    """Stop processes where they hold no lock: one that sleeps in a transaction keeps all others from its rows."""
    for _ in range(500):
        for process in family:
            process.suspend()
        time.sleep(0.05)
        try:
            with contextlib.closing(sqlite3.connect(scene.house.settings.data / "syncline.db", timeout=0)) as own:
                own.execute("BEGIN IMMEDIATE")
                own.rollback()
            if scene.rows(OPEN) == [(0,)]:
                return
        except sqlite3.OperationalError:
            pass
        for process in family:
            process.resume()
        time.sleep(0.003)
    pytest.fail("the worker always held a lock")


def test_a_worker_that_is_paused_past_its_lease_writes_no_more(scene):
    """A worker is stopped in the middle of a run, another one ends it, then the first one wakes: it changes nothing."""
    run_id = scene.prepare("paused")
    scene.middle(run_id)
    first = scene.installation.child("worker")
    family = [first, *first.children(recursive=True)]
    asleep(scene, family)
    more = environ(scene.installation.data, scene.installation.port, **scene.installation.more)
    other = subprocess.Popen([sys.executable, "-m", "webapp.cli", "worker"], env=more, cwd=ROOT)
    try:
        run = scene.end(run_id)
        assert run.attempts == 2
        scene.assert_exact(run)
    finally:
        for process in family:
            with contextlib.suppress(psutil.NoSuchProcess):
                process.resume()
        other.terminate()
        other.wait(60)
    time.sleep(2)
    scene.assert_exact(scene.look(run_id))


def test_what_valkey_holds_is_lost(scene):
    """Valkey is emptied, killed and emptied again while a run waits and works: the run is announced anew and ends."""
    run_id = scene.prepare("flushed")
    client = redis.Redis.from_url(scene.house.settings.redis)
    client.flushall()
    scene.middle(run_id)
    client.flushall()
    victim = scene.installation.child("redis")
    kill(victim)
    wait_for(lambda: (now := scene.installation.child("redis")) is not None and now.pid != victim.pid, what="Valkey")
    wait_for(lambda: answers(scene.house.settings.redis), what="Valkey to answer")
    client.flushall()
    client.close()
    scene.assert_exact(scene.end(run_id))


def test_a_stopped_installation_goes_on_where_it_was(scene):
    """Ctrl-C in the middle of a run, start again: the run ends exactly."""
    run_id = scene.prepare("restart")
    scene.middle(run_id)
    scene.installation.stop()
    assert scene.look(run_id).state in ("queued", "running")
    scene.installation.start()
    scene.assert_exact(scene.end(run_id))
