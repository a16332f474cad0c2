"""Random kills of coordinators, databases and the network between them, in the middle of two-phase commits.

Two-way rules between PostgreSQL and MariaDB write to both sides of each pair, side by side, each by a worker of its own
that is killed and started again while the others go on. Most kills wait until a transaction is as far as one of the
phases of `watching` says. Triggers in both databases note every write that was ever committed there. Recovery has to
leave nothing in doubt, and each database has to hold exactly what the coordinator's rows say: the records of each
committed transaction, and of no other one.
"""

from __future__ import annotations

import contextlib
import json
import multiprocessing
import os
import random
import signal
import sqlite3
import time
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

import psycopg
import pymysql
import pytest
import sqlalchemy as sa

from tests import servers
from tests.houses import fresh_house
from tests.kill.coordinating import Ends, waiting, worker, worker_name
from tests.kill.mortal import Door, Mortal
from tests.kill.watching import AIMS, Phase, Seen, Watch
from tests.runs.conftest import ADMIN
from webapp.connections import services as connections
from webapp.extensions import House
from webapp.rulebook import services as rulebook
from webapp.runs.execution import execute
from webapp.runs.models import run
from webapp.runs.requests import start
from webapp.runs.transactions import recovery
from webapp.runs.transactions.models import global_transaction, transaction_branch

# drivers, and the doors of this test, tell of connections that have died under them
pytestmark = [
    pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning"),
    pytest.mark.filterwarnings("ignore::ResourceWarning"),
]
RULES = ("red", "green", "blue", "black")
PAIRS, CHUNK = 24, 4
DOCUMENT: dict[str, Any] = {
    "kind": "sync",
    "direction": "two_way",
    "key": {"left": "id", "right": "id"},
    "fields": [{"left": name, "right": name} for name in ("id", "a", "b")],
    "conflict": {"default": "left"},
    "transaction": "two_phase",
    "errors": {"transient": {"retry": 1}},
}


