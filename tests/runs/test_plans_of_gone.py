"""Plans of what is gone on either side are carried out exactly, and left alone where something has come back since."""

from __future__ import annotations

from typing import Any

import pytest

from tests.runs.conftest import World, numbers
from tests.runs.test_approved import approved, told
from tests.runs.test_two_way import _customers
from tests.runs.test_two_way import _rule as both_ways
from webapp.rulebook import services as rulebook
from webapp.runs import quarantine
from webapp.runs.pipeline.links import Links
from webapp.runs.pipeline.pairs import Pairs

GONE = {"detect": "full_scan"}
MARK = {**GONE, "deactivate": {"right": {"field": "memo", "value": "closed"}}}


def linked(world: World) -> list[str]:
    with world.house.db.read() as tx:
        row = rulebook.find(tx, "customers")
        assert row is not None
        return sorted(Links.load(tx, row.id).rows["left_key"])


def planned(world: World, **changes: Any) -> int:
    """Return the plan of a run that notices that the first customer is gone."""
    world.customers("Ada", "Bea")
    world.rule(deletes=GONE, **changes)
    world.run()
    world.crm("DELETE FROM customer WHERE id = 1")
    return world.run("simulate").id


@pytest.mark.parametrize("action", ["delete", "unlink"])
def test_what_was_gone_on_both_sides_is_forgotten(world: World, action: str):
    """A record and its partner were gone when the plan was made: nothing has moved, so the link goes as in a run."""
    world.customers("Ada", "Bea")
    world.rule(deletes=GONE, situations={"deleted_left": action})
    world.run()
    world.crm("DELETE FROM customer WHERE id = 1")
    world.erp("DELETE FROM client WHERE no = 1")
    run = approved(world, world.run("simulate").id)
    assert (told(world, run.id), numbers(run), linked(world)) == ({}, {"read": 1, "unchanged": 1}, ["2"])


def test_a_partner_that_is_only_let_go_may_go(world: World):
    """Where the plan only forgets the link, it does not matter what becomes of the partner."""
    plan = planned(world, situations={"deleted_left": "unlink"})
    world.erp("DELETE FROM client WHERE no = 1")
    assert (told(world, approved(world, plan).id), linked(world)) == ({}, ["2"])


@pytest.mark.parametrize("action", ["delete", "unlink"])
def test_a_record_that_is_back_keeps_its_partner(world: World, action: str):
    """A record that was gone when the plan was made and is there again has moved: nothing is done to its partner."""
    plan = planned(world, situations={"deleted_left": action})
    world.customers("Ada")
    run = approved(world, plan)
    assert told(world, run.id) == {"1": "It is in crm › customer again."}
    assert (len(world.clients()), linked(world)) == (2, ["1", "2"])
    assert numbers(world.run()) == {"read": 2, "unchanged": 2}


def test_a_partner_that_is_back_is_left_to_the_next_run(world: World):
    """A partner that was gone when the plan was made and is there again has moved: the next run deletes it."""
    world.customers("Ada", "Bea")
    world.rule(deletes=GONE, situations={"deleted_left": "delete"})
    world.run()
    world.crm("DELETE FROM customer WHERE id = 1")
    world.erp("DELETE FROM client WHERE no = 1")
    plan = world.run("simulate").id
    world.erp("INSERT INTO client VALUES (1, 'again', NULL, NULL)")
    run = approved(world, plan)
    assert told(world, run.id) == {"1": "A record with the key '1' is in erp › client by now."}
    assert (len(world.clients()), linked(world)) == (2, ["1", "2"])
    assert numbers(world.run()) == {"read": 1, "unchanged": 1, "deleted": 1}


def test_what_is_switched_off_by_a_plan(world: World):
    """A partner is switched off as shown, unless it has been written to or has gone since."""
    world.customers("Ada", "Bea", "Cid", "Dan")
    world.rule(deletes=MARK, situations={"deleted_left": "deactivate"})
    world.run()
    world.erp("UPDATE client SET memo = 'a memo'")
    world.crm("DELETE FROM customer WHERE id < 4")
    plan = world.run("simulate").id
    world.erp("UPDATE client SET memo = 'by hand' WHERE no = 2")
    world.erp("DELETE FROM client WHERE no = 3")
    run = approved(world, plan)
    assert set(told(world, run.id)) == {"2", "3"}
    assert world.erp("SELECT no, memo FROM client ORDER BY no") == [(1, "closed"), (2, "by hand"), (4, "a memo")]


