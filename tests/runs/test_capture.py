"""Rules that follow a system's log of changes, with a real PostgreSQL on one side or both."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from datetime import timedelta
from typing import Any

import pytest
import sqlalchemy as sa

from connectors.changes import LogState
from rules.text import Message
from tests.connectors.databases import closed_port, promptly, rows, run, settings_of
from tests.runs.conftest import ADMIN, World, numbers
from tests.runs.test_crash import Killed, dies
from webapp.connections import services as connections
from webapp.rulebook import services as rulebook
from webapp.runs import reading
from webapp.runs.caretaking import Caretaker
from webapp.runs.execution import installation_id
from webapp.runs.followups import approve
from webapp.runs.log_keeping import let_go, let_go_unneeded, listing
from webapp.runs.log_keeping import state as state_of
from webapp.runs.models import rule_cursor
from webapp.runs.pipeline.following import _tell, name_of, size_text
from webapp.runs.pipeline.journal import Journal

CDC = {"by": "cdc"}
FIELDS = [{"left": "id", "right": "no"}, {"left": "name", "right": "title"}]
DELETE = {"deleted_left": "delete", "deleted_right": "delete"}


class Shop:
    """A PostgreSQL database that a rule reads by its log."""

    def __init__(self, world: World, url: str) -> None:
        self.world, self.url = world, url
        promptly(url)
        run(url, "CREATE TABLE customer (id integer PRIMARY KEY, name text, phone text)")
        for name in ("shop", "shop2"):
            document = {"kind": "connection", "name": name, "connector": "postgresql", "settings": settings_of(url)}
            connections.create(world.house, document, ADMIN)

    def do(self, *statements: str) -> None:
        run(self.url, *statements)

    def follow(self, **changes: Any) -> None:
        said: dict[str, Any] = {
            "left": {"connection": "shop", "object": "customer"},
            "fields": FIELDS,
            "detect": {"left": CDC},
            "deletes": {"detect": "event"},
            "situations": {"deleted_left": "delete"},
        }
        self.world.rule(**{**said, **changes})

    def both_ways(self, **changes: Any) -> None:
        self.follow(**{"direction": "two_way", "deletes": {"detect": "full_scan"}, "situations": DELETE, **changes})

    def slot(self, side: str = "left") -> str:
        return name_of(installation_id(self.world.house), "customers", side)

    def targets(self) -> list[tuple[Any, ...]]:
        return [row[:2] for row in self.world.clients()]


@pytest.fixture
def shop(world: World, postgres_url: str) -> Iterator[Shop]:
    shop = Shop(world, postgres_url)
    yield shop
    for side in ("left", "right"):
        for name, pid in rows(postgres_url, "SELECT slot_name, active_pid FROM pg_replication_slots"):
            if name == shop.slot(side):
                if pid:
                    run(postgres_url, f"SELECT pg_terminate_backend({pid})")
                run(postgres_url, f"SELECT pg_drop_replication_slot('{name}')")


def rests(world: World) -> None:
    again = world.run()
    assert again.state == "succeeded", again.message
    assert not {"created", "updated", "deleted", "quarantined", "cases"} & set(numbers(again)), again.counts


WAYS = pytest.mark.parametrize("way", ["follow", "both_ways"])


@WAYS
def test_a_rule_follows_the_log(shop: Shop, way: str) -> None:
    """What is created, updated, deleted and given another key since the last run is carried over, and nothing else."""
    getattr(shop, way)()
    shop.do("INSERT INTO customer (id, name) SELECT g, 'n' || g FROM generate_series(1, 5) g")
    first = shop.world.run()
    assert (first.state, first.counts["created"]) == ("succeeded", 5), first.message
    rests(shop.world)
    shop.do("UPDATE customer SET name = 'two' WHERE id = 2", "DELETE FROM customer WHERE id = 3")
    shop.do("UPDATE customer SET id = 14 WHERE id = 4", "INSERT INTO customer (id, name) VALUES (6, '😀')")
    second = shop.world.run()
    assert second.state == "succeeded", second.message
    counts = numbers(second)
    assert (counts["created"], counts["updated"], counts["deleted"]) == (2, 1, 2)
    assert shop.targets() == [(1, "n1"), (2, "two"), (5, "n5"), (6, "😀"), (14, "n4")]
    rests(shop.world)


@WAYS
def test_deletions_named_by_default(shop: Shop, way: str) -> None:
    """A rule that notices deletions by reading everything hears them from the log."""
    getattr(shop, way)(deletes={"detect": "full_scan"})
    shop.do("INSERT INTO customer (id, name) SELECT g, 'n' || g FROM generate_series(1, 4) g")
    shop.world.run()
    shop.do("DELETE FROM customer WHERE id = 1")
    run = shop.world.run()
    assert numbers(run)["deleted"] == 1
    assert shop.targets() == [(2, "n2"), (3, "n3"), (4, "n4")]


@WAYS
def test_all_deleted_at_once(shop: Shop, way: str) -> None:
    """A TRUNCATE names no record; the run finds out which are gone, and keeps what came after."""
    getattr(shop, way)()
    shop.do("INSERT INTO customer (id, name) SELECT g, 'n' || g FROM generate_series(1, 4) g")
    shop.world.run()
    shop.do("INSERT INTO customer VALUES (9, 'nine')", "TRUNCATE customer", "INSERT INTO customer VALUES (2, 'again')")
    run = shop.world.run()
    assert run.state == "succeeded", run.message
    assert (run.counts["deleted"], shop.targets()) == (3, [(2, "again")])
    rests(shop.world)


@WAYS
def test_a_lost_log_leads_to_comparing_everything(shop: Shop, way: str) -> None:
    """Where the slot is gone, the run says so, compares all records, deletes what is gone, and follows the log anew."""
    getattr(shop, way)()
    shop.do("INSERT INTO customer (id, name) SELECT g, 'n' || g FROM generate_series(1, 4) g")
    shop.world.run()
    shop.do(f"SELECT pg_drop_replication_slot('{shop.slot()}')")
    shop.do("DELETE FROM customer WHERE id = 1", "UPDATE customer SET name = 'two' WHERE id = 2")
    run_id = shop.world.request()
    shop.world.work(run_id)
    run = shop.world.look(run_id)
    assert run.state == "succeeded", run.message
    assert "compares all records" in told(shop, run_id)
    assert (run.counts["deleted"], run.counts["updated"]) == (1, 1)
    shop.do("DELETE FROM customer WHERE id = 3")
    assert numbers(shop.world.run())["deleted"] == 1
    assert shop.targets() == [(2, "two"), (4, "n4")]
    rests(shop.world)


@WAYS
@pytest.mark.parametrize("calls", [1, 2, 4])
@pytest.mark.parametrize("before", [True, False])
@pytest.mark.parametrize("first", [True, False])
def test_a_worker_that_dies_loses_nothing(
    shop: Shop, monkeypatch: pytest.MonkeyPatch, way: str, calls: int, before: bool, first: bool
) -> None:
    """Wherever the worker dies, in a first run or a later one, all changes arrive, each once."""
    getattr(shop, way)()
    shop.do("INSERT INTO customer (id, name) SELECT g, 'n' || g FROM generate_series(1, 6) g")
    if not first:
        shop.world.run()
        shop.do("UPDATE customer SET name = name || '!' WHERE id < 4", "DELETE FROM customer WHERE id = 5")
        shop.do("UPDATE customer SET id = 16 WHERE id = 6")
    run_id = shop.world.pages_of(2).request()
    with monkeypatch.context() as patch:
        dies(patch, Journal, "check_in", calls, before)
        with contextlib.suppress(Killed):
            shop.world.work(run_id)
    shop.do("UPDATE customer SET name = 'meanwhile' WHERE id = 1", "DELETE FROM customer WHERE id = 4")
    shop.world.shift = timedelta(minutes=5)
    shop.world.work(run_id, "w2")
    assert shop.world.look(run_id).state == "succeeded", shop.world.look(run_id).message
    again = shop.world.run()
    assert again.state == "succeeded", again.message
    assert shop.targets() == sorted(rows(shop.url, "SELECT id, name FROM customer"))
    rests(shop.world)


def told(shop: Shop, run_id: int) -> str:
    with shop.world.house.db.read() as tx:
        return "\n".join(str(Message.from_json(entry.message)) for entry in reading.log_lines(tx, run_id))


def test_a_plan_moves_the_place_in_the_log(shop: Shop) -> None:
    """What is simulated and then approved is not read again; a plan that is not approved is."""
    shop.follow()
    shop.do("INSERT INTO customer (id, name) VALUES (1, 'one')")
    shop.world.run()
    shop.do("INSERT INTO customer (id, name) VALUES (2, 'two')")
    plan = shop.world.run("simulate")
    assert (plan.counts["created"], shop.targets()) == (1, [(1, "one")])
    shop.do("INSERT INTO customer (id, name) VALUES (3, 'three')")
    approved = approve(shop.world.house, plan.id, ADMIN)
    shop.world.work(approved)
    assert shop.targets() == [(1, "one"), (2, "two")]
    assert numbers(shop.world.run()) == {"read": 1, "created": 1}
    rests(shop.world)


def test_both_sides_by_log(shop: Shop) -> None:
    """Edits on two databases are merged by their logs alone, and our own writes come to rest."""
    shop.do("CREATE TABLE client (no integer PRIMARY KEY, title text)")
    shop.both_ways(right={"connection": "shop2", "object": "client"}, detect={"left": CDC, "right": CDC})
    shop.do("INSERT INTO customer (id, name) VALUES (1, 'one'), (2, 'two')", "INSERT INTO client VALUES (3, 'three')")
    assert numbers(shop.world.run())["created"] == 3
    shop.do("UPDATE customer SET name = 'ONE' WHERE id = 1", "UPDATE client SET title = 'TWO' WHERE no = 2")
    shop.do("DELETE FROM client WHERE no = 3")
    run = shop.world.run()
    assert run.state == "succeeded", run.message
    assert rows(shop.url, "SELECT id, name FROM customer ORDER BY 1") == [(1, "ONE"), (2, "TWO")]
    assert rows(shop.url, "SELECT no, title FROM client ORDER BY 1") == [(1, "ONE"), (2, "TWO")]
    rests(shop.world)


def test_what_is_missing_is_told_before_publishing(shop: Shop) -> None:
    """A rule is not published as long as the server, the user or the table is not ready, and it is said what to do."""
    shop.do(
        "CREATE ROLE reader LOGIN PASSWORD 'secret'", "GRANT SELECT ON customer TO reader",
    )  # fmt: skip
    try:
        weak = {**settings_of(shop.url), "user": "reader", "password": "secret"}
        document = {"kind": "connection", "name": "weak", "connector": "postgresql", "settings": weak}
        connections.create(shop.world.house, document, ADMIN)
        shop.follow()
        with shop.world.house.db.read() as tx:
            rule = rulebook.get(tx, "customers").document
        wanted = {**rule, "left": {"connection": "weak", "object": "customer"}}
        found = [str(p.message) for p in rulebook.check(shop.world.house, wanted) if p.path == "detect/left/by"]
        assert any("ALTER ROLE reader REPLICATION" in text for text in found)
        assert any("CREATE PUBLICATION" in text for text in found)
        wanted = {**rule, "direction": "right_to_left", "detect": {"right": CDC}, "situations": {}, "deletes": {}}
        found = [str(p.message) for p in rulebook.check(shop.world.house, wanted) if p.path == "detect/right/by"]
        assert any("no log of changes" in text for text in found)
    finally:
        shop.do("DROP OWNED BY reader", "DROP ROLE reader")


def test_what_no_rule_needs_is_taken_away(shop: Shop) -> None:
    """The slot goes when the rule finds changes another way, and a later run begins anew."""
    shop.follow()
    shop.do("INSERT INTO customer (id, name) VALUES (1, 'one')")
    shop.world.run()
    assert let_go_unneeded(shop.world.house) == 0
    shop.follow(detect={}, deletes={"detect": "full_scan"})
    assert let_go_unneeded(shop.world.house) == 1
    left = "SELECT count(*) FROM pg_replication_slots WHERE database = current_database()"
    assert rows(shop.url, left) == [(0,)]
    assert rows(shop.url, "SELECT count(*) FROM pg_publication") == [(0,)]
    with shop.world.house.db.read() as tx:
        assert tx.scalar(sa.select(sa.func.count()).select_from(rule_cursor)) == 0
    shop.follow()
    shop.do("UPDATE customer SET name = 'ONE'")
    assert numbers(shop.world.run())["updated"] == 1
    rests(shop.world)


def test_logs_are_listed_and_given_up(shop: Shop) -> None:
    """Each log that is kept is listed with how far it is behind; one that is given up is made anew by the next run."""
    shop.follow()
    shop.do("INSERT INTO customer (id, name) VALUES (1, 'one')")
    house = shop.world.house
    with house.db.read() as tx:
        assert listing(tx) == []
    shop.world.run()
    with house.db.read() as tx:
        (kept,) = listing(tx)
    assert (kept.rule_name, kept.side, kept.connection, kept.needed) == ("customers", "left", "shop", True)
    shop.do("INSERT INTO customer (id, name) VALUES (2, 'two')")
    state = state_of(house, kept)
    assert state is not None
    assert state.behind > 0
    let_go(house, kept, ADMIN)
    assert state_of(house, kept) is None
    run = shop.world.run()
    assert numbers(run)["created"] == 1
    rests(shop.world)


def test_the_caretaker_looks_after_what_is_left(shop: Shop) -> None:
    """What a deleted rule has left behind is taken away in the background; without its connection it is only noted."""
    shop.follow()
    house, caretaker = shop.world.house, Caretaker(shop.world.house)
    caretaker.look()
    assert caretaker._thread is None
    shop.world.run()
    rulebook.delete(house, "customers", ADMIN)
    caretaker.look()
    assert caretaker._thread is not None
    caretaker._thread.join()
    left = "SELECT count(*) FROM pg_replication_slots WHERE database = current_database()"
    assert rows(shop.url, left) == [(0,)]
    with house.db.read() as tx:
        assert listing(tx) == []


def test_what_cannot_be_reached_is_tried_again(shop: Shop) -> None:
    """A system that does not answer keeps its entry; one whose connection was deleted loses it."""
    shop.follow()
    house = shop.world.house
    shop.world.run()
    rulebook.delete(house, "customers", ADMIN)
    settings = {**settings_of(shop.url), "port": closed_port()}
    wrong = {"kind": "connection", "name": "shop", "connector": "postgresql", "settings": settings}
    connections.update(house, wrong, ADMIN)
    assert let_go_unneeded(house) == 0
    connections.delete(house, "shop", ADMIN)
    assert let_go_unneeded(house) == 1


def test_a_rule_follows_mariadb(world: World, mariadb_url: str) -> None:
    """MariaDB's binary log feeds a rule, and a log that was thrown away leads to comparing everything."""
    document = {"kind": "connection", "name": "maria", "connector": "mysql", "settings": settings_of(mariadb_url)}
    connections.create(world.house, document, ADMIN)
    run(mariadb_url, "CREATE TABLE customer (id integer PRIMARY KEY, name text)")
    run(mariadb_url, "INSERT INTO customer VALUES (1, 'one'), (2, 'two'), (3, 'three')")
    world.rule(
        left={"connection": "maria", "object": "customer"}, fields=FIELDS, detect={"left": CDC},
        deletes={"detect": "event"}, situations={"deleted_left": "delete"},
    )  # fmt: skip
    assert world.run().counts["created"] == 3
    rests(world)
    run(mariadb_url, "UPDATE customer SET id = 4 WHERE id = 3", "DELETE FROM customer WHERE id = 1")
    assert numbers(world.run()) == {"read": 1, "created": 1, "deleted": 2}
    rests(world)
    run(mariadb_url, "DELETE FROM customer WHERE id = 2", "FLUSH LOGS")
    run(mariadb_url, "UPDATE customer SET name = 'four'")
    while len(files := rows(mariadb_url, "SHOW BINARY LOGS")) > 1:
        run(mariadb_url, f"PURGE BINARY LOGS TO '{files[-1][0]}'")
    assert numbers(world.run()) == {"read": 1, "updated": 1, "deleted": 1}
    assert [row[:2] for row in world.clients()] == [(4, "four")]
    rests(world)


def test_sizes_for_people() -> None:
    """Bytes are said in the unit that fits, and a log that has grown large is warned of."""
    sizes = [size_text(count) for count in (5, 2500, 3_000_000, 4 * 10**9, 5 * 10**12, 6 * 10**15)]
    assert sizes == ["5 bytes", "2.5 kB", "3 MB", "4 GB", "5 TB", "6e+03 TB"]
    said: list[str] = []
    _tell(LogState(None, 10, 2.0, 1 << 31), lambda level, _: said.append(level))
    assert said == ["info", "warning"]