@dataclass
class Scene:
    """Both databases behind doors, the rules between them, and what is killed."""

    house: House
    one: Mortal
    other: Mortal
    doors: tuple[Door, Door]
    ends: Ends
    watch: Watch
    chance: random.Random
    kills: Counter[str] = field(default_factory=Counter)
    hit: Counter[tuple[str, Phase]] = field(default_factory=Counter)
    """Kills that left a transaction open, by how far it was."""
    workers: dict[str, multiprocessing.process.BaseProcess] = field(default_factory=dict)
    took: float = 1.0
    aim: Phase | None = None
    rounds: int = 0
    """The most rounds that recovery has taken."""

    def work(self, name: str, *, takes_over: bool = False) -> None:
        args, more = (self.house.settings, name, self.ends), {"takes_over": takes_over}
        process = multiprocessing.get_context("forkserver").Process(target=worker, args=args, kwargs=more, daemon=True)
        process.start()
        self.workers[name] = process

    def strike(self, victim: str) -> None:
        """Kill something while all rules are at work, and let it come back while they go on."""
        time.sleep(self.chance.uniform(0, min(self.took, 2) / 2))  # several rules are at work
        seen = self.watch.wait_for(self._aim())
        if victim in ("coordinator", "coordinator asleep"):
            deed = self._dies if victim == "coordinator" else self._sleeps
            deed(self._struck(seen).rule)
            return
        mortal, door = self.chance.choice(((self.one, self.doors[0]), (self.other, self.doors[1])))
        mortal = {"postgresql": self.one, "mariadb": self.other}.get(victim, mortal)
        door.cut() if "network" in victim else mortal.kill()
        if victim == "network and coordinator":
            self._dies(self._struck(seen).rule, victim)
        else:
            self._note(victim, seen)
        time.sleep(self.chance.uniform(0, 0.3))
        mortal.revive()
        door.open = True

    def _aim(self) -> Phase | None:
        """Return how far the transaction has to be that is struck; None: whatever is open, if anything is."""
        self.aim = self.chance.choice((None, *AIMS))
        return self.aim

    def _struck(self, seen: list[Seen]) -> Seen:
        some = [one for one in seen if one.phase is self.aim] or seen
        return self.chance.choice(some) if some else Seen(0, self.chance.choice(RULES), Phase.BEGUN)

    def _dies(self, name: str, victim: str = "coordinator") -> None:
        """Kill a coordinator; what it held is free at once, as if its lease had run out."""
        process = self.workers.pop(name)
        assert process.is_alive(), "a worker has ended by itself"
        process.kill()
        process.join()
        self._note(victim, [one for one in self.watch.look() if one.rule == name])
        self._lapse(name)
        self.work(name)

    def _sleeps(self, name: str) -> None:
        """Stop a coordinator as a machine does that hangs; it goes on once another one has taken its run over."""
        process = self.workers[name]
        token = self._halted(process.pid or 0, name)
        if token is None:
            self._dies(name)
            return
        self._note("coordinator asleep", [one for one in self.watch.look() if one.rule == name])
        self._lapse(name)
        self.work(name, takes_over=True)
        until = time.monotonic() + 20
        while self._token(name) == token and time.monotonic() < until:
            time.sleep(0.01)
        if self._token(name) != token:
            process.terminate()  # it is asked to do nothing else behind its run
            os.kill(process.pid or 0, signal.SIGCONT)
        while process.is_alive() and self._token(name) != token and time.monotonic() < until:
            recovery.sweep(self.house)  # what it prepares late keeps records locked
            process.join(0.2)
        process.kill()
        process.join()

    def _halted(self, pid: int, name: str) -> int | None:
        """Stop a worker that has a run in hand and does not hold the metadata database; return its token."""
        for _ in range(20):
            os.kill(pid, signal.SIGSTOP)
            token = self._token(name, run.c.worker == worker_name(pid)) if self._free() else None
            if token is not None:
                return token
            os.kill(pid, signal.SIGCONT)
            time.sleep(0.01)
        return None

    def _token(self, name: str, *more: sa.ColumnElement[bool]) -> int | None:
        with self.house.db.read() as tx:
            return tx.scalar(sa.select(run.c.token).where(run.c.rule_name == name, run.c.state == "running", *more))

    def _free(self) -> bool:
        """Tell whether the metadata database can be written to."""
        with contextlib.closing(sqlite3.connect(self.house.db.engine.url.database or "", timeout=0.5)) as db:
            try:
                db.execute("BEGIN IMMEDIATE")
            except sqlite3.OperationalError:
                return False
        return True

    def _lapse(self, name: str) -> None:
        with self.house.db.begin() as tx:
            lately = datetime.now(UTC) - timedelta(seconds=1)
            tx.execute(sa.update(run).where(run.c.rule_name == name).values(lease_until=lately))

    def _note(self, victim: str, seen: list[Seen]) -> None:
        """Count a kill, under the phase of a transaction that was open before and is open behind it."""
        left = {row.id for row in self.watch.rows()}
        still = [one for one in seen if one.number in left]
        self.kills[victim] += 1
        self.hit.update([(victim, self._struck(still).phase)] if still else [])

    def rage(self, strikes: int) -> None:
        """Let all rules work, strike again and again, kill all workers at last, and see that nothing is half done."""
        for name in RULES:
            self.work(name)
        for _ in range(strikes):
            self.strike(self.chance.choice(VICTIMS))
        seen = self.watch.wait_for(self._aim())
        for process in self.workers.values():
            assert process.is_alive(), "a worker has ended by itself"
            process.kill()
        for process in self.workers.values():
            process.join()
        self._note("all coordinators", seen)
        for name in RULES:
            self._lapse(name)
        rounds = 1
        while recovery.recover(self.house) or recovery.sweep(self.house):
            rounds += 1
            assert rounds < 200, "something stays in doubt"
            time.sleep(0.05)
        self.rounds = max(self.rounds, rounds)
        self.lawful()
        for name in RULES:  # some worker was killed between its two edits
            assert self.ends.edit(name), "records are locked"
        self.whole()

    def ended_well(self, number: int) -> None:
        """Carry a run out, undisturbed: it has to succeed at once."""
        begun = time.monotonic()
        execute(self.house, number, "w", wait=lambda _seconds: None)
        self.took = time.monotonic() - begun
        with self.house.db.read() as tx:
            state, message = tx.execute(sa.select(run.c.state, run.c.message).where(run.c.id == number)).one()
        assert state == "succeeded", json.dumps(message)

    def whole(self) -> None:
        """Run each rule, undisturbed: no edit is lost, and both sides agree."""
        for name in RULES:
            edits = self.ends.pg(f"SELECT id, a FROM {name}"), self.ends.my(f"SELECT id, b FROM {name}")
            while left := waiting(
                self.house, name
            ):  # it goes on behind the pages that it has read before the last edit
                self.ended_well(left)
            self.ended_well(start(self.house, name, "live", ADMIN))
            lefts, rights = (
                {row[0]: row[1:] for row in ask(f"SELECT id, a, b FROM {name}")} for ask in (self.ends.pg, self.ends.my)
            )
            assert lefts == rights
            assert {key: a for key, (a, _) in lefts.items()} == dict(edits[0])
            assert {key: b for key, (_, b) in rights.items()} == dict(edits[1])
        self.lawful()

    def lawful(self) -> None:
        """Hold what each database has ever committed against the coordinator's rows, and one against the other."""
        assert self.ends.pg("SELECT gid FROM pg_prepared_xacts") == []
        assert self.ends.my("XA RECOVER") == []
        applied = [sorted(ask("SELECT rule, id, value FROM applied")) for ask in (self.ends.pg, self.ends.my)]
        assert applied[0] == applied[1], "a pair is half done"
        assert len(set(applied[0])) == len(applied[0]), "a pair was written twice"
        t, b = global_transaction, transaction_branch
        joined = sa.select(t.c.rule_name, b.c.side, sa.func.sum(b.c.records)).join(b, b.c.transaction_id == t.c.id)
        with self.house.db.read() as tx:
            states = set(tx.scalars(sa.select(t.c.state)))
            decided = tx.execute(joined.where(t.c.state == "committed").group_by(t.c.rule_name, b.c.side)).all()
        assert states <= {"committed", "aborted"}
        counts = Counter(rule for rule, _, _ in applied[0])
        assert {(rule, side): int(n) for rule, side, n in decided} == {
            (rule, side): n for rule, n in counts.items() for side in ("left", "right")
        }, "a decided transaction is not applied, or another one is"


