"""`transaction: saga`: a record goes through all its steps, or is taken back from all that it had come to."""

from __future__ import annotations

from typing import Any

import pytest

from connectors.builtin.sqlite import SQLite
from connectors.errors import Unavailable
from rules.text import msg
from tests.runs.conftest import ADMIN, numbers
from tests.runs.sagas.conftest import Office
from webapp.runs.requests import resume
from webapp.runs.sagas import deeds, ledger, reading
from webapp.runs.sagas.states import State

NO = "CREATE TRIGGER no BEFORE INSERT ON line WHEN new.code = 'L2' BEGIN SELECT RAISE(ABORT, 'no'); END"


def test_each_record_goes_through_all_steps(office: Office):
    """Created in all systems with the keys of the steps before; once more there is nothing to do."""
    office.world.customers("Ada", "Bea")
    run = office.world.run()
    assert (run.state, numbers(run)) == ("succeeded", {"read": 2, "created": 2}), str(run.message)
    assert office.state() == {
        "clients": [(1, "Ada"), (2, "Bea")],
        "accounts": [("C1", "Ada", 1), ("C2", "Bea", 2)],
        "lines": [("L1", 1, None), ("L2", 1, None)],
    }
    assert numbers(office.world.run()) == {"read": 2, "unchanged": 2}


def test_a_refused_record_is_taken_back_everywhere(office: Office):
    """What the last step refuses is gone from the systems before, and waits in the quarantine with the reason."""
    office.sql("book", NO)
    office.world.customers("Ada", "Bea", "Cid")
    run = office.world.run()
    assert (run.state, numbers(run)) == ("succeeded", {"read": 3, "created": 2, "quarantined": 1}), str(run.message)
    assert office.state() == {
        "clients": [(1, "Ada"), (3, "Cid")],
        "accounts": [("C1", "Ada", 1), ("C3", "Cid", 3)],
        "lines": [("L1", 1, None), ("L3", 1, None)],
    }
    (parked,) = [shown for shown in office.world.records(run.id) if shown.row.outcome == "quarantined"]
    assert "The step 'line' in book › line was refused: The database refuses the record: no." in str(parked.reason)
    office.sql("book", "DROP TRIGGER no")
    assert numbers(office.world.run()) == {"read": 3, "created": 1, "unchanged": 2}
    assert office.state()["lines"][1] == ("L2", 1, None)


def test_what_was_updated_gets_its_values_back(office: Office):
    """Of a record that was there before, all steps before the refused one have their old values afterwards."""
    office.world.customers("Ada", "Bea")
    office.world.run()
    before = office.state()
    office.sql("book", "UPDATE line SET account = 99")  # so that there is something to do
    office.sql("book", NO.replace("INSERT", "UPDATE"))
    office.world.crm("UPDATE customer SET name = name || '!'")
    run = office.world.run()
    assert (run.state, numbers(run)) == ("succeeded", {"read": 2, "updated": 1, "quarantined": 1}), str(run.message)
    after = office.state()
    assert (after["clients"], after["accounts"]) == (
        [(1, "Ada!"), before["clients"][1]],
        [("C1", "Ada!", 1), before["accounts"][1]],
    )
    office.sql("book", "DROP TRIGGER no")
    assert numbers(office.world.run()) == {"read": 2, "unchanged": 1, "updated": 1}


def test_a_step_that_cannot_be_taken_back_waits_for_a_person(office: Office):
    """The record is written by nobody meanwhile; tried again it comes back everywhere, and the record passes."""
    office.sql("book", NO)
    office.sql("billing", "CREATE TRIGGER held BEFORE DELETE ON account BEGIN SELECT RAISE(ABORT, 'held'); END")
    office.world.customers("Ada", "Bea")
    run = office.world.run()
    assert (run.state, numbers(run)) == ("succeeded", {"read": 2, "created": 1, "quarantined": 1}), str(run.message)
    (stuck,) = reading.listing(office.world.house)
    assert (stuck.state, stuck.record_key, stuck.stuck.name) == (State.STUCK, "2", "account")
    assert "held" in str(stuck.stuck.problem)
    office.sql("book", "DROP TRIGGER no")
    assert numbers(office.world.run()) == {"read": 2, "unchanged": 1, "quarantined": 1}
    deeds.again(office.world.house, stuck.id, ADMIN)
    assert [one.state for one in reading.listing(office.world.house)] == [State.STUCK]
    office.sql("billing", "DROP TRIGGER held")
    deeds.again(office.world.house, stuck.id, ADMIN)
    assert reading.listing(office.world.house) == []
    assert office.state()["clients"] == [(1, "Ada")]
    assert numbers(office.world.run()) == {"read": 2, "unchanged": 1, "created": 1}


