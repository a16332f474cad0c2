"""How fast web services are called: the next answer is asked for early, and never more is asked than is allowed."""

from __future__ import annotations

import threading
from typing import Any

import pytest

from connectors.errors import AuthFailed
from connectors.spi import ReadRequest
from tests.connectors.rest_service import PEOPLE, ids, people, service

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
