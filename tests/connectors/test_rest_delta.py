"""The connector `rest` where the service itself tells what was changed: faults, and how it is listened to."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import polars as pl
import pytest

from connectors.builtin import delta_links
from connectors.builtin.rest_delta import DeltaLog
from connectors.errors import AuthFailed, Fatal, Forbidden, Misconfigured
from connectors.spi import Capture, ReadRequest
from connectors.told_changes import Told
from tests.connectors.rest_service import PEOPLE, people, service

DELTA = {"path": "/delta", "records": "value", "next": "next", "link": "later", "latest": {"from": "now"}}
MARK: Mapping[str, Any] = {"link": "/delta?from=0", "time": 0}
CAPTURE = Capture("me", "id", MARK)


def log_of(web: Any, answer: Any = None, **more: Any) -> Any:
    if answer is not None:
        web.answer = answer
    return service(web.url, delta=DELTA, **more).change_log("people", CAPTURE)


def test_a_place_that_is_not_known_any_more_has_lost_changes(web: Any, reply: Any) -> None:
    """410, or another refusal of the place, says so; a refusal of who asks is an error."""
    log = log_of(web, lambda _: reply(410, {"error": "gone"}))
    assert "does not tell any more" in str(log.state(MARK).lost)
    assert log.pending(MARK)
    log = log_of(web, lambda _: reply(403, {"error": "you may not"}))
    for ask in (log.state, log.pending):
        with pytest.raises(AuthFailed):
            ask(MARK)


@pytest.mark.parametrize(
    ("body", "told"),
    [
        ({"value": [{"name": "who"}], "later": "/x"}, "without its 'id'"),
        ({"value": ["who"], "later": "/x"}, "without its 'id'"),
        ({"value": []}, "nothing at 'later'"),
        ({"later": "/x"}, "nothing at 'value'"),
        ({"value": [], "later": "/delta?from=0", "next": "/delta?from=0"}, "does not end"),
    ],
)
def test_answers_that_cannot_be_followed(web: Any, reply: Any, body: Any, told: str) -> None:
    """A change without a key, an answer without a list or a link, and a circle are told of, never passed over."""
    log = log_of(web, lambda _: reply(200, body))
    with pytest.raises(Fatal, match=told):
        list(log.tellings(MARK))


def test_links_lead_nowhere_else(web: Any, second_web: Any, reply: Any) -> None:
    """A link to another service is not followed: credentials would go there."""
    log = log_of(web, lambda _: reply(200, {"value": [], "later": f"{second_web.url}/delta"}))
    with pytest.raises(Forbidden):
        log.state({**MARK, "link": f"{web.url}/delta"})


def test_places_at_another_address_are_lost(web: Any, second_web: Any, reply: Any) -> None:
    """Where the connection has another address now, its credentials are not sent to the one that was kept."""
    asked: list[Any] = []
    second_web.answer = lambda request: asked.append(request) or reply(200, {"value": [], "later": "/delta"})
    kept = {**MARK, "link": f"{second_web.url}/delta?from=0"}
    log = log_of(web, lambda _: reply(200, {"value": [], "later": "/delta"}))
    assert "another address" in str(log.state(kept).lost)
    assert log.pending(kept)
    with pytest.raises(Fatal, match="another address"):
        log.part(kept["link"])
    assert not asked


def test_what_is_missing_is_told() -> None:
    """Without the description of a delta, or with another key, a rule cannot be fed by it."""
    rest = service("http://127.0.0.1:9")
    assert "does not describe" in str(rest.change_log("people", CAPTURE).missing()[0])
    log = DeltaLog(rest.calls, rest.options.objects["people"], Capture("me", "name"))
    assert "by 'id'" in str(log.missing()[0])
    for ask in (log.keep, log.start):
        with pytest.raises(Misconfigured):
            ask()
    assert log.drop() is None


def test_records_that_cannot_be_read_are_rejected_alone(web: Any, reply: Any) -> None:
    """A changed record that does not fit is a reject under its own key, and so is a key that does not fit."""

    def answer(request: Any) -> Any:
        if request.path == "/delta":
            return reply(200, {"value": [{"id": n} for n in (1, 2, "x")], "later": "/delta?from=3"})
        if request.path == "/people":
            return reply(200, people(1))
        return reply(200, {"id": 2, "name": "n2"} if request.path.endswith("2") else {"id": 7, "name": "another"})

    web.answer = answer
    rest = service(web.url, delta=DELTA, item="/people/{key}")
    (page,) = rest.read(ReadRequest("people", PEOPLE, capture=CAPTURE))
    assert page.records["id"].to_list() == [2]
    assert [reject.key for reject in page.rejects] == [None, "1"]
    assert "another record" in str(page.rejects[1].message)
    (rest_of,) = rest.read(ReadRequest("people", PEOPLE, capture=CAPTURE, after=page.position))
    assert rest_of.records.is_empty()
    assert rest_of.captured == page.captured


def test_many_changed_records_are_found_in_the_list(web: Any, reply: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where more is changed than is worth asking for one by one, the list is read once."""
    monkeypatch.setattr("connectors.told_changes._MOST", 1)
    lists: list[str] = []

    def answer(request: Any) -> Any:
        if request.path == "/delta":
            return reply(200, {"value": people(*range(60)), "later": "/delta?from=60"})
        lists.append(request.path)
        return reply(200, people(*range(70)))

    web.answer = answer
    rest = service(web.url, delta=DELTA, item="/people/{key}")
    log = DeltaLog(rest.calls, rest.options.objects["people"], CAPTURE)
    pages = list(Told(rest, log.tellings).pages(ReadRequest("people", PEOPLE), CAPTURE, dict(MARK)))
    assert pl.concat([page.records for page in pages])["id"].to_list() == sorted(range(60), key=str)
    assert lists == ["/people"]


def test_listening_looks_from_time_to_time(web: Any, reply: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """It begins at what is there, says nothing until it is time to look, and then which objects were changed."""
    monkeypatch.setattr(delta_links, "LOOK", 0.05)
    rows = [{"id": 1}]

    def answer(request: Any) -> Any:
        at = request.query["from"][0]
        if at == "now":  # in two parts
            return reply(200, {"value": [], "next": "/delta?from=n2"})
        at = len(rows) if at == "n2" else int(at)
        return reply(200, {"value": rows[at:], "later": f"/delta?from={len(rows)}"})

    web.answer = answer
    heard = service(web.url, delta=DELTA).changed(["people"], 0.01)
    assert next(heard) == frozenset()
    rows.append({"id": 2})
    assert next(heard) == frozenset()
    assert next(names for names in heard if names) == {"people"}
    later = [next(heard) for _ in range(10)]
    assert set(later) == {frozenset()}
    heard.close()
