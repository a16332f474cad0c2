"""Two-way rules end to end, on two SQLite systems."""

from __future__ import annotations

from typing import Any

import pytest
import sqlalchemy as sa

from tests.runs.conftest import ADMIN, World, numbers
from webapp.runs import pair_cases
from webapp.runs.models import pair_case

FIELDS = [
    {"left": "id", "right": "no", "on": ["create"]},
    {"left": "name", "right": "title", "to_right": "name.trim()", "to_left": "title"},
    {"left": "phone", "right": "tel"},
]


def _rule(world: World, **changes: Any) -> None:
    world.rule(direction="two_way", fields=FIELDS, **changes)


def _customers(world: World) -> list[tuple[Any, ...]]:
    return world.crm("SELECT id, name, phone FROM customer ORDER BY id")


@pytest.fixture
def synced(world: World) -> World:
    """Return a world of three customers that both sides agree on."""
    _rule(world)
    world.customers("Ann", "Bob")
    world.erp("INSERT INTO client VALUES (?, ?, ?, ?)", (7, "Cid", "+86 7", None))
    assert numbers(world.run()) == {"read": 5, "created": 3, "unchanged": 2}
    return world


def test_both_sides_get_what_the_other_has(synced: World):
    """A first run makes the records of each side on the other, and a second one writes nothing."""
    assert _customers(synced) == [(1, "Ann", "+86 1"), (2, "Bob", "+86 2"), (7, "Cid", "+86 7")]
    assert synced.clients() == _customers(synced)
    assert numbers(synced.run()) == {"read": 6, "unchanged": 6}


def test_changes_flow_both_ways(synced: World):
    """A change of either side flows to the other; changes of different fields of one record meet in the middle."""
    synced.crm("UPDATE customer SET name = 'Anna' WHERE id = 1")
    synced.erp("UPDATE client SET tel = '5' WHERE no = 1")
    synced.erp("UPDATE client SET title = 'Bobby' WHERE no = 2")
    assert numbers(synced.run()) == {"read": 6, "updated": 2, "unchanged": 4}
    assert _customers(synced)[:2] == [(1, "Anna", "5"), (2, "Bobby", "+86 2")]
    assert synced.clients() == _customers(synced)
    assert numbers(synced.run()) == {"read": 6, "unchanged": 6}


def test_the_same_field_changed_on_both_sides_waits_for_a_person(synced: World):
    """A conflict becomes one case; the record's other fields and all other records go on."""
    synced.crm("UPDATE customer SET name = 'Anna', phone = '9' WHERE id = 1")
    synced.erp("UPDATE client SET title = 'Anne' WHERE no = 1")
    assert numbers(synced.run()) == {"read": 6, "cases": 1, "skipped": 1, "unchanged": 4}
    assert _customers(synced)[0] == (1, "Anna", "9")
    assert synced.clients()[0] == (1, "Anne", "9")
    waiting = _waiting(synced)
    assert [(w.situation, w.left_key, w.right_key, w.state) for w in waiting] == [("linked_conflict", "1", "1", "open")]
    field = waiting[0].details["fields"][0]
    assert (field["left"]["value"], field["right"]["value"], field["base"]) == (
        "Anna", "Anne", {"left": "Ann", "right": "Ann"},
    )  # fmt: skip
    assert numbers(synced.run()) == {"read": 6, "cases": 1, "skipped": 1, "unchanged": 4}
    assert len(_waiting(synced)) == 1


@pytest.mark.parametrize(
    ("choice", "name"),
    [({"take": "left"}, "Anna"), ({"take": "right"}, "Anne"), ({"take": "value", "value": "Änn"}, "Änn")],
)
def test_an_answer_is_carried_out(synced: World, choice: dict[str, Any], name: str):
    """The next run writes what a person has chosen to the sides that lack it, and settles the case."""
    synced.crm("UPDATE customer SET name = 'Anna' WHERE id = 1")
    synced.erp("UPDATE client SET title = 'Anne' WHERE no = 1")
    synced.run()
    _answer(synced, {"fields": {"1": choice}})
    assert numbers(synced.run()) == {"read": 6, "updated": 1, "unchanged": 5}
    assert _customers(synced)[0] == synced.clients()[0] == (1, name, "+86 1")
    assert [w.state for w in _waiting(synced)] == ["settled"]
    assert numbers(synced.run()) == {"read": 6, "unchanged": 6}


def test_an_answer_holds_only_for_what_was_seen(synced: World):
    """A record that has changed again since the person looked is asked about anew."""
    synced.crm("UPDATE customer SET name = 'Anna' WHERE id = 1")
    synced.erp("UPDATE client SET title = 'Anne' WHERE no = 1")
    synced.run()
    _answer(synced, {"fields": {"1": {"take": "left"}}})
    synced.erp("UPDATE client SET title = 'Annette' WHERE no = 1")
    assert numbers(synced.run())["cases"] == 1
    assert synced.clients()[0][1] == "Annette"
    assert [w.state for w in _waiting(synced)] == ["open"]


