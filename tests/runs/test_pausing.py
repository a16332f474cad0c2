"""Pausing and resuming runs: between two chunks, with the place kept, and with no second run next to the first."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest
import sqlalchemy as sa
from flask import Flask
from flask.testing import FlaskClient

from rules.text import Message
from tests.runs.conftest import ADMIN, RULE, World, numbers
from tests.runs.test_two_way import FIELDS
from tests.webapp.conftest import admin_client, app, client, client_of, events, settings  # noqa: F401 - fixtures
from webapp.extensions import House
from webapp.rulebook import services as rulebook
from webapp.runs.models import run_chunk, run_log
from webapp.runs.pipeline import absent, digests, told, two_way_run
from webapp.runs.pipeline.journal import Journal
from webapp.runs.requests import RunRefused, cancel, pause, resume, start
from webapp.runs.schedules import fire_due
from webapp.runs.service_levels import levels


@pytest.fixture
def pages(world: World) -> World:
    """Return a world of seven customers that is read two records at a time."""
    world.customers(*"ABCDEFG")
    return world.pages_of(2)


def _paused_behind(world: World, monkeypatch: pytest.MonkeyPatch, chunk_no: int, mode: str = "live") -> int:
    """Return a run that somebody pauses while it checks a chunk in."""
    run_id, check_in = world.request(mode), Journal.check_in

    def pauses(self: Journal, chunk: Any, links: Any) -> None:
        if chunk.no == chunk_no:
            pause(world.house, run_id, ADMIN)
        check_in(self, chunk, links)

    with monkeypatch.context() as patch:
        patch.setattr(Journal, "check_in", pauses)
        assert world.work(run_id)
    return run_id


@pytest.mark.parametrize("mode", ["live", "simulate", "shadow"])
@pytest.mark.parametrize("both_ways", [False, True])
def test_a_paused_run_stops_between_chunks_and_goes_on_there(pages, monkeypatch, mode: str, both_ways: bool):
    """The chunk at hand is finished, who paused is told, and resumed it ends as if it had never stopped."""
    pages.rule(**({"direction": "two_way", "fields": FIELDS} if both_ways else {}))
    run_id = _paused_behind(pages, monkeypatch, 2, mode)
    row = pages.look(run_id)
    assert (row.state, row.paused, row.chunks) == ("suspended", True, 2)
    assert str(row.message) == "ada paused the run. Resume it to go on behind its last chunk."
    assert len(pages.clients()) == (4 if mode == "live" else 0)
    with pages.house.db.read() as tx:
        assert set(tx.scalars(sa.select(run_chunk.c.state))) == {"done"}
    resume(pages.house, run_id, ADMIN)
    assert pages.work(run_id, "w2")
    done = pages.look(run_id)
    assert (done.state, done.pause_by, done.message, done.counts["created"]) == ("succeeded", None, None, 7)
    assert len(pages.clients()) == (7 if mode == "live" else 0)
    assert done.counts["read"] == (14 if both_ways and mode == "live" else 7)


def test_a_waiting_run_is_paused_at_once(pages):
    """A run that nobody works on yet waits for its person instead of a worker."""
    pages.rule()
    run_id = pages.request()
    pause(pages.house, run_id, ADMIN)
    assert pages.look(run_id).paused
    assert not pages.work(run_id)
    resume(pages.house, run_id, ADMIN)
    assert pages.work(run_id)
    assert numbers(pages.look(run_id)) == {"read": 7, "created": 7}


def test_a_run_that_is_paused_while_its_worker_is_dead_finishes_its_chunk_first(pages, monkeypatch):
    """The chunk that a dead worker had planned is finished before the run stops: never half a chunk in the target."""
    pages.rule()
    run_id = pages.request()
    with monkeypatch.context() as patch:
        patch.setattr(Journal, "check_in", lambda *_: (_ for _ in ()).throw(SystemExit))
        with pytest.raises(SystemExit):
            pages.work(run_id)
    pause(pages.house, run_id, ADMIN)
    pages.shift += timedelta(minutes=10)
    assert pages.work(run_id, "w2")
    row = pages.look(run_id)
    assert (row.paused, row.counts["created"], len(pages.clients())) == (True, 2, 2)


def test_a_resumed_run_that_is_paused_in_the_queue_finishes_its_chunk_first(pages, monkeypatch):
    """A run that failed while it wrote a chunk does not rest before that chunk is whole."""
    pages.rule()
    run_id = pages.request()
    with monkeypatch.context() as patch:
        patch.setattr(Journal, "check_in", lambda *_: 1 / 0)
        pages.work(run_id)
    assert pages.look(run_id).state == "failed"
    resume(pages.house, run_id, ADMIN)
    pause(pages.house, run_id, ADMIN)
    assert (pages.look(run_id).state, pages.look(run_id).pause_by) == ("queued", "ada")
    assert pages.work(run_id)
    row = pages.look(run_id)
    assert (row.paused, row.counts["created"], len(pages.clients())) == (True, 2, 2)


def test_who_paused_and_resumed_is_kept(pages, monkeypatch):
    """The log and the audit name both deeds."""
    pages.rule()
    run_id = _paused_behind(pages, monkeypatch, 1)
    resume(pages.house, run_id, ADMIN)
    assert [e.actor_name for e in events(pages.house, "runs:run:paused")] == ["ada"]
    with pages.house.db.read() as tx:
        lines = [str(Message.from_json(line)) for line in tx.scalars(sa.select(run_log.c.message))]
    assert lines == ["ada paused the run.", "ada resumed the run."]


def test_nothing_runs_next_to_a_paused_run(pages, monkeypatch):
    """Neither the schedule nor a person starts a second live run; one that only looks may run, and cancelling frees."""
    pages.rule(schedule={"cron": "*/5 * * * *"})
    fire_due(pages.house)
    run_id = _paused_behind(pages, monkeypatch, 1)
    pages.shift += timedelta(minutes=5)
    assert fire_due(pages.house) == []
    with pytest.raises(RunRefused, match=r"was paused by ada\. Resume it, or cancel it"):
        pages.request()
    assert numbers(pages.run("simulate"))["read"] == 7
    cancel(pages.house, run_id, ADMIN)
    pages.shift += timedelta(minutes=5)
    assert len(fire_due(pages.house)) == 1


def test_only_what_works_is_paused(pages, monkeypatch):
    """A run that has ended, is stopping already, or only compares cannot be paused."""
    pages.rule()
    run_id = _paused_behind(pages, monkeypatch, 1)
    with pytest.raises(RunRefused, match="paused already"):
        pause(pages.house, run_id, ADMIN)
    resume(pages.house, run_id, ADMIN)
    pages.work(run_id)
    with pytest.raises(RunRefused, match="is succeeded; only a run that waits or works"):
        pause(pages.house, run_id, ADMIN)
    checked = start(pages.house, "customers", "shadow", ADMIN)
    with pages.house.db.begin() as tx:
        tx.execute(sa.text("UPDATE run SET kind = 'verify' WHERE id = :run"), {"run": checked})
    with pytest.raises(RunRefused, match="only compares"):
        pause(pages.house, checked, ADMIN)
    with pages.house.db.begin() as tx:
        tx.execute(sa.text("UPDATE run SET kind = 'sync', pause_by = 'ada' WHERE id = :run"), {"run": checked})
    with pytest.raises(RunRefused, match="stopping already"):
        pause(pages.house, checked, ADMIN)


def test_a_pause_is_no_failure(pages, monkeypatch):
    """The service level of a rule does not suffer from a person who pauses its run."""
    pages.rule(service={"fresh_within": "1d"})
    pages.run()
    pages.customers("H", first=8)
    _paused_behind(pages, monkeypatch, 1)
    with pages.house.db.read() as tx:
        assert [level.state for level in levels(tx, pages.now())] == ["met"]


@pytest.mark.parametrize("changes", [{}, {"errors": {"stop_after": 1}}])
def test_a_run_that_stops_for_another_reason_is_not_paused(pages, monkeypatch, changes: dict[str, Any]):
    """A run that fails, or that its rule stops, while a pause was asked has not gone well, and says so."""
    pages.rule(service={"fresh_within": "1d"}, **changes)
    pages.run()
    pages.customers("H", None, first=8)
    run_id, finish = pages.request(), Journal.plan

    def pauses(self: Journal, chunk: Any) -> None:
        pause(pages.house, run_id, ADMIN)
        finish(self, chunk) if changes else 1 / 0

    with monkeypatch.context() as patch:
        patch.setattr(Journal, "plan", pauses)
        if changes:
            patch.setattr(Journal, "heed", lambda *_: None)  # it was asked a moment too late
        assert pages.work(run_id)
    row = pages.look(run_id)
    assert (row.state, row.paused, row.pause_by) == ("suspended" if changes else "failed", False, None)
    with pages.house.db.read() as tx:
        assert [level.state for level in levels(tx, pages.now())] == ["failing"]


@pytest.mark.parametrize(("ask", "state"), [(pause, "suspended"), (cancel, "cancelled")])
@pytest.mark.parametrize("both_ways", [False, True])
def test_a_run_stops_behind_a_page_without_records(pages, monkeypatch, ask: Any, state: str, both_ways: bool):
    """Where a source sends pages that hold nothing, a run that is asked to stop does not read on to their end."""
    pages.rule(**({"direction": "two_way", "fields": FIELDS} if both_ways else {}))
    run_id = pages.request()
    room = two_way_run if both_ways else digests
    read = room.pages

    def empty(*args: Any) -> Iterator[Any]:
        for number, page in enumerate(read(*args)):
            if number == 0:
                ask(pages.house, run_id, ADMIN)
            yield replace(page, records=page.records.clear())

    monkeypatch.setattr(room, "pages", empty)
    assert pages.work(run_id)
    assert pages.look(run_id).state == state


@pytest.mark.parametrize("both_ways", [False, True])
def test_a_run_stops_while_it_looks_for_what_is_gone(pages, monkeypatch, both_ways: bool):
    """A run that is paused while it reads the keys of a side stops behind the page of keys at hand."""
    by_cursor = {"detect": {"left": {"by": "cursor", "field": "changed"}}}
    changes = {"direction": "two_way", "fields": FIELDS} if both_ways else by_cursor
    pages.rule(**changes, situations={"deleted_left": "delete"}, deletes={"detect": "full_scan"})
    pages.run()
    room, seen = told if both_ways else absent, []
    run_id, read = pages.request(), room.pages

    def pauses(source: Any, request: Any, retry: Any) -> Iterator[Any]:
        for page in read(source, request, retry):
            if len(request.schema.fields) == 1:
                seen.append(page)
                if len(seen) == 1:
                    pause(pages.house, run_id, ADMIN)
            yield page

    monkeypatch.setattr(room, "pages", pauses)
    assert pages.work(run_id)
    assert (pages.look(run_id).paused, len(seen)) == (True, 1)


@pytest.fixture
def ruled(world: World, app: Flask) -> House:  # noqa: F811
    """Return the console's house, on the database of `world`, with its rule."""
    assert world.house
    house: House = app.extensions["syncline"]
    rulebook.create(house, RULE, ADMIN)
    rulebook.publish(house, "customers", ADMIN)
    return house


def test_the_page_pauses_and_resumes(ruled: House, app: Flask, admin_client: FlaskClient):  # noqa: F811
    """A waiting run has a button to pause it, and then one to go on; who may only look has neither."""
    run_id = start(ruled, "customers", "live", ADMIN)
    path = f"/runs/{run_id}"
    assert f"{path}/pause" in admin_client.get(path).text
    page = admin_client.post(f"{path}/pause", follow_redirects=True).text
    assert "admin paused the run." in page
    assert f"{path}/pause" not in page
    assert f"{path}/resume" in page
    viewer = client_of(app, "vera", "Viewer")
    assert f"{path}/resume" not in viewer.get(path).text
    assert viewer.post(f"{path}/pause").status_code in (302, 403)
    assert "Waiting for a worker" in admin_client.post(f"{path}/resume", follow_redirects=True).text
