"""Comparing both systems field by field, on two SQLite systems."""

from __future__ import annotations

from typing import Any

import pytest

from tests.runs.conftest import ADMIN, World
from tests.runs.test_two_way import FIELDS
from webapp.runs import verification
from webapp.runs.parts import Wanted
from webapp.runs.requests import RunRefused, cancel
from webapp.runs.verification import Verification


def verify(world: World) -> Verification:
    run_id = verification.request(world.house, "customers", ADMIN)
    assert world.work(run_id)
    run = world.look(run_id)
    assert (run.state, run.kind) == ("succeeded", "verify"), run.message
    with world.house.db.read() as tx:
        found = verification.find(tx, run_id)
    assert found is not None
    assert run.counts["read"] == sum(n for name, n in run.counts.items() if name not in ("read", "deleted"))
    for side in found.counts.values():
        assert side["read"] == sum(side[name] for name in verification.FOUND)
    return found


def listed(world: World, found: Verification) -> list[dict[str, Any]]:
    with world.house.db.read() as tx:
        return [one.to_json() for one in verification.differences(tx, found.run_id, limit=1000)]


def some(found: Verification, side: str) -> dict[str, int]:
    return {name: number for name, number in found.counts[side].items() if number}


@pytest.fixture
def synced(world: World) -> World:
    """Return a world of four customers that a one-way rule has carried over."""
    world.rule()
    world.customers("Ann ", "Bob", "Cid", "Dan")
    world.run()
    return world.pages_of(2)


def test_systems_that_agree(synced: World):
    """After a run all pairs agree in the rule's own terms, and both sums are the same whatever the order read."""
    found = verify(synced)
    assert found.agrees
    assert some(found, "left") == some(found, "right") == {"read": 4, "equal": 4}
    assert found.left_sum == found.right_sum != "0" * 16
    assert (found.fields, found.listed) == ({}, 0)
    assert verify(synced.pages_of(3)).left_sum == found.left_sum


def test_every_kind_of_difference_is_told(synced: World):
    """A value that differs, a record that is gone on either side: each is counted and listed with its values."""
    synced.erp("UPDATE client SET title = 'Rob' WHERE no = 2")
    synced.erp("DELETE FROM client WHERE no = 3")
    synced.crm("DELETE FROM customer WHERE id = 4")
    found = verify(synced)
    assert not found.agrees
    assert some(found, "left") == {"read": 3, "equal": 1, "differing": 1, "alone": 1}
    assert some(found, "right") == {"read": 3, "equal": 1, "differing": 1, "alone": 1}
    assert found.left_sum != found.right_sum
    assert found.fields == {"name / title": 1}
    rows = listed(synced, found)
    assert [(r["kind"], r["left_key"], r["right_key"]) for r in rows] == [
        ("differing", "2", "2"),
        ("only_left", "3", None),
        ("only_right", None, "4"),
    ]
    assert rows[0]["fields"] == [{"field": "name / title", "gives": "left", "left": "Bob", "right": "Rob"}]
    assert rows[1]["record"]["name"] == "Cid"
    assert synced.clients()[1][1] == "Rob"  # nothing was written


def test_records_of_the_target_that_the_rule_leaves_alone(synced: World):
    """What the rule ignores in its target is counted apart and is no disagreement."""
    synced.erp("INSERT INTO client VALUES (?, ?, ?, ?)", (99, "Own", None, None))
    found = verify(synced)
    assert found.agrees
    assert some(found, "right") == {"read": 5, "equal": 4, "left_alone": 1}


def test_what_a_run_would_not_write_is_no_difference(world: World):
    """Fields set on create only, weak fields that hold something, fields whose condition leaves them alone."""
    fields = [
        {"left": "id", "right": "no"},
        {"left": "name", "right": "title", "on": ["create"]},
        {"left": "phone", "right": "tel", "strength": "weak"},
        {"left": "status", "right": "memo", "when": "status != 'active'"},
    ]
    world.rule(fields=fields)
    world.customers("Ann", "Bob")
    world.run()
    world.erp("UPDATE client SET title = 'Own', tel = '5', memo = 'mine' WHERE no = 1")
    found = verify(world)
    assert found.agrees
    world.erp("UPDATE client SET tel = NULL WHERE no = 1")
    world.crm("UPDATE customer SET status = 'gone' WHERE id = 2")
    found = verify(world)
    assert found.fields == {"phone / tel": 1, "status / memo": 1}
    assert some(found, "left") == {"read": 2, "differing": 2}


