"""A web service as a source that misbehaves in every way that services do, while deletions are looked for.

Whatever it answers, and on whatever page: the run ends well once the service does, or it ends and says why. It never
takes a record for deleted that it could not read, and it writes nothing twice: the target has no unique key.
"""

from __future__ import annotations

import socket
import struct
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa

from connectors.builtin import rest_calls
from rules.text import Message
from tests.connectors.conftest import Answer, Handler, Received, WebServer
from tests.runs.conftest import ADMIN, World, numbers, open_world
from webapp.connections import services as connections
from webapp.runs.models import run_log
from webapp.runs.requests import resume

RECORDS, SIZE = 9, 2
SOON = 0.5
"""Seconds after which the connector takes a silent service for away."""
CLIENTS = "CREATE TABLE client (no INTEGER, title TEXT, tel TEXT)"


class Silent(Answer):
    """The server says nothing for longer than anybody waits."""


class Reset(Answer):
    """The server closes the connection with a reset, in the middle of its answer."""


class Service:
    """A service with one paged list; `faults` says what a request is answered instead, by its number."""

    def __init__(self, web: WebServer) -> None:
        self.web = web
        self.rows = {n: {"id": n, "name": f"n{n}", "phone": str(n)} for n in range(1, RECORDS + 1)}
        self.faults: Callable[[int, Answer], Answer | None] = lambda _no, _good: None
        self.listed = self._listed
        self.asked = 0
        self.refused = 0
        web.answer = self.answer

    def answer(self, request: Received) -> Answer:
        good = self._good(request)
        if request.method != "GET":
            return good
        self.asked += 1
        bad = self.faults(self.asked, good)
        if bad is None:
            return good
        self.refused += isinstance(bad, Silent) or (bad.status, bad.payload()) != (good.status, good.payload())
        return bad

    def _good(self, request: Received) -> Answer:
        key = request.path.removeprefix("/people").strip("/")
        if request.method == "POST":
            made = request.json()
            self.rows[made["id"]] = {"phone": None, **made}
            return Answer(201, made)
        if request.method == "PATCH":
            self.rows[int(key)].update(request.json())
            return Answer(200, self.rows[int(key)])
        if request.method == "DELETE":
            return Answer(204 if self.rows.pop(int(key), None) else 404)
        if key:
            return Answer(200, self.rows[int(key)]) if int(key) in self.rows else Answer(404, {"error": "gone"})
        return self.listed(int(request.query["page"][0]))

    def _listed(self, page: int) -> Answer:
        rows = list(self.rows.values())
        return Answer(200, {"items": rows[(page - 1) * SIZE : page * SIZE], "total": len(rows)})


class ResettingHandler(Handler):
    """Sends what the service says; resets the connection where it says so."""

    def _send(self, answer: Answer) -> None:
        if isinstance(answer, Silent):
            threading.Event().wait(2 * SOON)
        if not isinstance(answer, Reset):
            super()._send(answer)
            return
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", "5000")
        self.end_headers()
        self.wfile.write(b'{"items": [{"id": 1, "na')
        self.wfile.flush()
        self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.connection.close()
        self.close_connection = True

    def finish(self) -> None:
        if self.connection.fileno() != -1:
            super().finish()


