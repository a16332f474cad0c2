"""A deliverer, or the worker of a run, may die anywhere: nothing is lost, nothing is doubled, nothing is overtaken."""

from __future__ import annotations

import contextlib
from datetime import timedelta
from typing import Any

import pytest
import sqlalchemy as sa
from hypothesis import given, settings
from hypothesis import strategies as st

from connectors.builtin.sqlite import SQLite
from tests.runs.conftest import PHASES, World, numbers, open_world
from tests.runs.test_crash import Killed, dies, sleeps
from webapp.runs.outbox import lanes, receipts
from webapp.runs.outbox.deliverer import deliver_due
from webapp.runs.outbox.models import delivery
from webapp.runs.pipeline.journal import Journal

POINTS = [
    (owner, name, before)
    for owner, name in (
        (lanes, "take"), (lanes, "pick"), (SQLite, "lookup"), (SQLite, "write"), (receipts, "confirm"),
    )
    for before in (True, False)
]  # fmt: skip
RUN_POINTS = [(name, before) for name in ("plan", "check_in", "end") for before in (True, False)]
LOG = """
CREATE TABLE said (no INTEGER, title TEXT);
CREATE TRIGGER made AFTER INSERT ON client BEGIN INSERT INTO said VALUES (new.no, new.title); END;
CREATE TRIGGER moved AFTER UPDATE ON client BEGIN INSERT INTO said VALUES (new.no, new.title); END;
CREATE TRIGGER gone AFTER DELETE ON client BEGIN INSERT INTO said VALUES (old.no, NULL); END
"""


@pytest.fixture
def keyless(world: World) -> World:
    """The world with a target that has no unique key, so that a doubled record shows."""
    _keyless(world)
    world.rule(transaction="outbox")
    return world


def _keyless(world: World) -> None:
    world.erp("DROP TABLE client")
    world.erp("CREATE TABLE client (no INTEGER, title TEXT NOT NULL CHECK (length(title) < 20), tel TEXT, memo TEXT)")


def open_ones(world: World) -> int:
    with world.house.db.read() as tx:
        return tx.scalar(sa.select(sa.func.count()).where(delivery.c.ended_at.is_(None))) or 0


def drain(world: World) -> None:
    """Deliver all that is under way, whatever holds a lane or has to wait."""
    for _ in range(60):
        world.shift += timedelta(seconds=world.house.settings.lease_seconds + 1)
        deliver_due(world.house)
        if not open_ones(world):
            return
    pytest.fail("not all was delivered")


@pytest.mark.parametrize(("owner", "name", "before"), POINTS, ids=lambda v: getattr(v, "__name__", str(v)))
def test_a_deliverer_that_dies_loses_and_doubles_nothing(keyless: World, owner: Any, name: str, before: bool):
    """Another takes the lane once the lease is over, and finds by key what has arrived."""
    keyless.customers("Ada", "Bo", "Cy", "Di", "far too long a name for this target")
    keyless.run()
    keyless.crm("UPDATE customer SET phone = 'new' WHERE id < 3")
    keyless.run()
    with pytest.MonkeyPatch.context() as patch:
        dies(patch, owner, name, 2, before)
        with pytest.raises(Killed):
            deliver_due(keyless.house)
    drain(keyless)
    assert keyless.clients() == [(1, "Ada", "new"), (2, "Bo", "new"), (3, "Cy", "+86 3"), (4, "Di", "+86 4")]
    assert numbers(keyless.run()) == {"read": 5, "created": 1, "unchanged": 4}


@pytest.mark.parametrize(("name", "before"), RUN_POINTS)
def test_a_run_that_dies_commits_each_delivery_once(keyless: World, name: str, before: bool):
    """What is to be sent commits with the chunk: the worker that goes on neither forgets nor repeats one."""
    keyless.pages_of(2).customers("Ada", "Bo", "Cy", "Di", "Ed")
    run_id = keyless.request()
    with pytest.MonkeyPatch.context() as patch:
        dies(patch, Journal, name, 1 if name == "end" else 2, before)
        with pytest.raises(Killed):
            keyless.work(run_id)
    keyless.shift += timedelta(seconds=keyless.house.settings.lease_seconds + 1)
    keyless.work(run_id, "w2")
    assert numbers(keyless.look(run_id)) == {"read": 5, "created": 5}
    assert open_ones(keyless) == 5
    drain(keyless)
    assert [row[0] for row in keyless.clients()] == [1, 2, 3, 4, 5]