def test_scope_and_quarantine(world: World):
    """Records out of scope agree with the rule; those in quarantine do not, and are told apart."""
    world.rule(left={"connection": "crm", "object": "customer", "where": "status == 'active'"})
    world.customers("Ann", "Bob", "a name that is far too long for it")
    world.crm("UPDATE customer SET status = 'draft' WHERE id = 2")
    world.run()
    found = verify(world)
    assert some(found, "left") == {"read": 3, "equal": 1, "quarantined": 1, "out_of_scope": 1}
    assert not found.agrees
    assert [(r["kind"], r["waits"]) for r in listed(world, found)] == [("only_left", "quarantine")]


def test_a_key_that_occurs_twice_and_one_that_is_missing(world: World):
    """Records without a clear partner are those that a run would park."""
    world.rule(key={"left": "name", "right": "title"}, fields=[{"left": "name", "right": "title"}])
    world.customers("Ann", "Ann", None, "Bob")
    world.erp("INSERT INTO client VALUES (?, ?, ?, ?)", (1, "Ann", None, None), (2, "Bob", None, None))
    found = verify(world.pages_of(1))
    assert some(found, "left") == {"read": 4, "equal": 2, "quarantined": 2}
    assert some(found, "right") == {"read": 2, "equal": 2}


def _two_way(world: World, **changes: Any) -> None:
    world.rule(direction="two_way", fields=FIELDS, **changes)
    world.customers("Ann", "Bob", "Cid")
    world.run()


def test_both_directions_of_a_two_way_rule(world: World):
    """What left gives is what right holds and the other way round, also where a mapping cannot give back all."""
    _two_way(world)
    assert verify(world).agrees
    world.crm("UPDATE customer SET name = ' Ann ' WHERE id = 1")
    found = verify(world)
    assert found.agrees
    assert (found.one_way_only, found.left_sum) == (1, found.right_sum)
    world.erp("UPDATE client SET tel = '5' WHERE no = 2")
    world.erp("INSERT INTO client VALUES (?, ?, ?, ?)", (9, "Eve", None, None))
    found = verify(world)
    assert found.fields == {"phone / tel": 1}
    assert some(found, "right") == {"read": 4, "equal": 2, "differing": 1, "alone": 1}
    world.run()
    assert verify(world).agrees


def test_a_pair_that_waits_for_a_person(world: World):
    """A conflict that is a case is counted as waiting on both sides and listed with its fields."""
    _two_way(world)
    world.crm("UPDATE customer SET name = 'Anna' WHERE id = 1")
    world.erp("UPDATE client SET title = 'Anne' WHERE no = 1")
    world.run()
    found = verify(world)
    assert some(found, "left") == some(found, "right") == {"read": 3, "equal": 2, "waiting": 1}
    row = listed(world, found)[0]
    assert (row["kind"], row["waits"], row["fields"][0]["right"]) == ("differing", "case", "Anne")


def test_a_rule_that_flows_to_the_left(world: World):
    """The right side is the source then, and is named so."""
    fields = [
        {"left": "id", "right": "no"},
        {"left": "name", "right": "title"},
    ]
    world.rule(direction="right_to_left", fields=fields)
    world.erp("INSERT INTO client VALUES (?, ?, ?, ?)", (1, "Ann", None, None), (2, "Bob", None, None))
    world.run()
    assert verify(world).agrees
    world.crm("UPDATE customer SET name = 'x' WHERE id = 2")
    world.crm("DELETE FROM customer WHERE id = 1")
    found = verify(world)
    rows = listed(world, found)
    assert [(r["kind"], r["left_key"], r["right_key"]) for r in rows] == [
        ("only_right", None, "1"),
        ("differing", "2", "2"),
    ]
    assert rows[1]["fields"] == [{"field": "name / title", "gives": "right", "right": "Bob", "left": "x"}]


def test_no_more_than_a_thousand_differences_are_kept(world: World):
    """All are counted, the first thousand are listed."""
    world.rule()
    world.customers(*(f"n{number}" for number in range(1100)))
    found = verify(world.pages_of(300))
    assert some(found, "left") == {"read": 1100, "alone": 1100}
    assert found.listed == len(listed(world, found)) + 0 == 1000


def test_a_comparison_can_be_cancelled(synced: World):
    """It stops like any run and leaves no result."""
    run_id = verification.request(synced.house, "customers", ADMIN)
    cancel(synced.house, run_id, ADMIN)
    assert synced.look(run_id).state == "cancelled"
    with synced.house.db.read() as tx:
        assert verification.find(tx, run_id) is None


def some_only(world: World, **asked: Any) -> Verification:
    """Compare a part or a sample."""
    run_id = verification.request(world.house, "customers", ADMIN, **asked)
    assert world.work(run_id)
    run = world.look(run_id)
    assert run.state == "succeeded", run.message
    with world.house.db.read() as tx:
        found = verification.find(tx, run_id)
    assert found is not None
    return found


