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
        table = "person" if name == "pg" else "partner"
        self.sql(name, f"INSERT INTO {table} ({', '.join(columns)}) VALUES ({marks})", *rows)

    def state(self) -> tuple[list[Any], list[Any]]:
        left, right = (", ".join(pair[side] for pair in PAIRS) for side in (0, 1))
        found = [self.sql("pg", f"SELECT {left} FROM person"), self.sql("my", f"SELECT {right} FROM partner")]
        return tuple(sorted((tuple(_plain(v) for v in row) for row in rows), key=str) for rows in found)  # type: ignore[return-value]

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