def test_a_deliverer_that_slept_can_change_nothing_any_more(keyless: World):
    """Its lease is over and another has delivered two changes: the target refuses the token of the first."""
    keyless.customers("Ada")
    keyless.run()

    def meanwhile() -> None:
        keyless.crm("UPDATE customer SET name = 'Bea'")
        keyless.run()
        patch.undo()
        drain(keyless)

    with pytest.MonkeyPatch.context() as patch:
        sleeps(patch, SQLite, "write", 1, True, meanwhile)
        deliver_due(keyless.house, "slow")
    assert keyless.clients() == [(1, "Bea", "+86 1")]
    assert open_ones(keyless) == 0


def test_two_deliverers_share_lanes_and_double_nothing(keyless: World):
    """What one of them holds the other one leaves alone."""
    keyless.customers(*(f"P{number}" for number in range(1, 41)))
    keyless.run()
    with pytest.MonkeyPatch.context() as patch:
        sleeps(patch, SQLite, "write", 1, True, lambda: deliver_due(keyless.house, "other"))
        deliver_due(keyless.house, "one")
    assert [row[0] for row in keyless.clients()] == [*range(1, 41)]


STEPS = st.lists(
    st.one_of(
        st.tuples(st.just("edit"), st.integers(1, 4)),
        st.tuples(st.just("drop"), st.integers(1, 4)),
        st.tuples(st.just("run"), st.sampled_from(["", "plan", "check_in"])),
        st.tuples(st.just("deliver"), st.sampled_from(["", "pick", "write", "confirm"])),
        st.tuples(st.just("away"), st.booleans()),
    ),
    max_size=14,
)


@settings(max_examples=15, deadline=None, phases=PHASES)
@given(steps=STEPS)
def test_all_arrives_once_and_in_order_whatever_happens(tmp_path_factory: pytest.TempPathFactory, steps: list[Any]):
    """Of each record the target sees a rising part of its versions, each once, and the last one in the end."""
    with open_world(tmp_path_factory.mktemp("outbox")) as world:
        _keyless(world)
        for statement in LOG.strip().split(";\n"):
            world.erp(statement)
        deletes = {"deletes": {"detect": "full_scan"}, "situations": {"deleted_left": "delete"}}
        world.rule(transaction="outbox", **deletes)
        Story(world).play(steps)


class Story:
    """People, workers, deliverers and the network, in any order."""

    def __init__(self, world: World) -> None:
        self.world, self.version = world, 0
        self.lost: Any = None

    def play(self, steps: list[Any]) -> None:
        for name, what in steps:
            getattr(self, f"_{name}")(what)
        self._away(False)
        self._run("")
        drain(self.world)
        source = self.world.crm("SELECT id, name FROM customer ORDER BY id")
        assert self.world.erp("SELECT no, title FROM client ORDER BY no") == source
        for key in range(1, 5):
            said = [title for _, title in self.world.erp(f"SELECT no, title FROM said WHERE no = {key} ORDER BY rowid")]
            versions = [int(title[1:]) for title in said if title]
            assert versions == sorted(set(versions)), (key, said)
        assert numbers(self.world.run()) in ({"read": len(source), "unchanged": len(source)}, {})

    def _edit(self, key: int) -> None:
        self.version += 1
        self.world.crm(f"INSERT OR REPLACE INTO customer VALUES ({key}, 'v{self.version}', 't', 'active', '')")

    def _drop(self, key: int) -> None:
        self.world.crm(f"DELETE FROM customer WHERE id = {key}")

    def _run(self, point: str) -> None:
        run_id = self.world.request()
        if point:
            self._dying(Journal, point, lambda: self.world.work(run_id))
        self.world.shift += timedelta(seconds=self.world.house.settings.lease_seconds + 1)
        self.world.work(run_id, "w2")
        assert self.world.look(run_id).state == "succeeded", str(self.world.look(run_id).message)

    def _deliver(self, point: str) -> None:
        owner = {"pick": lanes, "write": SQLite, "confirm": receipts}.get(point)
        self._dying(owner, point, lambda: deliver_due(self.world.house))
        self.world.shift += timedelta(seconds=self.world.house.settings.lease_seconds / 2)

    def _dying(self, owner: Any, point: str, work: Any) -> None:
        with pytest.MonkeyPatch.context() as patch:
            if owner is not None:
                dies(patch, owner, point, 1, before=self.version % 2 == 0)
            with contextlib.suppress(Killed):
                work()

    def _away(self, away: bool) -> None:
        here, there = self.world.folder / "erp.db", self.world.folder / "away.db"
        if away == here.exists():
            (here if away else there).rename(there if away else here)
