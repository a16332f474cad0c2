"""A run that is split into slices comes to the same end as one that is not, whoever works on them and whatever dies."""

from __future__ import annotations

import math
import random
import threading
from dataclasses import replace
from datetime import timedelta

import pytest
import sqlalchemy as sa

from connectors.builtin.sqlite import SQLite
from connectors.errors import Fenced
from tests.runs.conftest import ADMIN, RULE, numbers, open_world
from tests.runs.test_crash import Killed, dies
from tests.runs.test_digests import digested
from tests.runs.test_filtering import Story, log, told
from tests.runs.test_steady import DELETING, spoil
from webapp.audit.models import audit_event
from webapp.audit.tags import Tag
from webapp.connections.models import connection
from webapp.runs import followups, taking
from webapp.runs.execution import execute
from webapp.runs.models import run as run_table
from webapp.runs.models import run_chunk
from webapp.runs.pipeline import inputs, steady
from webapp.runs.pipeline.journal import Cancelled, Suspended
from webapp.runs.pipeline.slice_journal import SliceJournal
from webapp.runs.proof import proof, recount
from webapp.runs.requests import cancel, pause, resume
from webapp.runs.slices import leases
from webapp.runs.slices.models import run_slice, run_split
from webapp.runs.taking import take_turns

SPLIT = {"over": 4, "every": 5}
WIDE = {"left": {"connection": "crm", "object": "customer", "where": "status != 'draft'"}}
RULES = ({}, DELETING, {**WIDE, **DELETING}, {**WIDE, "situations": {"out_of_scope": "delete"}})


def slices(world, run_id):
    with world.house.db.read() as tx:
        return leases.of_run(tx, run_id)


def alone(monkeypatch):
    """Let a worker carry out one slice at a time."""
    monkeypatch.setattr(leases, "leave", lambda *_: True)


def finish(world, run_id, workers=("w1", "w2", "w3")):
    """Let workers take turns until the run has ended."""
    for turn in range(100):
        if not world.look(run_id).active:
            return
        world.work(run_id, workers[turn % len(workers)])
    pytest.fail("the run never ended")


@pytest.mark.parametrize("changes", RULES)
@pytest.mark.parametrize("seed", [1, pytest.param(2, marks=pytest.mark.soak)])
def test_a_split_run_comes_to_the_same_end(tmp_path, monkeypatch, changes, seed):
    """Target, links, counts, parked records and what is shown are the same, while records come and go between runs."""
    monkeypatch.setattr(steady, "LEAST", 1)
    digested(monkeypatch)
    alone(monkeypatch)
    with open_world(tmp_path / "one") as one, open_world(tmp_path / "other") as other:
        stories = [Story(world.pages_of(4), seed) for world in (one, other)]
        one.rule(**changes)
        other.rule(**changes, split=SPLIT)
        dice = [random.Random(seed) for _ in range(2)]
        for _ in range(2):
            ends = []
            for story, luck in zip(stories, dice, strict=True):
                story.edit()
                spoil(story.world, luck)
                run_id = story.world.request()
                finish(story.world, run_id)
                ends.append(told(story.world, run_id))
            assert len(slices(other, run_id)) > 1, log(other, run_id)
            for one_end, other_end in zip(*ends, strict=True):
                assert one_end == other_end


POINTS = [
    (owner, name, at, before)
    for owner, name in ((SliceJournal, "plan"), (SQLite, "write"), (SliceJournal, "check_in"), (SliceJournal, "finish"))
    for at in (1, 3)
    for before in (True, False)
]


