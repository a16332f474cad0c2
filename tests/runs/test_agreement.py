"""One-way rules that ask what both sides agreed on last: cases, fields against the direction, edits of the target."""

from __future__ import annotations

from typing import Any

import pytest

from tests.runs.conftest import ADMIN, World, numbers
from tests.runs.test_two_way import _waiting
from webapp.runs import pair_cases
from webapp.runs.models import link_segment

FIELDS = [
    {"left": "id", "right": "no", "on": ["create"]},
    {"left": "name", "right": "title", "to_right": "name.trim()"},
    {"left": "phone", "right": "tel"},
]
CASES = {"linked_conflict": "case", "deleted_left": "case"}


def _rule(world: World, situations: dict[str, str], **changes: Any) -> None:
    world.rule(fields=changes.pop("fields", FIELDS), situations=situations, **changes)


@pytest.fixture
def synced(world: World) -> World:
    """Return a world of three customers that were copied from left to right."""
    _rule(world, CASES, deletes={"detect": "full_scan"})
    world.customers("Ann", "Bob", "Cid")
    assert numbers(world.run()) == {"read": 3, "created": 3}
    assert numbers(world.run()) == {"read": 3, "unchanged": 3}
    return world


def _answer(world: World, choice: dict[str, Any]) -> None:
    case = _waiting(world)[0].id
    with world.house.db.begin() as tx:
        pair_cases.answer(tx, case, choice, ADMIN, world.house.clock())


def test_an_edit_of_the_target_is_not_overwritten(synced: World):
    """Where both sides have changed a field, the record waits; its other fields and other records go on."""
    synced.erp("UPDATE client SET title = 'Anne' WHERE no = 1")
    synced.crm("UPDATE customer SET name = 'Anna', phone = '9' WHERE id = 1")
    synced.crm("UPDATE customer SET name = 'Bobby' WHERE id = 2")
    assert numbers(synced.run()) == {"read": 3, "cases": 1, "updated": 1, "unchanged": 1}
    assert synced.clients()[1] == (2, "Bobby", "+86 2")
    waiting = _waiting(synced)
    assert [(w.situation, w.left_key, w.right_key) for w in waiting] == [("linked_conflict", "1", "1")]
    field = waiting[0].details["fields"][0]
    assert (field["left"]["value"], field["right"]["value"]) == ("Anna", "Anne")
    assert field["base"] == {"left": "Ann", "right": "Ann"}


def test_an_edit_of_the_target_alone_stays(synced: World):
    """A normal field is written when its source has changed, not because its target was edited."""
    synced.erp("UPDATE client SET title = 'Anne' WHERE no = 1")
    assert numbers(synced.run()) == {"read": 3, "unchanged": 3}
    assert synced.clients()[0] == (1, "Anne", "+86 1")


@pytest.mark.parametrize(
    ("choice", "title"),
    [({"take": "left"}, "Anna"), ({"take": "right"}, "Anne"), ({"take": "value", "value": " Änn"}, "Änn")],
)
def test_answers_are_carried_out(synced: World, choice: dict[str, Any], title: str):
    """What a person has chosen is written to the target, never to the source, and the next run is at rest."""
    synced.erp("UPDATE client SET title = 'Anne' WHERE no = 1")
    synced.crm("UPDATE customer SET name = 'Anna' WHERE id = 1")
    synced.run()
    _answer(synced, {"fields": {"1": choice}})
    synced.run()
    assert synced.clients()[0] == (1, title, "+86 1")
    assert synced.crm("SELECT name FROM customer WHERE id = 1") == [("Anna",)]
    assert {w.state for w in _waiting(synced)} == {"settled"}
    assert numbers(synced.run()) == {"read": 3, "unchanged": 3}


