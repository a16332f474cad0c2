"""Runs for single records, and parked records that a cursor does not bring up again."""

from __future__ import annotations

import threading
from typing import Any

import pytest
import sqlalchemy as sa

from tests.runs.conftest import ADMIN, World, numbers
from webapp.runs import quarantine, reading, requests
from webapp.runs.models import rule_cursor
from webapp.runs.pipeline import stopping
from webapp.runs.pipeline.journal import Journal
from webapp.runs.requests import RunRefused

CURSOR = {"left": {"by": "cursor", "field": "changed", "overlap": "0s"}}
CUSTOMERS = "CREATE TABLE customer (id INTEGER PRIMARY KEY, name TEXT, phone TEXT, status TEXT, changed DATETIME)"
TWO_WAY = {
    "direction": "two_way",
    "fields": [
        {"left": "id", "right": "no", "on": ["create"]},
        {"left": "name", "right": "title", "to_right": "name.trim()", "to_left": "title"},
        {"left": "phone", "right": "tel"},
    ],
}


def _run_for(world: World, *keys: str, side: str = "left") -> reading.RunRow:
    with world.house.db.begin() as tx:
        wanted = [{"side": side, "key": key} for key in keys]
        run_id = requests.records(world.house, "customers", wanted, ADMIN, tx)
    assert world.work(run_id)
    return world.look(run_id)


def _parked(world: World, state: str | None = "open") -> list[tuple[str, str, int]]:
    with world.house.db.read() as tx:
        return [(e.left_key, e.state, e.attempts) for e in quarantine.listing(tx, state=state)]


@pytest.fixture
def by_cursor(world: World) -> World:
    """Return a world whose rule reads by cursor, after a run that has parked record 2."""
    world.crm("DROP TABLE customer")
    world.crm(CUSTOMERS)
    world.customers("Ada", None, "Cid")
    world.rule(detect=CURSOR)
    assert numbers(world.run()) == {"read": 3, "created": 2, "quarantined": 1}
    return world


def test_a_run_for_one_record_writes_only_that_one(world: World):
    """The named record is read and written as a full run would; all others stay as they are."""
    world.customers("Ada", "Bea", "Cid")
    world.rule()
    world.run()
    world.crm("UPDATE customer SET name = upper(name)")
    run = _run_for(world, "2")
    assert (run.kind, run.state, run.expected, numbers(run)) == ("records", "succeeded", 1, {"read": 1, "updated": 1})
    assert [row[1] for row in world.clients()] == ["Ada", "BEA", "Cid"]
    assert numbers(world.run()) == {"read": 3, "updated": 2, "unchanged": 1}


def test_a_new_record_is_made_and_linked(world: World):
    """A record that no run has met is created; later runs find it unchanged."""
    world.customers("Ada", "Bea")
    world.rule()
    assert numbers(_run_for(world, "2", "2")) == {"read": 1, "created": 1}
    assert numbers(world.run()) == {"read": 2, "created": 1, "unchanged": 1}


def test_a_record_that_is_not_there_is_told_of(world: World):
    """A key that the source does not hold ends in a warning, and nothing is deleted in the target."""
    world.customers("Ada")
    world.rule()
    world.run()
    world.crm("DELETE FROM customer")
    run = _run_for(world, "1", "x")
    assert (run.state, numbers(run)) == ("succeeded", {})
    with world.house.db.read() as tx:
        told = [line.message["values"] for line in reading.log_lines(tx, run.id)]
    assert told == [{"object": "customer", "keys": "1, x"}]
    assert len(world.clients()) == 1


def test_a_rule_that_flows_left_reads_right(world: World):
    """Records of rules that flow from right to left are named by their key on the right; others are refused."""
    world.erp("INSERT INTO client VALUES (1, 'Ada', '1', NULL), (2, 'Bea', '2', NULL)")
    world.rule(
        direction="right_to_left",
        fields=[
            {"left": "id", "right": "no"},
            {"left": "name", "right": "title"},
        ],
    )
    assert numbers(_run_for(world, "2", side="right")) == {"read": 1, "created": 1}
    assert world.crm("SELECT id, name FROM customer") == [(2, "Bea")]
    with pytest.raises(RunRefused, match="reads right only"):
        _run_for(world, "2")


def test_a_run_for_one_record_leaves_the_cursor(by_cursor: World):
    """A later change that was written by name does not move the place where the next run starts."""
    by_cursor.crm("UPDATE customer SET name = 'Ann', changed = '2024-02-01 00:00:00' WHERE id = 1")
    by_cursor.crm("UPDATE customer SET name = 'Cim', changed = '2024-01-15 00:00:00' WHERE id = 3")
    assert numbers(_run_for(by_cursor, "1")) == {"read": 1, "updated": 1}
    by_cursor.run()
    assert [row[1] for row in by_cursor.clients()] == ["Ann", "Cim"]


def test_a_cursor_run_tries_parked_records_again(by_cursor: World):
    """What failed is retried though its cursor has not moved; it counts once, and the cursor stays exact."""
    by_cursor.crm("UPDATE customer SET name = 'Ann', changed = '2024-02-01 00:00:00' WHERE id = 1")
    again = by_cursor.run()
    assert numbers(again)["quarantined"] == 1
    assert _parked(by_cursor) == [("2", "open", 2)]
    by_cursor.crm("UPDATE customer SET name = 'Bea' WHERE id = 2")
    run = by_cursor.run()
    assert numbers(run)["created"] == 1
    assert _parked(by_cursor) == []
    assert [row[1] for row in by_cursor.clients()] == ["Ann", "Bea", "Cid"]


