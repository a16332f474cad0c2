"""kill -9 while an event rule waits: its timer fires once, and what it does is done once."""

from __future__ import annotations

import contextlib
import os
import signal
import time
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import psutil
import pytest
import sqlalchemy as sa

import config
from tests.connectors.conftest import Answer, WebServer
from tests.kill.test_runs import GRACE, kill
from tests.supervisor.conftest import Installation, _end, wait_for
from webapp.events import intake, kind, reading  # noqa: F401 - `kind` makes event rules known
from webapp.events.models import event_lease
from webapp.extensions import Actor, House, open_house
from webapp.rulebook import services as rulebook

pytestmark = [pytest.mark.kill, pytest.mark.timeout(600)]
ADMIN = Actor("cli", "test")


@dataclass
class Scene:
    """An installation with event rules, and a receiver of web hooks outside of it."""

    installation: Installation
    house: House
    receiver: WebServer

    def rule(self, name: str, within: str) -> None:
        document: dict[str, Any] = {
            "kind": "event_rule",
            "name": name,
            "by": "customer",
            "events": {"order": {"type": f"{name}.order"}, "paid": {"type": f"{name}.paid"}},
            "when": {"all": ["order"], "absent": {"events": ["paid"], "within": within}},
            "then": [{"notify": {"web_hook": {"url": f"{self.receiver.url}/{name}"}}}],
        }
        rulebook.create(self.house, document, ADMIN)
        rulebook.publish(self.house, name, ADMIN)

    def post(self, type_: str, customer: str) -> None:
        intake.post(self.house, [{"type": type_, "data": {"customer": customer}}], "test", ADMIN)

    def at_work(self) -> bool:
        with self.house.db.read() as tx:
            return tx.scalar(sa.select(event_lease.c.holder)) is not None

    def actions(self, name: str) -> list[reading.ActionRow]:
        with self.house.db.read() as tx:
            return reading.actions(tx, reading.Wanted(name), 100)

    def open(self, name: str) -> int:
        with self.house.db.read() as tx:
            return len(reading.processes(tx, name))

    def due(self, name: str) -> datetime:
        """Return when the last timer of a rule is due."""
        with self.house.db.read() as tx:
            return max(at for process in reading.processes(tx, name) for _, at in process.timers)

    def hooks(self, name: str) -> list[str]:
        return [request.json()["key"] for request in list(self.receiver.received) if request.path == f"/{name}"]

    def distinct(self, name: str) -> list[str]:
        """Return the keys of web hooks, those of one Idempotency-Key once."""
        mine = [request for request in list(self.receiver.received) if request.path == f"/{name}"]
        return list({request.headers["idempotency-key"]: request.json()["key"] for request in mine}.values())

    def settled(self, name: str, keys: list[str]) -> None:
        """Wait for the actions and then a little longer: nothing more may come."""
        wait_for(lambda: sorted(self.distinct(name)) == keys, what="the web hooks")
        wait_for(lambda: all(a.state == "done" for a in self.actions(name)), what="the notes of the actions")
        time.sleep(2)
        assert sorted(self.distinct(name)) == keys
        actions = self.actions(name)
        assert sorted(a.key for a in actions) == keys
        assert len(self.hooks(name)) <= sum(a.attempts for a in actions), "each request belongs to an attempt"
        assert self.open(name) == 0


@pytest.fixture(scope="module")
def scene(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Scene]:
    data = tmp_path_factory.mktemp("events") / "data"
    # longer than a busy machine may let a living process wait
    one = Installation(data, more={"SYNCLINE_LEASE_SECONDS": "8"})
    receiver = WebServer()
    receiver.answer = lambda _: Answer(200, {})
    with contextlib.ExitStack() as stack:
        stack.callback(receiver.close)
        stack.callback(_end, one)
        one.start()
        house = open_house(config.from_environment({"SYNCLINE_DATA": str(data)}))
        stack.callback(house.db.engine.dispose)
        scene = Scene(one, house, receiver)
        wait_for(scene.at_work, what="the process that works on events")
        yield scene


def test_the_process_is_killed_between_event_and_timer(scene: Scene) -> None:
    """The next process rebuilds what was open; each timer fires once, what was paid stays quiet."""
    scene.rule("killed", "20s")
    for customer in ("a", "b", "c"):
        scene.post("killed.order", customer)
    wait_for(lambda: scene.open("killed") == 3, what="the events to be taken")
    kill(scene.installation.child("events"))
    scene.post("killed.paid", "b")
    scene.settled("killed", ["a", "c"])


def test_the_process_is_killed_again_and_again(scene: Scene) -> None:
    """Killed while events come in and timers fire, it gives every action exactly once in the end.

    Should it die in the very moment between an answer and its note, the same request comes again with the same key.
    """
    scene.rule("often", "3s")
    keys = [f"k{number:02}" for number in range(60)]
    for number, key in enumerate(keys):
        scene.post("often.order", key)
        if number % 12 == 11:
            wait_for(lambda: scene.installation.child("events") is not None, what="the next process")
            kill(scene.installation.child("events"))
            time.sleep(0.7)
    scene.settled("often", keys)


def test_the_whole_installation_is_killed(scene: Scene) -> None:
    """After kill -9 of everything and a start, the timer that became due meanwhile fires, once."""
    scene.rule("all", "20s")
    scene.post("all.order", "a")
    wait_for(lambda: scene.open("all") == 1, what="the event to be taken")
    due = scene.due("all")
    process = scene.installation.process
    assert process is not None
    family = scene.installation.family()
    os.kill(process.pid, signal.SIGKILL)
    process.wait()
    _gone, alive = psutil.wait_procs(family, timeout=GRACE)
    assert not alive, "the children of the killed supervisor went on working"
    assert datetime.now(UTC) < due, "the machine is too slow: everything was dead only after the timer was due"
    wait_for(lambda: datetime.now(UTC) > due, what="the timer to be due while nothing runs")
    assert scene.hooks("all") == []
    scene.installation.start()
    scene.settled("all", ["a"])
