"""A worker of a two-way run may die anywhere, on either side's pass: the next one ends it as if nothing was."""

from __future__ import annotations

from datetime import timedelta

import pytest

from connectors.builtin.sqlite import SQLite
from tests.runs.conftest import numbers
from tests.runs.test_crash import Killed, dies
from tests.runs.test_two_way import _customers, _rule
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
