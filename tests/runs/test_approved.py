"""A plan that was approved is carried out as shown: nothing else is written, and what has moved is left alone."""

from __future__ import annotations

from datetime import timedelta

import pytest

from connectors.builtin.sqlite import SQLite
from tests.runs.conftest import ADMIN, RULE, numbers
from tests.runs.test_crash import Killed, dies
from webapp.connections import services as connections
from webapp.rulebook import services as rulebook
from webapp.runs import plans, quarantine
from webapp.runs.followups import approve, undo
from webapp.runs.models import rule_cursor, run_chunk
from webapp.runs.pipeline.journal import Journal
from webapp.runs.requests import RunRefused, start


def approved(world, simulation):
    run_id = approve(world.house, simulation, ADMIN)
    assert world.work(run_id)
    return world.look(run_id)


def told(world, run_id):
    """Return key -> reason of the records that were left out because they had moved."""
    return {r.row.left_key: str(r.reason) for r in world.records(run_id) if r.row.situation == "moved"}


def test_a_plan_is_carried_out_as_shown(world):
    """What the simulation showed is written, linked, counted and parked; the next run finds nothing to do."""
    world.customers("Ada", "Bea", None, "Cid")
    world.erp("INSERT INTO client VALUES (?, ?, ?, ?)", (2, "old", None, "memo"), (4, "Cid", "+86 4", None))
    world.rule()
    sim = world.pages_of(3).run("simulate")
    assert world.clients() == [(2, "old", None), (4, "Cid", "+86 4")]
    run = approved(world, sim.id)
    assert (run.state, run.kind, run.mode, run.counts) == ("succeeded", "approved", "live", sim.counts)
    assert world.clients() == [(1, "Ada", "+86 1"), (2, "Bea", "+86 2"), (4, "Cid", "+86 4")]
    with world.house.db.read() as tx:
        assert [e.left_key for e in quarantine.listing(tx)] == ["3"]
    assert numbers(world.run()) == {"read": 4, "unchanged": 3, "quarantined": 1}


MOVES = [
    ("crm", "UPDATE customer SET name = 'Adam' WHERE id = 1", "1", "'name' has changed in crm › customer since."),
    ("crm", "DELETE FROM customer WHERE id = 1", "1", "It is gone from crm › customer."),
    (
        "erp",
        "INSERT INTO client VALUES (1, 'x', 'y', 'z')",
        "1",
        "A record with the key '1' is in erp › client by now.",
    ),
    ("erp", "UPDATE client SET title = 'newer' WHERE no = 2", "2", "'title' has changed in erp › client since."),
    ("erp", "DELETE FROM client WHERE no = 2", "2", "Its record '2' is gone from erp › client."),
]


@pytest.mark.parametrize(("system", "statement", "key", "reason"), MOVES)
def test_what_has_moved_is_left_alone(world, system, statement, key, reason):
    """A record that has changed, gone or appeared on either side is left out and says so; all others are written."""
    world.customers("Ada", "Bea", "Cid")
    world.erp("INSERT INTO client VALUES (?, ?, ?, ?)", (2, "old", None, "memo"))
    world.rule()
    sim = world.run("simulate")
    getattr(world, system)(statement)
    before = {row[0]: row for row in world.clients()}
    run = approved(world, sim.id)
    assert told(world, run.id) == {key: reason}
    assert run.counts["skipped"] == 1
    after = {row[0]: row for row in world.clients()}
    assert after.get(int(key)) == before.get(int(key))
    assert after[3] == (3, "Cid", "+86 3")


def test_fields_that_the_rule_does_not_use_may_change(world):
    """A change of a field that the rule neither reads nor writes does not count."""
    world.customers("Ada", "Bea")
    world.erp("INSERT INTO client VALUES (?, ?, ?, ?)", (2, "old", None, "memo"))
    world.rule()
    sim = world.run("simulate")
    world.crm("UPDATE customer SET status = 'other'")
    world.erp("UPDATE client SET memo = 'other'")
    assert numbers(approved(world, sim.id)) == {"read": 2, "created": 1, "updated": 1}


def test_a_record_that_another_run_has_written_since_is_left_alone(world):
    """After a live run between simulation and approval nothing is written twice."""
    world.customers("Ada", "Bea")
    world.rule()
    sim = world.run("simulate")
    world.run()
    run = approved(world, sim.id)
    assert numbers(run) == {"read": 2, "skipped": 2}
    assert len(world.clients()) == 2


