"""Several dispatchers at once, on one database: each slot of a schedule fires once, each run is worked on once."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from datetime import timedelta
from threading import Barrier
from typing import Any

import pytest

from tests.runs.conftest import World, numbers
from webapp import dispatcher
from webapp.extensions import House, open_house
from webapp.runs.models import run, schedule_slot
from webapp.runs.schedules import fire_due

AT_ONCE = 4


@pytest.fixture
def houses(world: World) -> Iterator[list[House]]:
    """Return houses of several processes: connections of their own to one database, and one clock."""
    with ExitStack() as stack:
        made = [open_house(world.house.settings, world.now) for _ in range(AT_ONCE)]
        for house in made:
            stack.callback(house.db.engine.dispose)
        yield made


def together(houses: list[House], work: Callable[[House], Any]) -> list[Any]:
    """Return what each house's work returns, begun in the same moment."""
    barrier = Barrier(len(houses))

    def begin(house: House) -> Any:
        barrier.wait(30)
        return work(house)

    with ThreadPoolExecutor(len(houses)) as pool:
        return list(pool.map(begin, houses))


def test_each_slot_fires_once(world: World, houses: list[House]):
    """However many dispatchers look at the same moment, a slot makes one run."""
    world.customers("Ada")
    world.rule(schedule={"cron": "*/5 * * * *"})
    assert together(houses, fire_due) == [[]] * AT_ONCE
    for _ in range(4):
        world.shift += timedelta(minutes=5)
        (run_id,) = [one for fired in together(houses, fire_due) for one in fired]
        assert world.work(run_id)
    with world.house.db.read() as tx:
        fired = tx.execute(schedule_slot.select().where(schedule_slot.c.run_id.is_not(None))).all()
        assert len(fired) == len(tx.execute(run.select()).all()) == 4


def test_each_run_is_worked_on_once(world: World, houses: list[House], monkeypatch: pytest.MonkeyPatch):
    """All dispatchers may announce the same run; of all workers that are told of it one carries it out."""
    told: list[int] = []
    monkeypatch.setattr(dispatcher, "queue", lambda _: None)
    monkeypatch.setattr(dispatcher, "enqueue", lambda _, run_id: told.append(run_id))
    world.erp("DROP TABLE client")
    world.erp("CREATE TABLE client (no INTEGER, title TEXT, tel TEXT)")
    world.customers("Ada", "Bea", "Cid")
    world.rule()
    run_id = world.request()
    together(houses, lambda house: dispatcher.announce_waiting(house, None))
    assert set(told) == {run_id}
    names = iter(range(AT_ONCE))
    done = together(houses, lambda house: world.work(run_id, f"w{next(names)}", house))
    assert done.count(True) == 1
    assert numbers(world.look(run_id)) == {"read": 3, "created": 3}
    assert len(world.clients()) == 3
