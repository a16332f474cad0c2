"""One-way rules that deactivate: an update of the target like any other, which counts, shows and can be undone."""

from __future__ import annotations

import csv
import io
from datetime import timedelta
from typing import Any

import pytest

from connectors.builtin.sqlite import SQLite
from tests.runs.conftest import ADMIN, World, numbers
from tests.runs.test_approved import approved, told
from tests.runs.test_crash import Killed, dies
from tests.runs.test_plans_of_gone import linked
from webapp.runs import downloads, explanation, proof, quarantine, shadows, undo_preview
from webapp.runs import explanation_words as words
from webapp.runs.followups import undo
from webapp.runs.pipeline.journal import Journal

MARKS = {"right": {"field": "memo", "value": "closed"}, "left": {"field": "status", "value": "closed"}}
OFF: dict[str, Any] = {
    "deletes": {"detect": "full_scan", "deactivate": MARKS},
    "situations": {"deleted_left": "deactivate"},
}
BACK: dict[str, Any] = {
    "direction": "right_to_left",
    "fields": [{"left": "id", "right": "no"}, {"left": "name", "right": "title"}, {"left": "phone", "right": "tel"}],
    "deletes": OFF["deletes"],
    "situations": {"deleted_right": "deactivate"},
}


@pytest.fixture
def gone(world: World) -> World:
    """Return a world whose first two of three customers are gone, and have a memo in the target."""
    world.customers("Ann", "Bob", "Cid")
    world.rule(**OFF)
    world.run()
    world.erp("UPDATE client SET memo = 'a memo'")
    world.crm("DELETE FROM customer WHERE id < 3")
    return world


def memos(world: World) -> list[Any]:
    return [memo for (memo,) in world.erp("SELECT memo FROM client ORDER BY no")]


def taken_back(world: World, run_id: int) -> int:
    number = undo(world.house, run_id, ADMIN)
    assert world.work(number)
    assert world.look(number).state == "succeeded", str(world.look(number).message)
    return number


@pytest.mark.parametrize("mode", ["live", "simulate", "shadow"])
def test_it_counts_as_an_update(gone: World, mode: str):
    """What is switched off was read in the target, and is an update with before and after, in all modes."""
    run = gone.run(mode)
    assert (run.state, numbers(run)) == ("succeeded", {"read": 3, "updated": 2, "unchanged": 1})
    rows = [(r.row.left_key, r.row.right_key, r.row.situation, r.before, r.after) for r in gone.records(run.id)]
    off = ({"memo": "a memo"}, {"memo": "closed"})
    assert sorted(rows) == [("1", "1", "deleted_left", *off), ("2", "2", "deleted_left", *off)]
    assert memos(gone) == (["closed", "closed", "a memo"] if mode == "live" else ["a memo"] * 3)
    with gone.house.db.read() as tx:
        found = proof.recount(tx, run)
    assert (found.problems, found.read) == ([], {"left": 3})


def test_the_other_direction(world: World):
    """A rule that flows from right to left switches the left record off, and gives its value back."""
    world.erp("INSERT INTO client VALUES (?, ?, ?, ?)", (1, "Ann", "", ""), (2, "Bob", "", ""))
    world.rule(**BACK)
    world.run()
    world.crm("UPDATE customer SET status = 'active'")
    world.erp("DELETE FROM client WHERE no = 1")
    run = world.run()
    assert numbers(run) == {"read": 2, "updated": 1, "unchanged": 1}
    assert world.crm("SELECT status FROM customer ORDER BY id") == [("closed",), ("active",)]
    taken_back(world, run.id)
    assert world.crm("SELECT status FROM customer ORDER BY id") == [("active",), ("active",)]


def test_a_plan_shows_it_and_writes_it(gone: World):
    """An approved plan switches off what it shows."""
    run = approved(gone, gone.run("simulate").id)
    assert (told(gone, run.id), memos(gone), linked(gone)) == ({}, ["closed", "closed", "a memo"], ["3"])


@pytest.mark.parametrize("planned", [True, False])
def test_what_is_off_already_is_left_alone(gone: World, planned: bool):
    """A record that holds the mark is met and not written; its link goes all the same."""
    gone.erp("UPDATE client SET memo = 'closed' WHERE no = 1")
    run = approved(gone, gone.run("simulate").id) if planned else gone.run()
    assert (told(gone, run.id), numbers(run)) == ({}, {"read": 3, "updated": 1, "unchanged": 2})
    assert (memos(gone), linked(gone)) == (["closed", "closed", "a memo"], ["3"])


def test_a_shadow_run_says_the_same(gone: World):
    """Record by record, a shadow run and the live run behind it come to the same."""
    shadow, live = gone.run("shadow"), gone.run()
    with gone.house.db.read() as tx:
        assert shadows.compared(tx, shadow, live).counts == {
            "same": 3, "differs": 0, "only_shadow": 0, "only_live": 0, "idle": 0,
        }  # fmt: skip


@pytest.mark.parametrize("metric", ["updates", "deletes"])
def test_guards_count_it(gone: World, metric: str):
    """Switching many records off is a change of many, and stands for their deletion."""
    gone.rule(**OFF, guards=[{"metric": metric, "over": 1, "min": 1}])
    assert (gone.run().state, memos(gone)) == ("suspended", ["a memo"] * 3)


