"""References between PostgreSQL and MariaDB: keys of two types, foreign keys on both sides, workers that die."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from datetime import timedelta
from typing import Any

import pytest
import sqlalchemy as sa

from connectors.builtin.mysql import MySQL
from connectors.builtin.postgresql import PostgreSQL
from tests.runs.conftest import ADMIN, World, numbers
from tests.runs.linked import CUSTOMERS, ORDERS
from tests.runs.test_crash import Killed, dies
from webapp.connections import services as connections
from webapp.connections.probing import object_schema
from webapp.rulebook import services as rulebook
from webapp.runs import ordering, quarantine, reading
from webapp.runs.dependencies import start_in_order
from webapp.runs.pipeline.journal import Journal

LEFT = (
    "CREATE TABLE person (id text PRIMARY KEY DEFAULT gen_random_uuid()::text, mail text, name text)",
    "CREATE TABLE purchase (id bigint PRIMARY KEY, person_id text REFERENCES person, amount bigint)",
)
RIGHT = (
    "CREATE TABLE partner (no bigint AUTO_INCREMENT PRIMARY KEY, email varchar(80), title varchar(80))",
    "CREATE TABLE sale (id bigint PRIMARY KEY, partner_no bigint, total bigint,"
    " FOREIGN KEY (partner_no) REFERENCES partner (no))",
)
TWO_WAY = {
    "direction": "two_way",
    "left": {"connection": "pg"},
    "right": {"connection": "my"},
    "conflict": {"default": "left"},
}


class Two:
    """Both databases and both rules."""

    def __init__(self, world: World, left: str, right: str) -> None:
        self.world = world
        self.engines = {"pg": sa.create_engine(left), "my": sa.create_engine(right)}
        for name, statements in (("pg", LEFT), ("my", RIGHT)):
            for statement in statements:
                self.sql(name, statement)
        for name, connector in (("pg", "postgresql"), ("my", "mysql")):
            url = self.engines[name].url
            settings = {"host": url.host, "port": url.port, "database": url.database, "user": url.username}
            settings |= {"password": url.password} if url.password else {}
            document = {"kind": "connection", "name": name, "connector": connector, "settings": settings}
            connections.create(world.house, document, ADMIN)
        object_schema(world.house, "pg", "person")
        object_schema(world.house, "my", "partner")
        for rule in (CUSTOMERS, ORDERS):
            sides = {side: {**rule[side], **TWO_WAY[side]} for side in ("left", "right")}
            rulebook.create(world.house, {**rule, **TWO_WAY, **sides}, ADMIN)
            rulebook.publish(world.house, rule["name"], ADMIN)

    def sql(self, name: str, statement: str) -> list[Any]:
        with self.engines[name].begin() as connection:
            found = connection.exec_driver_sql(statement)
            return [tuple(row) for row in found] if found.returns_rows else []

    def settle(self) -> None:
        """Carry out what waits and what was left behind."""
        while True:
            ordering.call_off(self.world.house)
            with self.world.house.db.read() as tx:
                open_ = [row.id for state in ("running", "queued") for row in reading.listing(tx, state=state)]
            if not any(self.world.work(number, "w2") for number in sorted(open_)):
                return

    def pairs(self) -> tuple[list[Any], list[Any]]:
        left = "SELECT o.id, p.mail, o.amount FROM purchase o LEFT JOIN person p ON p.id = o.person_id ORDER BY o.id"
        right = "SELECT o.id, p.email, o.total FROM sale o LEFT JOIN partner p ON p.no = o.partner_no ORDER BY o.id"
        return self.sql("pg", left), self.sql("my", right)

    def close(self) -> None:
        for engine in self.engines.values():
            engine.dispose()


@pytest.fixture
def two(world: World, postgres_url: str, mariadb_url: str) -> Iterator[Two]:
    """Return customers and orders on both sides that nothing has brought together yet."""
    made = Two(world, postgres_url, mariadb_url)
    made.sql("pg", "INSERT INTO person (mail, name) VALUES ('a@x', 'Ann'), ('b@x', '李明')")
    made.sql("pg", "INSERT INTO purchase SELECT 10, id, 5 FROM person WHERE mail = 'a@x'")
    made.sql("pg", "INSERT INTO purchase SELECT 11, id, 6 FROM person WHERE mail = 'b@x'")
    made.sql("pg", "INSERT INTO purchase VALUES (12, NULL, 7)")
    made.sql("my", "INSERT INTO partner (no, email, title) VALUES (500, 'b@x', '李明'), (700, 'c@x', 'Cid')")
    made.sql("my", "INSERT INTO sale VALUES (30, 700, 1), (31, 500, 2)")
    yield made
    made.close()


EXPECTED = [(10, "a@x", 5), (11, "b@x", 6), (12, None, 7), (30, "c@x", 1), (31, "b@x", 2)]


def test_orders_name_the_right_customer_in_both_databases(two: Two):
    """Text keys on one side and numbers on the other: each order arrives with the key of its customer there."""
    runs = start_in_order(two.world.house, "orders", "live", ADMIN)
    two.settle()
    assert [two.world.look(number).state for number in runs] == ["succeeded", "succeeded"]
    assert two.pairs() == (EXPECTED, EXPECTED)
    two.sql("my", "UPDATE sale SET partner_no = 700 WHERE id = 31")
    start_in_order(two.world.house, "orders", "live", ADMIN)
    two.settle()
    assert two.pairs()[0][-1] == (31, "c@x", 2)
    with two.world.house.db.read() as tx:
        assert quarantine.count_open(tx) == 0


POINTS = [(Journal, "plan"), (PostgreSQL, "write"), (MySQL, "write"), (Journal, "check_in"), (Journal, "end")]


@pytest.mark.parametrize("rule", [0, 1], ids=["customers", "orders"])
@pytest.mark.parametrize(("owner", "name"), POINTS)
def test_a_worker_that_dies_between_leaves_no_order_without_its_customer(two: Two, owner: type, name: str, rule: int):
    """Wherever a worker of either rule dies, both end well, one behind the other, and every order is right."""
    two.world.pages_of(2)
    runs = start_in_order(two.world.house, "orders", "live", ADMIN)
    if rule:
        assert two.world.work(runs[0])
    with pytest.MonkeyPatch.context() as patch:
        dies(patch, owner, name, 1, before=True)
        with contextlib.suppress(Killed):
            two.world.work(runs[rule])
    assert not two.world.work(runs[1], "w3")
    two.world.shift += timedelta(hours=1)
    two.settle()
    assert [two.world.look(number).state for number in runs] == ["succeeded", "succeeded"]
    assert two.pairs() == (EXPECTED, EXPECTED)
    again = start_in_order(two.world.house, "orders", "live", ADMIN)
    two.settle()
    assert not {"created", "updated", "cases", "quarantined"} & set(numbers(two.world.look(again[1])))