def truncated(good: Answer) -> Answer:
    """Return the first half of an answer, with a length that fits."""
    return Answer(200, good.payload()[: len(good.payload()) // 2])


FAULTS: dict[str, Callable[[Answer], Answer]] = {
    "429 with a wait": lambda _: Answer(429, {"error": "slow down"}, {"Retry-After": "2"}),
    "429 with a long wait": lambda _: Answer(429, {"error": "slow down"}, {"Retry-After": "120"}),
    "500": lambda _: Answer(500, {"error": "sorry"}),
    "503 in HTML": lambda _: Answer(503, "<h1>Down</h1>", {"Content-Type": "text/html"}),
    "truncated JSON": truncated,
    "cut short": lambda good: Answer(200, truncated(good).body, cut=500),
    "reset": lambda _: Reset(),
    "time-out": lambda good: Silent(200, good.body),
}
WRONG: dict[str, Callable[[Answer], Answer]] = {
    "no list": lambda _: Answer(200, {"message": "maintenance"}),
    "an empty answer": lambda _: Answer(200, b""),
    "an empty list before its end": lambda _: Answer(200, {"items": [], "total": RECORDS}),
    "a page for people": lambda _: Answer(200, "<p>Sign in</p>", {"Content-Type": "text/html"}),
    "a sign-in that ran out": lambda _: Answer(401, {"error": "who are you"}),
    "gone": lambda _: Answer(404, {"error": "gone"}),
}


@pytest.fixture
def world(tmp_path: Path) -> Iterator[World]:
    """Return a world on SQLite: nothing here depends on the metadata database."""
    with open_world(tmp_path / "data") as made:
        yield made


@pytest.fixture
def waits(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """Note the waits of the connector instead of doing them; it gives up soon."""
    noted: list[float] = []
    connect = rest_calls.Flights
    monkeypatch.setattr(time, "sleep", noted.append)
    monkeypatch.setattr(rest_calls, "ATTEMPTS", 2)
    monkeypatch.setattr(rest_calls, "Flights", lambda at, **more: connect(replace(at, timeout=SOON), **more))
    return noted


@pytest.fixture
def service(world: World, waits: list[float]) -> Iterator[Service]:
    web = WebServer()
    web._http.RequestHandlerClass = ResettingHandler
    made = Service(web)
    described = {
        "name": "people", "path": "/people", "records": "items", "key": "id",
        "paging": {"by": "page", "parameter": "page", "size": SIZE, "total": "total"},
        "item": "/people/{key}", "create": {"path": "/people"},
        "update": {"method": "PATCH", "path": "/people/{key}"}, "delete": {"method": "DELETE", "path": "/people/{key}"},
        "fields": [
            {"name": "id", "type": "integer", "required": True}, {"name": "name", "type": "text"},
            {"name": "phone", "type": "text"},
        ],
    }  # fmt: skip
    settings = {"base_url": web.url, "objects": [described]}
    connections.create(
        world.house, {"kind": "connection", "name": "api", "connector": "rest", "settings": settings}, ADMIN
    )
    world.erp("DROP TABLE client")
    world.erp(CLIENTS)
    yield made
    web.close()


def keep(world: World, direction: str, **more: Any) -> None:
    """Publish the rule: what is gone from the service is deleted from the target."""
    both = direction == "two_way"
    world.rule(
        left={"connection": "api", "object": "people"},
        direction=direction,
        fields=[
            {"left": "id", "right": "no", **({"on": ["create"]} if both else {})},
            {"left": "name", "right": "title"},
            {"left": "phone", "right": "tel"},
        ],
        deletes={"detect": "full_scan"},
        situations={"deleted_left": "delete"},
        errors={"transient": {"retry": 1}},
        **more,
    )


def held(world: World) -> list[tuple[Any, ...]]:
    return world.erp("SELECT no, title, tel FROM client ORDER BY no, title")


def agreed(service: Service) -> list[tuple[Any, ...]]:
    return sorted((row["id"], row["name"], row["phone"]) for row in service.rows.values())


def first_run(world: World, service: Service, direction: str) -> int:
    """Run once, change and delete some records of the service, and return how often a run without faults asks it."""
    keep(world, direction)
    assert numbers(world.pages_of(2).run())["created"] == RECORDS
    asked = service.asked
    assert world.run().state == "succeeded"
    service.rows[2]["name"] = "changed"
    service.rows[8]["name"] = "changed"
    del service.rows[5]
    asked = service.asked - asked
    service.asked = 0
    return asked


DIRECTIONS = ["left_to_right", "two_way"]


@pytest.mark.parametrize("skipped", [0, 3])
@pytest.mark.parametrize("direction", DIRECTIONS)
def test_a_service_that_fails_for_a_moment(world: World, service: Service, direction: str, skipped: int):
    """Each request fails once, in one way after the other: it is repeated, and the run ends as if nothing was."""
    first_run(world, service, direction)
    seen: set[int] = set()

    def once(number: int, good: Answer) -> Answer | None:
        if number in seen:
            return None
        seen.add(number + 1)  # the repetition of this request
        return list(FAULTS.values())[(service.refused + skipped) % len(FAULTS)](good)

    service.faults = once
    run = world.run()
    assert run.state == "succeeded", run.message
    assert service.refused >= len(FAULTS) // 2
    assert (run.counts["deleted"], run.counts["updated"]) == (1, 2)
    assert held(world) == agreed(service)
    service.faults = lambda *_: None
    again = numbers(world.run())
    assert not {"created", "updated", "deleted", "quarantined", "cases"} & set(again)


@pytest.mark.parametrize("fault", [*FAULTS, *WRONG])
def test_a_service_that_stays_broken(world: World, service: Service, fault: str):
    """From some request on the service fails for good: nothing is deleted but what is gone; a resume ends exactly."""
    number = list(_ANSWERS).index(fault)
    asked = first_run(world, service, DIRECTIONS[number % 2])
    _stays_broken(world, service, fault, [1 + number % (asked - 2)])


@pytest.mark.soak
@pytest.mark.parametrize("direction", DIRECTIONS)
@pytest.mark.parametrize("fault", [*FAULTS, *WRONG])
def test_a_service_that_stays_broken_from_any_request_on(world: World, service: Service, direction: str, fault: str):
    """The same, from each request of a run on."""
    asked = first_run(world, service, direction)
    _stays_broken(world, service, fault, range(1, asked + 1))


_ANSWERS = {**FAULTS, **WRONG}


def _stays_broken(world: World, service: Service, fault: str, begins: Iterable[int]) -> None:
    answer = _ANSWERS[fault]
    for begin in begins:
        service.asked = 0
        service.faults = lambda number, good, begin=begin: answer(good) if number >= begin else None
        kept, before, run = agreed(service), service.refused, world.run()
        if service.refused == before:  # a record less makes a request less
            assert run.state == "succeeded"
            continue
        assert {1, 2, 3, 4, 6, 7, 8, 9} <= {row[0] for row in held(world)}, begin
        assert agreed(service) == kept, begin
        service.faults = lambda *_: None
        if run.state == "succeeded":  # of single records only it was not said whether they are there: these wait
            assert numbers(run)["quarantined"], (begin, numbers(run))
            run = world.run()
        else:
            assert run.state in ("failed", "suspended"), (begin, run.state, numbers(run))
            assert str(run.message)
            resume(world.house, run.id, ADMIN)
            assert world.work(run.id, "w2")
        assert world.look(run.id).state == "succeeded"
        assert (agreed(service), held(world)) == (kept, kept), begin
        assert not {"created", "updated", "deleted"} & set(numbers(world.run()))
        _disturb(service, begin)


@pytest.mark.parametrize("direction", DIRECTIONS)
def test_a_list_that_moves_up_while_it_is_read(world: World, service: Service, direction: str):
    """A record is taken from an early page of a list, so that another one slips past the reader: it is not deleted."""
    first_run(world, service, direction)
    good = service.listed
    gone = service.rows.pop(1)

    def listed(page: int) -> Answer:
        if page > 1:
            return good(page)
        service.rows = {1: gone, **service.rows}
        answer = good(page)
        del service.rows[1]
        return answer

    service.listed = listed
    run = world.run()
    assert run.state == "succeeded"
    assert {2, 3, 4, 6, 7, 8, 9} <= {row[0] for row in held(world)}
    service.listed = good
    assert world.run().state == "succeeded"
    assert held(world) == agreed(service)


def _disturb(service: Service, number: int) -> None:
    """Change, delete and make a record again, so that the next run has something to do."""
    service.rows[2]["name"] = service.rows[8]["name"] = f"changed {number}"
    service.rows.pop(5, None)
    if number % 2:
        service.rows[5] = {"id": 5, "name": "back", "phone": None}


def test_a_filter_that_is_ignored(world: World, service: Service) -> None:
    """A service that sends everything, whatever it is asked, is told of once in the log of a run; nothing is lost."""
    described = {
        "name": "people", "path": "/people", "records": "items", "key": "id", "since": {"parameter": "from"},
        "paging": {"by": "page", "parameter": "page", "size": SIZE, "total": "total"},
    }  # fmt: skip
    settings = {"base_url": service.web.url, "objects": [described]}
    document = {"kind": "connection", "name": "api", "connector": "rest", "settings": settings}
    connections.update(world.house, document, ADMIN)
    keep(world, "left_to_right", detect={"left": {"by": "cursor", "field": "id"}})
    assert numbers(world.run())["created"] == RECORDS
    service.rows[RECORDS + 1] = {"id": RECORDS + 1, "name": "new", "phone": "1"}
    run = world.run()
    assert (numbers(run)["created"], held(world)) == (1, agreed(service))
    with world.house.db.read() as tx:
        lines = tx.scalars(sa.select(run_log.c.message).where(run_log.c.run_id == run.id)).all()
    told = [line for line in map(str, map(Message.from_json, lines)) if "ignored the filter" in line]
    assert told == [
        f"The service ignored the filter 'from={RECORDS}' of 'people': {RECORDS - 1} records were left out here."
    ]