def test_a_record_gone_from_the_source_waits(synced: World):
    """With `deleted_left: case` a person decides whether the copy goes too."""
    synced.crm("DELETE FROM customer WHERE id = 2")
    assert numbers(synced.run()) == {"read": 3, "cases": 1, "unchanged": 2}
    assert [(w.situation, w.right_key) for w in _waiting(synced)] == [("deleted_left", "2")]
    _answer(synced, {"record": "delete"})
    synced.run()
    assert [no for no, *_ in synced.clients()] == [1, 3]


def test_a_record_gone_from_the_target_is_made_again(synced: World):
    """What is missing in the target is noticed although its source has not changed."""
    synced.erp("DELETE FROM client WHERE no = 2")
    assert numbers(synced.run()) == {"read": 3, "created": 1, "unchanged": 2}
    assert len(synced.clients()) == 3


@pytest.mark.parametrize("detect", ["none", "full_scan"])
def test_an_edited_record_gone_from_the_target_is_made_again(world: World, detect: str):
    """A rule that says nothing about edits against deletions makes what its target has lost, as one-way rules do."""
    _rule(
        world,
        {"linked_conflict": "case"} | ({"deleted_left": "delete"} if detect != "none" else {}),
        deletes={"detect": detect},
    )
    world.customers("Ann", "Bob")
    world.run()
    world.erp("DELETE FROM client WHERE no = 2")
    world.crm("UPDATE customer SET name = 'Bobby' WHERE id = 2")
    assert numbers(world.run()) == {"read": 2, "created": 1, "unchanged": 1}
    assert world.clients()[1][:2] == (2, "Bobby")


def test_an_edit_against_a_deletion_waits(world: World):
    """With `edit_vs_delete: case` a person decides about a record that was changed here and deleted there."""
    _rule(world, {"edit_vs_delete": "case"})
    world.customers("Ann", "Bob")
    world.run()
    world.erp("DELETE FROM client WHERE no = 2")
    world.crm("UPDATE customer SET name = 'Bobby' WHERE id = 2")
    assert numbers(world.run()) == {"read": 2, "cases": 1, "unchanged": 1}
    assert [w.situation for w in _waiting(world)] == ["edit_vs_delete"]


@pytest.mark.parametrize(("policy", "title"), [("left", "Anna"), ("right", "Anne"), ("max", "Anne"), ("min", "Anna")])
def test_policies_settle_conflicts(world: World, policy: str, title: str):
    """With `linked_conflict: merge` the field's policy says which value the target gets."""
    fields = [FIELDS[0], {**FIELDS[1], "conflict": policy}, FIELDS[2]]
    _rule(world, {"linked_conflict": "merge"}, fields=fields)
    world.customers("Ann")
    world.run()
    world.erp("UPDATE client SET title = 'Anne' WHERE no = 1")
    world.crm("UPDATE customer SET name = 'Anna' WHERE id = 1")
    world.run()
    assert world.clients() == [(1, title, "+86 1")]
    assert numbers(world.run()) == {"read": 1, "unchanged": 1}


def test_disputed_records_wait(world: World):
    """With `disputed: case` a record with several possible partners becomes a case that can be linked."""
    _rule(world, {"disputed": "case"}, fields=FIELDS[1:], correlate=[{"match": [{"left": "phone", "right": "tel"}]}])
    world.customers("Ann")
    world.erp("INSERT INTO client VALUES (?, ?, ?, ?)", (5, "One", "+86 1", None), (6, "Two", "+86 1", None))
    assert numbers(world.run()) == {"read": 1, "cases": 1}
    assert [w.situation for w in _waiting(world)] == ["disputed"]
    _answer(world, {"record": "link", "key": "6"})
    world.run()
    assert world.clients() == [(5, "One", "+86 1"), (6, "Ann", "+86 1")]


def test_a_field_may_flow_against_the_direction(world: World):
    """A field with the other direction brings values back; records of the target alone are left alone."""
    fields = [*FIELDS[:2], {**FIELDS[2], "direction": "right_to_left"}]
    _rule(world, {}, fields=fields)
    world.customers("Ann")
    world.erp("INSERT INTO client VALUES (?, ?, ?, ?)", (9, "Nobody", "9", None))
    world.run()
    world.erp("UPDATE client SET tel = '5', title = 'Xxx' WHERE no = 1")
    world.crm("UPDATE customer SET phone = '6' WHERE id = 1")
    world.run()
    assert world.crm("SELECT id, name, phone FROM customer") == [(1, "Ann", "5")]
    assert world.clients() == [(1, "Xxx", "5"), (9, "Nobody", "9")]


