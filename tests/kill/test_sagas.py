"""Random kills in the middle of sagas over PostgreSQL, a web service and the hub, and of what they talk to.

Each record becomes a client, then an account, then a member, and the last one refuses records without a name. In the
end each record is in all three systems with the same name, or in none of them; none of them has a record twice.
"""

from __future__ import annotations

import contextlib
import json
import multiprocessing
import os
import random
import signal
import sqlite3
import threading
import time
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import psycopg
import pytest
import sqlalchemy as sa

from config import Settings
from connectors.spi import Context, ReadRequest
from tests import servers
from tests.houses import fresh_house
from tests.kill.mortal import Mortal
from tests.runs.conftest import ADMIN
from webapp.connections import services as connections
from webapp.entities import services as entities
from webapp.entities.hub import hub_connector, register
from webapp.extensions import House, open_house
from webapp.rulebook import services as rulebook
from webapp.runs.execution import execute
from webapp.runs.models import run
from webapp.runs.requests import resume, start
from webapp.runs.sagas import deeds, reading
from webapp.vault import people

pytestmark = [
    pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning"),
    pytest.mark.filterwarnings("ignore::ResourceWarning"),
]
MEMBER = {
    "kind": "entity",
    "name": "member",
    "fields": [
        {"name": "code", "type": "text", "unique": True, "required": True},
        {"name": "name", "type": "text", "required": True},
        {"name": "account", "type": "integer"},
    ],
}
DOCUMENT: dict[str, Any] = {
    "kind": "sync",
    "name": "clients",
    "left": {"connection": "src", "object": "person"},
    "right": {"connection": "pg", "object": "client"},
    "key": {"left": "id", "right": "no"},
    "fields": [{"left": "id", "right": "no"}, {"left": "name", "right": "name"}],
    "transaction": "saga",
    "saga": {
        "steps": [
            {
                "name": "account",
                "connection": "billing",
                "object": "accounts",
                "match": "reference",
                "fields": [
                    {"field": "reference", "value": "'C' + string(id)"},
                    {"field": "owner", "value": "name"},
                    {"field": "client", "value": "record_key"},
                ],
            },
            {
                "name": "member",
                "connection": "hub",
                "object": "member",
                "match": "code",
                "fields": [
                    {"field": "code", "value": "'C' + string(id)"},
                    {"field": "name", "value": "name"},
                    {"field": "account", "value": "account_key"},
                ],
            },
        ]
    },
    "errors": {"transient": {"retry": 1}},
}
ACCOUNTS = {
    "name": "accounts",
    "path": "/accounts",
    "key": "id",
    "create": {"path": "/accounts"},
    "update": {"method": "PATCH", "path": "/accounts/{key}"},
    "delete": {"method": "DELETE", "path": "/accounts/{key}"},
    "item": "/accounts/{key}",
    "fields": [
        {"name": "id", "type": "integer"},
        {"name": "reference"},
        {"name": "owner"},
        {"name": "client", "type": "integer"},
    ],
}


