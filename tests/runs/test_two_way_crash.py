"""A worker of a two-way run may die anywhere, on either side's pass: the next one ends it as if nothing was."""

from __future__ import annotations

import json
from datetime import timedelta

import pytest
import sqlalchemy as sa

from connectors.builtin.sqlite import SQLite
from tests.runs.conftest import numbers
from tests.runs.test_crash import Killed, dies
from tests.runs.test_two_way import _customers, _rule
from webapp.runs.models import quarantine
from webapp.runs.pipeline.journal import Journal

POINTS = [
    (owner, name, at, before)
    for owner, name in ((Journal, "plan"), (SQLite, "write"), (Journal, "check_in"))
    for at in (1, 2, 3, 4)
    for before in (True, False)
]


@pytest.mark.parametrize(("owner", "name", "at", "before"), POINTS, ids=lambda v: getattr(v, "__name__", str(v)))
def test_a_killed_two_way_run_ends_like_an_undisturbed_one(world, monkeypatch, owner, name, at, before):
    """Chunks of the left and of the right pass that were half-way into a side are written once, where they belong."""
    _rule(world)
    world.customers("Ann", "Bob", "Cid", "Dan")
    world.erp("INSERT INTO client VALUES (?, ?, ?, ?)", (7, "Gus", "+86 7", None), (8, "Hal", "+86 8", None))
    run_id = world.pages_of(2).request()
    with monkeypatch.context() as patch:
        dies(patch, owner, name, at, before)
        try:
            world.work(run_id)
        except Killed:
            world.shift += timedelta(seconds=world.house.settings.lease_seconds + 1)
            assert world.work(run_id, "w2")
    run = world.look(run_id)
    assert (run.state, run.counts["created"]) == ("succeeded", 6)
    assert world.clients() == _customers(world)
    assert len(world.clients()) == 6
    assert numbers(world.run()) == {"read": 12, "unchanged": 12}


REFUSE = "CREATE TRIGGER no BEFORE INSERT ON client WHEN new.title = 'Bob' BEGIN SELECT RAISE(ABORT, 'no'); END"


@pytest.mark.parametrize("explain", [True, False])
def test_what_is_refused_after_a_crash_waits_with_all_its_values(world, monkeypatch, explain):
    """A plan does not repeat the values that are kept to explain records; who goes on has all of them again."""
    _rule(world, explain=explain)
    world.customers("Ann", "Bob", "Cid")
    world.crm("UPDATE customer SET status = 'new'")
    run_id = world.request()
    with monkeypatch.context() as patch:
        dies(patch, Journal, "plan", 1, before=False)
        with pytest.raises(Killed):
            world.work(run_id)
    world.erp(REFUSE)
    world.shift += timedelta(seconds=world.house.settings.lease_seconds + 1)
    assert world.work(run_id, "w2")
    with world.house.db.read() as tx:
        (entry,) = tx.execute(sa.select(quarantine.c.stage, quarantine.c.record)).all()
    kept = {"id": 2, "name": "Bob", "phone": "+86 2", "status": "new", "changed": "2024-01-01 00:00:02"}
    assert (entry.stage, json.loads(entry.record)) == ("write", kept)
