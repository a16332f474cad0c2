"""A full comparison by digests of the systems comes to the same end as one that looks at all records."""

from __future__ import annotations

import random
import sqlite3
import zlib
from dataclasses import replace
from datetime import timedelta
from typing import Any

import psycopg
import pytest
import sqlalchemy as sa

from connectors.builtin.sqlite import SQLite
from connectors.builtin.sqlite_flavor import SQLiteFlavor
from connectors.spi import DIGEST, Digest
from rules.schema import FieldType
from tests.runs.conftest import ADMIN, RULE, World, numbers, open_world
from tests.runs.linked import CUSTOMERS, Shop
from tests.runs.test_crash import Killed, dies
from tests.runs.test_filtering import Story, told
from tests.runs.test_partners import BY_PHONE
from tests.runs.test_steady import DELETING, spoil
from webapp.connections import services as connections
from webapp.runs.explanation import explain
from webapp.runs.pipeline import digests, steady
from webapp.runs.pipeline.journal import Journal

NEVER = 10**9
RULES: tuple[dict[str, Any], ...] = (
    DELETING,
    {"left": {"connection": "crm", "object": "customer", "where": "status != 'draft'"}, **DELETING},
    {
        "fields": [
            {"left": "id", "right": "no"},
            {"left": "name", "right": "title", "strength": "weak"},
            {"left": "phone", "right": "tel", "when": "status == 'active'", "on": ["update"]},
        ]
    },
)
TABLES = {
    "customer": "CREATE TABLE customer (id BIGINT PRIMARY KEY, name TEXT NOT NULL, score FLOAT, extra JSONB)",
    "client": "CREATE TABLE client (no BIGINT PRIMARY KEY, title TEXT NOT NULL, rank FLOAT, more JSONB)",
}
MAPPED = [
    {"left": "id", "right": "no"},
    {"left": "name", "right": "title", "to_right": "name.trim()"},
    {"left": "score", "right": "rank"},
    {"left": "extra", "right": "more"},
]