def test_a_table_that_was_published_anew_makes_a_plan_old(world):
    """A plan was made with the tables of its moment; one that the rule does not ask may change."""
    table = {"kind": "lookup", "key": {"name": "code"}, "columns": [{"name": "text"}], "entries": [["Ada", "Aa"]]}
    lookups = [{**table, "name": name} for name in ("asked", "other")]
    for document in lookups:
        rulebook.create(world.house, document, ADMIN)
        rulebook.publish(world.house, document["name"], ADMIN)
    world.customers("Ada")
    fields = [{"left": "id", "right": "no"}, {"right": "title", "to_right": "lookup('asked', name)"}]
    world.rule(fields=fields)
    sims = []
    for document in reversed(lookups):
        sims.append(world.run("simulate"))
        assert sims[-1].state == "succeeded", sims[-1].message
        entries = [["Ada", "Ab"]]
        rulebook.save_draft(world.house, document["name"], {**document, "entries": entries}, ADMIN)
        rulebook.publish(world.house, document["name"], ADMIN)
        if document["name"] == "other":
            assert numbers(approved(world, sims[-1].id)) == {"read": 1, "created": 1}
    with pytest.raises(RunRefused, match="'asked', which the rule asks, has been published anew"):
        approve(world.house, sims[-1].id, ADMIN)


def test_old_plans_are_forgotten(world):
    """A new simulation drops plans that can no longer be approved; what they found is still shown."""
    world.customers("Ada")
    world.rule()
    old = world.run("simulate")
    world.shift += timedelta(days=8)
    new = world.run("simulate")
    with world.house.db.read() as tx:
        kept = {row.run_id: row.plan is not None for row in tx.execute(run_chunk.select())}
    assert kept == {old.id: False, new.id: True}
    assert len(world.records(old.id)) == 1


def test_files_are_approved_and_undone(world):
    """Systems without look-ups and transactions of a database: files are read again, compared and put in place."""
    folder = world.folder / "files"
    folder.mkdir()
    (folder / "in.csv").write_text("no,name\n1,Ada\n2,Bea\n3,Cid\n", encoding="utf-8")
    (folder / "out.csv").write_text("no,name,memo\n2,old,keep\n9,Ida,\n", encoding="utf-8")
    settings = {"path": str(folder), "format": "csv", "settle": 0}
    connections.create(
        world.house, {"kind": "connection", "name": "box", "connector": "files", "settings": settings}, ADMIN
    )
    sides = {side: {"connection": "box", "object": name} for side, name in (("left", "in.csv"), ("right", "out.csv"))}
    key, fields = {"left": "no", "right": "no"}, [{"left": n, "right": n} for n in ("no", "name")]
    world.rule(**sides, key=key, fields=fields)
    sim = world.pages_of(2).run("simulate")
    (folder / "in.csv").write_text("no,name\n1,Adam\n2,Bea\n3,Cid\n", encoding="utf-8")
    run = approved(world, sim.id)
    assert numbers(run) == {"read": 3, "created": 1, "updated": 1, "skipped": 1}
    rows = (folder / "out.csv").read_text("utf-8").splitlines()
    assert sorted(rows[1:]) == ["2,Bea,keep", "3,Cid,", "9,Ida,"]
    undoing = undo(world.house, run.id, ADMIN)
    assert world.work(undoing)
    assert numbers(world.look(undoing)) == {"read": 2, "updated": 1, "skipped": 1, "deleted": 1}
    assert sorted((folder / "out.csv").read_text("utf-8").splitlines()[1:]) == ["2,old,keep", "9,Ida,"]


def test_a_rule_from_right_to_left_is_approved_and_undone(world):
    """Read from the right, written to the left; records are told by their keys."""
    world.erp("INSERT INTO client VALUES (?, ?, ?, ?)", (1, "Ada", "1", None), (2, "Bea", "2", None))
    world.crm("INSERT INTO customer VALUES (2, 'old', NULL, 'active', '')")
    fields = [{"left": "id", "right": "no"}, {"left": "name", "right": "title"}]
    world.rule(direction="right_to_left", fields=fields)
    sim = world.run("simulate")
    world.erp("UPDATE client SET title = 'Adam' WHERE no = 1")
    run = approved(world, sim.id)
    assert numbers(run) == {"read": 2, "updated": 1, "skipped": 1}
    assert told(world, run.id) == {"1": "'title' has changed in erp › client since."}
    undoing = undo(world.house, run.id, ADMIN)
    assert world.work(undoing)
    assert world.crm("SELECT id, name FROM customer") == [(2, "old")]


def test_a_plan_can_be_approved_once(world):
    """A second approval, also one of a plan that is just being carried out, is refused."""
    world.customers("Ada")
    world.rule()
    sim = world.run("simulate")
    first = approve(world.house, sim.id, ADMIN)
    with pytest.raises(RunRefused, match=f"run {first} carries it out"):
        approve(world.house, sim.id, ADMIN)


