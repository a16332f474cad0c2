"""Where it cannot be known which record a saga has made, nobody's record is taken, and a person is asked."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from connectors.builtin.sqlite import SQLite
from rules.text import msg
from tests.runs.conftest import ADMIN, numbers
from tests.runs.sagas.conftest import SAGA, Office
from tests.runs.test_crash import Killed, dies
from webapp.runs.requests import resume
from webapp.runs.sagas import deeds, leaving, ledger, reading
from webapp.runs.sagas.states import State

TWIN = "INSERT INTO account (reference, owner, client) VALUES ('C1', 'Ada', 1)"
EDITED = "CREATE TRIGGER edited BEFORE UPDATE ON account BEGIN SELECT RAISE(ABORT, 'no'); END"


def _killed(office: Office, monkeypatch: pytest.MonkeyPatch, name: str, at: int, *, before: bool = True) -> int:
    """Let the worker of a run die at a note of the ledger, and return the run."""
    run_id = office.world.request()
    with monkeypatch.context() as patch:
        dies(patch, ledger, name, at, before)
        with pytest.raises(Killed):
            office.world.work(run_id)
    return run_id


def _taken_up(office: Office, run_id: int) -> None:
    office.world.shift += timedelta(seconds=office.world.house.settings.lease_seconds + 1)
    assert office.world.work(run_id, "w2")


def test_a_worker_that_dies_behind_a_refusal_leaves_the_step_to_be_looked_up(
    office: Office, monkeypatch: pytest.MonkeyPatch
):
    """The refusal is noted, the answer is not: what the step has made is found all the same."""
    world = office.world
    world.customers("Ada")
    run_id = _killed(office, monkeypatch, "confirm", 2)
    office.sql("billing", "UPDATE account SET owner = 'Zoe'")
    office.sql("billing", EDITED)
    world.shift += timedelta(seconds=world.house.settings.lease_seconds + 1)
    with monkeypatch.context() as patch:
        dies(patch, ledger, "confirm", 1, before=True)
        with pytest.raises(Killed):
            world.work(run_id, "w2")
    _taken_up(office, run_id)
    (one,) = reading.listing(world.house)
    assert (one.state, one.stuck.name) == (State.STUCK, "account")


def _stopped(office: Office, monkeypatch: pytest.MonkeyPatch, at: int) -> int:
    """Let a run stop for good at the `at`-th answer that is noted, and return it."""
    confirm, calls = ledger.confirm, iter(range(1, 100))

    def breaks(*args: Any) -> None:
        if next(calls) == at:
            raise RuntimeError
        confirm(*args)

    run_id = office.world.request()
    with monkeypatch.context() as patch:
        patch.setattr(ledger, "confirm", breaks)
        office.world.work(run_id)
    assert office.world.look(run_id).state == "failed"
    return run_id


@pytest.mark.parametrize("end", ["resumed", "taken back"])
def test_of_two_records_that_are_found_none_is_taken_back(office: Office, monkeypatch: pytest.MonkeyPatch, end: str):
    """A run stops behind its write, and somebody makes another record with the same value: both stay."""
    world = office.world
    world.customers("Ada")
    run_id = _stopped(office, monkeypatch, 2)
    office.sql("billing", TWIN)
    (one,) = reading.listing(world.house)
    if end == "resumed":
        resume(world.house, run_id, ADMIN)
        world.work(run_id)
    else:
        assert not deeds.again(world.house, one.id, ADMIN)
    (one,) = reading.listing(world.house)
    assert (one.state, one.stuck.name) == (State.STUCK, "account")
    assert "2 records are found" in str(one.stuck.problem)
    assert len(office.state()["accounts"]) == 2, "one of the two is somebody else's"


def test_a_record_whose_key_nobody_knows_is_not_taken_for_gone(office: Office, monkeypatch: pytest.MonkeyPatch):
    """A backup of the moment between write and answer is put back: the record that has arrived waits for a person."""
    world = office.world
    fields = [{"left": "name", "right": "title"}, {"left": "phone", "right": "tel"}]
    world.rule(**SAGA, fields=fields)
    world.customers("Ada")
    _stopped(office, monkeypatch, 1)
    assert len(world.clients()) == 1
    with world.house.db.begin() as tx:
        assert leaving.leave(tx, world.house.clock(), msg("A backup was put back.")) == 1
    (one,) = reading.listing(world.house)
    assert not deeds.again(world.house, one.id, ADMIN)
    (one,) = reading.listing(world.house)
    assert "key" in str(one.stuck.problem)
    assert len(world.clients()) == 1


def test_the_key_of_another_record_is_never_taken_for_ours(office: Office, monkeypatch: pytest.MonkeyPatch):
    """A system tells no keys, and shows two records for what was written: what comes back is neither of them."""
    world = office.world
    world.customers("Ada")
    office.sql("billing", f"CREATE TRIGGER twin AFTER INSERT ON account BEGIN {TWIN}; END")
    office.sql("book", "CREATE TRIGGER no BEFORE INSERT ON line BEGIN SELECT RAISE(ABORT, 'no'); END")
    write = SQLite.write
    monkeypatch.setattr(SQLite, "write", lambda *given: replace(write(*given), keys=()))
    assert numbers(world.run()) == {"read": 1, "quarantined": 1}
    (one,) = reading.listing(world.house)
    assert "2 records are found" in str(one.stuck.problem)
    assert len(office.state()["accounts"]) == 2
