"""A finished run can be undone: the target is as before, save for what was changed since."""

from __future__ import annotations

from datetime import timedelta

import pytest

from connectors.builtin.sqlite import SQLite
from tests.runs.conftest import ADMIN, RULE, numbers
from tests.runs.test_crash import Killed, dies
from webapp.audit.models import audit_event
from webapp.rulebook import reading as rulebook
from webapp.runs.followups import undo
from webapp.runs.pipeline.journal import Journal
from webapp.runs.requests import RunRefused, cancel

SCOPED = {"left": {**RULE["left"], "where": "status != 'draft'"}, "situations": {"out_of_scope": "delete"}}


def everything(world):
    return world.erp("SELECT * FROM client ORDER BY no")


def undone(world, run_id):
    new = undo(world.house, run_id, ADMIN)
    assert world.work(new)
    return world.look(new)


def stays(world, run_id):
    """Return key -> reason of what was not undone, or only in part."""
    return {r.row.left_key: str(r.reason) for r in world.records(run_id) if r.reason}


@pytest.fixture
def busy(world):
    """A target that a run is about to create, update and delete records in, in several chunks."""
    world.customers("Ada", "Bea", "Cid", "Dan", "Eva", "Fay")
    world.rule(**SCOPED)
    world.crm("UPDATE customer SET status = 'draft' WHERE id = 6")
    world.pages_of(2).run()
    world.erp("UPDATE client SET memo = 'memo ' || no")
    world.crm("UPDATE customer SET status = 'draft' WHERE id IN (1, 5)")
    world.crm("UPDATE customer SET status = 'active' WHERE id = 6")
    world.crm("UPDATE customer SET name = 'Bee' WHERE id = 2")
    world.crm("UPDATE customer SET name = 'Sid', phone = NULL WHERE id = 3")
    return world


COUNTS = {"read": 6, "created": 1, "updated": 2, "unchanged": 1, "skipped": 2, "deleted": 2}


def test_undoing_a_run_restores_its_target(busy):
    """Created records are deleted, updated ones get their old values, deleted ones come back with all their fields."""
    before = everything(busy)
    run = busy.run()
    assert numbers(run) == COUNTS
    undoing = undone(busy, run.id)
    assert (undoing.state, undoing.kind, undoing.mode) == ("succeeded", "undo", "live")
    assert numbers(undoing) == {"read": 5, "created": 2, "updated": 2, "skipped": 1, "deleted": 1}
    assert everything(busy) == before
    assert stays(busy, undoing.id) == {}


def test_links_go_and_come_back_with_their_records(busy):
    """The next run finds what it would have found instead of the run that was undone."""
    run = busy.run()
    undone(busy, run.id)
    again = busy.run()
    assert numbers(again) == COUNTS
    assert [r.row.situation for r in busy.records(again.id)] == [r.row.situation for r in busy.records(run.id)]


def test_an_undo_can_be_undone(busy):
    """Undoing the undoing brings back what the run had written."""
    before, run = everything(busy), busy.run()
    after = everything(busy)
    undoing = undone(busy, run.id)
    assert everything(busy) == before
    back = undone(busy, undoing.id)
    assert everything(busy) == after
    undone(busy, back.id)
    assert everything(busy) == before


def test_what_was_changed_since_stays(busy):
    """Fields and records that no longer hold what the run wrote are left alone, each with its reason."""
    run = busy.run()
    busy.erp("UPDATE client SET tel = 'by hand' WHERE no = 3")
    busy.erp("DELETE FROM client WHERE no = 2")
    busy.erp("UPDATE client SET title = 'Faye' WHERE no = 6")
    busy.erp("INSERT INTO client VALUES (1, 'new', NULL, NULL)")
    undoing = undone(busy, run.id)
    assert stays(busy, undoing.id) == {
        "1": "A record with the key '1' is in erp › client by now.",
        "2": "It is gone from erp › client.",
        "3": "Changed in erp › client since, so it stays: tel.",
        "6": "Changed in erp › client since, so it stays: title.",
    }
    assert numbers(undoing) == {"read": 5, "created": 1, "updated": 1, "skipped": 3}
    rows = {row[0]: row for row in everything(busy)}
    assert rows[3] == (3, "Cid", "by hand", "memo 3"), "the other field has its old value"
    assert (rows[1][1], rows[6][1], rows[5]) == ("new", "Faye", (5, "Eva", "+86 5", "memo 5"))


