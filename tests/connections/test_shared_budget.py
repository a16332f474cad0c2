"""All workers of an installation keep one budget for a connection, counted by a real Valkey."""

from __future__ import annotations

import logging
import multiprocessing
import time
from collections.abc import Iterator
from typing import Any

import pytest

from connectors.budgets import PATIENCE
from connectors.errors import RateLimited
from tests.servers import Server, valkey
from webapp.connections import shared_budget
from webapp.connections.shared_budget import SharedBudget
from webapp.wake import connect


@pytest.fixture(scope="module")
def server() -> Iterator[Server]:
    with valkey() as running:
        yield running


@pytest.fixture
def url(server: Server) -> str:
    found = f"unix://{server.socket}"
    connect(found).flushall()
    return found


@pytest.fixture
def eager(monkeypatch: pytest.MonkeyPatch) -> None:
    """Ask anew each time."""
    monkeypatch.setattr(shared_budget, "_FRESH", 0.0)


def _called(url: str, times: Any) -> None:
    budget = SharedBudget(url, "crm")
    for _ in range(20):
        time.sleep(budget.turn(50))
        times.put(time.monotonic())


def test_two_processes_keep_one_rate(url: str) -> None:
    """Two processes that call as fast as they may make no more calls than one would."""
    here = multiprocessing.get_context("fork")
    times: Any = here.Queue()
    both = [here.Process(target=_called, args=(url, times)) for _ in range(2)]
    for process in both:
        process.start()
    found = sorted(times.get(timeout=20) for _ in range(40))
    for process in both:
        process.join()
    assert found[-1] - found[0] > 38 / 50
    assert all(found[i + 10] - found[i] > 7 / 50 for i in range(30))


def test_one_is_told_and_all_wait(url: str, eager: None) -> None:
    """What one worker is asked to wait, all workers of the connection wait, and nobody else; too long is an error."""
    told, other, elsewhere = SharedBudget(url, "crm"), SharedBudget(url, "crm"), SharedBudget(url, "erp")
    assert (told.turn(0), other.turn(0), other.turn(5)) == (0, 0, 0)
    told.asked_to_wait(3)
    assert 2 < other.turn(0) <= 3
    assert 2 < other.turn(5) <= 3
    told.asked_to_wait(1)
    assert 2 < told.turn(0) <= 3
    told.asked_to_wait(900)
    for budget in (told, other):
        with pytest.raises(RateLimited, match="crm") as caught:
            budget.turn(5)
        assert PATIENCE < caught.value.after <= 900
    assert elsewhere.turn(0) == 0


def test_a_clock_that_is_set_back(url: str) -> None:
    """Nobody waits for a clock to come back to where it was."""
    budget = SharedBudget(url, "crm")
    budget.turn(1)
    key = "syncline:budget:{crm}:pace"
    hour = 3_600_000_000
    kept = connect(url).hgetall(key)
    connect(url).hset(key, mapping={"seen": int(kept["seen"]) + hour, "next": int(kept["next"]) + hour})
    assert 0.8 < budget.turn(1) <= 1
    assert 1.8 < budget.turn(1) <= 2


def test_calls_at_a_time_are_dealt_out(url: str, eager: None) -> None:
    """All together have no more than they may, each has its part, and what one does not need others take."""
    one, two, three = (SharedBudget(url, "crm") for _ in range(3))
    assert one.room(5, 5) == 5
    assert two.room(5, 0) == 0
    first = one.room(5, 5)
    assert first in (2, 3)
    assert two.room(5, 0) == 0  # the first still has five under way
    one.room(5, first)
    assert first + two.room(5, 0) == 5
    assert three.room(5, 0) <= 1
    two.close()
    one.close()
    assert three.room(5, 0) == 5
    three.close()
    assert one.room(5, 0) == 5


def test_room_goes_round(url: str, eager: None, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where there is room for one call only, everybody has it for a while, and never two have it."""
    monkeypatch.setattr(shared_budget, "_WINDOW", 0.05)
    budgets = [SharedBudget(url, "crm") for _ in range(3)]
    had, end = set(), time.monotonic() + 10
    while len(had) < 3 and time.monotonic() < end:
        for number, budget in enumerate(budgets):
            if budget.room(1, 0):
                had.add(number)
        held = [int(text.split()[1]) for text in connect(url).hvals("syncline:budget:{crm}:room")]
        assert sum(held) <= 1
    assert had == {0, 1, 2}


def test_who_dies_gives_its_room_back(url: str, eager: None, monkeypatch: pytest.MonkeyPatch) -> None:
    """Room is held for a short time, unless it is asked for again."""
    monkeypatch.setattr(shared_budget, "_LEASE", 0.1)
    assert SharedBudget(url, "crm").room(2, 2) == 2
    time.sleep(0.15)
    assert SharedBudget(url, "crm").room(2, 0) == 2


def test_without_redis(url: str, server: Server, caplog: pytest.LogCaptureFixture, eager: None) -> None:
    """Where Redis is gone, each process keeps to its share, and says so once."""
    one, two = SharedBudget(url, "crm"), SharedBudget(url, "crm")
    one.room(4, 0)
    two.room(4, 0)
    one.room(4, 0)
    server.process.kill()
    server.process.wait()
    with caplog.at_level(logging.WARNING):
        assert (one.turn(10), two.room(4, 0)) == (0, 2)
        assert 0.15 < one.turn(10) <= 0.2
        one.asked_to_wait(99)
        assert one.turn(0) == 0
        one.close()
    assert [r.message for r in caplog.records if "each process keeps to its share" in r.message] != []
    assert len(caplog.records) == 1
