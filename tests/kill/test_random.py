"""Random kills, seeded: whatever dies whenever in a row of runs, both sides hold every record once in the end."""

from __future__ import annotations

import contextlib
import random
import threading
import time
from collections import Counter
from collections.abc import Iterator
from typing import Any

import psutil
import psycopg
import pytest
import redis
import sqlalchemy as sa

import config
from tests import servers
from tests.kill.test_servers import Mortal
from tests.runs.conftest import ADMIN
from tests.supervisor.conftest import Installation, _end, wait_for
from webapp.connections import services as connections
from webapp.extensions import House, open_house
from webapp.rulebook import services as rulebook
from webapp.runs import reading
from webapp.runs.models import pair_case, quarantine, run, run_chunk, run_log, run_record
from webapp.runs.requests import resume, start

pytestmark = [pytest.mark.soak, pytest.mark.timeout(3600)]
RECORDS, RUNS, ALL = 4000, 6, "database"
OWNERS = 50
REFERRING = "referring"
"""A rule that flows one way, reads by cursor and refers to the records of another one, which runs before it."""
MOST = 8
"""So often something is killed in one run: a busy machine may start a process more slowly than it is killed again."""
VICTIMS = ["worker", "child", "scheduler", "redis", "flush", ALL]


class Storm:
    """Kills something every now and then, until it is told to stop."""

    def __init__(self, seed: int, installation: Installation, mortal: Mortal, url: str) -> None:
        self.random = random.Random(seed)
        self.installation, self.mortal, self.url = installation, mortal, url
        self.kills: Counter[str] = Counter()
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._rage, daemon=True)

    def __enter__(self) -> Storm:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._over.set()
        self._thread.join(120)
        self.mortal.start()

    def _rage(self) -> None:
        for _ in range(MOST):
            if self._over.wait(self.random.uniform(0.2, 5.0)):
                return
            name = self.random.choice(VICTIMS)
            with contextlib.suppress(psutil.NoSuchProcess, redis.RedisError):
                self.kills[name] += self._strike(name)

    def _strike(self, name: str) -> bool:
        if name == ALL:
            self.mortal.kill()
            time.sleep(self.random.uniform(0, 1.5))
            self.mortal.start()
            return True
        if name == "flush":
            with contextlib.closing(redis.Redis.from_url(self.url, socket_timeout=2)) as client:
                return bool(client.flushall())
        process = self.installation.child("worker" if name == "child" else name)
        found = process.children() if process is not None and name == "child" else [process] if process else []
        for one in found:
            one.kill()
        return bool(found)


@pytest.fixture(scope="module")
def mortal() -> Iterator[Mortal]:
    with servers.postgres(synchronous_commit="on") as server:
        made = Mortal(server)
        try:
            yield made
        finally:
            made.stop()


@pytest.fixture(scope="module")
def house(tmp_path_factory: pytest.TempPathFactory, mortal: Mortal) -> Iterator[tuple[House, Installation]]:
    data = tmp_path_factory.mktemp("random") / "data"
    one = Installation(data, more={"SYNCLINE_PAGE_SIZE": "100", "SYNCLINE_LEASE_SECONDS": "3"})
    with contextlib.ExitStack() as stack:
        stack.callback(_end, one)
        one.start()
        house = open_house(config.from_environment({"SYNCLINE_DATA": str(data)}))
        stack.callback(house.db.engine.dispose)
        s = mortal.server
        settings = {"host": s.host, "port": s.port, "database": "postgres", "user": s.user, "password": s.password}
        document = {"kind": "connection", "name": "pg", "connector": "postgresql", "settings": settings}
        connections.create(house, document, ADMIN)
        yield house, one


def publish(house: House, mortal: Mortal, name: str, direction: str) -> None:
    """Publish a rule between two tables of its own; the right one has no unique key."""
    if direction == REFERRING:
        publish_referring(house, mortal, name)
        return
    mortal.sql(
        f"CREATE TABLE {name}_l (id bigint PRIMARY KEY, name text)",
        f"CREATE TABLE {name}_r (no bigint, title text)",
        f"INSERT INTO {name}_l SELECT n, 'n' || n FROM generate_series(1, {RECORDS}) n",
    )
    key = {"left": "id", "right": "no", **({"on": ["create"]} if direction == "two_way" else {})}
    document = {
        "kind": "sync", "name": name, "direction": direction, "key": {"left": "id", "right": "no"},
        "left": {"connection": "pg", "object": f"{name}_l"}, "right": {"connection": "pg", "object": f"{name}_r"},
        "fields": [key, {"left": "name", "right": "title"}], "deletes": {"detect": "full_scan"},
        "situations": {"deleted_left": "delete"}, "errors": {"transient": {"retry": 20, "backoff": "fixed"}},
    }  # fmt: skip
    rulebook.create(house, document, ADMIN)
    rulebook.publish(house, name, ADMIN)


