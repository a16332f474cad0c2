"""Whoever is left with a record between its steps gets out: of a system that is gone for good, of a deleted rule."""

from __future__ import annotations

from typing import Any

import pytest

from connectors.builtin.sqlite import SQLite
from tests.runs.conftest import ADMIN, numbers
from tests.runs.sagas.conftest import SAGA, Office
from tests.runs.sagas.test_sagas import NO, _away
from tests.runs.sagas.test_sagas_in_doubt import _stopped
from webapp.rulebook import services as rulebook
from webapp.runs.sagas import deeds, reading
from webapp.runs.sagas.states import State


def test_a_record_in_a_system_that_is_gone_for_good_can_be_given_up(office: Office, monkeypatch: pytest.MonkeyPatch):
    """Its run stopped behind what was sent there: taking it back names what is in the way, and it can be ended."""
    world = office.world
    world.customers("Ada")
    _stopped(office, monkeypatch, 2)
    (one,) = reading.listing(world.house)
    monkeypatch.setattr(SQLite, "lookup", _away(SQLite.lookup, "account"))
    assert not deeds.again(world.house, one.id, ADMIN)
    (one,) = reading.listing(world.house)
    assert (one.state, one.stuck.name) == (State.STUCK, "account")
    assert "account is away" in str(one.stuck.problem)
    assert not deeds.again(world.house, one.id, ADMIN)
    deeds.take_for_done(world.house, one.id, "the system is gone", ADMIN)
    assert reading.listing(world.house) == []
    assert world.clients() == []


def test_a_record_of_a_deleted_rule_whose_key_nobody_knows_can_be_given_up(
    office: Office, monkeypatch: pytest.MonkeyPatch
):
    """Neither its run nor its rule can find out whether it has arrived, so a person may."""
    world = office.world
    world.rule(**SAGA, fields=[{"left": "name", "right": "title"}, {"left": "phone", "right": "tel"}])
    world.customers("Ada")
    _stopped(office, monkeypatch, 1)
    (one,) = reading.listing(world.house)
    with pytest.raises(deeds.NotDone, match="key"):
        deeds.again(world.house, one.id, ADMIN)
    rulebook.delete(world.house, "customers", ADMIN)
    assert not deeds.again(world.house, one.id, ADMIN)
    (one,) = reading.listing(world.house)
    assert (one.state, "key" in str(one.stuck.problem)) == (State.STUCK, True)
    deeds.give_up(world.house, one.id, "looked after by hand", ADMIN)
    assert reading.listing(world.house) == []


def test_nothing_is_decided_about_a_step_that_is_stuck_for_another_reason_by_now(office: Office):
    """Who was shown that it is held does not decide about a record that somebody has changed since."""
    office.sql("book", NO)
    office.sql("billing", "CREATE TRIGGER held BEFORE DELETE ON account BEGIN SELECT RAISE(ABORT, 'held'); END")
    world = office.world
    world.customers("Ada", "Bea")
    assert numbers(world.run())["quarantined"] == 1
    (shown,) = reading.listing(world.house)
    office.sql("billing", "UPDATE account SET owner = 'Zoe'")
    assert not deeds.again(world.house, shown.id, ADMIN)
    with pytest.raises(deeds.NotDone, match="gone on"):
        deeds.take_for_done(world.house, shown.id, "it is only held", ADMIN, shown.mark)
    (shown,) = reading.listing(world.house)
    deeds.take_for_done(world.house, shown.id, "Zoe shall have it", ADMIN, shown.mark)


def test_what_never_arrived_is_no_record_that_is_gone(office: Office, monkeypatch: pytest.MonkeyPatch):
    """Its system was away when it was to be taken back, and is there again: nothing was left there."""
    world = office.world
    world.customers("Ada")
    with monkeypatch.context() as patch:
        patch.setattr(SQLite, "write", _breaks(SQLite.write, "line"))
        run_id = world.request()
        world.work(run_id)
    assert world.look(run_id).state == "failed"
    (one,) = reading.listing(world.house)
    with monkeypatch.context() as patch:
        patch.setattr(SQLite, "lookup", _away(SQLite.lookup, "line"))
        assert not deeds.again(world.house, one.id, ADMIN)
    (one,) = reading.listing(world.house)
    assert one.stuck.name == "line"
    assert deeds.again(world.house, one.id, ADMIN)
    assert office.state() == {"clients": [], "accounts": [], "lines": []}


def _breaks(write: Any, thing: str) -> Any:
    """Return writes that a worker does not survive, of one object."""

    def written(self: Any, name: str, *rest: Any) -> Any:
        if name == thing:
            raise RuntimeError
        return write(self, name, *rest)

    return written
