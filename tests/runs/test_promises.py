"""What must hold however a run is disturbed: cancelled, left behind, replayed late, fed with odd keys."""

from __future__ import annotations

import json
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta

import pytest
import sqlalchemy as sa

from connectors.builtin.sqlite import SQLite
from connectors.errors import Unavailable
from rules.text import msg
from tests.runs.conftest import ADMIN, RULE, numbers
from tests.runs.test_crash import Killed, dies
from webapp.dispatcher import announce_waiting
from webapp.runs import hooks, quarantine
from webapp.runs.claims import claim
from webapp.runs.models import run as run_table
from webapp.runs.pipeline.journal import Journal
from webapp.runs.quarantine_views import _corrected
from webapp.runs.requests import RunRefused, cancel


def parked(world):
    with world.house.db.read() as tx:
        return quarantine.listing(tx)


def test_a_run_cancelled_while_it_writes_counts_what_it_wrote(world, monkeypatch):
    """A chunk that is half-way into the target is checked in before the run ends as cancelled."""
    world.customers("Ada", "Bea", "Cid")
    world.rule()
    run_id, write = world.pages_of(2).request(), SQLite.write

    def cancelled_meanwhile(self, *args, **kwargs):
        cancel(world.house, run_id, ADMIN)
        return write(self, *args, **kwargs)

    monkeypatch.setattr(SQLite, "write", cancelled_meanwhile)
    world.work(run_id)
    run = world.look(run_id)
    assert (run.state, numbers(run)) == ("cancelled", {"read": 2, "created": 2})
    assert len(world.clients()) == 2


def test_a_run_cancelled_after_its_worker_died_is_checked_in_first(world, monkeypatch):
    """The chunk that a dead worker had planned is finished, then the run ends as cancelled."""
    world.customers("Ada", "Bea", "Cid")
    world.rule()
    run_id = world.pages_of(2).request()
    with monkeypatch.context() as patch:
        dies(patch, SQLite, "write", 1, before=False)
        with pytest.raises(Killed):
            world.work(run_id)
    cancel(world.house, run_id, ADMIN)
    world.shift += timedelta(seconds=world.house.settings.lease_seconds + 1)
    assert world.work(run_id, "w2")
    assert (world.look(run_id).state, numbers(world.look(run_id))) == ("cancelled", {"read": 2, "created": 2})


def test_a_run_that_was_left_behind_goes_first(world):
    """A replay does not overtake a run whose worker died: its chunk may be half-way into the target."""
    world.customers("Ada", None)
    world.rule()
    world.run()
    left = world.request()
    assert claim(world.house, left, "dead") is not None
    replayed = quarantine.replay(world.house, "customers", None, ADMIN)
    world.shift += timedelta(seconds=world.house.settings.lease_seconds + 1)
    assert not world.work(replayed)
    assert world.work(left, "w2")
    assert world.work(replayed)


@pytest.mark.parametrize("leftover", ["failed", "cancelled"])
def test_a_chunk_that_a_stopped_run_had_written_is_checked_in_by_the_next_run(world, monkeypatch, leftover):
    """What a run wrote before it failed is counted and linked before another run writes; nothing arrives twice."""
    world.erp("DROP TABLE client")
    world.erp("CREATE TABLE client (no INTEGER PRIMARY KEY AUTOINCREMENT, title TEXT NOT NULL, tel TEXT, memo TEXT)")
    world.customers("Ada", "Bea")
    world.rule(fields=RULE["fields"][1:], errors={"transient": {"retry": 0}})
    write = SQLite.write

    def lost(self, *args, **kwargs):
        write(self, *args, **kwargs)
        raise Unavailable(msg("The answer was lost."))

    with monkeypatch.context() as patch:
        patch.setattr(SQLite, "write", lost)
        first = world.run()
    assert (first.state, numbers(first)) == ("failed", {})
    if leftover == "cancelled":
        cancel(world.house, first.id, ADMIN)
    assert numbers(world.run()) == {"read": 2, "unchanged": 2}
    after = world.look(first.id)
    assert (after.state, numbers(after)) == (leftover, {"read": 2, "created": 2})