def publish_referring(house: House, mortal: Mortal, name: str) -> None:
    """Publish a rule that reads by cursor, parks some records, and refers to the records of another rule."""
    mortal.sql(
        f"CREATE TABLE {name}_ol (id bigint PRIMARY KEY, name text)",
        f"CREATE TABLE {name}_or (no bigint, name text)",
        f"INSERT INTO {name}_ol SELECT n, 'o' || n FROM generate_series(1, {OWNERS}) n",
        f"CREATE TABLE {name}_l (id bigint PRIMARY KEY, name text, owner bigint,"
        " changed timestamptz NOT NULL DEFAULT clock_timestamp())",
        f"CREATE TABLE {name}_r (no bigint, title text, boss bigint)",
        f"INSERT INTO {name}_l SELECT n, CASE WHEN n % 40 = 0 THEN 'bad' ELSE 'n' || n END, n % {OWNERS} + 1"
        f" FROM generate_series(1, {RECORDS}) n",
    )
    said = {"direction": "left_to_right", "key": {"left": "id", "right": "no"}, "deletes": {"detect": "full_scan"}}
    said |= {"situations": {"deleted_left": "delete"}, "errors": {"transient": {"retry": 20, "backoff": "fixed"}}}
    number = {"left": "id", "right": "no", "to_right": "id + 1000"}
    boss = {"left": "owner", "right": "boss", "reference": f"{name}_owners"}
    rules: list[dict[str, Any]] = [
        {"name": f"{name}_owners", "fields": [number, {"left": "name", "right": "name"}]},
        {
            "name": name,
            "fields": [{"left": "id", "right": "no"}, {"left": "name", "right": "title"}, boss],
            "detect": {"left": {"by": "cursor", "field": "changed"}},
            "validations": [{"name": "good", "check": "name != 'bad'"}],
        },
    ]
    for rule, (left, right) in zip(rules, ((f"{name}_ol", f"{name}_or"), (f"{name}_l", f"{name}_r")), strict=True):
        ends = {"left": {"connection": "pg", "object": left}, "right": {"connection": "pg", "object": right}}
        rulebook.create(house, {"kind": "sync", **said, **ends, **rule}, ADMIN)
        rulebook.publish(house, str(rule["name"]), ADMIN)


def sides(mortal: Mortal, name: str, direction: str) -> tuple[list[Any], list[Any]]:
    """Return what the left side says that there should be, and what the right side holds."""
    if direction != REFERRING:
        return (
            mortal.sql(f"SELECT id, name FROM {name}_l ORDER BY id"),
            mortal.sql(f"SELECT no, title FROM {name}_r ORDER BY no, title"),
        )
    wanted = f"SELECT id, name, owner + 1000 FROM {name}_l WHERE name <> 'bad' ORDER BY id"
    return mortal.sql(wanted), mortal.sql(f"SELECT no, title, boss FROM {name}_r ORDER BY no, title")


def edit_referring(chance: random.Random, mortal: Mortal, name: str) -> None:
    """Change, delete, create and repair records, and let new ones belong to owners who are new themselves."""
    number, owner = chance.randrange(2, 50), f"(SELECT max(id) FROM {name}_ol)"
    mortal.sql(
        f"INSERT INTO {name}_ol SELECT {owner} + 1, 'new'",
        f"UPDATE {name}_l SET name = name || '*', changed = clock_timestamp()"
        f" WHERE id % {number} = 0 AND name <> 'bad'",
        f"UPDATE {name}_l SET owner = {owner}, changed = clock_timestamp() WHERE id % {number} = 1",
        f"UPDATE {name}_l SET name = 'good', changed = clock_timestamp() WHERE id % 3 = 0 AND name = 'bad'",
        f"DELETE FROM {name}_l WHERE id % 97 = {number}",
        f"INSERT INTO {name}_l SELECT (SELECT max(id) FROM {name}_l) + n,"
        f" CASE WHEN n % 20 = 0 THEN 'bad' ELSE 'new' END, {owner} FROM generate_series(1, 100) n",
    )


