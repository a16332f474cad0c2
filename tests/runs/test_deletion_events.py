"""Systems that tell what was deleted: runs in one direction and both ways believe them, whatever else was told."""

from __future__ import annotations

import contextlib
import sqlite3
from collections.abc import Iterator
from datetime import timedelta
from typing import Any

import pytest
import sqlalchemy as sa

from connectors import registry
from connectors.spi import Page, ReadRequest
from tests.logged import Logged
from tests.runs.conftest import ADMIN, World, numbers
from tests.runs.test_crash import Killed, dies
from webapp.connections import services as connections
from webapp.rulebook import services as rulebook
from webapp.runs.models import rule_cursor
from webapp.runs.pipeline.journal import Journal

CURSOR = {"by": "cursor", "field": "changed", "overlap": "0s"}
FIELDS = [{"left": "id", "right": "no"}, {"left": "name", "right": "title"}]
DELETE = {"deleted_left": "delete", "deleted_right": "delete"}
EVENT = {"detect": "event"}


@pytest.fixture
def logged(world: World, monkeypatch: pytest.MonkeyPatch) -> World:
    """Return a world whose systems log deletions, with three customers."""
    monkeypatch.setattr(registry, "_registered", {**registry._registered})
    registry.register(Logged)
    for name, table in (("crm", "customer"), ("erp", "client")):
        path = str(world.folder / f"{name}.db")
        document = {"kind": "connection", "name": f"{name}_log", "connector": "logged", "settings": {"path": path}}
        connections.create(world.house, document, ADMIN)
        statement = f"CREATE TABLE {table}_gone ({'id' if name == 'crm' else 'no'} INTEGER PRIMARY KEY, changed TEXT)"
        (world.crm if name == "crm" else world.erp)(statement)
    world.erp("ALTER TABLE client ADD COLUMN changed TEXT DEFAULT '2024-01-01 00:00:00'")
    world.customers("Ann", "Bob", "Cid")
    return world


def rule(world: World, **changes: Any) -> None:
    sides = {
        "left": {"connection": "crm_log", "object": "customer"},
        "right": {"connection": "erp_log", "object": "client"},
    }
    said = {"deletes": EVENT, "situations": {"deleted_left": "delete"}, "fields": FIELDS, "detect": {"left": CURSOR}}
    world.rule(**{**sides, **said, **changes})


def both_ways(world: World, **changes: Any) -> None:
    rule(
        world, **{"direction": "two_way", "situations": DELETE, "detect": {"left": CURSOR, "right": CURSOR}, **changes}
    )


def gone(world: World, system: str, key: int, at: str = "2024-02-01 00:00:00") -> None:
    """Delete a record, and log it."""
    table, name = ("customer", "id") if system == "crm" else ("client", "no")
    with sqlite3.connect(world.folder / f"{system}.db") as connection:
        connection.execute(f"DELETE FROM {table} WHERE {name} = ?", (key,))
        connection.execute(f"INSERT OR REPLACE INTO {table}_gone VALUES (?, ?)", (key, at))


def names(world: World) -> list[str]:
    return [row[1] for row in world.clients()]


def rests(world: World) -> None:
    again = world.run()
    assert again.state == "succeeded", again.message
    assert {n: again.counts[n] for n in ("created", "updated", "deleted", "quarantined", "cases")} == dict.fromkeys(
        ("created", "updated", "deleted", "quarantined", "cases"), 0
    )


def test_deletions_are_carried_out_one_way(logged: World):
    """What the source says is gone is deleted in the target, once, and the cursor moves past it."""
    rule(logged)
    logged.run()
    gone(logged, "crm", 1)
    gone(logged, "crm", 3)
    run = logged.pages_of(1).run()
    assert (run.state, run.counts["deleted"]) == ("succeeded", 2), run.message
    assert names(logged) == ["Bob"]
    with logged.house.db.read() as tx:
        assert "2024-02-01" in str(tx.scalar(sa.select(rule_cursor.c.value)))
    rests(logged)


def test_what_was_created_and_deleted_between_two_runs(logged: World):
    """A record that the log still shows before it says that it is gone does not stay in the target."""
    rule(logged)
    logged.run()
    logged.customers("Dan", first=4)
    logged.crm("UPDATE customer SET changed = '2024-01-15 00:00:00' WHERE id = 4")
    logged.crm("INSERT INTO customer_gone VALUES (4, '2024-02-01 00:00:00')")  # its last image is still told
    run = logged.run()
    assert (run.state, run.counts["deleted"]) == ("succeeded", 1), run.message
    assert names(logged) == ["Ann", "Bob", "Cid"]