def test_what_the_target_refuses_is_told(busy):
    """A record that the target does not take back is left out with the target's reason; nothing is parked."""
    run = busy.run()
    busy.erp("CREATE TABLE pet (client INTEGER REFERENCES client)")
    busy.erp("CREATE TRIGGER keep BEFORE DELETE ON client BEGIN SELECT RAISE(ABORT, 'has pets'); END")
    undoing = undone(busy, run.id)
    (row,) = [r for r in busy.records(undoing.id) if r.reason]
    assert (row.row.left_key, row.row.outcome, row.row.situation) == ("6", "skipped", "refused")
    assert "has pets" in str(row.reason)
    assert undoing.counts["quarantined"] == 0


POINTS = [
    (owner, name, at, before)
    for owner, name in ((Journal, "plan"), (SQLite, "write"), (Journal, "check_in"), (Journal, "end"))
    for at in ((1,) if name == "end" else (1, 2))
    for before in (True, False)
    if not (name == "end" and not before)
]


@pytest.mark.parametrize(("owner", "name", "at", "before"), POINTS, ids=lambda v: getattr(v, "__name__", str(v)))
def test_a_killed_undo_ends_like_an_undisturbed_one(busy, monkeypatch, owner, name, at, before):
    """Wherever the worker dies, the next one ends with the same target and the same counts."""
    then = everything(busy)
    run_id = undo(busy.house, busy.run().id, ADMIN)
    with monkeypatch.context() as patch:
        dies(patch, owner, name, at, before)
        with pytest.raises(Killed):
            busy.work(run_id)
    busy.shift += timedelta(seconds=busy.house.settings.lease_seconds + 1)
    assert busy.work(run_id, "w2")
    assert numbers(busy.look(run_id)) == {"read": 5, "created": 2, "updated": 2, "skipped": 1, "deleted": 1}
    assert everything(busy) == then


def test_a_cancelled_run_can_be_undone_also_what_its_worker_had_just_written(busy, monkeypatch):
    """What a run wrote and could not check in before it was cancelled is found, and undone with the rest."""
    before, run_id = everything(busy), busy.request()
    with monkeypatch.context() as patch:
        dies(patch, Journal, "check_in", 2, before=True)
        with pytest.raises(Killed):
            busy.work(run_id)
    cancel(busy.house, run_id, ADMIN)
    busy.shift += timedelta(seconds=busy.house.settings.lease_seconds + 1)
    busy.work(run_id, "w2")
    assert busy.look(run_id).state == "cancelled"
    undone(busy, run_id)
    assert everything(busy) == before


def test_what_cannot_be_undone(world):
    """A simulation, a run that wrote nothing and one that is not finished are refused, each with its reason."""
    world.customers("Ada")
    world.rule()
    sim = world.run("simulate")
    with pytest.raises(RunRefused, match="wrote nothing"):
        undo(world.house, sim.id, ADMIN)
    waiting = world.request()
    with pytest.raises(RunRefused, match="still at work"):
        undo(world.house, waiting, ADMIN)
    world.work(waiting)
    with pytest.raises(RunRefused, match="wrote nothing"):
        undo(world.house, world.run().id, ADMIN)
    world.crm("DROP TABLE customer")
    failed = world.run()
    with pytest.raises(RunRefused, match="not finished"):
        undo(world.house, failed.id, ADMIN)


def test_the_schedule_of_a_one_way_rule_is_paused(world):
    """The next run would write the same again, so the schedule waits until a person resumes it."""
    world.customers("Ada")
    world.rule(schedule={"cron": "*/5 * * * *"})
    undone(world, world.run().id)
    with world.house.db.read() as tx:
        assert rulebook.get(tx, "customers").state == rulebook.PAUSED


def test_both_runs_are_named_in_the_audit(world):
    """The audit says who undid which run by which."""
    world.customers("Ada")
    world.rule()
    run = world.run()
    undoing = undone(world, run.id)
    with world.house.db.read() as tx:
        events = [(e.tag, e.run_id, e.after) for e in tx.execute(audit_event.select()) if e.actor_name == "ada"]
    assert ("runs:run:undone", run.id, {"undone_by": undoing.id}) in events
    (asked,) = [after for tag, number, after in events if number == undoing.id and tag == "runs:run:requested"]
    assert (asked["kind"], asked["of"]) == ("undo", run.id)