@pytest.mark.parametrize("part", [Wanted(where="id < 3"), Wanted(field="id", end="3")])
def test_a_part_is_compared_with_its_partners(synced: World, part: Wanted):
    """Only the part and its partners count; what is wrong elsewhere is not looked for."""
    synced.erp("UPDATE client SET title = 'x' WHERE no IN (2, 4)")
    synced.erp("DELETE FROM client WHERE no = 1")
    synced.crm("DELETE FROM customer WHERE id = 3")
    found = some_only(synced, part=part)
    assert not found.agrees
    assert some(found, "left") == {"read": 2, "differing": 1, "alone": 1}
    assert some(found, "right") == {"read": 1, "differing": 1}
    assert [(r["kind"], r["left_key"]) for r in listed(synced, found)] == [("only_left", "1"), ("differing", "2")]
    agreed = some_only(synced, part=Wanted(where="id > 4"))
    assert (agreed.agrees, agreed.counts["left"]["read"]) == (True, 0)


def test_a_part_that_agrees_has_equal_sums(synced: World):
    """The sums are those of the part on both sides; the rule's page goes by comparisons of all records only."""
    synced.erp("UPDATE client SET title = 'x' WHERE no = 4")
    found = some_only(synced, part=Wanted(where="id < 4"))
    assert found.agrees
    assert found.left_sum == found.right_sum != "0" * 16
    with synced.house.db.read() as tx:
        rule_id = synced.look(found.run_id).rule_id
        assert verification.latest(tx, rule_id) is None
        assert [(row.id, one and one.agrees) for row, one in verification.history(tx, rule_id)] == [
            (found.run_id, True)
        ]


@pytest.mark.parametrize("size", [1, 7, 1000])
def test_a_sample_is_spread_over_all_records(world: World, size: int):
    """No more records than asked for are compared, and all where that is enough."""
    world.rule()
    world.customers(*(f"c{number}" for number in range(100)))
    world.run()
    found = some_only(world.pages_of(30), sample=size)
    assert found.agrees
    assert found.counts["left"] == found.counts["right"]
    read = found.counts["left"]["read"]
    assert read <= size if size < 1000 else read == 100


@pytest.mark.parametrize(
    ("asked", "why"),
    [
        ({"sample": 0}, "A sample has 1 to"),
        ({"part": Wanted()}, "Say which part"),
        ({"part": Wanted(where="idd > 3")}, "cannot be used"),
    ],
)
def test_what_cannot_be_compared_is_refused(synced: World, asked: dict[str, Any], why: str):
    """A wrong part or sample is told of before a run is requested."""
    with pytest.raises(RunRefused, match=why):
        verification.request(synced.house, "customers", ADMIN, **asked)


def test_the_records_that_differ_are_brought_into_step(synced: World):
    """A run over the listed records writes what the rule says; what only the target has is no concern of it."""
    synced.erp("UPDATE client SET title = 'x' WHERE no = 2")
    synced.erp("DELETE FROM client WHERE no = 3")
    synced.crm("DELETE FROM customer WHERE id = 4")
    found = verify(synced)
    run_id = verification.settle(synced.house, found.run_id, ADMIN)
    assert synced.work(run_id)
    run = synced.look(run_id)
    assert (run.kind, run.state, run.counts["read"], run.counts["updated"]) == ("records", "succeeded", 2, 1)
    again = verify(synced)
    assert [row["kind"] for row in listed(synced, again)] == ["only_right"]
    with pytest.raises(RunRefused, match="No record of this comparison"):
        verification.settle(synced.house, again.run_id, ADMIN)


def test_a_two_way_rule_is_settled_from_either_side(world: World):
    """Records that only one side has are run for there; what waits for a person is left to them."""
    world.rule(direction="two_way", fields=FIELDS)
    world.customers("Ann", "Bob")
    world.run()
    world.customers("Cid", first=3)
    world.erp("INSERT INTO client VALUES (?, ?, ?, ?)", (9, "Eve", "9", None))
    world.crm("UPDATE customer SET name = 'a' WHERE id = 1")
    world.erp("UPDATE client SET title = 'b' WHERE no = 1")
    with world.house.db.read() as tx:
        assert verification.history(tx, 1) == []
    found = verify(world)
    assert world.work(verification.settle(world.house, found.run_id, ADMIN))
    again = verify(world)
    assert [(row["left_key"], row["waits"]) for row in listed(world, again)] == [("1", "case")]
    with pytest.raises(RunRefused, match="No record of this comparison"):
        verification.settle(world.house, again.run_id, ADMIN)
