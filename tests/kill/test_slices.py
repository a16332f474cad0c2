"""kill -9 of the workers of a split run: others take up its slices, and every record arrives exactly once."""

from __future__ import annotations

import contextlib
import os
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import psutil
import psycopg
import pytest

import config
from tests.servers import Server, postgres_database
from tests.supervisor.conftest import Installation, _end, wait_for
from webapp.connections import services as connections
from webapp.extensions import Actor, House, open_house
from webapp.rulebook import services as rulebook
from webapp.runs import reading
from webapp.runs.requests import start
from webapp.runs.slices import leases

pytestmark = [pytest.mark.kill, pytest.mark.timeout(600)]
ADMIN = Actor("cli", "test")
RECORDS, EVERY, LEASE = 16_000, 2_000, 3
TABLES = (
    "CREATE TABLE customer (id bigint PRIMARY KEY, name text)",
    f"INSERT INTO customer SELECT n, 'n' || n FROM generate_series(1, {RECORDS}) n",
    "CREATE TABLE client (no bigint NOT NULL, title text)",
)
RULE = {
    "kind": "sync", "name": "large", "direction": "left_to_right", "key": {"left": "id", "right": "no"},
    "left": {"connection": "crm", "object": "customer"}, "right": {"connection": "crm", "object": "client"},
    "fields": [{"left": "id", "right": "no"}, {"left": "name", "right": "title"}],
    "split": {"over": EVERY, "every": EVERY},
}  # fmt: skip


@dataclass
class Scene:
    """An installation with two workers, and a rule that copies a table of PostgreSQL to one without a unique key."""

    installation: Installation
    house: House
    login: dict[str, object]

    def rows(self, query: str) -> list[tuple]:
        with psycopg.connect(**self.login) as db:
            return db.execute(query).fetchall()

    def look(self, run_id: int) -> reading.RunRow:
        with self.house.db.read() as tx:
            return reading.get(tx, run_id)

    def slices(self, run_id: int) -> list[leases.SliceRow]:
        with self.house.db.read() as tx:
            return list(leases.of_run(tx, run_id))

    def worker(self, name: str) -> psutil.Process | None:
        assert self.installation.process is not None
        for process in psutil.Process(self.installation.process.pid).children():
            with contextlib.suppress(psutil.NoSuchProcess):
                if name in process.cmdline():
                    return process
        return None


@pytest.fixture
def scene(tmp_path: Path, postgres_server: Server) -> Iterator[Scene]:
    more = {"SYNCLINE_PAGE_SIZE": "200", "SYNCLINE_LEASE_SECONDS": str(LEASE), "SYNCLINE_WORKERS": "2"}
    one, s = Installation(tmp_path / "data", more=more), postgres_server
    with postgres_database(s) as name, contextlib.ExitStack() as stack:
        login = {"host": s.host, "port": s.port, "dbname": name, "user": s.user, "password": s.password}
        with psycopg.connect(**login) as db:
            for statement in TABLES:
                db.execute(statement)
        stack.callback(_end, one)
        one.start()
        house = open_house(config.from_environment({"SYNCLINE_DATA": str(tmp_path / "data")}))
        stack.callback(house.db.engine.dispose)
        address = {"host": s.host, "port": s.port, "database": name, "user": s.user, "password": s.password}
        document = {"kind": "connection", "name": "crm", "connector": "postgresql", "settings": address}
        connections.create(house, document, ADMIN)
        rulebook.create(house, RULE, ADMIN)
        rulebook.publish(house, "large", ADMIN)
        yield Scene(one, house, login)


def test_workers_of_a_split_run_are_killed(scene):
    """Both workers work at it; one after the other is killed; slices are taken up in time, and the end is exact."""
    run_id = start(scene.house, "large", "live", ADMIN)
    killed = 0
    for victim in ("worker-1", "worker-2", "worker-1"):
        seen = scene.look(run_id).chunks
        wait_for(lambda seen=seen: scene.look(run_id).chunks > seen + 3 or not scene.look(run_id).active, 120, "chunks")
        if not scene.look(run_id).active:
            break
        process = scene.worker(victim)
        if process is not None:
            with contextlib.suppress(psutil.NoSuchProcess):
                process.kill()
                killed += 1
    wait_for(lambda: not scene.look(run_id).active, 240, "the end of the run")
    run = scene.look(run_id)
    assert killed >= 2, "the run was over too soon to be killed"
    assert run.state == "succeeded", str(run.message)
    assert {name: number for name, number in run.counts.items() if number} == {"read": RECORDS, "created": RECORDS}
    found = scene.rows("SELECT count(*), count(DISTINCT no), sum(no)::bigint FROM client")
    assert found == [(RECORDS, RECORDS, RECORDS * (RECORDS + 1) // 2)]
    assert len({one.worker for one in scene.slices(run_id)}) > 1, "more than one worker had a slice"


def test_a_slice_is_taken_up_within_two_leases(scene):
    """A worker is killed with a slice at hand; it is worked on again within twice the lease."""
    run_id = start(scene.house, "large", "live", ADMIN)
    at_work = lambda: [one for one in scene.slices(run_id) if one.state == "running"]  # noqa: E731
    wait_for(lambda: len(at_work()) == 2 and scene.look(run_id).chunks > 3, 120, "two workers")
    scene.worker("worker-1").kill()
    died = time.monotonic()
    wait_for(lambda: any(one.attempts > 1 for one in scene.slices(run_id)), what="the next worker")
    waited = time.monotonic() - died
    wait_for(lambda: not scene.look(run_id).active, 240, "the end of the run")
    assert scene.rows("SELECT count(*), count(DISTINCT no) FROM client") == [(RECORDS, RECORDS)]
    assert waited < 2 * LEASE + 6 * max(1.0, *os.getloadavg()), (
        "two leases, and the start of a worker on a busy machine"
    )
