"""How fast web services are called: the next answer is asked for early, and never more is asked than is allowed."""

from __future__ import annotations

import io
import threading
from contextlib import closing
from dataclasses import dataclass, field, replace
from typing import Any

import polars as pl
import pytest

from connectors.builtin.files_options import Options
from connectors.builtin.files_remote import place_of
from connectors.errors import AuthFailed, RateLimited
from connectors.spi import Context, ReadRequest
from rules.schema import Change, Field, Op, Schema
from rules.text import msg
from tests.connectors.rest_service import PEOPLE, ids, people, service
from tests.connectors.test_graphql import service as graphql

PAGING = {"by": "page", "parameter": "page", "size_parameter": "size", "size": 2, "ends": "short"}


def test_the_next_answer_is_asked_for_early(web: Any, reply: Any) -> None:
    """While a page is worked at the next answer is under way; what is wrong with it is told in its turn."""
    asked = threading.Event()

    def answer(request: Any) -> Any:
        if request.query["page"] == ["2"]:
            asked.set()
            return reply(401, body="no")
        return reply(body=people(1, 2))

    web.answer = answer
    with service(web.url, paging=PAGING) as rest:
        pages = rest.read(ReadRequest("people", PEOPLE, page_size=2))
        assert next(pages).records["id"].to_list() == [1, 2]
        assert asked.wait(5)
        with pytest.raises(AuthFailed):
            next(pages)


def test_who_stops_reading_leaves_nothing_behind(web: Any, reply: Any) -> None:
    """A read that is given up does not disturb the next one, and its connections serve again."""
    web.answer = lambda r: reply(body=people(*{"1": (1, 2), "2": (3, 4), "3": (5,)}[r.query["page"][0]]))
    with service(web.url, paging=PAGING) as rest:
        first, second = (rest.read(ReadRequest("people", PEOPLE, page_size=2)) for _ in range(2))
        assert [next(first).records["id"][0], next(second).records["id"][0]] == [1, 1]
        del first
        assert next(second).records["id"].to_list() == [3, 4]
        assert ids(rest) == [1, 2, 3, 4, 5]
    assert next(second).records["id"].to_list() == [5]


@dataclass
class Scripted:
    """A budget that deals out what it was given, the last of it for ever."""

    rooms: list[int]
    told: list[float] = field(default_factory=list)
    turns: int = 0
    closed: bool = False

    def turn(self, rate: int) -> float:
        self.turns += 1
        if sum(self.told) > 20:
            raise RateLimited(msg("Wait."), after=sum(self.told))
        return 1 / rate if rate else 0.0

    def asked_to_wait(self, seconds: float) -> None:
        self.told.append(seconds)

    def room(self, most: int, busy: int) -> int:
        return self.rooms.pop(0) if len(self.rooms) > 1 else self.rooms[0]

    def close(self) -> None:
        self.closed = True


def test_the_budget_of_all_is_kept(web: Any, reply: Any) -> None:
    """No more calls are under way than all workers together may have; with room for none, they wait."""
    lock, under_way, seen = threading.Lock(), [0], [0]

    def answer(_: Any) -> Any:
        with lock:
            under_way[0] += 1
            seen[0] = max(seen[0], under_way[0])
        threading.Event().wait(0.02)
        with lock:
            under_way[0] -= 1
        return reply(204)

    web.answer = answer
    budget = Scripted([0, 0, 2])
    with service(web.url, concurrency=8, update={"path": "/people/{key}"}) as rest:
        rest.context = replace(rest.context, budget=budget)
        change = Change(Op.UPDATE, "id", pl.DataFrame({"id": range(12), "name": ["x"] * 12}))
        assert not rest.write("people", PEOPLE, [change]).failures
    assert (seen[0], budget.turns, budget.closed) == (2, 12, True)


def test_a_wait_is_told_to_all(web: Any, reply: Any) -> None:
    """What the service asks to wait goes to the budget of all, which ends calls that would wait too long."""
    web.answer = lambda _: reply(429, headers={"Retry-After": "30"})
    budget = Scripted([4])
    with service(web.url) as rest:
        rest.context = replace(rest.context, budget=budget)
        with pytest.raises(RateLimited, match="asks to wait 30"):
            ids(rest)
        assert budget.told == [30]
        with pytest.raises(RateLimited, match="Wait"):
            ids(rest)
    assert len(web.received) == 1


@pytest.mark.parametrize("kind", ["http", "webdav", "s3"])
def test_places_of_files_tell_all_to_wait(web: Any, reply: Any, kind: str) -> None:
    """A web server that asks to wait is left alone by all who work with the connection, also for small waits."""
    answers = iter([reply(429, headers={"Retry-After": "7"}), *[reply(200, b"x")] * 2])
    web.answer = lambda _: next(answers)
    budget = Scripted([4])
    settings = {"place": kind, "url": f"{web.url}/in/", "endpoint": web.url, "bucket": "b", "access_key": "k",
                "secret_key": "s"}  # fmt: skip
    with closing(place_of(Options.of(settings), Context(timeout=2, budget=budget))) as place:
        with pytest.raises(RateLimited):
            place.fetch("a.csv", io.BytesIO())
        assert budget.told == [7]
        place.fetch("a.csv", io.BytesIO())
        budget.told = [30]
        with pytest.raises(RateLimited, match="Wait"):
            place.fetch("a.csv", io.BytesIO())
    assert len(web.received) == 2


def test_what_graphql_asks_in_words_is_told_to_all(web: Any, reply: Any) -> None:
    """A limit that is told in the body of an answer holds for all workers, too."""
    told = {"errors": [{"message": "slow down", "extensions": {"code": "THROTTLED"}}]}
    web.answer = lambda _: reply(body=told)
    budget = Scripted([4])
    with graphql(web) as connector:
        connector.context = replace(connector.context, budget=budget)
        with pytest.raises(RateLimited, match="slow down"):
            list(connector.read(ReadRequest("people", Schema((Field("id"),)))))
    assert budget.told == [10]