def test_a_conflict_that_ends_by_itself_is_settled(synced: World):
    """When both sides hold the same again, nobody needs to decide."""
    synced.crm("UPDATE customer SET name = 'Anna' WHERE id = 1")
    synced.erp("UPDATE client SET title = 'Anne' WHERE no = 1")
    synced.run()
    synced.erp("UPDATE client SET title = 'Anna' WHERE no = 1")
    assert numbers(synced.run()) == {"read": 6, "unchanged": 6}
    assert [w.state for w in _waiting(synced)] == ["settled"]


@pytest.mark.parametrize(
    ("action", "counts", "left", "right"),
    [
        ("delete", {"skipped": 1, "deleted": 1, "unchanged": 4}, 2, 2),
        ("recreate", {"created": 1, "unchanged": 4}, 3, 3),
        ("unlink", {"skipped": 1, "unchanged": 4}, 2, 3),
        ("ignore", {"skipped": 1, "unchanged": 4}, 2, 3),
        ("case", {"cases": 1, "unchanged": 4}, 2, 3),
    ],
)
def test_a_deleted_record(synced: World, action: str, counts: dict[str, int], left: int, right: int):
    """A record that is gone on one side is treated as the rule says, once."""
    _rule(synced, situations={"deleted_left": action}, deletes={"detect": "full_scan"})
    synced.run()
    synced.crm("DELETE FROM customer WHERE id = 1")
    assert numbers(synced.run()) == {"read": 5, **counts}
    assert (len(_customers(synced)), len(synced.clients())) == (left, right)
    again = numbers(synced.run())
    assert again.get("created", 0) == again.get("deleted", 0) == again.get("updated", 0) == 0
    assert (len(_customers(synced)), len(synced.clients())) == (left, right)


def test_a_record_edited_here_and_deleted_there_waits(synced: World):
    """Nobody's edit is lost to a deletion: a person decides, and what they decide is done."""
    _rule(synced, situations={"deleted_right": "delete"}, deletes={"detect": "full_scan"})
    synced.run()
    synced.erp("DELETE FROM client WHERE no = 1")
    synced.crm("UPDATE customer SET phone = '9' WHERE id = 1")
    assert numbers(synced.run()) == {"read": 5, "cases": 1, "unchanged": 4}
    assert [w.situation for w in _waiting(synced)] == ["edit_vs_delete"]
    _answer(synced, {"record": "recreate"})
    assert numbers(synced.run()) == {"read": 6, "created": 1, "unchanged": 5}
    assert synced.clients()[0] == (1, "Ann", "9")
    assert [w.state for w in _waiting(synced)] == ["settled"]


def test_records_out_of_scope_sleep(synced: World):
    """A linked record that leaves the scope is left alone on both sides, and goes on when it comes back."""
    _rule(synced, left={"connection": "crm", "object": "customer", "where": "status.orDefault('') != 'draft'"})
    synced.run()
    synced.crm("UPDATE customer SET status = 'draft', name = 'Anna' WHERE id = 1")
    assert numbers(synced.run()) == {"read": 6, "skipped": 2, "unchanged": 4}
    assert numbers(synced.run()) == {"read": 6, "skipped": 2, "unchanged": 4}
    assert len(_customers(synced)) == len(synced.clients()) == 3
    synced.crm("UPDATE customer SET status = 'active' WHERE id = 1")
    assert numbers(synced.run()) == {"read": 6, "updated": 1, "unchanged": 5}
    assert synced.clients()[0][1] == "Anna"


def test_a_simulation_writes_nothing_and_counts_the_same(synced: World):
    """A simulation shows what a live run would do, and leaves systems, links and cases alone."""
    synced.crm("UPDATE customer SET name = 'Anna' WHERE id = 1")
    synced.customers("Dora", first=10)
    synced.erp("UPDATE client SET title = 'Bobby' WHERE no = 2")
    before = (_customers(synced), synced.clients())
    shown = synced.run("simulate")
    assert (_customers(synced), synced.clients()) == before
    live = synced.run()
    assert {**numbers(shown), "read": 0} | {"unchanged": 0} == {**numbers(live), "read": 0} | {"unchanged": 0}
    assert numbers(shown)["updated"] == 2


def _waiting(world: World) -> list[Any]:
    with world.house.db.read() as tx:
        return list(tx.execute(sa.select(pair_case).order_by(pair_case.c.id)))


def _answer(world: World, choice: dict[str, Any]) -> None:
    with world.house.db.begin() as tx:
        case = tx.scalar(sa.select(pair_case.c.id).where(pair_case.c.state == "open"))
        pair_cases.answer(tx, int(case or 0), choice, ADMIN, world.house.clock())