@pytest.mark.parametrize(("owner", "name", "at", "before"), POINTS, ids=lambda v: getattr(v, "__name__", str(v)))
def test_a_slice_of_a_dead_worker_is_taken_up(world, monkeypatch, owner, name, at, before):
    """Wherever a worker dies, others do the rest, and behind its lease its slice: nothing is lost or doubled."""
    alone(monkeypatch)
    world.erp("DROP TABLE client")
    world.erp("CREATE TABLE client (no INTEGER, title TEXT NOT NULL CHECK (length(title) < 20), tel TEXT, memo TEXT)")
    world.customers(*("a far too long name for it" if n % 7 == 3 else f"N{n}" for n in range(20)))
    world.rule(split=SPLIT)
    run_id = world.pages_of(2).request()
    with monkeypatch.context() as patch:
        dies(patch, owner, name, at, before)
        with pytest.raises(Killed):
            finish(world, run_id, ("w1",))
    while world.work(run_id, "w2"):
        pass
    left = [one for one in slices(world, run_id) if one.state != "done"]
    assert [one.state for one in left] in ([], ["running"])
    assert world.look(run_id).state == ("running" if left else "succeeded")
    world.shift += timedelta(seconds=world.house.settings.lease_seconds + 1)
    finish(world, run_id, ("w2",))
    run = world.look(run_id)
    assert (run.state, numbers(run)) == ("succeeded", {"read": 20, "created": 17, "quarantined": 3})
    assert [row[0] for row in world.clients()] == [n for n in range(1, 21) if (n - 1) % 7 != 3]
    with world.house.db.read() as tx:
        assert proof(tx, run).agrees
        assert recount(tx, run).problems == []
        kept = [(s.first, s.records.height) for s in inputs.stored(tx, run_id)]
    numbered = [n for first, height in kept for n in range(first, first + height)]
    assert len(numbered) == len(set(numbered)) == 20, "every record can be explained"


def begun(world, monkeypatch, names=20, **changes):
    """Request a run, let it be split, and return its number; no slice is done yet."""
    world.customers(*(f"N{n}" for n in range(names)))
    world.rule(split=SPLIT, **changes)
    alone(monkeypatch)
    run_id = world.pages_of(2).request()
    assert world.work(run_id, "w1")
    assert [one.state for one in slices(world, run_id)] == ["queued"] * 4
    return run_id


def test_what_is_deleted_is_deleted_when_all_slices_are_done(world, monkeypatch):
    """Records that are gone are known to be so only behind the last slice; then they are removed, numbered on."""
    run_id = begun(world, monkeypatch, **DELETING)
    finish(world, run_id)
    world.crm("DELETE FROM customer WHERE id IN (2, 11, 20)")
    again = world.request()
    for _ in slices(world, run_id):
        world.work(again)
        assert len(world.clients()) == 20
    finish(world, again)
    assert numbers(world.look(again)) == {"read": 17, "unchanged": 17, "deleted": 3}
    assert [row[0] for row in world.clients()] == [n for n in range(1, 21) if n not in (2, 11, 20)]


@pytest.mark.parametrize(("ask", "state"), [(pause, "suspended"), (cancel, "cancelled")])
def test_all_slices_stop_together(world, monkeypatch, ask, state):
    """A run is paused or cancelled when the last worker has left, behind the chunk at hand; none begins anew."""
    run_id = begun(world, monkeypatch)
    other = leases.claim(world.house, run_id, "w2")
    ask(world.house, run_id, ADMIN)
    assert world.work(run_id, "w1")
    assert world.look(run_id).state == "running", "the other worker is still at it"
    assert not world.work(run_id, "w3"), "nobody begins with a slice of a run that stops"
    book = SliceJournal(world.house, other, other.slice)
    with pytest.raises((Suspended, Cancelled)), world.house.db.read() as tx:
        book.heed(tx)
    with world.house.db.begin() as tx:
        book.end(tx, "failed", None)
    assert world.look(run_id).state == state, "what was said first stands"
    assert {one.state for one in slices(world, run_id)} == {"queued"}
    if ask is pause:
        resume(world.house, run_id, ADMIN)
        finish(world, run_id)
        assert numbers(world.look(run_id)) == {"read": 20, "created": 20}


def test_a_worker_that_dies_while_the_run_stops_does_not_keep_it(world, monkeypatch):
    """Behind the lease of a dead worker its slice is taken up to be left at once, and the run ends as was said."""
    run_id = begun(world, monkeypatch)
    leases.claim(world.house, run_id, "dead")
    pause(world.house, run_id, ADMIN)
    assert world.work(run_id, "w1")
    assert world.look(run_id).state == "running"
    world.shift += timedelta(seconds=world.house.settings.lease_seconds + 1)
    assert world.work(run_id, "w2")
    assert world.look(run_id).state == "suspended"


