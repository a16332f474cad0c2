"""Backfills: runs over a part of a source, by a condition or a range."""

from __future__ import annotations

import pytest
import sqlalchemy as sa

from tests.runs.conftest import ADMIN, World, numbers
from tests.runs.test_named import CURSOR, CUSTOMERS, TWO_WAY
from webapp.runs import parts, quarantine, reading
from webapp.runs.followups import approve
from webapp.runs.models import rule_cursor
from webapp.runs.parts import Wanted
from webapp.runs.requests import RunRefused


def _run(world: World, mode: str = "live", **wanted: str) -> reading.RunRow:
    run_id = parts.run_part(world.house, "customers", Wanted(**wanted), mode, ADMIN)
    assert world.work(run_id)
    return world.look(run_id)


@pytest.fixture
def changed(world: World) -> World:
    """Return a world by cursor that is in step, where all four records have changed unnoticed since."""
    world.crm("DROP TABLE customer")
    world.crm(CUSTOMERS)
    world.customers("Ada", "Bea", "Cid", "Dan")
    world.rule(detect=CURSOR)
    world.run()
    world.crm("UPDATE customer SET name = upper(name)")
    return world


def _names(world: World) -> list[str]:
    return [row[1] for row in world.clients()]


def test_a_condition_chooses_the_part(changed: World):
    """Only records that meet the condition are read and written; the others are no part of the run."""
    run = _run(changed, where="id >= 2 && phone != '+86 4'")
    assert (run.kind, run.state, numbers(run)) == ("part", "succeeded", {"read": 2, "updated": 2})
    assert _names(changed) == ["Ada", "BEA", "CID", "Dan"]


def test_a_range_chooses_the_part(changed: World):
    """A range holds from its beginning to before its end, of a moment as of a number."""
    run = _run(changed, field="changed", start="2024-01-01T00:00:02", end="2024-01-01T00:00:04")
    assert numbers(run) == {"read": 2, "updated": 2}
    assert numbers(_run(changed, field="id", start="4")) == {"read": 1, "updated": 1}
    assert _names(changed) == ["Ada", "BEA", "CID", "DAN"]


def test_a_condition_that_only_syncline_can_ask_comes_to_the_same(changed: World):
    """What the source cannot filter is asked here, page by page."""
    assert numbers(_run(changed.pages_of(1), where="name.lower().startsWith('b')")) == {"read": 1, "updated": 1}


def test_the_cursor_stays_where_it_is(changed: World):
    """A backfill does not tell the next run where to begin."""
    query = sa.select(rule_cursor.c.value, rule_cursor.c.run_id)
    with changed.house.db.read() as tx:
        before = tx.execute(query).all()
    _run(changed, where="id > 0")
    with changed.house.db.read() as tx:
        assert tx.execute(query).all() == before


def test_a_part_deletes_nothing(world: World):
    """Neither records out of scope nor those that are gone are deleted by a backfill."""
    world.customers("Ada", "Bea")
    left = {"connection": "crm", "object": "customer", "where": "status == 'active'"}
    world.rule(left=left, situations={"out_of_scope": "delete"})
    world.run()
    world.crm("UPDATE customer SET status = 'draft' WHERE id = 1")
    assert numbers(_run(world, where="id < 9")) == {"read": 2, "skipped": 1, "unchanged": 1}
    assert len(world.clients()) == 2
    assert world.run().counts["deleted"] == 1


def test_a_simulation_of_a_part_writes_nothing(changed: World):
    """A backfill can be tried first, with the same counts."""
    run = _run(changed, "simulate", where="id == 1")
    assert numbers(run) == {"read": 1, "updated": 1}
    assert _names(changed)[0] == "Ada"


def test_a_partner_of_another_record_is_not_taken(world: World):
    """A part does not meet all records, so links tell what belongs to others."""
    world.customers("Ada")
    world.rule(fields=[{"left": "phone", "right": "no", "to_right": "1"}, {"left": "name", "right": "title"}])
    world.run()
    world.customers("Bea", first=2)
    run = _run(world, where="id == 2")
    assert numbers(run) == {"read": 1, "quarantined": 1}