def test_an_undo_gives_back_what_was_there(gone: World):
    """Undoing restores the value and the link, unless somebody has changed the field since; the rule acts again."""
    run = gone.run()
    gone.erp("UPDATE client SET memo = 'by hand' WHERE no = 2")
    seen = undo_preview.preview(gone.house, run)
    assert (seen.updated, seen.left_alone) == (1, 1)
    back = taken_back(gone, run.id)
    assert (memos(gone), linked(gone)) == (["a memo", "by hand", "a memo"], ["1", "3"])
    taken_back(gone, back)
    assert memos(gone) == ["closed", "by hand", "a memo"]
    assert numbers(gone.run()) == {"read": 2, "unchanged": 2}
    assert (memos(gone), linked(gone)) == (["closed", "by hand", "a memo"], ["3"])


def test_an_explanation_tells_why(gone: World):
    """The record is explained by its key on either side: it is gone from the source, and what was done for that."""
    run = gone.run()
    found = explanation.explain(gone.house, run.id, key="1")
    assert (found.result.action, found.result.before, found.result.after) == (
        "deactivate", {"memo": "a memo"}, {"memo": "closed"},
    )  # fmt: skip
    assert str(words.deed(found)) == "It was updated in erp › client."
    assert str(words.found(found)) == "It is gone from crm › customer."
    assert str(words.then(found)) == "The rule says: deactivate its partner."
    assert "there are no values" in str(found.untold)


def test_a_download_has_it(gone: World):
    """The list of all outcomes has a line for each, with both values."""
    run = gone.run()
    text = "".join(downloads.outcome_lines(gone.house, run, ADMIN, str))
    lines = {line["left_key"]: line for line in csv.DictReader(io.StringIO(text))}
    assert lines["1"]["outcome"] == "updated"
    assert (lines["1"]["before"], lines["1"]["after"]) == ('{"memo":"a memo"}', '{"memo":"closed"}')


POINTS = [
    (owner, name, at, before)
    for owner, name in ((Journal, "plan"), (SQLite, "write"), (Journal, "check_in"))
    for at in (1, 2)
    for before in (True, False)
]


@pytest.mark.parametrize("fenced", [True, False])
@pytest.mark.parametrize("point", POINTS, ids=lambda point: f"{point[1]}-{point[2]}-{point[3]}")
def test_a_killed_run_ends_like_an_undisturbed_one(
    gone: World, monkeypatch: pytest.MonkeyPatch, point: tuple[type, str, int, bool], fenced: bool
):
    """Whoever goes on counts each record once and still knows what it held; so for systems that note no fence."""
    run_id = gone.pages_of(1).request()
    if not fenced:
        monkeypatch.setattr(SQLite, "applied", lambda *_: None)
    with monkeypatch.context() as patch:
        dies(patch, *point)
        try:
            gone.work(run_id)
        except Killed:
            gone.shift += timedelta(seconds=gone.house.settings.lease_seconds + 1)
            assert gone.work(run_id, "w2")
    run = gone.look(run_id)
    assert (run.state, numbers(run)) == ("succeeded", {"read": 3, "updated": 2, "unchanged": 1})
    assert len({record.row.record_no for record in gone.records(run_id)}) == 2
    assert (memos(gone), linked(gone)) == (["closed", "closed", "a memo"], ["3"])
    taken_back(gone, run_id)
    assert memos(gone) == ["a memo"] * 3


def test_what_cannot_be_given_back_stays_on(world: World):
    """A mark that cannot be read could not be given back: the record waits until its value is good again."""
    world.erp("CREATE TABLE dated (no INTEGER, title TEXT, closed DATE)")
    marks = {"detect": "full_scan", "deactivate": {"right": {"field": "closed", "value": "2024-12-31"}}}
    right = {"connection": "erp", "object": "dated"}
    fields = [{"left": "id", "right": "no"}, {"left": "name", "right": "title"}]
    world.customers("Ann", "Bob")
    world.rule(right=right, fields=fields, deletes=marks, situations={"deleted_left": "deactivate"})
    world.run()
    world.erp("UPDATE dated SET closed = 'yesterday' WHERE no = 1")
    world.crm("DELETE FROM customer")
    run = world.run()
    assert numbers(run) == {"read": 2, "updated": 1, "quarantined": 1}
    with world.house.db.read() as tx:
        (entry,) = quarantine.listing(tx)
    assert (entry.left_key, "is not deactivated" in str(entry.reason)) == ("1", True)
    world.erp("UPDATE dated SET closed = NULL WHERE no = 1")
    assert numbers(world.run()) == {"read": 1, "updated": 1}
    with world.house.db.read() as tx:
        assert [entry.state for entry in quarantine.listing(tx)] in ([], ["settled"])


def test_a_partner_out_of_scope_is_given_back_what_it_held(world: World):
    """The same holds where a rule with baselines switches off the partner of a record that has left its scope."""
    left = {"connection": "crm", "object": "customer", "where": "status != 'draft'"}
    world.customers("Ann")
    world.rule(left=left, deletes=OFF["deletes"], situations={"out_of_scope": "deactivate", "deleted_left": "delete"})
    world.run()
    world.erp("UPDATE client SET memo = 'a memo'")
    world.crm("UPDATE customer SET status = 'draft'")
    run = world.run()
    assert (numbers(run), memos(world)) == ({"read": 1, "updated": 1}, ["closed"])
    (record,) = world.records(run.id)
    assert (record.before, record.after) == ({"memo": "a memo"}, {"memo": "closed"})
    taken_back(world, run.id)
    assert memos(world) == ["a memo"]