@pytest.mark.parametrize("planned", [False, True])
def test_nothing_is_switched_off_that_is_gone(world: World, planned: bool):
    """Of what is gone on both sides nothing is left to switch off: the link goes."""
    world.customers("Ada", "Bea")
    world.rule(deletes=MARK, situations={"deleted_left": "deactivate"})
    world.run()
    world.crm("DELETE FROM customer WHERE id = 1")
    world.erp("DELETE FROM client WHERE no = 1")
    run = approved(world, world.run("simulate").id) if planned else world.run()
    assert (run.state, numbers(run), linked(world)) == ("succeeded", {"read": 1, "unchanged": 1}, ["2"])
    with world.house.db.read() as tx:
        assert not quarantine.listing(tx)


@pytest.mark.parametrize("action", ["delete", "unlink", "recreate"])
@pytest.mark.parametrize("back", [False, True])
def test_two_way_plans_of_a_partner_that_is_gone(world: World, action: str, back: bool):
    """What is to become of a record whose partner is gone happens as planned, unless the partner is back."""
    both_ways(world, deletes=GONE, situations={"deleted_right": action, "edit_vs_delete": action})
    world.customers("Ada", "Bea")
    world.run()
    world.erp("DELETE FROM client WHERE no = 1")
    plan = world.run("simulate").id
    if back:
        world.erp("INSERT INTO client VALUES (1, 'Ada', '+86 1', NULL)")
    run = approved(world, plan)
    if back:
        assert told(world, run.id) == {"1": "A record with the key '1' is in erp › client by now."}
        assert len(_customers(world)) == len(world.clients()) == 2
    else:
        assert told(world, run.id) == {}
        left = {"delete": (1, 1), "unlink": (2, 1), "recreate": (2, 2)}
        assert (len(_customers(world)), len(world.clients())) == left[action]
    rest = world.run()
    assert not rest.counts["created"] + rest.counts["updated"] + rest.counts["deleted"]


def test_what_was_to_be_deleted_by_scope_and_is_back(world: World):
    """A partner that was gone when its record left the scope and is there again is left to the next run as well."""
    world.customers("Ada", "Bea")
    left = {"connection": "crm", "object": "customer", "where": "status != 'draft'"}
    world.rule(left=left, situations={"out_of_scope": "delete"})
    world.run()
    world.crm("UPDATE customer SET status = 'draft' WHERE id = 1")
    world.erp("DELETE FROM client WHERE no = 1")
    plan = world.run("simulate").id
    world.erp("INSERT INTO client VALUES (1, 'again', NULL, NULL)")
    run = approved(world, plan)
    assert told(world, run.id) == {"1": "A record with the key '1' is in erp › client by now."}
    assert world.run().counts["deleted"] == 1


def pairs(world: World) -> set[tuple[str | None, str | None]]:
    with world.house.db.read() as tx:
        row = rulebook.find(tx, "customers")
        assert row is not None
        return set(Pairs.load(tx, row.id, "").rows.select("left_key", "right_key").iter_rows())


@pytest.mark.parametrize("action", ["case", "delete", "unlink"])
@pytest.mark.parametrize("back", ["", "left", "right"])
def test_two_way_plans_of_what_is_gone_on_both_sides(world: World, action: str, back: str):
    """A pair that was gone from both sides is forgotten as planned, unless one of its records is back."""
    both_ways(world, deletes=GONE, situations={"deleted_left": action, "deleted_right": action})
    world.customers("Ada", "Bea")
    world.run()
    world.crm("DELETE FROM customer WHERE id = 1")
    world.erp("DELETE FROM client WHERE no = 1")
    plan = world.run("simulate").id
    assert pairs(world) == {("1", "1"), ("2", "2")}
    if back == "left":
        world.customers("Ada")
    if back == "right":
        world.erp("INSERT INTO client VALUES (1, 'Ada', '+86 1', NULL)")
    run = approved(world, plan)
    assert numbers(run) == {"read": 2, "unchanged": 2}
    assert pairs(world) == ({("1", "1"), ("2", "2")} if back else {("2", "2")})
    left = {"left": "It is in crm › customer again.", "right": "A record with the key '1' is in erp › client by now."}
    assert told(world, run.id) == ({"1": left[back]} if back else {})


def test_two_way_runs_forget_what_is_gone_on_both_sides(world: World):
    """A live run says so in its chunks; a shadow run forgets nothing."""
    both_ways(world, deletes=GONE)
    world.customers("Ada", "Bea")
    world.run()
    world.crm("DELETE FROM customer WHERE id = 1")
    world.erp("DELETE FROM client WHERE no = 1")
    assert (numbers(world.run("shadow")), len(pairs(world))) == ({"read": 2, "unchanged": 2}, 2)
    assert (numbers(world.run()), pairs(world)) == ({"read": 2, "unchanged": 2}, {("2", "2")})
    world.customers("Ann")
    assert numbers(world.run()) == {"read": 4, "created": 1, "unchanged": 3}
