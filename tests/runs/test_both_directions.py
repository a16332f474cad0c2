"""Rules that work on both sides: decision tables, validations and comparisons know which way values flow."""

from __future__ import annotations

from typing import Any

import pytest

from tests.runs.conftest import ADMIN, RULE, World, numbers
from tests.runs.test_comparison import counts
from tests.runs.test_decisions import GREETING, hits
from webapp.rulebook import services as rulebook
from webapp.runs import validations as told
from webapp.runs.comparison import NotComparable, Wish, compared

FIELDS: list[dict[str, Any]] = [
    {"left": "id", "right": "no", "on": ["create"]},
    {"left": "name", "right": "title"},
    {"left": "phone", "right": "tel"},
]
SHORT = {"name": "short", "check": "size(name) < 6", "severity": "quarantine"}


@pytest.fixture
def synced(world: World) -> World:
    """Return a world of two customers that both sides agree on."""
    world.rule(direction="two_way", fields=FIELDS, validations=[SHORT])
    world.customers("Ann", "Bob")
    assert numbers(world.run()) == {"read": 4, "created": 2, "unchanged": 2}
    return world


def test_what_is_written_to_the_left_meets_its_validations(synced: World):
    """A right record whose change would break a validation of the left side is parked, and the left stays as it is."""
    synced.erp("UPDATE client SET title = 'Roberta' WHERE no = 2")
    synced.erp("UPDATE client SET title = 'Anna' WHERE no = 1")
    run = synced.run()
    assert numbers(run) == {"read": 4, "updated": 1, "quarantined": 1, "unchanged": 2}
    assert synced.crm("SELECT name FROM customer ORDER BY id") == [("Anna",), ("Bob",)]
    (parked,) = [record for record in synced.records(run.id) if record.row.outcome == "quarantined"]
    assert "'short' is not met" in str(parked.reason)
    with synced.house.db.read() as tx:
        (tally,) = told.tallies(tx, run.id)
    assert (tally.validation, tally.asked, tally.failed) == ("short", 2, 1)
    synced.erp("UPDATE client SET title = 'Rob' WHERE no = 2")
    assert numbers(synced.run())["updated"] == 1


@pytest.mark.parametrize(("severity", "ending"), [("reject", "skipped"), ("warn", "created")])
def test_created_records_are_asked_as_they_would_be(synced: World, severity: str, ending: str):
    """A record that is to be made on the left is asked like one that is read there."""
    synced.rule(direction="two_way", fields=FIELDS, validations=[{**SHORT, "severity": severity}])
    synced.run()
    synced.erp("INSERT INTO client VALUES (9, 'Theodora', '1', NULL)")
    assert numbers(synced.run()) == {"read": 5, "unchanged": 4, ending: 1}


def test_validations_of_the_right_side(synced: World):
    """A validation with `side: right` is asked of right records, and of left ones before they are written there."""
    right = {**SHORT, "check": "size(title) < 6", "side": "right"}
    synced.rule(direction="two_way", fields=FIELDS, validations=[right])
    synced.run()
    synced.crm("UPDATE customer SET name = 'Annabel' WHERE id = 1")
    assert numbers(synced.run())["quarantined"] == 1
    assert synced.clients()[0][1] == "Ann"


def test_a_rule_that_flows_one_way_may_guard_its_target(world: World):
    """Also a rule that flows one way asks the validations of the side that it writes."""
    right = {**SHORT, "check": "size(title) < 6", "side": "right"}
    world.rule(fields=FIELDS, validations=[right])
    world.customers("Ann", "Annabel")
    assert numbers(world.run()) == {"read": 2, "created": 1, "quarantined": 1}
    assert [title for _, title, _ in world.clients()] == ["Ann"]


def test_decision_tables_work_both_ways(world: World):
    """A table may be asked of each side; what it decides flows that way, and its rows are counted for both."""
    rulebook.create(world.house, GREETING, ADMIN)
    rulebook.publish(world.house, "greeting", ADMIN)
    decisions = [
        {"table": "greeting", "inputs": {"letters": "size(name)"}},
        {"table": "greeting", "name": "back", "inputs": {"letters": "size(title)"}, "side": "right"},
    ]
    word = {"left": "status", "right": "memo", "to_right": "greeting.word", "to_left": "back.word"}
    world.rule(direction="two_way", fields=[*FIELDS, word], decisions=decisions, conflict={"default": "left"})
    world.customers("Ada")
    world.run()
    assert world.erp("SELECT memo FROM client") == [("Hi",)]
    before = sum(hits(world))
    world.erp("INSERT INTO client VALUES (9, 'Theodora', '1', NULL)")
    world.run()
    assert world.crm("SELECT status FROM customer WHERE id = 9") == [("Dear",)]
    assert sum(hits(world)) > before
    assert hits(world)[1] >= 1


def test_a_draft_is_compared_on_both_sides(synced: World):
    """The comparison of two versions tells what would flow either way, by the key of the side that was read."""
    run = synced.run()
    both = {**FIELDS[1], "to_right": "name + '!'", "to_left": "title.upperAscii()"}
    document = {**RULE, "direction": "two_way", "fields": [FIELDS[0], both, FIELDS[2]]}
    rulebook.save_draft(synced.house, "customers", document, ADMIN)
    found = compared(synced.house, Wish("customers", "1", "draft", (run.id,)))
    assert counts(found) == {"different": 4}
    changed = [(change.change.before, change.change.after) for change in found.changes]
    assert changed[0] == ({"title": "Ann"}, {"title": "Ann!"})
    assert changed[2] == ({"name": "Ann"}, {"name": "ANN"})


def test_a_one_way_draft_is_compared_where_both_map(synced: World):
    """Where the draft only flows right, the records of the left side are compared; of another side nothing is left."""
    run = synced.run()
    rulebook.save_draft(synced.house, "customers", {**RULE, "fields": FIELDS}, ADMIN)
    assert counts(compared(synced.house, Wish("customers", "1", "draft", (run.id,)))) == {"same": 2}
    synced.rule(fields=FIELDS)
    plain = synced.run()
    rulebook.save_draft(synced.house, "customers", {**RULE, "fields": FIELDS, "direction": "right_to_left"}, ADMIN)
    with pytest.raises(NotComparable, match="no records in common"):
        compared(synced.house, Wish("customers", "2", "draft", (plain.id,)))