def test_strong_fields_are_enforced_beside_normal_ones(world: World):
    """A strong field is written again when its target was edited; a normal one keeps the edit."""
    fields = [*FIELDS[:2], {**FIELDS[2], "strength": "strong"}]
    _rule(world, {}, fields=fields)
    world.customers("Ann")
    world.run()
    world.erp("UPDATE client SET tel = '5', title = 'Xxx' WHERE no = 1")
    world.run()
    assert world.clients() == [(1, "Xxx", "+86 1")]


@pytest.mark.parametrize("direction", ["left_to_right", "right_to_left"])
def test_links_stay_when_a_rule_begins_to_ask(world: World, direction: str):
    """A rule that worked without baselines keeps its links, and nothing is written once more, there and back."""
    same = {"id": "no", "name": "title", "phone": "tel"}
    fields = [{"left": left, "right": right} for left, right in list(same.items())[1:]]
    plain = {"direction": direction, "fields": fields, "correlate": [{"match": [{"left": "phone", "right": "tel"}]}]}
    world.rule(**plain)
    world.customers("Ann", "Bob")
    world.erp("INSERT INTO client VALUES (?, ?, ?, ?)", (11, "Ann", "+86 1", None), (12, "Bob", "+86 2", None))
    assert numbers(world.run()) == {"read": 2, "unchanged": 2}
    world.rule(**plain, situations={"linked_conflict": "case"})
    assert numbers(world.run()) == {"read": 2, "unchanged": 2}
    world.crm("UPDATE customer SET name = 'Anna', phone = '1' WHERE id = 1")
    world.erp("UPDATE client SET title = 'Anne', tel = '1' WHERE no = 11")
    assert numbers(world.run()) == {"read": 2, "cases": 1, "unchanged": 1}
    assert [(w.left_key, w.right_key) for w in _waiting(world)] == [("1", "11")]
    world.rule(**plain)
    assert numbers(world.run()) == {"read": 2, "updated": 1, "unchanged": 1}
    assert world.crm("SELECT name FROM customer")[0] == world.erp("SELECT title FROM client")[0]


def test_plain_rules_keep_no_baseline(world: World):
    """A rule without such wishes stays what it was: it links, and writes whatever differs."""
    world.rule()
    world.customers("Ann")
    world.run()
    world.erp("UPDATE client SET title = 'Xxx' WHERE no = 1")
    assert numbers(world.run()) == {"read": 1, "updated": 1}
    with world.house.db.read() as tx:
        assert {row.scheme for row in tx.execute(link_segment.select())} == {None}


def test_a_rule_to_the_left_has_cases(world: World):
    """The same holds for a rule that flows from right to left: its answers write to the left side only."""
    world.rule(
        direction="right_to_left",
        fields=[{"left": "id", "right": "no", "on": ["create"]}, {"left": "name", "right": "title"}],
        situations={"linked_conflict": "case"},
    )
    world.erp("INSERT INTO client VALUES (?, ?, ?, ?)", (1, "Ann", "1", None))
    assert numbers(world.run()) == {"read": 1, "created": 1}
    world.erp("UPDATE client SET title = 'Anna'")
    world.crm("UPDATE customer SET name = 'Anne'")
    assert numbers(world.run()) == {"read": 1, "cases": 1}
    _answer(world, {"fields": {"1": {"take": "value", "value": "Änn"}}})
    world.run()
    assert world.crm("SELECT name FROM customer") == [("Änn",)]
    assert world.erp("SELECT title FROM client") == [("Anna",)]
    assert numbers(world.run()) == {"read": 1, "unchanged": 1}