def test_a_chunk_that_a_stopped_run_had_not_written_is_forgotten(world, monkeypatch):
    """A plan that never reached the target is dropped once another run goes on: it is decided anew on a resume."""
    world.customers("Ada")
    world.rule(errors={"transient": {"retry": 0}})

    def away(self, *args, **kwargs):
        raise Unavailable(msg("erp does not answer."))

    with monkeypatch.context() as patch:
        patch.setattr(SQLite, "write", away)
        first = world.run()
    world.crm("UPDATE customer SET name = 'new'")
    assert numbers(world.run()) == {"read": 1, "created": 1}
    assert numbers(world.look(first.id)) == {}


def test_a_run_is_announced_until_it_is_claimed(world, monkeypatch):
    """The announcement of a run that was left behind may get lost, too."""
    monkeypatch.setattr("webapp.dispatcher.queue", lambda _: None)
    monkeypatch.setattr("webapp.dispatcher.enqueue", lambda *_: None)
    world.rule()
    claim(world.house, world.request(), "dead")
    world.shift += timedelta(seconds=world.house.settings.lease_seconds + 1)
    assert announce_waiting(world.house, None) == 1
    assert announce_waiting(world.house, None) == 0
    world.shift += timedelta(seconds=16)
    assert announce_waiting(world.house, None) == 1


def test_a_replay_leaves_out_what_was_settled_meanwhile(world):
    """A record that a run has repaired since is not overwritten with what was parked."""
    world.customers(None, None, None)
    world.rule()
    world.run()
    for entry in parked(world):
        quarantine.edit(world.house, entry.id, {**entry.values, "name": "parked"}, entry.version, ADMIN)
    run_id = quarantine.replay(world.house, "customers", None, ADMIN)
    first, second, third = sorted(parked(world), key=lambda e: e.id)
    quarantine.discard(world.house, [first.id, third.id], ADMIN)
    world.work(run_id)
    assert numbers(world.look(run_id)) == {"read": 1, "created": 1}
    assert [row[0] for row in world.clients()] == [int(second.left_key)]
    with world.house.db.read() as tx:
        assert quarantine.get(tx, second.id).state == "resolved"
        assert quarantine.get(tx, third.id).state == "discarded"


def test_a_simulation_counts_deletions(world):
    """A simulation gives the same counts as the live run also where records of the target are deleted."""
    world.customers("Ada", "Bea")
    world.rule(left={**RULE["left"], "where": "status != 'draft'"}, situations={"out_of_scope": "delete"})
    world.run()
    world.crm("UPDATE customer SET status = 'draft' WHERE id = 1")
    simulated = world.run("simulate")
    assert len(world.clients()) == 2
    assert simulated.counts == world.run().counts


@pytest.fixture
def texts(world):
    """The world with keys that are texts, and that the source may repeat or leave out."""
    world.crm("DROP TABLE customer")
    world.crm("CREATE TABLE customer (id TEXT, name TEXT, phone TEXT, status TEXT, changed TEXT)")
    world.erp("DROP TABLE client")
    world.erp("CREATE TABLE client (no TEXT PRIMARY KEY, title TEXT NOT NULL, tel TEXT)")
    world.rule()
    return world


def keys(world, *left_keys, name=None):
    world.crm("INSERT INTO customer (id, name) VALUES (?, ?)", *[(key, name) for key in left_keys])


@pytest.mark.parametrize("size", [1, 10])
def test_each_failed_record_has_its_own_entry(texts, size):
    """A key that looks like the place of another record shadows nothing, on the same page or on another."""
    keys(texts, "(record 2)", None, "a", "a", "a (record 4)")
    for _ in range(2):
        run = texts.pages_of(size).run()
        assert (run.state, numbers(run)) == ("succeeded", {"read": 5, "quarantined": 5})
        assert len(parked(texts)) >= (5 if size == 10 else 4)