def edit(chance: random.Random, mortal: Mortal, name: str, direction: str) -> None:
    """Change, delete and create records: on the left, and on the right where changes flow from there as well."""
    if direction == REFERRING:
        edit_referring(chance, mortal, name)
        return
    number = chance.randrange(2, 50)
    mortal.sql(
        f"UPDATE {name}_l SET name = name || '*' WHERE id % {number} = 0",
        f"DELETE FROM {name}_l WHERE id % 97 = {number}",
        f"INSERT INTO {name}_l SELECT (SELECT max(id) FROM {name}_l) + n, 'new' FROM generate_series(1, 100) n",
    )
    if direction == "two_way":
        mortal.sql(f"UPDATE {name}_r SET title = title || '+' WHERE no % {number} = 1 AND no % 97 <> {number}")


def carried_out(house: House, name: str, direction: str) -> list[reading.RunRow]:
    """Run the rule, behind the one that it refers to, and return the runs once they have ended."""
    names = [f"{name}_owners", name] if direction == REFERRING else [name]
    return [finish(house, start(house, one, "live", ADMIN)) for one in names]


def finish(house: House, run_id: int) -> reading.RunRow:
    """Wait for the end of a run; one whose system was away for too long is resumed, as a person would."""

    def look() -> reading.RunRow:
        with house.db.read() as tx:
            return reading.get(tx, run_id)

    def over() -> bool:
        if look().state == "failed":
            resume(house, run_id, ADMIN)
        return look().state == "succeeded"

    wait_for(over, 600, f"the end of run {run_id}")
    return look()


def told(house: House, keys: set[int]) -> str:
    """Return what runs have noted of records, for who looks into a difference."""
    texts = [str(key) for key in sorted(keys)[:3]]
    with house.db.read() as tx:
        rows: list[object] = []
        for table in (run_record, pair_case, quarantine):
            mine = [table.c[key].in_(texts) for key in ("left_key", "right_key") if key in table.c]
            rows += tx.execute(sa.select(table).where(sa.or_(*mine)).order_by(table.c.id)).all()
        rows += tx.execute(sa.select(run.c.id, run.c.state, run.c.attempts, run.c.chunks, run.c.counts)).all()
        rows += tx.execute(sa.select(run_log.c.run_id, run_log.c.at, run_log.c.message)).all()
        rows += tx.execute(sa.select(run_chunk.c.run_id, run_chunk.c.no, run_chunk.c.token, run_chunk.c.counts)).all()
    return f"{len(keys)} records differ\n" + "\n".join(map(str, rows))


@pytest.mark.parametrize("direction", ["left_to_right", "two_way", REFERRING])
@pytest.mark.parametrize("seed", [1, 2])
def test_random_kills(house: tuple[House, Installation], mortal: Mortal, seed: int, direction: str, capsys) -> None:
    """Worker, its child, dispatcher, Valkey and both systems die at random; after each run both sides agree."""
    place, installation = house
    name, chance = f"storm_{seed}_{direction[:3]}", random.Random(seed)
    publish(place, mortal, name, direction)
    kills: Counter[str] = Counter()
    attempts = 0
    for number in range(RUNS):
        with Storm(seed * 1000 + number, installation, mortal, place.settings.redis) as storm:
            done = carried_out(place, name, direction)
        kills += storm.kills
        attempts += sum(one.attempts for one in done)
        with contextlib.suppress(psycopg.Error):
            mortal.sql("SELECT 1")
        left, right = sides(mortal, name, direction)
        assert right == left, (seed, number, told(place, {row[0] for row in set(left) ^ set(right)}))
        edit(chance, mortal, name, direction)
    carried_out(place, name, direction)
    rested = finish(place, start(place, name, "live", ADMIN))
    assert not rested.counts["created"] + rested.counts["updated"] + rested.counts["deleted"]
    with capsys.disabled():
        print(f"\n{direction}, seed {seed}: {RUNS} runs, {attempts} attempts, {kills.total()} kills {dict(kills)}")  # noqa: T201
