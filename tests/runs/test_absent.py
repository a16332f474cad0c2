"""One-way rules notice what is gone from the source, and do with its partners what the rule says."""

from __future__ import annotations

from typing import Any

import pytest

from tests.runs.conftest import World, numbers

GONE = {"deletes": {"detect": "full_scan"}}


@pytest.mark.parametrize("by", [{"by": "full"}, {"by": "cursor", "field": "changed", "overlap": "0s"}])
@pytest.mark.parametrize(("action", "left"), [("delete", 1), ("unlink", 3), ("ignore", 3)])
def test_what_is_gone_is_dealt_with_once(world: World, by: dict[str, Any], action: str, left: int):
    """The target's records of what is gone are deleted or left alone, and a later run does nothing."""
    world.customers("Ann", "Bob", "Cid")
    world.rule(**GONE, situations={"deleted_left": action}, detect={"left": by})
    world.run()
    world.crm("DELETE FROM customer WHERE id < 3")
    run = world.run()
    assert (run.state, run.counts["deleted"]) == ("succeeded", 2 if action == "delete" else 0)
    assert len(world.clients()) == left
    assert world.run().counts["deleted"] == 0


def test_records_are_switched_off(world: World):
    """Deactivation sets the field that the rule names, once."""
    world.customers("Ann", "Bob")
    marks = {"detect": "full_scan", "deactivate": {"right": {"field": "memo", "value": "closed"}}}
    world.rule(deletes=marks, situations={"deleted_left": "deactivate"})
    world.run()
    world.crm("DELETE FROM customer WHERE id = 1")
    assert world.run().state == "succeeded"
    assert world.erp("SELECT memo FROM client ORDER BY no") == [("closed",), (None,)]
    world.erp("UPDATE client SET memo = 'open again'")
    world.run()
    assert world.erp("SELECT memo FROM client ORDER BY no") == [("open again",), ("open again",)]


def test_a_simulation_deletes_nothing(world: World):
    """A simulation counts the deletions and holds them back."""
    world.customers("Ann", "Bob")
    world.rule(**GONE, situations={"deleted_left": "delete"})
    world.run()
    world.crm("DELETE FROM customer WHERE id = 1")
    assert world.run("simulate").counts["deleted"] == 1
    assert len(world.clients()) == 2


def test_a_guard_stops_the_run_before_the_first_deletion(world: World):
    """An emptied source does not empty the target."""
    world.customers("Ann", "Bob")
    world.rule(**GONE, situations={"deleted_left": "delete"}, guards=[{"metric": "deletes", "over": "50%"}])
    world.run()
    world.crm("DELETE FROM customer")
    run = world.run()
    assert (run.state, numbers(run)) == ("suspended", {})
    assert len(world.clients()) == 2


def test_the_other_direction(world: World):
    """A rule that flows from right to left notices what is gone on the right."""
    fields = [{"left": "id", "right": "no"}, {"left": "name", "right": "title"}]
    world.erp("INSERT INTO client VALUES (?, ?, ?, ?)", (1, "Ann", "", ""), (2, "Bob", "", ""))
    world.rule(**GONE, direction="right_to_left", fields=fields, situations={"deleted_right": "delete"})
    world.run()
    world.erp("DELETE FROM client WHERE no = 1")
    assert numbers(world.run()) == {"read": 1, "unchanged": 1, "deleted": 1}
    assert world.crm("SELECT id FROM customer") == [(2,)]