def test_a_guard_counts_all_slices(world, monkeypatch):
    """What workers are about to do in several slices is added up before any of it is written."""
    guards = [{"metric": "creates", "over": 7, "min": 0}]
    run_id = begun(world, monkeypatch, guards=guards)
    finish(world, run_id)
    run = world.look(run_id)
    assert run.state == "suspended"
    assert "creates" in str(run.message) or "created" in str(run.message)
    assert len(world.clients()) == run.counts["created"] == 7


def test_a_sleeper_cannot_write_any_more(world, monkeypatch):
    """A worker that slept past its lease is fenced off by its slice's token, here and in the target."""
    run_id = begun(world, monkeypatch)
    sleeper = leases.claim(world.house, run_id, "sleeper")
    world.shift += timedelta(seconds=world.house.settings.lease_seconds + 1)
    finish(world, run_id)
    before = world.clients()
    book = SliceJournal(world.house, sleeper, sleeper.slice)
    with pytest.raises(Fenced), world.house.db.begin() as tx:
        book.guard(tx)
    with pytest.raises(Fenced):
        book.reserve(1)
    assert world.clients() == before


def test_workers_share_nothing(world, monkeypatch):
    """Of many workers at once each gets another slice, under tokens that grow."""
    run_id = begun(world, monkeypatch)
    got = []
    threads = [
        threading.Thread(target=lambda n=n: got.append(leases.claim(world.house, run_id, f"w{n}"))) for n in range(6)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    claimed = [one for one in got if one is not None]
    assert sorted(one.slice.no for one in claimed) == [1, 2, 3, 4]
    assert len({one.token for one in claimed}) == 4


def test_workers_that_are_free_join(world, monkeypatch):
    """A worker that was woken up takes a slice of a run that others work on, too."""
    run_id = begun(world, monkeypatch)
    now = world.now()
    world.house = replace(world.house, clock=lambda: now)  # nobody keeps the lease of w1, however long this takes
    monkeypatch.setattr(taking, "LONGEST", math.inf)
    assert leases.claim(world.house, run_id, "w1").slice.no == 1
    assert take_turns(world.house, "w2", lambda *asked: execute(*asked, lambda _: None)) == 3
    assert [one.worker for one in slices(world, run_id)] == ["w1", "w2", "w2", "w2"]
    assert [one.state for one in slices(world, run_id)] == ["running", "done", "done", "done"]


def test_a_split_run_can_be_undone(world, monkeypatch):
    """Undoing goes back through the chunks of all slices."""
    run_id = begun(world, monkeypatch)
    finish(world, run_id)
    undo = followups.undo(world.house, run_id, ADMIN)
    assert world.work(undo)
    assert world.clients() == []


def test_the_audit_log_tells_of_slices(world, monkeypatch):
    """It holds that the run was split, each slice with its counts, and the digest of each chunk."""
    run_id = begun(world, monkeypatch)
    finish(world, run_id)
    with world.house.db.read() as tx:
        mine = audit_event.c.run_id == run_id
        events = tx.execute(
            sa.select(audit_event.c.tag, audit_event.c.after).where(mine).order_by(audit_event.c.id)
        ).all()
        chunks = tx.scalars(
            sa.select(run_chunk.c.no).where(run_chunk.c.run_id == run_id).order_by(run_chunk.c.no)
        ).all()
    tags = [event.tag for event in events]
    assert tags.count(Tag.RUN_SPLIT) == 1
    assert [e.after["slice"] for e in events if e.tag == Tag.RUN_SLICE] == [1, 2, 3, 4]
    assert sum(e.after["counts"]["read"] for e in events if e.tag == Tag.RUN_SLICE) == 20
    assert [e.after["chunk"] for e in events if e.tag == Tag.RUN_CHUNK] == chunks == list(range(1, 13))


REASONS = {
    "is not split: customer cannot be cut": {"key": {"left": "phone", "right": "no"}},
    "do not get the keys": {"fields": [{"left": "id", "right": "no", "to_right": "id + 1"}, *RULE["fields"][1:]]},
    "occur only once": {"validations": [{"name": "one", "unique": ["phone"]}]},
    "by their values": {"correlate": [{"match": [{"left": "phone", "right": "tel"}]}]},
}


@pytest.mark.parametrize("reason", REASONS)
def test_a_rule_that_cannot_be_split_says_why(world, reason):
    """Where slices would have to know of each other the run goes on as a whole, and its log says why."""
    world.customers(*(f"N{n}" for n in range(20)))
    world.rule(split=SPLIT, **REASONS[reason])
    run = world.run()
    assert slices(world, run.id) == []
    assert any(reason in str(line) for line in log(world, run.id)), [str(line) for line in log(world, run.id)]


def limited(world, name, **limits):
    with world.house.db.begin() as tx:
        tx.execute(sa.update(connection).where(connection.c.name == name).values(limits=limits))


def test_a_slice_of_a_dead_worker_holds_its_place_for_whoever_takes_it_up(world, monkeypatch):
    """Where a connection takes one at a time the slice of a dead worker is taken up, and others wait for it."""
    run_id = begun(world, monkeypatch)
    limited(world, "crm", runs=1)
    dead = leases.claim(world.house, run_id, "dead")
    assert leases.claim(world.house, run_id, "w2") is None
    world.shift += timedelta(seconds=world.house.settings.lease_seconds + 1)
    taken = leases.claim(world.house, run_id, "w2")
    assert taken.slice.no == dead.slice.no
    assert leases.claim(world.house, run_id, "w3") is None
    world.shift += timedelta(seconds=world.house.settings.lease_seconds + 1)
    finish(world, run_id, ("w2",))
    assert numbers(world.look(run_id)) == {"read": 20, "created": 20}


def test_a_run_whose_slices_wait_for_a_connection_is_not_resumed_again_and_again(world, monkeypatch):
    """It keeps its place without a word for each lease; once the connection is free, it goes on."""
    run_id = begun(world, monkeypatch)
    limited(world, "crm", runs=1)
    with world.house.db.begin() as tx:
        row = dict(tx.execute(sa.select(run_table).where(run_table.c.id == run_id)).mappings().one())
        tx.execute(sa.insert(run_table).values({**row, "id": run_id + 1, "rule_id": 77, "rule_name": "other"}))
    for _ in range(3):
        world.shift += timedelta(seconds=world.house.settings.lease_seconds + 1)
        assert not world.work(run_id, "w2")
    with world.house.db.read() as tx:
        lease = tx.scalar(sa.select(run_table.c.lease_until).where(run_table.c.id == run_id))
        resumed = tx.scalars(sa.select(audit_event.c.id).where(audit_event.c.tag == Tag.RUN_RESUMED)).all()
    assert (world.look(run_id).attempts, resumed, lease > world.now()) == (1, [], True)
    with world.house.db.begin() as tx:
        tx.execute(sa.delete(run_table).where(run_table.c.id == run_id + 1))
    finish(world, run_id)
    assert numbers(world.look(run_id)) == {"read": 20, "created": 20}


def test_runs_that_wait_for_their_connection_keep_nobody_from_others(world, monkeypatch):
    """Split runs whose connection takes no more are no work for a worker that is free, however many they are."""
    run_id = begun(world, monkeypatch)
    limited(world, "crm", runs=1)
    with world.house.db.begin() as tx:
        row = dict(tx.execute(sa.select(run_table).where(run_table.c.id == run_id)).mappings().one())
        tx.execute(sa.insert(run_table).values({**row, "id": run_id + 1, "rule_id": 77, "rule_name": "other"}))
        parts = tx.execute(sa.select(run_slice).where(run_slice.c.run_id == run_id)).mappings().all()
        tx.execute(sa.insert(run_slice), [{**part, "run_id": run_id + 1} for part in parts])
        split = tx.execute(sa.select(run_split).where(run_split.c.run_id == run_id)).mappings().one()
        tx.execute(sa.insert(run_split).values({**split, "run_id": run_id + 1}))
    taken = leases.claim(world.house, run_id, "w1")
    with world.house.db.read() as tx:
        assert leases.joinable(tx, world.house.clock(), world.house.settings.lease_seconds) == ([], [])
    with world.house.db.begin() as tx:
        SliceJournal(world.house, taken, taken.slice).end(tx, "failed", None)
    with world.house.db.read() as tx:
        assert leases.joinable(tx, world.house.clock(), world.house.settings.lease_seconds) == ([run_id + 1], [])
