"""Plans of two-way rules are approved, and their runs undone, on both sides; afterwards both sides are at rest."""

from __future__ import annotations

import pytest

from tests.runs.conftest import ADMIN, numbers
from tests.runs.test_two_way import _customers, _rule, synced  # noqa: F401 - a fixture
from webapp.rulebook import reading as rulebook
from webapp.runs.followups import approve, undo

GONE = {"deleted_left": "delete", "deleted_right": "delete"}


def done(world, run_id):
    assert world.work(run_id)
    run = world.look(run_id)
    assert run.state == "succeeded", run.message
    return run


def edit(world):
    """Change, add and remove records on both sides."""
    world.crm("UPDATE customer SET name = 'Anna' WHERE id = 1")
    world.erp("UPDATE client SET tel = '5' WHERE no = 1")
    world.erp("UPDATE client SET title = 'Bobby' WHERE no = 2")
    world.customers("Dora", first=10)
    world.erp("INSERT INTO client VALUES (20, 'Emil', NULL, 'memo')")


def both(world):
    return _customers(world), world.clients()


@pytest.mark.parametrize("size", [1, 2, 100])
def test_an_approved_plan_brings_both_sides_together(synced, size):  # noqa: F811
    """What the simulation showed is written to either side, links and baselines move, and a next run rests."""
    edit(synced)
    sim = synced.pages_of(size).run("simulate")
    run = done(synced, approve(synced.house, sim.id, ADMIN))
    assert run.counts == sim.counts
    customers, clients = both(synced)
    assert (
        customers
        == clients
        == [
            (1, "Anna", "5"),
            (2, "Bobby", "+86 2"),
            (7, "Cid", "+86 7"),
            (10, "Dora", "+86 10"),
            (20, "Emil", None),
        ]
    )
    assert numbers(synced.run()) == {"read": 10, "unchanged": 10}


def test_what_has_moved_on_either_side_is_left_to_the_next_run(synced):  # noqa: F811
    """A record that was edited on the left or on the right since is not written; the next run merges it."""
    edit(synced)
    sim = synced.run("simulate")
    synced.crm("UPDATE customer SET name = 'Annette' WHERE id = 1")
    synced.crm("UPDATE customer SET name = 'Roberta' WHERE id = 2")
    synced.erp("DELETE FROM client WHERE no = 20")
    run = done(synced, approve(synced.house, sim.id, ADMIN))
    moved = {r.row.left_key for r in synced.records(run.id) if r.row.situation == "moved"}
    assert moved == {"1", "2", "20"}
    assert both(synced)[0][:2] == [(1, "Annette", "+86 1"), (2, "Roberta", "+86 2")]
    assert both(synced)[1][1] == (2, "Bobby", "+86 2")
    assert numbers(synced.run())["updated"] == 1
    assert both(synced)[1][0] == both(synced)[0][0] == (1, "Annette", "5")


@pytest.mark.parametrize("size", [1, 2, 100])
def test_undoing_restores_both_sides_and_they_rest(synced, size):  # noqa: F811
    """Both sides hold again what they held; the next runs take that as agreed and repeat nothing."""
    edit(synced)
    before = both(synced)
    run = synced.pages_of(size).run()
    assert both(synced) != before
    undoing = done(synced, undo(synced.house, run.id, ADMIN))
    assert both(synced) == before
    again = synced.run()
    assert (again.counts["created"], again.counts["updated"], again.counts["deleted"]) == (0, 0, 0)
    assert both(synced) == before
    back = done(synced, undo(synced.house, undoing.id, ADMIN))
    assert back.counts["skipped"] == 0
    assert both(synced)[0] == both(synced)[1]
    rest = synced.run()
    assert numbers(rest) == {"read": 10, "unchanged": 10}


def test_new_edits_flow_after_an_undo(synced):  # noqa: F811
    """A field that is edited after the undo flows as ever; one that was edited before it stays an edit."""
    synced.crm("UPDATE customer SET name = 'Anna', phone = '9' WHERE id = 1")
    run = synced.run()
    synced.erp("UPDATE client SET tel = 'by hand' WHERE no = 1")
    undoing = done(synced, undo(synced.house, run.id, ADMIN))
    assert both(synced)[1][0] == (1, "Ann", "by hand")
    (told,) = [r for r in synced.records(undoing.id) if r.reason]
    assert "so it stays: tel" in str(told.reason)
    synced.run()
    assert (both(synced)[0][0], both(synced)[1][0]) == ((1, "Anna", "by hand"), (1, "Ann", "by hand"))
    synced.erp("UPDATE client SET title = 'Annie' WHERE no = 1")
    synced.run()
    assert both(synced)[0][0] == both(synced)[1][0] == (1, "Annie", "by hand")


@pytest.mark.parametrize("side", ["left", "right"])
def test_a_deletion_that_is_undone_stays_undone(world, side):
    """A record that was deleted because its partner was gone comes back with all its fields and stays alone."""
    _rule(world, situations=GONE, deletes={"detect": "full_scan"})
    world.customers("Ann", "Bob")
    world.run()
    world.erp("UPDATE client SET memo = 'memo'")
    world.crm("UPDATE customer SET status = 'gold'")
    gone, kept = (world.crm, world.erp) if side == "left" else (world.erp, world.crm)
    tables = {"left": "customer", "right": "client"}
    keys = {"left": "id", "right": "no"}
    other = "right" if side == "left" else "left"
    gone(f"DELETE FROM {tables[side]} WHERE {keys[side]} = 1")
    before = kept(f"SELECT * FROM {tables[other]} ORDER BY 1")
    run = world.run()
    assert run.counts["deleted"] == 1
    assert len(kept(f"SELECT * FROM {tables[other]}")) == 1
    done(world, undo(world.house, run.id, ADMIN))
    assert kept(f"SELECT * FROM {tables[other]} ORDER BY 1") == before
    world.run()
    assert kept(f"SELECT * FROM {tables[other]} ORDER BY 1") == before
    assert len(gone(f"SELECT * FROM {tables[side]}")) == 1


def test_a_record_out_of_scope_that_was_deleted_comes_back_and_stays(world):
    """Deleting by scope is undone: the record comes back on the other side and the next run leaves it there."""
    left = {"connection": "crm", "object": "customer", "where": "status.orDefault('') != 'draft'"}
    _rule(world, left=left, situations={"out_of_scope": "delete"})
    world.customers("Ann", "Bob")
    world.run()
    world.crm("UPDATE customer SET status = 'draft' WHERE id = 1")
    before = both(world)
    run = world.run()
    assert run.counts["deleted"] == 1
    done(world, undo(world.house, run.id, ADMIN))
    assert both(world) == before
    world.run()
    assert both(world) == before


def test_the_schedule_of_a_two_way_rule_goes_on(world):
    """Nothing is repeated after an undo, so nothing is paused."""
    _rule(world, schedule={"cron": "*/5 * * * *"})
    world.customers("Ann")
    done(world, undo(world.house, world.run().id, ADMIN))
    with world.house.db.read() as tx:
        assert rulebook.get(tx, "customers").state == rulebook.ACTIVE
