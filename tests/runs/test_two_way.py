"""Two-way rules end to end, on two SQLite systems."""

from __future__ import annotations

from typing import Any

import pytest
import sqlalchemy as sa

from rules.text import Message
from tests.runs.conftest import ADMIN, World, numbers
from webapp.runs import pair_cases
from webapp.runs.models import pair_case, run_log

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


SIMILAR = [{"match": [{"left": "name", "right": "title", "how": "similarity", "threshold": 0.6}], "confidence": 1.0}]
NO_KEY = [
    {"left": "name", "right": "title", "to_right": "name.trim()", "to_left": "title"},
    {"left": "phone", "right": "tel"},
]


@pytest.fixture
def strangers(world: World) -> World:
    """Return a world whose sides hold alike records under keys of their own."""
    world.erp("DROP TABLE client")
    world.erp("CREATE TABLE client (no INTEGER PRIMARY KEY AUTOINCREMENT, title TEXT, tel TEXT, memo TEXT)")
    world.crm("INSERT INTO customer VALUES (?, ?, ?, ?, ?)", (1, "Miller & Sons Ltd", "1", "a", ""))
    world.erp("INSERT INTO client VALUES (?, ?, ?, ?)", (70, "Miller and Sons Ltd", "1", None))
    return world


def _match(world: World, **changes: Any) -> None:
    world.rule(direction="two_way", fields=NO_KEY, correlate=SIMILAR, conflict={"default": "left"}, **changes)


def test_alike_records_find_each_other(strangers: World):
    """A match that is sure enough links records without creating anything."""
    _match(strangers, auto_link=0.7)
    assert numbers(strangers.run()) == {"read": 2, "updated": 1, "unchanged": 1}
    assert strangers.clients() == [(70, "Miller & Sons Ltd", "1")]
    assert numbers(strangers.run()) == {"read": 2, "unchanged": 2}


@pytest.mark.parametrize(("choice", "clients"), [({"record": "link", "key": "70"}, 1), ({"record": "create"}, 2)])
def test_a_doubtful_match_waits(strangers: World, choice: dict[str, Any], clients: int):
    """A match in doubt becomes one case; what the person answers is done."""
    correlate = [{**SIMILAR[0], "confidence": 0.8}]
    strangers.rule(direction="two_way", fields=NO_KEY, correlate=correlate, conflict={"default": "left"})
    assert numbers(strangers.run()) == {"read": 2, "cases": 1, "skipped": 1}
    waiting = _waiting(strangers)
    assert [(w.situation, w.left_key, w.right_key) for w in waiting] == [("review", "1", None)]
    assert [c["key"] for c in waiting[0].details["candidates"]] == ["70"]
    assert numbers(strangers.run()) == {"read": 2, "cases": 1, "skipped": 1}
    _answer(strangers, choice)
    strangers.run()
    strangers.run()
    assert len(strangers.clients()) == len(_customers(strangers)) == clients
    assert [w.state for w in _waiting(strangers)] == ["settled"]
    assert not {"created", "updated", "cases"} & set(numbers(strangers.run()))


@pytest.mark.parametrize("over", [1, "20%"])
def test_a_guard_stops_a_run_before_it_deletes_too_much(synced: World, over: int | str):
    """Nothing is deleted where a guard says that it would be too much; the run waits and says why."""
    guards = [{"metric": "deletes", "over": over}]
    _rule(synced, situations={"deleted_left": "delete"}, deletes={"detect": "full_scan"}, guards=guards)
    synced.run()
    synced.crm("DELETE FROM customer WHERE id < 3")
    run = synced.run()
    assert (run.state, numbers(run)) == ("suspended", {})
    assert "2 records are about to be deleted" in str(run.message)
    assert len(synced.clients()) == 3
    shown = synced.run("simulate")
    assert (shown.state, numbers(shown)["deleted"]) == ("succeeded", 2)


def test_a_guard_stops_a_run_before_it_empties_fields(synced: World):
    """A source that suddenly gives empty values does not empty the other side."""
    _rule(synced, guards=[{"metric": "blanked", "over": 0}])
    synced.run()
    synced.crm("UPDATE customer SET phone = NULL")
    assert synced.run().state == "suspended"
    assert [row[2] for row in synced.clients()] == ["+86 1", "+86 2", "+86 7"]


def test_a_field_that_is_gone_stops_the_next_run(synced: World):
    """A rule does not go on as if a field that it reads had become empty."""
    synced.erp("ALTER TABLE client DROP COLUMN tel")
    run = synced.run()
    assert run.state == "suspended"
    assert "'tel' (text) is gone" in str(run.message)
    assert [row[2] for row in _customers(synced)] == ["+86 1", "+86 2", "+86 7"]


def test_a_new_field_is_told_of(synced: World):
    """A new field does not stop a run; its log says that it may be added."""
    synced.crm("ALTER TABLE customer ADD COLUMN fax TEXT")
    run = synced.run()
    assert run.state == "succeeded"
    with synced.house.db.read() as tx:
        lines = [line.message for line in tx.execute(sa.select(run_log).where(run_log.c.run_id == run.id))]
    assert any("has a new field 'fax'" in str(Message.from_json(line)) for line in lines)


def test_an_expression_settles_conflicts(synced: World):
    """Where the rule says how, no person is asked."""
    fields = [FIELDS[0], {**FIELDS[1], "conflict": "expression", "resolve": "left + ' / ' + right"}, FIELDS[2]]
    synced.rule(direction="two_way", fields=fields)
    synced.run()
    synced.crm("UPDATE customer SET name = 'Anna' WHERE id = 1")
    synced.erp("UPDATE client SET title = 'Anne' WHERE no = 1")
    assert numbers(synced.run()) == {"read": 6, "updated": 1, "unchanged": 5}
    assert _customers(synced)[0][1] == synced.clients()[0][1] == "Anna / Anne"
    assert numbers(synced.run()) == {"read": 6, "unchanged": 6}


def test_a_record_is_switched_off_instead_of_deleted(synced: World):
    """Deactivation sets the field that the rule names, once, and leaves the record alone from then on."""
    marks = {"detect": "full_scan", "deactivate": {"right": {"field": "memo", "value": "closed"}}}
    _rule(synced, situations={"deleted_left": "deactivate"}, deletes=marks)
    synced.run()
    synced.crm("DELETE FROM customer WHERE id = 1")
    assert numbers(synced.run()) == {"read": 5, "updated": 1, "unchanged": 4}
    assert synced.erp("SELECT memo FROM client ORDER BY no") == [("closed",), (None,), (None,)]
    assert numbers(synced.run()) == {"read": 5, "skipped": 1, "unchanged": 4}