def test_a_parked_record_that_the_cursor_meets_is_read_once(by_cursor: World):
    """A parked record whose cursor has moved is not looked up besides."""
    by_cursor.crm("UPDATE customer SET name = 'Bea', changed = '2024-02-01 00:00:00' WHERE id = 2")
    run = by_cursor.run()
    assert numbers(run) == {"read": 2, "created": 1, "unchanged": 1}
    assert _parked(by_cursor) == []


def test_a_simulation_by_cursor_shows_parked_records_too(by_cursor: World):
    """A simulation has the counts of the live run behind it, parked records included."""
    by_cursor.crm("UPDATE customer SET name = 'Bea' WHERE id = 2")
    simulated = by_cursor.run("simulate")
    assert simulated.counts == by_cursor.run().counts


def test_a_parked_record_that_is_gone_is_settled(by_cursor: World):
    """Nothing waits for a record that its source has deleted."""
    by_cursor.crm("DELETE FROM customer WHERE id = 2")
    by_cursor.run()
    assert _parked(by_cursor) == []
    assert _parked(by_cursor, None) == [("2", "resolved", 1)]


def test_a_retried_record_does_not_move_the_cursor(by_cursor: World):
    """A record that changed while the run was at work, behind what it has read, is still read by the next run."""
    with by_cursor.house.db.read() as tx:
        before = tx.scalar(sa.select(rule_cursor.c.value))
    by_cursor.crm("UPDATE customer SET changed = NULL WHERE id = 2")
    by_cursor.run()
    with by_cursor.house.db.read() as tx:
        assert tx.scalar(sa.select(rule_cursor.c.value)) == before


def test_two_way_cursors_try_parked_records_again(world: World):
    """Both sides of a two-way rule look up again what they have parked."""
    world.crm("DROP TABLE customer")
    world.crm(CUSTOMERS)
    world.customers("Ada", None, "Cid")
    rule: dict[str, Any] = {**TWO_WAY, "detect": CURSOR}
    world.rule(**rule)
    world.run()
    assert _parked(world) == [("2", "open", 1)]
    world.run()
    assert _parked(world) == [("2", "open", 2)]
    world.crm("UPDATE customer SET name = 'Bea' WHERE id = 2")
    run = world.run()
    assert run.counts["created"] == 1
    assert _parked(world) == []
    assert [row[1] for row in world.clients()] == ["Ada", "Bea", "Cid"]


def _in_steps(world: World, run_id: int, patch: pytest.MonkeyPatch) -> reading.RunRow:
    """Carry a run out by workers that are stopped behind each chunk that they have checked in."""
    checked_in = Journal.check_in

    def then_stop(self: Journal, *arguments: Any) -> None:
        checked_in(self, *arguments)
        patch.setattr(stopping, "_requested", asked)

    asked, quiet = threading.Event(), threading.Event()
    asked.set()
    patch.setattr(Journal, "check_in", then_stop)
    for _ in range(20):
        patch.setattr(stopping, "_requested", quiet)
        if not world.look(run_id).active:
            break
        assert world.work(run_id)
    return world.look(run_id)


@pytest.mark.parametrize("changes", [{}, TWO_WAY], ids=["one way", "two-way"])
def test_a_stopped_run_for_records_goes_on_with_the_next_one(
    world: World, monkeypatch: pytest.MonkeyPatch, changes: dict[str, Any]
):
    """Workers that come and go read each named record once."""
    world.customers("Ada", "Bea", "Cid", "Dan")
    world.rule(**changes)
    world.pages_of(1)
    with world.house.db.begin() as tx:
        wanted = [{"side": "left", "key": key} for key in ("1", "x", "3", "4")]
        run_id = requests.records(world.house, "customers", wanted, ADMIN, tx)
    run = _in_steps(world, run_id, monkeypatch)
    assert (run.state, run.attempts > 1, numbers(run)) == ("succeeded", True, {"read": 3, "created": 3})
    assert [row[0] for row in world.clients()] == [1, 3, 4]


@pytest.mark.parametrize("changes", [{}, TWO_WAY], ids=["one way", "two-way"])
def test_a_stopped_run_tries_each_parked_record_once(
    world: World, monkeypatch: pytest.MonkeyPatch, changes: dict[str, Any]
):
    """Workers that come and go count one more attempt for each parked record, and read it once."""
    world.crm("DROP TABLE customer")
    world.crm(CUSTOMERS)
    world.customers(None, None, None, "Dan")
    world.rule(detect={**CURSOR, "right": {"by": "cursor", "field": "no"}} if changes else CURSOR, **changes)
    world.run()
    world.crm("UPDATE customer SET name = 'Bea' WHERE id = 2")
    world.pages_of(1)
    run = _in_steps(world, world.request(), monkeypatch)
    assert run.state == "succeeded"
    assert (run.counts["created"], run.counts["quarantined"]) == (1, 2)
    assert sorted(_parked(world)) == [("1", "open", 2), ("3", "open", 2)]
