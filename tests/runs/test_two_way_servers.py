"""Two-way between PostgreSQL and MariaDB: keys that both databases give, values of many types, workers that die."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta
from typing import Any

import pytest
import sqlalchemy as sa

from connectors.builtin.mysql import MySQL
from connectors.builtin.postgresql import PostgreSQL
from tests.runs.conftest import ADMIN, World, numbers
from tests.runs.test_crash import Killed, dies
from webapp.connections import services as connections
from webapp.rulebook import services as rulebook
from webapp.runs.pipeline.journal import Journal

LEFT = """
CREATE TABLE person (
  id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY, tax text, name text, limit_ numeric(20,6),
  born date, active boolean, score double precision)
"""
RIGHT = """
CREATE TABLE partner (
  no bigint AUTO_INCREMENT PRIMARY KEY, vat varchar(40), title varchar(200), amount decimal(20,6),
  birth date, live boolean, points double) CHARACTER SET utf8mb4
"""
PAIRS = (
    ("tax", "vat"), ("name", "title"), ("limit_", "amount"),
    ("born", "birth"), ("active", "live"), ("score", "points"),
)  # fmt: skip
RULE: dict[str, Any] = {
    "kind": "sync",
    "name": "customers",
    "left": {"connection": "pg", "object": "person"},
    "right": {"connection": "my", "object": "partner"},
    "direction": "two_way",
    "key": {"left": "id", "right": "no"},
    "correlate": [{"match": [{"left": "tax", "right": "vat"}]}],
    "fields": [{"left": left, "right": right} for left, right in PAIRS],
    "conflict": {"default": "left"},
}
ROWS = [
    ("T1", "Ann 😀", "12345678901234.123456", "1999-12-31", True, 0.1),
    ("T2", "李明", "-0.000001", None, False, None),
    ("T3", "", "0", "0001-01-01", None, 1e300),
]


class Two:
    """Both databases and the rule between them."""

    def __init__(self, world: World, left: str, right: str) -> None:
        self.world = world
        self.engines = {"pg": sa.create_engine(left), "my": sa.create_engine(right)}
        self.sql("pg", LEFT)
        self.sql("my", RIGHT)
        for name, connector in (("pg", "postgresql"), ("my", "mysql")):
            url = self.engines[name].url
            settings = {"host": url.host, "port": url.port, "database": url.database, "user": url.username}
            settings |= {"password": url.password} if url.password else {}
            document = {"kind": "connection", "name": name, "connector": connector, "settings": settings}
            connections.create(world.house, document, ADMIN)
        rulebook.create(world.house, RULE, ADMIN)
        rulebook.publish(world.house, "customers", ADMIN)

    def sql(self, name: str, statement: str, *rows: tuple[Any, ...]) -> list[Any]:
        with self.engines[name].begin() as connection:
            for row in rows:
                connection.exec_driver_sql(statement, row)
            if rows:
                return []
            found = connection.exec_driver_sql(statement)
            return list(found) if found.returns_rows else []

    def put(self, name: str, *rows: tuple[Any, ...]) -> None:
        columns = [pair[0 if name == "pg" else 1] for pair in PAIRS]
        marks = ", ".join(["%s"] * len(columns))
        table = "person" if name == "pg" else "partner"
        self.sql(name, f"INSERT INTO {table} ({', '.join(columns)}) VALUES ({marks})", *rows)

    def state(self) -> tuple[list[Any], list[Any]]:
        left, right = (", ".join(pair[side] for pair in PAIRS) for side in (0, 1))
        found = [self.sql("pg", f"SELECT {left} FROM person"), self.sql("my", f"SELECT {right} FROM partner")]
        plain = [sorted((tuple(_plain(v) for v in row) for row in rows), key=str) for rows in found]
        return plain[0], plain[1]

    def close(self) -> None:
        for engine in self.engines.values():
            engine.dispose()


def _plain(value: Any) -> Any:
    return bool(value) if isinstance(value, int) else value


@pytest.fixture
def two(world: World, postgres_url: str, mariadb_url: str) -> Iterator[Two]:
    made = Two(world, postgres_url, mariadb_url)
    yield made
    made.close()


def test_values_of_all_types_arrive_on_both_sides(two: Two):
    """What either database holds arrives in the other as it is; records with the same tax number are one."""
    two.put("pg", *ROWS)
    two.put("my", ("T2", "别名", "7", None, True, 2.5), ("T9", "Zoë", "0.5", "2000-02-29", True, -0.0))
    assert numbers(two.world.run())["created"] == 3
    left, right = two.state()
    assert left == right
    assert len(left) == 4
    assert ("T2", "李明") in {row[:2] for row in left}
    assert not {"created", "updated", "cases", "quarantined"} & set(numbers(two.world.run()))


def test_a_pair_that_both_sides_refuse_waits_once(two: Two):
    """It is parked with what the first one says, and neither doubles its outcome nor stops the run."""
    two.put("pg", *ROWS)
    two.world.run()
    two.sql("my", "ALTER TABLE partner ADD CONSTRAINT fine CHECK (title <> 'bad')")
    two.sql("pg", "ALTER TABLE person ADD CONSTRAINT fine CHECK (limit_ <> 5)")
    two.sql("pg", "UPDATE person SET name = 'bad' WHERE tax = 'T1'")
    two.sql("my", "UPDATE partner SET amount = 5 WHERE vat = 'T1'")
    run = two.world.run()
    assert (run.state, numbers(run)) == ("succeeded", {"read": 6, "unchanged": 4, "quarantined": 2}), str(run.message)


POINTS = [(Journal, "plan"), (PostgreSQL, "write"), (MySQL, "write"), (Journal, "check_in"), (Journal, "end")]


@pytest.mark.parametrize("before", [True, False])
@pytest.mark.parametrize(("owner", "name"), POINTS)
def test_a_worker_that_dies_doubles_nothing(two: Two, owner: type, name: str, before: bool):
    """Wherever the worker dies, each record is there once on both sides, though both databases give the keys."""
    two.put("pg", *ROWS)
    two.put("my", ("T8", "Yan", "7", None, True, 2.5), ("T9", "Zoë", "0.5", "2000-02-29", True, 0.25))
    two.world.pages_of(2)
    for step in range(2):
        if step:
            two.sql("pg", "UPDATE person SET name = name || '!'")
            two.sql("my", "UPDATE partner SET amount = amount + 1")
        run_id = two.world.request()
        with pytest.MonkeyPatch.context() as patch:
            dies(patch, owner, name, 1, before)
            try:
                two.world.work(run_id)
            except Killed:
                two.world.shift += timedelta(seconds=two.world.house.settings.lease_seconds + 1)
        if two.world.look(run_id).state != "succeeded":
            assert two.world.work(run_id, "w2")
        assert two.world.look(run_id).state == "succeeded"
        left, right = two.state()
        assert left == right
        assert sorted(row[0] for row in left) == ["T1", "T2", "T3", "T8", "T9"]
    assert not {"created", "updated", "cases", "quarantined"} & set(numbers(two.world.run()))
