"""Conversations about Salesforce's change events: how they end, and events that name nothing."""

from __future__ import annotations

import time
from collections.abc import Iterator
from typing import Any

import pytest

from connectors.builtin import salesforce_changes
from connectors.builtin.salesforce_stream import Stream
from connectors.spi import Capture
from tests.connectors.test_salesforce import opened
from tests.presets.server import Asked, Reply, Site

CAPTURE = Capture("me", "Id")


@pytest.fixture(scope="module")
def site() -> Iterator[Site]:
    made = Site()
    yield made
    made.close()


@pytest.fixture(autouse=True)
def _without_waits(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(time, "sleep", lambda _: None)
    monkeypatch.setattr(salesforce_changes, "QUIET", 0.0)


@pytest.mark.parametrize(("change", "key"), [("GAP_OVERFLOW", "000000000000000AAA"), ("UPDATE", "001*")])
def test_an_overflow_is_something_new(site: Site, change: str, key: str) -> None:
    """Also as the first event behind a place, where it names no record: else nobody would compare all records."""
    org, connector = opened(site)
    with connector:
        log = connector.change_log("Account", CAPTURE)
        mark = log.start()
        assert not log.pending(mark)
        org.tell("Account", change, key)
        assert log.pending(mark)


@pytest.mark.parametrize("status", [404, 503])
def test_a_goodbye_that_fails_hides_nothing(site: Site, monkeypatch: pytest.MonkeyPatch, status: int) -> None:
    """Why an object is not subscribed to is told all the same, and the connections are closed."""
    org, connector = opened(site)
    answer, streams = org.answer, list[Stream]()
    monkeypatch.setattr(org, "unselected", frozenset({"Account"}))

    def rude(asked: Asked) -> Reply:
        if b"/meta/disconnect" in asked.body:
            return Reply("no", status, kind="text/plain")
        return answer(asked)

    def kept(stream: Any, *given: Any) -> None:
        begin(stream, *given)
        streams.append(stream)

    begin = Stream.__init__
    monkeypatch.setattr(Stream, "__init__", kept)
    org.answer = rude  # type: ignore[method-assign]
    with connector:
        (said,) = connector.change_log("Account", CAPTURE).missing()
        assert "Unknown channel" in str(said)
        lost = connector.change_log("Account", CAPTURE).state({"replay": 99, "time": 0}).lost
        assert "Unknown channel" in str(lost)
    assert [stream._calls._idle for stream in streams] == [None, None]