def test_a_step_that_somebody_has_changed_since_stays(office: Office):
    """Nothing is taken from people: what they have changed in between waits, and is taken for done or given up."""
    office.sql("book", "CREATE TRIGGER no BEFORE INSERT ON line BEGIN SELECT RAISE(ABORT, 'no'); END")
    office.sql(
        "billing",
        "CREATE TRIGGER edited AFTER INSERT ON account BEGIN UPDATE account SET owner = 'Zoe' WHERE id = new.id; END",
    )
    office.world.customers("Ada", "Bea")
    assert numbers(office.world.run()) == {"read": 2, "quarantined": 2}
    first, second = reading.listing(office.world.house)
    assert "owner" in str(first.stuck.problem)
    with pytest.raises(deeds.NotDone):
        deeds.take_for_done(office.world.house, first.id, " ", ADMIN)
    deeds.take_for_done(office.world.house, first.id, "put in order by hand", ADMIN)
    deeds.give_up(office.world.house, second.id, "they shall have it", ADMIN)
    assert reading.listing(office.world.house) == []
    assert office.state()["clients"] == [(2, "Bea")], "steps before one that was taken for done are taken back"


def _away(lookup: Any, thing: str) -> Any:
    """Return look-ups that fail for one object."""

    def asked(self: Any, name: str, *rest: Any) -> Any:
        if name == thing:
            raise Unavailable(msg("{name} is away", name=name))
        return lookup(self, name, *rest)

    return asked


def test_a_system_that_is_away_stops_the_run(office: Office, monkeypatch: pytest.MonkeyPatch):
    """What was done for the records at hand is taken back, and the run stops before it does so for all others."""
    world = office.world.pages_of(2)
    world.customers("Ada", "Bea", "Cid", "Dan")
    run_id = world.request()
    with monkeypatch.context() as patch:
        patch.setattr(SQLite, "lookup", _away(SQLite.lookup, "line"))
        world.work(run_id)
    run = world.look(run_id)
    assert (run.state, numbers(run)) == ("failed", {"read": 2, "quarantined": 2})
    assert "line is away" in str(run.message)
    assert office.state() == {"clients": [], "accounts": [], "lines": []}
    resume(world.house, run_id, ADMIN)
    assert world.work(run_id)
    assert world.look(run_id).state == "succeeded"
    assert numbers(world.run()) == {"read": 4, "unchanged": 2, "created": 2}


def _breaks_at(number: int) -> Any:
    """Return a way to confirm that breaks when it is called for the n-th time."""
    confirm, calls = ledger.confirm, iter(range(1, 100))

    def breaks(*args: Any) -> None:
        if next(calls) == number:
            raise RuntimeError
        confirm(*args)

    return breaks


def test_what_a_stopped_run_has_begun_is_taken_back_first(office: Office, monkeypatch: pytest.MonkeyPatch):
    """A run that nobody resumes leaves nothing half-done behind the next run, also where the rule has no steps now."""
    world = office.world
    world.customers("Ada", "Bea")
    run_id = world.request()
    with monkeypatch.context() as patch:
        patch.setattr(ledger, "confirm", _breaks_at(2))
        world.work(run_id)
    assert world.look(run_id).state == "failed"
    assert len(office.state()["accounts"]) == 2
    world.rule()
    run = world.run()
    assert (run.state, numbers(run)) == ("succeeded", {"read": 2, "created": 2}), str(run.message)
    assert office.state()["accounts"] == []


def test_a_person_takes_back_what_a_stopped_run_has_begun(office: Office, monkeypatch: pytest.MonkeyPatch):
    """While its run is at work nobody can; once it has stopped, each record comes back, and its run parks it."""
    world = office.world
    world.customers("Ada")
    run_id = world.request()
    with monkeypatch.context() as patch:
        patch.setattr(ledger, "confirm", _breaks_at(2))
        world.work(run_id)
    (one,) = reading.listing(world.house)
    assert (one.state, one.active) == (State.WORKING, False)
    resume(world.house, run_id, ADMIN)
    with pytest.raises(deeds.NotDone, match="at work"):
        deeds.again(world.house, one.id, ADMIN)
    with monkeypatch.context() as patch:
        patch.setattr(ledger, "of_chunk", _breaks_at(1))
        world.work(run_id)
    assert deeds.again(world.house, one.id, ADMIN)
    assert office.state() == {"clients": [], "accounts": [], "lines": []}
    resume(world.house, run_id, ADMIN)
    assert world.work(run_id)
    assert numbers(world.look(run_id)) == {"read": 1, "quarantined": 1}
    assert numbers(world.run()) == {"read": 1, "created": 1}