@pytest.mark.parametrize("case", ["live", "republished", "draft", "old", "forgotten", "failed"])
def test_what_cannot_be_approved(world, case):
    """Only the complete, recent plan of what is published now can be carried out."""
    world.customers("Ada")
    world.rule()
    if case == "draft":
        rulebook.save_draft(world.house, "customers", {**RULE, "label": "new"}, ADMIN)
        run_id = start(world.house, "customers", "simulate", ADMIN, draft=True)
        world.work(run_id)
        sim = world.look(run_id)
    else:
        sim = world.run("live" if case == "live" else "simulate")
    if case == "republished":
        world.rule(label="new")
    if case == "old":
        world.shift += timedelta(days=8)
    if case == "forgotten":
        with world.house.db.begin() as tx:
            plans.forget(tx, world.now() + timedelta(days=8), 7)
    if case == "failed":
        world.crm("DROP TABLE customer")
        sim = world.run("simulate")
    reasons = {
        "live": "is not a simulation",
        "republished": "plan of version 1, and now version 2",
        "draft": "plan of a draft",
        "old": "older than 7 days",
        "forgotten": "older than 7 days",
        "failed": "not complete",
    }
    with pytest.raises(RunRefused, match=reasons[case]):
        approve(world.house, sim.id, ADMIN)


POINTS = [
    (owner, name, at, before)
    for owner, name in ((Journal, "plan"), (SQLite, "write"), (Journal, "check_in"), (Journal, "end"))
    for at in ((1,) if name == "end" else (1, 2))
    for before in (True, False)
    if not (name == "end" and not before)
]


@pytest.mark.parametrize(("owner", "name", "at", "before"), POINTS, ids=lambda v: getattr(v, "__name__", str(v)))
def test_a_killed_approval_ends_like_an_undisturbed_one(world, monkeypatch, owner, name, at, before):
    """Wherever the worker dies, also between the target's commit and ours, the plan is carried out once."""
    world.customers("Ada", "Bea", None, "Cid", "far too long a name for this target", "Dan", "Eva")
    world.rule()
    sim = world.pages_of(3).run("simulate")
    world.crm("UPDATE customer SET name = 'Moved' WHERE id = 4")
    run_id = approve(world.house, sim.id, ADMIN)
    with monkeypatch.context() as patch:
        dies(patch, owner, name, at, before)
        with pytest.raises(Killed):
            world.work(run_id)
    world.shift += timedelta(seconds=world.house.settings.lease_seconds + 1)
    assert world.work(run_id, "w2")
    run = world.look(run_id)
    assert (run.state, numbers(run)) == ("succeeded", {"read": 7, "created": 4, "skipped": 1, "quarantined": 2})
    assert [row[1] for row in world.clients()] == ["Ada", "Bea", "Dan", "Eva"]
    assert list(told(world, run_id)) == ["4"]


CURSOR = {"left": {"by": "cursor", "field": "changed", "tie": "id"}}


def test_the_cursor_moves_to_where_the_plan_ended(world):
    """By cursor: the next run goes on behind the plan, and meets what changed after the simulation."""
    world.customers("Ada", "Bea")
    world.rule(detect=CURSOR)
    sim = world.run("simulate")
    world.crm("INSERT INTO customer VALUES (3, 'Cid', 'x', 'active', '2024-01-01 00:00:03')")
    assert numbers(approved(world, sim.id)) == {"read": 2, "created": 2}
    with world.house.db.read() as tx:
        assert [row.value for row in tx.execute(rule_cursor.select())] == ["2024-01-01 00:00:02"]
    assert world.run().counts["created"] == 1


def test_pages_on_which_nothing_is_found_leave_no_hole_in_a_plan(world):
    """By cursor: nothing new is read, and a parked record that has been mended is in the plan all the same."""
    world.customers("Ada", "far too long a name for this target")
    world.rule(detect=CURSOR)
    assert numbers(world.run()) == {"read": 2, "created": 1, "quarantined": 1}
    world.crm("UPDATE customer SET name = 'Bea' WHERE id = 2")
    world.crm("DELETE FROM customer WHERE id = 1")
    sim = world.run("simulate")
    run = approved(world, sim.id)
    assert (run.state, run.message) == ("succeeded", None)
    assert ("Bea",) in [row[1:2] for row in world.clients()]


def test_the_cursor_stays_where_a_record_was_left_out(world):
    """By cursor: a record that was left out is met again by the next run, so nothing is lost."""
    world.customers("Ada", "Bea")
    world.erp("INSERT INTO client VALUES (?, ?, ?, ?)", (1, "old", None, None))
    world.rule(detect=CURSOR)
    sim = world.run("simulate")
    world.erp("UPDATE client SET title = 'newer'")
    assert numbers(approved(world, sim.id)) == {"read": 2, "created": 1, "skipped": 1}
    assert numbers(world.run()) == {"read": 2, "updated": 1, "unchanged": 1}


def test_what_was_parked_since_the_simulation_stays_parked(world):
    """A record that a later run has parked is neither settled nor overwritten by the older plan."""
    world.customers("Ada", "Bea")
    world.rule()
    world.run()
    sim = world.run("simulate")
    world.crm("UPDATE customer SET name = NULL WHERE id = 1")
    world.run()
    assert numbers(approved(world, sim.id)) == {"read": 2, "unchanged": 2}
    with world.house.db.read() as tx:
        assert [e.left_key for e in quarantine.listing(tx)] == ["1"]