@pytest.mark.parametrize("left", [CURSOR, {"by": "full"}])
@pytest.mark.parametrize("right", [CURSOR, {"by": "full"}])
@pytest.mark.parametrize("system", ["crm", "erp"])
def test_deletions_are_carried_out_both_ways(logged: World, left: Any, right: Any, system: str):
    """Whichever side says it, and however the other one is read, its partner is deleted, and then all is at rest."""
    detect = {"left": CURSOR, "right": right} if system == "crm" else {"left": left, "right": CURSOR}
    both_ways(logged, detect=detect)
    logged.run()
    gone(logged, system, 2)
    run = logged.pages_of(1).run()
    assert (run.state, run.counts["deleted"]) == ("succeeded", 1), run.message
    assert run.counts["read"] == sum(n for name, n in run.counts.items() if name not in ("read", "deleted"))
    assert names(logged) == ["Ann", "Cid"]
    assert logged.crm("SELECT name FROM customer ORDER BY id") == [("Ann",), ("Cid",)]
    rests(logged)


def test_a_record_of_the_log_that_is_gone_by_now_is_not_brought_over(logged: World):
    """Both ways nothing is made of an image that is followed by its deletion."""
    both_ways(logged)
    logged.run()
    logged.customers("Dan", first=4)
    logged.crm("UPDATE customer SET changed = '2024-01-15 00:00:00' WHERE id = 4")
    logged.crm("INSERT INTO customer_gone VALUES (4, '2024-02-01 00:00:00')")
    run = logged.run()
    assert (run.counts["created"], run.counts["skipped"]) == (0, 1)
    assert names(logged) == ["Ann", "Bob", "Cid"]


def test_an_edit_against_a_deletion_waits_for_a_person(logged: World):
    """The deletion of a record whose partner was edited is surfaced, not carried out."""
    both_ways(logged)
    logged.run()
    gone(logged, "crm", 1)
    logged.erp("UPDATE client SET title = 'Anna', changed = '2024-02-02 00:00:00' WHERE no = 1")
    run = logged.run()
    assert (run.counts["cases"], run.counts["deleted"]) == (1, 0)
    assert "Anna" in names(logged)


def test_what_is_told_while_the_run_reads_is_not_lost(logged: World, monkeypatch: pytest.MonkeyPatch):
    """A deletion that comes up after the deletions were asked for holds the cursor back; the next run hears it."""
    both_ways(logged)
    logged.run()
    logged.customers("Dan", first=4)
    logged.crm("UPDATE customer SET changed = '2024-03-01 00:00:00' WHERE id = 4")
    reads = 0
    read = Logged.read

    def late(self: Logged, request: ReadRequest) -> Iterator[Page]:
        nonlocal reads
        if request.object == "customer" and request.cursor is not None:
            reads += 1
            if reads == 2:
                gone(logged, "crm", 1, at="2024-02-15 00:00:00")
        yield from read(self, request)

    monkeypatch.setattr(Logged, "read", late)
    first = logged.run()
    assert (first.state, first.counts["deleted"]) == ("succeeded", 0)
    monkeypatch.undo()
    registry.register(Logged)
    assert logged.run().counts["deleted"] == 1
    assert names(logged) == ["Bob", "Cid", "Dan"]


@pytest.mark.parametrize("way", [rule, both_ways])
@pytest.mark.parametrize("calls", range(1, 5))
@pytest.mark.parametrize("before", [True, False])
def test_a_worker_that_dies_loses_no_deletion(
    logged: World, monkeypatch: pytest.MonkeyPatch, way: Any, calls: int, before: bool
):
    """Wherever the worker dies, the runs behind it have deleted what is gone."""
    way(logged)
    logged.run()
    gone(logged, "crm", 1)
    logged.crm("UPDATE customer SET name = 'Bobby', changed = '2024-02-03 00:00:00' WHERE id = 2")
    run_id = logged.pages_of(1).request()
    with monkeypatch.context() as patch:
        dies(patch, Journal, "check_in", calls, before)
        with contextlib.suppress(Killed):
            logged.work(run_id)
    logged.shift = timedelta(minutes=5)
    logged.work(run_id, "w2")
    assert logged.look(run_id).state == "succeeded"
    logged.run()
    assert names(logged) == ["Bobby", "Cid"]
    rests(logged)


def test_a_system_that_tells_of_no_deletions_is_told_of(world: World):
    """A rule that waits for events of a system which has none is not published."""
    world.customers("Ann")
    world.rule()
    with world.house.db.read() as tx:
        document = rulebook.get(tx, "customers").document
    found = rulebook.check(world.house, {**document, "deletes": EVENT})
    assert "deletes/detect" in [problem.path for problem in found]


def test_a_simulation_and_a_part_leave_deletions_alone(logged: World):
    """A simulation counts what would be deleted; nothing is written."""
    rule(logged)
    logged.run()
    gone(logged, "crm", 1)
    assert logged.run("simulate").counts["deleted"] == 1
    assert numbers(logged.run())["deleted"] == 1