def test_long_keys_and_odd_characters_are_parked_and_settled(texts):
    """Keys longer than a column and texts with the character NUL stop no run, on any metadata database."""
    long = ["k" * 300 + "1", "k" * 300 + "2", "nul\x00key"]
    keys(texts, *long)
    run = texts.run()
    assert (run.state, numbers(run)) == ("succeeded", {"read": 3, "quarantined": 3})
    assert len({entry.left_key for entry in parked(texts)}) == 3
    texts.crm("UPDATE customer SET name = 'x'")
    assert numbers(texts.run()) == {"read": 3, "created": 3}
    assert parked(texts) == []


def test_a_reason_may_hold_any_character(texts):
    """A repeated key with the character NUL is told in a reason that any metadata database stores."""
    keys(texts, "nul\x00key", "nul\x00key", name="x")
    run = texts.run()
    assert (run.state, numbers(run)) == ("succeeded", {"read": 2, "created": 1, "quarantined": 1})


def test_only_the_token_holder_ends_a_run(world):
    """A run that was cancelled in the moment it was claimed is cancelled by its worker, not under its feet."""
    world.customers("Ada")
    world.rule()
    run_id = world.request()
    claimed = claim(world.house, run_id, "w1")
    cancel(world.house, run_id, ADMIN)
    with world.house.db.begin() as tx:
        Journal(world.house, claimed).guard(tx)
        assert tx.scalar(sa.select(run_table.c.cancel_requested).where(run_table.c.id == run_id))


@pytest.mark.parametrize("how", ["cancelled", "suspended"])
def test_what_a_stopped_run_wrote_is_put_in_place(world, monkeypatch, how):
    """A target that is put in place at the end of a run (a file) is put in place when a person stops it, too."""
    world.customers("Ada", None, "Cid")
    world.rule(errors={"data": "suspend"} if how == "suspended" else {})
    placed, run_id = [], world.pages_of(2).request()
    write = SQLite.write

    def writes(self, *args, **kwargs):
        if how == "cancelled":
            cancel(world.house, run_id, ADMIN)
        return write(self, *args, **kwargs)

    monkeypatch.setattr(SQLite, "write", writes)
    monkeypatch.setattr(SQLite, "finish", lambda _, name: placed.append(name))
    world.work(run_id)
    assert (world.look(run_id).state, placed) == (how, ["client"])


def test_a_correction_keeps_the_lines_of_other_fields():
    """An input of a page holds one line; a text with several that nobody touched stays as it is."""
    record = json.dumps({"a": "one\r\ntwo", "b": 1, "c": None, "d": "x\ny", "e": ""})
    entry = quarantine.Entry(**{**dict.fromkeys(quarantine.Entry.__dataclass_fields__), "record": record})
    form = {"value:a": "onetwo", "value:b": "1", "value:c": "", "value:d": "xz", "value:e": ""}
    assert _corrected(entry, form) == {"a": "one\r\ntwo", "b": 1, "c": None, "d": "xz", "e": ""}


def test_of_many_requests_at_once_one_is_taken(world):
    """However many people and schedules ask at the same moment, a rule has one live run, and one worker has it."""
    world.customers("Ada")
    world.rule()

    def ask(_):
        try:
            return world.request()
        except RunRefused:
            return None

    with ThreadPoolExecutor(8) as pool:
        (run_id,) = [found for found in pool.map(ask, range(8)) if found]
        claims = list(pool.map(lambda n: claim(world.house, run_id, f"w{n}"), range(8)))
    assert len([found for found in claims if found]) == 1


def test_a_run_that_stops_early_tells_its_true_counts(world, monkeypatch):
    """Whoever hears that a run was suspended, and the audit, get the counts of all that it has done by then."""
    told = []
    monkeypatch.setattr(hooks, "ended", [lambda _tx, ended: told.append(ended.counts)])
    world.pages_of(1).customers("Ada", None)
    world.rule(errors={"data": "suspend"})
    run = world.run()
    assert run.state == "suspended"
    assert told == [run.counts]
    assert run.counts["created"] == run.counts["quarantined"] == 1