def test_a_part_of_one_side_of_a_two_way_rule(world: World):
    """A backfill of a two-way rule reads one side and brings its pairs into step."""
    world.customers("Ada", "Bea")
    world.rule(**TWO_WAY)
    world.run()
    world.crm("UPDATE customer SET name = upper(name)")
    world.erp("UPDATE client SET tel = '0' WHERE no = 2")
    run = _run(world, where="no == 2", side="right")
    assert run.counts["updated"] == 1
    assert world.clients() == [(1, "Ada", "+86 1"), (2, "BEA", "0")]
    assert world.crm("SELECT name, phone FROM customer WHERE id = 2") == [("BEA", "0")]
    assert numbers(world.run()) == {"read": 4, "updated": 1, "unchanged": 3}


@pytest.mark.parametrize(
    ("wanted", "why"),
    [
        ({}, "Say which part"),
        ({"where": "nam == 'x'"}, "cannot be used"),
        ({"field": "size", "start": "1"}, "no field 'size'"),
        ({"field": "id", "start": "many"}, "'id' holds nothing like this"),
        ({"where": "id == 1", "side": "right"}, "reads left only"),
    ],
)
def test_a_part_that_cannot_be_read_is_refused(changed: World, wanted: dict[str, str], why: str):
    """A wrong condition, field or side is told of at once, before a run is requested."""
    with pytest.raises(RunRefused, match=why):
        parts.run_part(changed.house, "customers", Wanted(**wanted), "live", ADMIN)


def test_the_plan_of_a_part_is_approved_like_any_other(changed: World):
    """What the simulation of a part shows is written and nothing else; the cursor and parked records stay."""
    changed.customers("z" * 30, first=9)
    assert changed.run().counts["quarantined"] == 1
    changed.crm("UPDATE customer SET name = upper(name) || '2' WHERE id < 9")
    query = sa.select(rule_cursor.c.value, rule_cursor.c.run_id)
    with changed.house.db.read() as tx:
        before = tx.execute(query).all()
    simulation = _run(changed, "simulate", where="id in [2, 3, 4]")
    changed.crm("UPDATE customer SET name = 'moved' WHERE id = 3")
    run_id = approve(changed.house, simulation.id, ADMIN)
    assert changed.work(run_id)
    run = changed.look(run_id)
    assert (run.kind, run.state, numbers(run)) == ("approved", "succeeded", {"read": 3, "updated": 2, "skipped": 1})
    assert _names(changed) == ["Ada", "BEA2", "Cid", "DAN2"]
    with changed.house.db.read() as tx:
        assert tx.execute(query).all() == before
        assert [entry.left_key for entry in quarantine.listing(tx)] == ["9"]
    with pytest.raises(RunRefused, match="approved already"):
        approve(changed.house, simulation.id, ADMIN)


def test_the_plan_of_a_part_settles_nothing_outside_of_it(world: World):
    """Where all is read each time, a parked record outside the part is not taken for gone."""
    world.customers("Ada", "y" * 30)
    world.rule()
    world.run()
    world.crm("UPDATE customer SET name = 'Anna' WHERE id = 1")
    simulation = _run(world, "simulate", where="id == 1")
    assert world.work(approve(world.house, simulation.id, ADMIN))
    assert _names(world) == ["Anna"]
    with world.house.db.read() as tx:
        assert [entry.left_key for entry in quarantine.listing(tx)] == ["2"]


def test_the_plan_of_a_part_of_a_two_way_rule_is_approved(world: World):
    """Both sides get what the simulation of a part shows, and the next run finds the part at rest."""
    world.crm("DROP TABLE customer")
    world.crm(CUSTOMERS)
    world.customers("Ada", "Bea", "Cid")
    world.rule(**TWO_WAY)
    world.run()
    world.crm("UPDATE customer SET name = upper(name)")
    simulation = _run(world, "simulate", side="left", where="id < 3")
    assert world.work(approve(world.house, simulation.id, ADMIN))
    assert _names(world) == ["ADA", "BEA", "Cid"]
    assert _run(world, side="left", where="id < 3").counts["updated"] == 0


def test_the_field_of_a_range_is_gone(changed: World):
    """A range over a field that has gone since it was asked for stops the run, and says what is missing."""
    run_id = parts.run_part(changed.house, "customers", Wanted(field="status", start="a"), "live", ADMIN)
    changed.crm("ALTER TABLE customer DROP COLUMN status")
    assert changed.work(run_id)
    run = changed.look(run_id)
    assert (run.state, numbers(run)) == ("suspended", {})
    assert str(run.message).startswith("The rule does not fit any more: There is no field 'status'")