@pytest.fixture
def digesting(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let SQLite make digests."""
    digested(monkeypatch)


def digested(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let SQLite make digests."""
    opened = SQLite.open

    def open_(self: SQLite) -> sqlite3.Connection:
        connection = opened(self)
        connection.create_function("own_digest", -1, lambda *values: zlib.crc32(repr(values).encode()))
        return connection

    def digest(_: SQLite, __: str, of: Any) -> Digest:
        return Digest(DIGEST, FieldType.INTEGER, nullable=False, of=tuple(of), how="own")

    made = lambda _, of: sa.func.own_digest(*(sa.column(column.name) for column in of))  # noqa: E731
    monkeypatch.setattr(SQLite, "open", open_)
    monkeypatch.setattr(SQLite, "digest", digest)
    monkeypatch.setattr(SQLiteFlavor, "digest", made)


@pytest.fixture
def read(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Count the records that are read behind their digests."""
    seen: list[int] = []
    made = digests._read

    def count(*asked: Any) -> Any:
        found = made(*asked)
        seen.append(found[0].height)
        return found

    monkeypatch.setattr(digests, "_read", count)
    return seen


def plain(end: tuple[Any, ...]) -> tuple[Any, ...]:
    """Return what a run has led to, with links but without their hashes."""
    state, counts, clients, links, *more = end
    return state, counts, clients, [link[:2] for link in links], *more


@pytest.mark.usefixtures("digesting")
@pytest.mark.parametrize("changes", RULES)
def test_whatever_happens_on_either_side_the_end_is_the_same(
    tmp_path: Any, monkeypatch: pytest.MonkeyPatch, read: list[int], changes: dict[str, Any]
) -> None:
    """Edits, deletions and additions on both sides between runs: same target, links, counts and parked records."""
    ends = []
    for least in (0, NEVER):
        monkeypatch.setattr(steady, "LEAST", least)
        monkeypatch.setattr(steady, "SPARE", 9)
        with open_world(tmp_path / str(least)) as world:
            world.rule(**changes)
            story, dice, found = Story(world, 1), random.Random(1), []
            for _ in range(3):
                story.edit()
                found.append(plain(told(world, world.pages_of(7).run().id)))
                spoil(world, dice)
                found.extend(plain(told(world, world.run().id)) for _ in range(2))
            ends.append(found)
    assert read
    for one, other in zip(*ends, strict=True):
        assert one == other


@pytest.mark.usefixtures("digesting")
def test_what_has_its_digests_is_not_read(world: World, monkeypatch: pytest.MonkeyPatch, read: list[int]) -> None:
    """The first comparison learns the digests; the next ones read what has changed on either side, and no more."""
    monkeypatch.setattr(steady, "LEAST", 1)
    world.customers(*(f"Name {number}" for number in range(50)))
    world.rule(**DELETING)
    assert numbers(world.run()) == {"read": 50, "created": 50}
    assert numbers(world.run()) == {"read": 50, "unchanged": 50}
    assert read == []
    run = world.pages_of(7).run()
    assert numbers(run) == {"read": 50, "unchanged": 50}
    assert sum(read) == 0
    assert len(read) > 0
    found = explain(world.house, run.id, key="3")
    assert found.result.outcome == "unchanged"
    assert "not read" in str(found.untold)
    world.crm("UPDATE customer SET phone = 'new' WHERE id = 3")
    world.crm("DELETE FROM customer WHERE id = 9")
    world.erp("UPDATE client SET tel = 'spoilt' WHERE no = 5")
    world.erp("DELETE FROM client WHERE no = 7")
    del read[:]
    assert numbers(world.run()) == {"read": 49, "unchanged": 46, "updated": 2, "created": 1, "deleted": 1}
    assert sum(read) == 3
    world.run()
    del read[:]
    assert numbers(world.run()) == {"read": 49, "unchanged": 49}
    assert sum(read) == 0


@pytest.mark.usefixtures("digesting")
@pytest.mark.parametrize("calls", range(1, 6))
@pytest.mark.parametrize("before", [True, False])
def test_a_worker_that_dies_while_it_compares(
    world: World, monkeypatch: pytest.MonkeyPatch, calls: int, before: bool
) -> None:
    """Another worker goes on behind the last page, and the end is that of a run that nobody stopped."""
    monkeypatch.setattr(steady, "LEAST", 1)
    world.customers(*(f"Name {number}" for number in range(20)))
    world.rule(**DELETING)
    for _ in range(3):
        world.run()
    world.crm("UPDATE customer SET phone = 'new' WHERE id % 3 = 0")
    world.crm("DELETE FROM customer WHERE id IN (4, 14)")
    run_id = world.pages_of(5).request()
    with monkeypatch.context() as patch:
        dies(patch, Journal, "check_in", calls, before)
        try:
            world.work(run_id)
        except Killed:
            world.shift = timedelta(minutes=5)
            world.work(run_id, "w2")
    run = world.look(run_id)
    assert (run.state, numbers(run)) == ("succeeded", {"read": 18, "unchanged": 12, "updated": 6, "deleted": 2})
    assert {(no, tel) for no, _, tel in world.clients() if no % 3 == 0} == {(no, "new") for no in range(3, 21, 3)}
    assert numbers(world.run()) == {"read": 18, "unchanged": 18}


def test_postgresql_compares_by_its_own_digests(
    world: World, monkeypatch: pytest.MonkeyPatch, read: list[int], postgres_url: str
) -> None:
    """Between two tables of PostgreSQL only records with another digest are read, whatever the types of the fields."""
    monkeypatch.setattr(steady, "LEAST", 1)
    url = sa.make_url(postgres_url)
    place: dict[str, Any] = {"host": url.host, "port": url.port, "user": url.username, "password": url.password or ""}
    settings = {**place, "database": url.database}
    connections.create(
        world.house, {"kind": "connection", "name": "pg", "connector": "postgresql", "settings": settings}, ADMIN
    )
    ends = {side: {"connection": "pg", "object": name} for side, name in zip(("left", "right"), TABLES, strict=True)}
    with psycopg.connect(**place, dbname=url.database, autocommit=True) as sql:
        for table in TABLES.values():
            sql.execute(table.encode())
        sql.execute("INSERT INTO customer SELECT n, 'N ' || n, 0, '{\"a\": 1.0}' FROM generate_series(1, 600) n")
        world.rule(**ends, key={"left": "id", "right": "no"}, fields=MAPPED, **DELETING)
        assert numbers(world.run()) == {"read": 600, "created": 600}
        assert numbers(world.run()) == {"read": 600, "unchanged": 600}
        assert numbers(world.run()) == {"read": 600, "unchanged": 600}
        assert sum(read) == 0
        sql.execute("UPDATE customer SET extra = '{\"a\": 1.00}' WHERE id = 2")
        sql.execute("UPDATE customer SET score = '-0' WHERE id = 3")
        sql.execute("UPDATE customer SET name = 'n 4' WHERE id = 4")
        sql.execute("UPDATE client SET more = NULL WHERE no = 5")
        sql.execute("DELETE FROM customer WHERE id = 6")
        found = numbers(world.run())
        assert sum(read) == 4
        assert (found["deleted"], found["read"]) == (1, 599)
        both = "SELECT l.id FROM customer l JOIN client r ON l.id = r.no WHERE l.name = r.title AND l.extra = r.more"
        assert len(sql.execute(both.encode()).fetchall()) == 599


@pytest.mark.usefixtures("digesting")
@pytest.mark.parametrize("taken", [4, 8])
def test_a_record_whose_partner_another_one_takes_first(
    tmp_path: Any, monkeypatch: pytest.MonkeyPatch, read: list[int], taken: int
) -> None:
    """A new record that finds the partner of a later one makes that one wait, though nothing has changed of either."""
    ends = []
    for least in (1, NEVER):
        monkeypatch.setattr(steady, "LEAST", least)
        with open_world(tmp_path / str(least)) as world:
            world.customers(*(f"Name {number}" for number in range(1, 11)))
            world.crm("UPDATE customer SET phone = 'P ' || id")
            world.rule(**BY_PHONE)
            for _ in range(3):
                world.run()
            world.crm(f"INSERT INTO customer (id, name, phone) VALUES (0, 'New', 'P {taken}')")
            ends.append(plain(told(world, world.pages_of(3).run().id)))
    assert read
    assert ends[0][1] == {"read": 11, "updated": 1, "unchanged": 9, "quarantined": 1}
    assert ends[0] == ends[1]


@pytest.mark.usefixtures("digesting")
def test_digests_of_another_kind_are_forgotten(world: World, monkeypatch: pytest.MonkeyPatch, read: list[int]) -> None:
    """After a system has got another way to make digests, all is read once more."""
    monkeypatch.setattr(steady, "LEAST", 1)
    world.customers("Ada", "Bob")
    world.rule()
    for _ in range(3):
        world.run()
    assert len(read) == 1
    own = SQLite.digest
    monkeypatch.setattr(SQLite, "digest", lambda *asked: replace(own(*asked), how="new"))  # type: ignore[type-var]
    world.run()
    assert len(read) == 1
    world.run()
    assert len(read) == 2


@pytest.mark.usefixtures("digesting")
def test_a_stopped_run_of_another_rule_goes_on_with_all_records(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """What digests were learnt under the rule as it was says nothing to the one that works now."""
    monkeypatch.setattr(steady, "LEAST", 1)
    world.customers(*(f"name {number}" for number in range(20)))
    world.rule()
    for _ in range(3):
        world.run()
    louder = {"left": "name", "right": "title", "to_right": "name.upper()"}
    world.rule(fields=[RULE["fields"][0], louder, RULE["fields"][2]])
    run_id = world.pages_of(5).request()
    with monkeypatch.context() as patch:
        dies(patch, Journal, "check_in", 2, before=False)
        with pytest.raises(Killed):
            world.work(run_id)
    world.shift = timedelta(minutes=5)
    assert world.work(run_id, "w2")
    assert numbers(world.look(run_id)) == {"read": 20, "updated": 20}
    assert all(title.startswith("NAME ") for _, title, _ in world.clients())


@pytest.mark.usefixtures("digesting")
def test_what_is_referred_to_is_part_of_a_digest(
    world: World, monkeypatch: pytest.MonkeyPatch, read: list[int]
) -> None:
    """An order is read again when its customer has got another key on the other side, or none; others are not."""
    monkeypatch.setattr(steady, "LEAST", 1)
    shop = Shop(world)
    shop.publish(CUSTOMERS, **DELETING)
    shop.people((1, "a@x", "Ann"), (2, "b@x", "Bob"), (3, "c@x", "Cid"))
    shop.purchases((10, 1, 5), (11, 2, 6), (12, None, 7), (13, 3, 8))
    shop.run("customers")
    for _ in range(2):
        shop.run("orders")
    assert (numbers(shop.run("orders")), sum(read), len(read)) == ({"read": 4, "unchanged": 4}, 0, 1)
    world.erp("DELETE FROM partner WHERE email = 'b@x'")
    world.crm("DELETE FROM person WHERE id = 3")
    shop.run("customers")
    del read[:]
    assert numbers(shop.run("orders")) == {"read": 4, "unchanged": 2, "updated": 1, "quarantined": 1}
    assert sum(read) == 2
    assert shop.sales()[1] == (11, shop.numbers()["b@x"], 6)


@pytest.mark.usefixtures("digesting")
@pytest.mark.parametrize("spare", [0.1, 9])
def test_a_condition_of_the_source(
    world: World, monkeypatch: pytest.MonkeyPatch, read: list[int], spare: float
) -> None:
    """Digests are compared where nearly all is in scope; else the source leaves out what is not, as without digests."""
    monkeypatch.setattr(steady, "LEAST", 1)
    monkeypatch.setattr(steady, "SPARE", spare)
    world.customers(*(f"Name {number}" for number in range(20)))
    world.crm("UPDATE customer SET status = 'draft' WHERE id > 15")
    world.rule(left={"connection": "crm", "object": "customer", "where": "status != 'draft'"}, **DELETING)
    for _ in range(3):
        run = world.run()
    assert numbers(run) == {"read": 20, "unchanged": 15, "skipped": 5}
    assert (len(read), sum(read)) == ((1, 5) if spare > 1 else (0, 0))
    world.crm("UPDATE customer SET status = 'draft' WHERE id = 1")
    world.crm("UPDATE customer SET status = 'active' WHERE id = 20")
    assert numbers(world.run()) == {"read": 20, "unchanged": 14, "created": 1, "skipped": 5}
    assert numbers(world.run()) == {"read": 20, "unchanged": 15, "skipped": 5}