class Service(ThreadingHTTPServer):
    """Keeps accounts under numbers of its own; while it is `ill`, some answers get lost and some requests fail."""

    daemon_threads = True

    def __init__(self, chance: random.Random) -> None:
        super().__init__((servers.LOOPBACK, 0), _Handler)
        self.chance, self.ill = chance, False
        self.rows: dict[int, dict[str, Any]] = {}
        self.last, self.lock = 0, threading.Lock()
        threading.Thread(target=self.serve_forever, daemon=True).start()

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Say nothing of who has gone away."""

    def answered(self, method: str, path: str, body: Any) -> tuple[int, Any]:
        key = path.partition("?")[0].removeprefix("/accounts").strip("/")
        with self.lock:
            if method == "POST":
                self.last += 1
                self.rows[self.last] = {"reference": None, "owner": None, "client": None, **body, "id": self.last}
                return 201, self.rows[self.last]
            if not key:
                return 200, list(self.rows.values())
            row = self.rows.get(int(key))
            if row is None:
                return 404, {"error": "gone"}
            if method == "DELETE":
                del self.rows[int(key)]
            elif method == "PATCH":
                row.update(body)
            return 200, row


class _Handler(BaseHTTPRequestHandler):
    server: Service

    def _do(self) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        if self.server.ill and self.server.chance.random() < 0.3:
            self._send(503, {"error": "ill"})
            return
        answer = self.server.answered(self.command, self.path, json.loads(body) if body else None)
        if self.server.ill and self.server.chance.random() < 0.4:
            self.connection.close()
            return
        self._send(*answer)

    def _send(self, status: int, value: Any) -> None:
        data = json.dumps(value).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)

    do_GET = do_POST = do_PATCH = do_DELETE = _do  # noqa: N815 - as the server calls them

    def log_message(self, *_arguments: Any) -> None:
        """Say nothing."""


def _worker(settings: Settings, run_id: int) -> None:
    """A worker in a process of its own, which may be killed at any moment."""
    house = open_house(settings)
    people.register(house)
    register(house)
    execute(house, run_id, "w", wait=lambda _seconds: None)


@dataclass
class Scene:
    """The systems, the rule over them, and what is killed."""

    house: House
    pg: Mortal
    service: Service
    source: Path
    chance: random.Random
    kills: Counter[str] = field(default_factory=Counter)
    edition: int = 0
    took: float = 1.0
    ended: Counter[str] = field(default_factory=Counter)

    def src(self, statement: str, *values: Any) -> list[Any]:
        with contextlib.closing(sqlite3.connect(self.source)) as db, db:
            return db.execute(statement, values).fetchall()

    def clients(self) -> list[Any]:
        s = self.pg.server
        login = {"host": s.host, "port": s.port, "user": s.user, "password": s.password, "dbname": "postgres"}
        with psycopg.connect(**login) as db:
            return db.execute("SELECT no, name FROM client").fetchall()

    def members(self) -> list[Any]:
        hub = hub_connector(self.house)({}, Context())
        pages = hub.read(ReadRequest("member", hub.schema("member")))
        return [row for page in pages for row in page.records.select("code", "name").rows()]

    def edit(self) -> None:
        """Change some records, add some, and take the name of some, so that their last step is refused."""
        self.edition += 1
        known = [row[0] for row in self.src("SELECT id FROM person")]
        for number in self.chance.sample(known, min(len(known), 8)):
            name = None if self.chance.random() < 0.3 else f"n{number}.{self.edition}"
            self.src("UPDATE person SET name = ? WHERE id = ?", name, number)
        for number in range(len(known) + 1, len(known) + 4):
            name = None if self.chance.random() < 0.4 else f"n{number}.{self.edition}"
            self.src("INSERT INTO person VALUES (?, ?)", number, name)

    def request(self) -> int:
        with self.house.db.begin() as tx:
            tx.execute(sa.update(run).values(lease_until=datetime.now(UTC) - timedelta(seconds=1)))
            last = tx.execute(sa.select(run.c.id, run.c.state).order_by(run.c.id.desc()).limit(1)).one_or_none()
        if last is not None and last.state in ("queued", "running"):
            return int(last.id)
        if last is not None and last.state == "failed" and self.chance.random() < 0.5:
            resume(self.house, last.id, ADMIN)
            return int(last.id)
        return start(self.house, "clients", "live", ADMIN)

    def work(self) -> multiprocessing.process.BaseProcess:
        worker = multiprocessing.get_context("forkserver").Process(
            target=_worker, args=(self.house.settings, self.request()), daemon=True
        )
        worker.start()
        return worker

    def disturb(self, victim: str) -> None:
        """Kill something in the middle of a run."""
        self.service.ill = victim == "service"
        worker = self.work()
        time.sleep(self.chance.uniform(0, self.took))
        if victim == "postgresql":
            self.pg.kill()
        if victim != "worker":
            worker.join(self.chance.uniform(0, 1))
        worker.kill()
        worker.join()
        self.service.ill = False
        self.pg.revive()
        self.kills[victim] += 1

    def whole(self) -> None:
        """Work undisturbed, see to what waits, and hold all systems against the laws."""
        for _ in range(2):
            self._settled()
            for one in reading.listing(self.house):
                assert one.stuck is not None, "a saga is left that nothing names"
                deeds.again(self.house, one.id, ADMIN)
        self._settled()
        assert reading.listing(self.house) == []
        self._lawful()

    def _settled(self) -> None:
        state, message = "", None
        for _ in range(6):
            begun = time.monotonic()
            worker = self.work()
            worker.join(120)
            self.took = time.monotonic() - begun
            with self.house.db.read() as tx:
                state, message, counts = tx.execute(
                    sa.select(run.c.state, run.c.message, run.c.counts).order_by(run.c.id.desc())
                ).first() or ("", None, {})
            if state == "succeeded":
                self.ended.update(counts)
                assert counts["read"] == sum(n for k, n in counts.items() if k not in ("read", "deleted"))
                return
        raise AssertionError(json.dumps(message) + state)

    def _lawful(self) -> None:
        clients, members = self.clients(), self.members()
        accounts = [(row["client"], row["owner"], row["reference"]) for row in self.service.rows.values()]
        by_no = dict(clients)
        assert len(by_no) == len(clients), "a client is there twice"
        assert len({one[2] for one in accounts}) == len(accounts), "an account is there twice"
        assert {no: owner for no, owner, _ in accounts} == by_no
        assert {int(code[1:]): name for code, name in members} == by_no
        for number, name in self.src("SELECT id, name FROM person"):
            assert name is None or by_no[number] == name
            assert number not in by_no or by_no[number] is not None


@pytest.fixture(scope="module")
def scene(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Scene]:
    folder = tmp_path_factory.mktemp("sagas")
    chance = random.Random(os.environ.get("SYNCLINE_TEST_SEED") or None)
    with contextlib.ExitStack() as stack:
        server = stack.enter_context(servers.postgres(synchronous_commit="on"))
        login = {"host": server.host, "port": server.port, "user": server.user, "password": server.password}
        pg = Mortal(server, lambda: psycopg.connect(**login, dbname="postgres").close())
        stack.callback(pg.stop, signal.SIGQUIT)
        house = stack.enter_context(fresh_house(folder, SYNCLINE_PAGE_SIZE="5"))
        register(house)
        service = Service(chance)
        stack.callback(service.server_close)
        stack.callback(service.shutdown)
        made = Scene(house, pg, service, folder / "src.db", chance)
        _prepare(made, {**login, "database": "postgres"})
        yield made


def _prepare(scene: Scene, login: dict[str, Any]) -> None:
    scene.src("CREATE TABLE person (id INTEGER PRIMARY KEY, name TEXT)")
    with psycopg.connect(**{**{k: v for k, v in login.items() if k != "database"}, "dbname": "postgres"}) as db:
        db.execute("CREATE TABLE client (no integer, name text)")
    entities.define(scene.house, MEMBER, ADMIN)
    url = f"http://{servers.LOOPBACK}:{scene.service.server_port}"
    for name, kind, settings in (
        ("src", "sqlite", {"path": str(scene.source)}),
        ("pg", "postgresql", login),
        ("billing", "rest", {"base_url": url, "objects": [ACCOUNTS]}),
    ):
        document = {"kind": "connection", "name": name, "connector": kind, "settings": settings}
        connections.create(scene.house, document, ADMIN)
    scene.edit()
    rulebook.create(scene.house, DOCUMENT, ADMIN)
    rulebook.publish(scene.house, "clients", ADMIN)
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(["webapp.runs.execution", "tests.kill.test_sagas"])
    scene.whole()
    scene.edit()
    scene.whole()


VICTIMS = ("worker",) * 12 + ("service",) * 6 + ("postgresql",) * 2


def storm(scene: Scene, kills: int) -> None:
    """Kill at random, so many times; now and then let runs end and hold all systems against the laws."""
    scene.kills.clear()
    while scene.kills.total() < kills:
        scene.edit()
        for _ in range(scene.chance.randint(1, 5)):
            scene.disturb(scene.chance.choice(VICTIMS))
        scene.whole()
    print(f"\nkills {dict(scene.kills)}; records {dict(scene.ended)}")  # noqa: T201 - what the closing note quotes


@pytest.mark.kill
@pytest.mark.timeout(600)
def test_some_kills_leave_nothing_between_its_steps(scene: Scene):
    """A few kills: each record is through all its steps, or in none of the systems."""
    storm(scene, 6)


@pytest.mark.soak
@pytest.mark.parametrize("part", range(4))
def test_many_kills_leave_nothing_between_its_steps(scene: Scene, part: int):
    """Hundreds of kills of workers, database and service, with the same result; in parts, to go side by side."""
    del part
    storm(scene, 100)