@pytest.fixture(scope="module")
def scene(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Scene]:
    folder = tmp_path_factory.mktemp("transactions")
    with contextlib.ExitStack() as stack:
        pg = stack.enter_context(servers.postgres(synchronous_commit="on"))
        try:
            my = stack.enter_context(servers.mariadb("--innodb-flush-log-at-trx-commit=1"))
        except servers.NotInstalledError as missing:
            pytest.skip(str(missing))
        first, second = (
            {"host": server.host, "port": server.port, "user": server.user, "password": server.password}
            for server in (pg, my)
        )
        one = Mortal(pg, lambda: psycopg.connect(**first, dbname="postgres").close())
        other = Mortal(my, lambda: pymysql.connect(**second).close())
        stack.callback(one.stop, signal.SIGQUIT)
        stack.callback(other.stop, signal.SIGKILL)
        doors = Door(pg.port), Door(my.port)
        house = stack.enter_context(fresh_house(folder, SYNCLINE_PAGE_SIZE=str(CHUNK)))
        ends = Ends({**first, "dbname": "postgres"}, {**second, "database": "pairs"})
        seed = os.environ.get("SYNCLINE_TEST_SEED") or None
        watch = Watch(
            house,
            lambda: psycopg.connect(**ends.one, autocommit=True),
            lambda: pymysql.connect(**second, autocommit=True),
        )
        made = Scene(house, one, other, doors, ends, watch, random.Random(seed))
        Ends(ends.one, second).my("CREATE DATABASE pairs")
        _prepare(made)
        yield made


