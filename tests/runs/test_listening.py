"""Runs that changes start: heard from a real PostgreSQL, carried out by a worker of this process."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from datetime import timedelta
from typing import Any

import pytest
import sqlalchemy as sa

from connectors.builtin.postgresql import PostgreSQL
from connectors.errors import Unavailable
from rules.text import Message
from tests.connectors.databases import rows
from tests.runs.conftest import ADMIN, World, numbers
from tests.runs.test_capture import CDC, Shop, shop
from webapp.runs import listening, log_keeping, requests
from webapp.runs.listening import Listening
from webapp.runs.models import run as run_table
from webapp.runs.pipeline import staying
from webapp.runs.pipeline.staying import CHANGES

__all__ = ["shop"]


class Ears:
    """Somebody who listens, and a worker who does what was asked for."""

    def __init__(self, world: World) -> None:
        self.world = world
        self.over = threading.Event()
        self.listening = Listening(world.house, lambda: None)
        self.worker = threading.Thread(target=self._work)
        self.worker.start()

    def _work(self) -> None:
        while not self.over.wait(0.02):
            for number in self.runs("queued"):
                self.world.work(number)

    def runs(self, *states: str) -> list[int]:
        query = sa.select(run_table.c.id).where(run_table.c.requested_by == CHANGES.name)
        with self.world.house.db.read() as tx:
            return list(tx.scalars(query.where(run_table.c.state.in_(states) if states else sa.true())))

    def close(self) -> None:
        self.listening.close()
        self.over.set()
        self.worker.join()


@pytest.fixture
def ears(shop: Shop, monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[[], Ears]]:
    monkeypatch.setattr(listening, "PAUSE", 0.2)
    monkeypatch.setattr(listening, "HELD", 0.2)
    monkeypatch.setattr(listening, "AGAIN", 0.3)
    monkeypatch.setattr(staying, "LINGER", 0.4)
    made: list[Ears] = []

    def listen() -> Ears:
        made.append(Ears(shop.world))
        made[-1].listening.refresh()
        return made[-1]

    yield listen
    for one in made:
        one.close()


def soon(holds: Callable[[], bool], what: str, seconds: float = 15.0) -> None:
    end = time.monotonic() + seconds
    while not holds():
        assert time.monotonic() < end, what
        time.sleep(0.02)


def test_a_change_starts_a_run(shop: Shop, ears: Callable[[], Ears]) -> None:
    """What is committed is carried over without anybody asking; what comes meanwhile is part of the same run."""
    shop.follow()
    shop.do("INSERT INTO customer (id, name) SELECT g, 'n' || g FROM generate_series(1, 5) g")
    shop.world.run()
    one = ears()
    time.sleep(0.5)
    assert one.runs() == [], "the log was read to its end"
    shop.do("UPDATE customer SET name = 'two' WHERE id = 2")
    soon(lambda: (2, "two") in shop.targets(), "the first change")
    shop.do("DELETE FROM customer WHERE id = 3", "INSERT INTO customer (id, name) VALUES (6, 'six')")
    soon(lambda: (6, "six") in shop.targets(), "the second change")
    shop.do("UPDATE customer SET name = 'again' WHERE id = 2")
    soon(lambda: len(one.runs("succeeded")) == 1, "the end of the run")
    assert shop.targets() == [(1, "n1"), (2, "again"), (4, "n4"), (5, "n5"), (6, "six")]
    done = shop.world.look(one.runs()[0])
    assert numbers(done) == {"read": 3, "created": 1, "updated": 2, "deleted": 1}
    time.sleep(0.5)
    assert len(one.runs()) == 1, "nothing is left to be done"
    assert shop.world.run().counts["read"] == 0


def test_what_came_while_nobody_listened(shop: Shop, ears: Callable[[], Ears]) -> None:
    """Who begins to listen finds what was changed before; a rule that never ran, or has a schedule, waits."""
    shop.follow()
    shop.do("INSERT INTO customer (id, name) VALUES (1, 'one')")
    nobody = ears()
    time.sleep(0.3)
    assert nobody.runs() == []
    nobody.close()
    shop.world.run()
    shop.do("UPDATE customer SET name = 'uno'")
    one = ears()
    soon(lambda: shop.targets() == [(1, "uno")], "what came before")
    soon(lambda: len(one.runs("succeeded")) == 1, "the end of the run")
    shop.follow(schedule={"cron": "0 0 1 1 *"})
    one.listening.refresh()
    shop.do("UPDATE customer SET name = 'eins'")
    time.sleep(0.5)
    assert shop.targets() == [(1, "uno")]


def test_a_rule_that_stopped_is_left_alone(shop: Shop, ears: Callable[[], Ears]) -> None:
    """A rule whose run waits for a person, or has just failed, is not started again by each change."""
    shop.follow()
    shop.do("INSERT INTO customer (id, name) VALUES (1, 'one')")
    shop.world.run()
    paused = shop.world.request()
    requests.pause(shop.world.house, paused, ADMIN)
    one = ears()
    shop.do("UPDATE customer SET name = 'uno'")
    time.sleep(0.6)
    assert one.runs() == []
    with shop.world.house.db.begin() as tx:
        tx.execute(sa.update(run_table).where(run_table.c.id == paused).values(state="failed", pause_by=None))
    time.sleep(0.6)
    assert one.runs() == []
    shop.world.shift += timedelta(seconds=61)
    soon(lambda: shop.targets() == [(1, "uno")], "a minute after it failed")


def test_a_system_that_cannot_be_listened_to(
    shop: Shop, ears: Callable[[], Ears], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where listening fails, the log is looked into from time to time; also one that cannot be looked into at first."""
    shop.follow()
    shop.do("INSERT INTO customer (id, name) VALUES (1, 'one')")
    shop.world.run()

    def away(*_: Any) -> Any:
        raise Unavailable(Message("It is away."))

    pending = log_keeping.open_connector
    monkeypatch.setattr(PostgreSQL, "changed", away)
    monkeypatch.setattr(listening, "open_connector", away)
    one = ears()
    shop.do("UPDATE customer SET name = 'uno'")
    time.sleep(0.5)
    assert one.runs() == []
    monkeypatch.setattr(listening, "open_connector", pending)
    soon(lambda: shop.targets() == [(1, "uno")], "what the log tells")


def test_rules_that_flow_both_ways(shop: Shop, ears: Callable[[], Ears]) -> None:
    """A rule that reads its other side as a whole is not started by changes; one that follows both logs is."""
    shop.do("CREATE TABLE client (no integer PRIMARY KEY, title text)", "INSERT INTO customer VALUES (1, 'one')")
    both = {"right": {"connection": "shop2", "object": "client"}, "detect": {"left": CDC, "right": CDC}}
    shop.both_ways(**both)
    shop.world.run()
    assert set(listening.followed(shop.world.house)) == {"shop", "shop2"}
    one = ears()
    shop.do("UPDATE client SET title = 'right' WHERE no = 1")
    soon(lambda: rows(shop.url, "SELECT name FROM customer") == [("right",)], "the change of the right side")
    soon(lambda: one.runs("queued", "running") == [], "the end of the run")
    shop.both_ways(**{**both, "detect": {"left": CDC}})
    assert listening.followed(shop.world.house) == {}
