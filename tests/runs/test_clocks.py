"""The clock of a machine may be set forward or back, while runs are held and schedules wait: nothing stops for long,
nothing happens twice, and what is written is the same."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

import pytest

from tests.runs.conftest import World, numbers
from tests.runs.test_crash import Killed, dies
from webapp import dispatcher
from webapp.runs.claims import claim
from webapp.runs.pipeline.journal import Journal
from webapp.runs.schedules import fire_due

JUMPS = [timedelta(days=400), timedelta(hours=1), timedelta(seconds=70), -timedelta(hours=1), -timedelta(days=400)]
TURNED = [jump for jump in JUMPS if jump < timedelta()]


@pytest.fixture
def keyless(world: World) -> World:
    """Return a world whose target has no unique key, so that a doubled record shows."""
    world.erp("DROP TABLE client")
    world.erp("CREATE TABLE client (no INTEGER, title TEXT NOT NULL, tel TEXT, memo TEXT)")
    world.customers("Ada", "Bea", "Cid", "Dan")
    return world.pages_of(1)


@pytest.mark.parametrize("jump", JUMPS, ids=str)
@pytest.mark.parametrize("direction", ["left_to_right", "two_way"])
def test_the_clock_moves_while_a_run_works(
    keyless: World, monkeypatch: pytest.MonkeyPatch, direction: str, jump: timedelta
):
    """A run goes on over a jump of the clock; should another worker take it up meanwhile, each record comes once."""
    world, check_in = keyless, Journal.check_in
    world.rule(direction=direction)
    run_id = world.request()

    def jumps(self, chunk, links):
        check_in(self, chunk, links)
        if chunk.no == 2 and self.claim.worker == "w1":
            world.shift += jump
            world.work(run_id, "w2")

    monkeypatch.setattr(Journal, "check_in", jumps)
    world.work(run_id, "w1")
    run = world.look(run_id)
    assert (run.state, run.counts["created"]) == ("succeeded", 4)
    assert [row[1] for row in world.clients()] == ["Ada", "Bea", "Cid", "Dan"]
    assert not {"created", "updated", "deleted"} & set(numbers(world.run()))


@pytest.mark.parametrize("jump", JUMPS, ids=str)
def test_a_run_of_a_dead_worker_is_taken_up_whatever_the_clock_says(
    keyless: World, monkeypatch: pytest.MonkeyPatch, jump: timedelta
):
    """A worker dies, the clock is set: within two leases the run is announced and goes on."""
    world, announced = keyless, []
    monkeypatch.setattr(dispatcher, "queue", lambda _: None)
    monkeypatch.setattr(dispatcher, "enqueue", lambda _, run_id: announced.append(run_id))
    world.rule()
    run_id = world.request()
    dispatcher.announce_waiting(world.house, None)
    with monkeypatch.context() as patch:
        dies(patch, Journal, "check_in", 2, before=True)
        with pytest.raises(Killed):
            world.work(run_id)
    world.shift += jump
    announced.clear()
    for _ in range(2):
        dispatcher.announce_waiting(world.house, None)
        world.shift += timedelta(seconds=world.house.settings.lease_seconds)
    dispatcher.announce_waiting(world.house, None)
    assert announced
    assert world.work(run_id, "w2")
    assert (world.look(run_id).state, numbers(world.look(run_id))) == ("succeeded", {"read": 4, "created": 4})
    assert len(world.clients()) == 4


def test_a_lease_holds_while_the_clock_is_right(keyless: World):
    """A run that somebody works on is left to him, from the first moment of his lease to the last."""
    keyless.rule()
    run_id = keyless.request()
    assert claim(keyless.house, run_id, "w1") is not None
    assert claim(keyless.house, run_id, "w2") is None
    keyless.shift += timedelta(seconds=keyless.house.settings.lease_seconds - 1)
    assert claim(keyless.house, run_id, "w2") is None


@pytest.mark.parametrize("jump", TURNED, ids=str)
def test_a_waiting_run_is_announced_again_after_the_clock_was_set_back(
    keyless: World, monkeypatch: pytest.MonkeyPatch, jump: timedelta
):
    """The announcement of a run that waits gets lost, and the clock is set back: it is announced again soon."""
    announced: list[int] = []
    monkeypatch.setattr(dispatcher, "queue", lambda _: None)
    monkeypatch.setattr(dispatcher, "enqueue", lambda _, run_id: announced.append(run_id))
    keyless.rule()
    run_id = keyless.request()
    dispatcher.announce_waiting(keyless.house, None)
    keyless.shift += jump
    for _ in range(2):
        keyless.shift += dispatcher.AGAIN
        dispatcher.announce_waiting(keyless.house, None)
    assert len(announced) >= 2
    assert set(announced) == {run_id}


@pytest.fixture
def hourly(keyless: World) -> Iterator[World]:
    """Return a world whose rule runs at every full hour, ten minutes past one of them."""
    keyless.shift = datetime(2030, 1, 1, 12, 10, tzinfo=UTC) - datetime.now(UTC)
    keyless.rule(schedule={"cron": "0 * * * *"})
    assert fire_due(keyless.house) == []
    return keyless


def fired(world: World) -> int:
    """Fire what is due, carry it out, and return how many runs that were."""
    runs = fire_due(world.house)
    for run_id in runs:
        assert world.work(run_id)
    return len(runs)


def test_a_schedule_goes_on_after_the_clock_was_wrong_for_a_while(hourly: World):
    """The clock shows a year that is far away, then the right one again: the next full hour fires all the same."""
    hourly.shift += timedelta(days=3650)
    assert fired(hourly) == 1
    hourly.shift -= timedelta(days=3650)
    assert fired(hourly) == 0
    hourly.shift += timedelta(hours=1)
    assert fired(hourly) == 1
    assert fired(hourly) == 0


def test_a_slot_that_has_fired_does_not_fire_again_after_the_clock_was_set_back(hourly: World):
    """One o'clock has come; the clock is set back before it, and it comes a second time: that is the same slot."""
    hourly.shift += timedelta(hours=1)
    assert fired(hourly) == 1
    hourly.shift -= timedelta(minutes=30)
    assert fired(hourly) == 0
    hourly.shift += timedelta(minutes=30)
    assert fired(hourly) == 0
    hourly.shift += timedelta(hours=1)
    assert fired(hourly) == 1