def _prepare(scene: Scene) -> None:
    for name, kind, login, door in (
        ("pg", "postgresql", {**scene.ends.one, "database": scene.ends.one["dbname"]}, scene.doors[0]),
        ("my", "mysql", scene.ends.other, scene.doors[1]),
    ):
        settings = {**{key: login[key] for key in ("host", "database", "user", "password")}, "port": door.port}
        document = {"kind": "connection", "name": name, "connector": kind, "settings": settings}
        connections.create(scene.house, document, ADMIN)
    for ask in (scene.ends.pg, scene.ends.my):
        ask("CREATE TABLE applied (rule varchar(9), id integer, value integer)")
        for name in RULES:
            ask(f"CREATE TABLE {name} (id integer PRIMARY KEY, a integer, b integer)")
    for name in RULES:
        scene.ends.pg(f"INSERT INTO {name} SELECT n, 0, 0 FROM generate_series(1, %s) n", PAIRS)
        ends = {"left": {"connection": "pg", "object": name}, "right": {"connection": "my", "object": name}}
        rulebook.create(scene.house, {**DOCUMENT, "name": name, **ends}, ADMIN)
        rulebook.publish(scene.house, name, ADMIN)
        execute(scene.house, start(scene.house, name, "live", ADMIN), "w")
    with scene.house.db.begin() as tx:  # those that made the pairs
        tx.execute(sa.delete(transaction_branch))
        tx.execute(sa.delete(global_transaction))
    _watch(scene.ends)
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(["webapp.runs.execution", "tests.kill.test_transactions"])
    for name in RULES:
        assert scene.ends.edit(name)
    scene.whole()


def _watch(ends: Ends) -> None:
    """Let both databases note what rules write there, in the transaction that writes it."""
    ends.pg(
        "CREATE FUNCTION noted() RETURNS trigger LANGUAGE plpgsql AS"
        " 'BEGIN INSERT INTO applied VALUES (TG_TABLE_NAME, NEW.id, NEW.b); RETURN NEW; END'"
    )
    for name in RULES:
        ends.pg(
            f"CREATE TRIGGER noted AFTER UPDATE ON {name} FOR EACH ROW WHEN (NEW.b <> OLD.b) EXECUTE FUNCTION noted()"
        )
        ends.my(
            f"CREATE TRIGGER noted_{name} AFTER UPDATE ON {name} FOR EACH ROW BEGIN"
            f" IF NEW.a <> OLD.a THEN INSERT INTO applied VALUES ('{name}', NEW.id, NEW.a); END IF; END"
        )


VICTIMS = (
    *("coordinator",) * 8,
    *("coordinator asleep",) * 3,
    *("network",) * 4,
    *("network and coordinator",) * 4,
    *("postgresql",) * 2,
    "mariadb",
)


def storm(scene: Scene, kills: int) -> None:
    """Kill at random, so many times; now and then see that nothing is half done and that both sides agree."""
    scene.kills.clear()
    scene.hit.clear()
    while scene.kills.total() < kills:
        scene.rage(scene.chance.randint(6, 14))
        print(f"{scene.kills.total()} kills, {scene.hit.total()} hits {dict(scene.kills)}", flush=True)  # noqa: T201
    found = global_transaction.c.state, sa.func.count()
    with scene.house.db.read() as tx:
        states = dict(tx.execute(sa.select(*found).group_by(found[0])).all())
    # what the documentation quotes
    print("\n| killed", "times", "a transaction was open", *AIMS, "", sep=" | ")  # noqa: T201
    print("|---" * (3 + len(AIMS)) + "|")  # noqa: T201
    for victim, times in sorted(scene.kills.items()):
        hits = [scene.hit[victim, phase] for phase in AIMS]
        print(f"| {victim}", times, sum(hits), *hits, "", sep=" | ")  # noqa: T201
    print(f"{states}; recovery took {scene.rounds} rounds at the most")  # noqa: T201
    assert states["committed"]
    assert scene.hit.total() * 3 > scene.kills.total(), "kills that hit nothing show nothing"


@pytest.mark.kill
@pytest.mark.timeout(600)
def test_some_kills_leave_nothing_half_done(scene: Scene):
    """Two dozen kills: every decided transaction is applied everywhere, no other one anywhere, none is in doubt."""
    storm(scene, 24)


@pytest.mark.soak
@pytest.mark.timeout(7200)
@pytest.mark.parametrize("part", range(4))
def test_a_thousand_kills_leave_nothing_half_done(scene: Scene, part: int):
    """A thousand kills of coordinators, databases and network, with the same result; in parts, to go side by side."""
    del part
    storm(scene, 250)
