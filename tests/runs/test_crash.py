"""A worker may die anywhere: the run is taken up by another, and nothing is lost, doubled or counted twice."""

from __future__ import annotations

import contextlib
import threading
from dataclasses import replace
from datetime import timedelta

import pytest

from connectors.builtin.database_fence import FenceTable
from connectors.builtin.sqlite import SQLite
from connectors.errors import AuthFailed, Fenced, Unavailable
from rules.text import msg
from tests.runs.conftest import ADMIN, numbers
from webapp.runs.claims import claim
from webapp.runs.pipeline import inputs, stopping
from webapp.runs.pipeline.journal import Journal
from webapp.runs.requests import RunRefused, cancel, resume

NAMES = ["Ada", "Bea", None, "Cid", "far too long a name for this target", "Dan", "Eva", "Fay", "Gus", "Hal"]
EXPECTED = {"read": 10, "created": 8, "quarantined": 2}


class Killed(BaseException):
    """The process is gone: no handler of ours runs."""


def dies(monkeypatch, owner, name, at, before):
    """Let the process die at the `at`-th call of a method, before or after its work."""
    work, calls = getattr(owner, name), []

    def method(*args, **kwargs):
        calls.append(1)
        if len(calls) == at and before:
            raise Killed
        result = work(*args, **kwargs)
        if len(calls) == at:
            raise Killed
        return result

    monkeypatch.setattr(owner, name, method)


def sleeps(monkeypatch, owner, name, at, before, sleep):
    """Let the process sleep at the `at`-th call of a method, before or after its work; `sleep` is what happens then."""
    work, calls = getattr(owner, name), []

    def method(*args, **kwargs):
        calls.append(1)
        mine = len(calls)
        if mine == at and before:
            sleep()
        result = work(*args, **kwargs)
        if mine == at and not before:
            sleep()
        return result

    monkeypatch.setattr(owner, name, method)


@pytest.fixture
def keyless(world):
    """The world with a target that has no unique key, so that a doubled record shows."""
    world.erp("DROP TABLE client")
    world.erp("CREATE TABLE client (no INTEGER, title TEXT NOT NULL CHECK (length(title) < 20), tel TEXT, memo TEXT)")
    world.customers(*NAMES)
    world.rule()
    return world.pages_of(3)


POINTS = [
    (owner, name, at, before)
    for owner, name in ((Journal, "plan"), (SQLite, "write"), (Journal, "check_in"), (Journal, "end"))
    for at in ((1,) if name == "end" else (1, 2, 4))
    for before in (True, False)
    if not (name == "end" and not before)
]


@pytest.mark.parametrize(("owner", "name", "at", "before"), POINTS, ids=lambda v: getattr(v, "__name__", str(v)))
def test_a_killed_run_ends_like_an_undisturbed_one(keyless, monkeypatch, owner, name, at, before):
    """Wherever the worker dies, the next one ends the run with the same records and the same counts."""
    world = keyless
    run_id = world.request()
    with monkeypatch.context() as patch:
        dies(patch, owner, name, at, before)
        with pytest.raises(Killed):
            world.work(run_id)
    assert not world.work(run_id, "w2"), "the lease still holds"
    world.shift += timedelta(seconds=world.house.settings.lease_seconds + 1)
    assert world.work(run_id, "w2")
    run = world.look(run_id)
    assert (run.state, run.attempts, numbers(run)) == ("succeeded", 2, EXPECTED)
    assert [row[1] for row in world.clients()] == ["Ada", "Bea", "Cid", "Dan", "Eva", "Fay", "Gus", "Hal"]
    with world.house.db.read() as tx:
        kept = [(s.first, s.records["name"].to_list()) for s in inputs.stored(tx, run_id)]
    assert kept == [(first + 1, NAMES[first : first + 3]) for first in (0, 3, 6, 9)], "every record can be explained"
    again = world.run()
    assert (again.message, numbers(again)) == (None, {"read": 10, "unchanged": 8, "quarantined": 2})


def test_a_paused_worker_cannot_write_any_more(keyless):
    """A worker that slept past its lease is fenced off by the target and by the database."""
    world = keyless
    run_id = world.request()
    sleeper = claim(world.house, run_id, "sleeper")
    world.shift += timedelta(seconds=world.house.settings.lease_seconds + 1)
    assert world.work(run_id, "w2")
    before = world.clients()
    with pytest.raises(Fenced), world.house.db.begin() as tx:
        Journal(world.house, sleeper).guard(tx)
    assert world.clients() == before


@contextlib.contextmanager
def taken_over(world, run_id, asked):
    """Let another worker take a run over while this one is in the middle of the target's transaction.

    Yields what the first one does then: it sleeps until the other asks the target (`asked`, a method) or has ended.
    """
    heard, others = threading.Event(), []
    owner, name = asked
    work = getattr(owner, name)

    def told(*args, **kwargs):
        heard.set()
        return work(*args, **kwargs)

    def second():
        try:
            world.work(run_id, "w2")
        finally:
            heard.set()

    def sleep():
        world.shift += timedelta(seconds=world.house.settings.lease_seconds + 1)
        others.append(threading.Thread(target=second))
        others[0].start()
        heard.wait()
        others[0].join(0.5)  # time to go on by mistake; who does as it should waits for us

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(owner, name, told)
        yield sleep
        others[0].join()


def test_a_worker_that_slept_in_the_middle_of_its_write_doubles_nothing(keyless, monkeypatch):
    """Who takes its run over waits for what the target has under way, and finds it there."""
    world, run_id = keyless, keyless.request()
    with monkeypatch.context() as patch, taken_over(world, run_id, (SQLite, "arrived")) as sleep:
        sleeps(patch, FenceTable, "claim", 2, False, sleep)
        world.work(run_id)
    run = world.look(run_id)
    assert (run.state, run.attempts, numbers(run)) == ("succeeded", 2, EXPECTED), str(run.message)
    assert [row[1] for row in world.clients()] == ["Ada", "Bea", "Cid", "Dan", "Eva", "Fay", "Gus", "Hal"]


def test_two_workers_share_nothing(keyless):
    """Of two claims of the same run one is refused, and two runs of a rule do not work at once."""
    world = keyless
    run_id = world.request()
    assert claim(world.house, run_id, "w1") is not None
    assert claim(world.house, run_id, "w2") is None
    with pytest.raises(RunRefused, match="still at work"):
        world.request()


def test_a_system_that_fails_for_a_moment_is_asked_again(keyless, monkeypatch):
    """Transient errors while reading and writing are retried; the log says so, and the numbers stay right."""
    world = keyless
    write, read, failures = SQLite.write, SQLite.read, {"write": 2, "read": 1}

    def flaky_write(self, *args, **kwargs):
        result = write(self, *args, **kwargs)
        if failures["write"]:
            failures["write"] -= 1
            raise Unavailable(msg("The answer was lost."))
        return result

    def flaky_read(self, request):
        for page in read(self, request):
            yield page
            if failures["read"]:
                failures["read"] -= 1
                raise Unavailable(msg("The line was cut."))

    monkeypatch.setattr(SQLite, "write", flaky_write)
    monkeypatch.setattr(SQLite, "read", flaky_read)
    run = world.run()
    assert (run.state, numbers(run)) == ("succeeded", EXPECTED)
    assert len(world.clients()) == 8


def test_a_system_that_stays_away_fails_the_run_which_can_be_resumed(keyless, monkeypatch):
    """After all attempts the run fails with one sentence; resumed, it goes on behind its last chunk."""
    world = keyless
    with monkeypatch.context() as patch:
        dies(patch, Journal, "check_in", 1, before=False)
        run_id = world.request()
        with pytest.raises(Killed):
            world.work(run_id)
    world.shift += timedelta(seconds=world.house.settings.lease_seconds + 1)

    def away(self, request):
        raise Unavailable(msg("crm does not answer."))
        yield

    with monkeypatch.context() as patch:
        patch.setattr(SQLite, "read", away)
        assert world.work(run_id, "w2")
    failed = world.look(run_id)
    assert (failed.state, str(failed.message), failed.counts["read"]) == ("failed", "crm does not answer.", 3)
    resume(world.house, run_id, ADMIN)
    assert world.work(run_id, "w3")
    assert numbers(world.look(run_id)) == EXPECTED


def test_refused_credentials_suspend_the_run(keyless, monkeypatch):
    """A sign-in that is refused is not retried: the run waits for a person."""

    def refused(self, request):
        raise AuthFailed(msg("erp refuses the password."), msg("Enter the right one."))
        yield

    monkeypatch.setattr(SQLite, "read", refused)
    run = keyless.run()
    assert (run.state, str(run.message)) == ("suspended", "erp refuses the password. Enter the right one.")


def test_a_cancelled_run_stops_behind_its_chunk(keyless, monkeypatch):
    """Cancelling keeps what is written, and the numbers say how far it came."""
    world = keyless
    run_id, check_in = world.request(), Journal.check_in

    def cancels(self, chunk, links):
        check_in(self, chunk, links)
        if chunk.no == 2:
            cancel(world.house, run_id, ADMIN)

    monkeypatch.setattr(Journal, "check_in", cancels)
    world.work(run_id)
    run = world.look(run_id)
    assert (run.state, run.counts["read"]) == ("cancelled", 6)
    assert len(world.clients()) == run.counts["created"]


def test_a_waiting_run_is_cancelled_at_once(keyless):
    """A run that nobody works on yet just ends."""
    run_id = keyless.request()
    cancel(keyless.house, run_id, ADMIN)
    assert keyless.look(run_id).state == "cancelled"
    assert not keyless.work(run_id)


def test_a_worker_that_is_stopped_gives_its_run_back(keyless, monkeypatch):
    """On a restart the run returns to the queue behind its chunk, at once and with nothing lost."""
    world = keyless
    run_id = world.request()
    with monkeypatch.context() as patch:
        patch.setattr(stopping, "_requested", replaced := type(stopping._requested)())
        replaced.set()
        world.work(run_id)
    assert world.look(run_id).state == "queued"
    assert world.work(run_id, "w2")
    assert numbers(world.look(run_id)) == EXPECTED


def test_an_unexpected_error_is_told_without_its_traceback(keyless, monkeypatch, caplog):
    """A bug of ours fails the run with its number; the traceback is in the log only."""
    monkeypatch.setattr(Journal, "check_in", lambda *_: 1 / 0)
    run = keyless.run()
    assert run.state == "failed"
    assert "ZeroDivisionError" in caplog.text
    assert "ZeroDivisionError" not in str(run.message)


def test_pages_of_any_size_give_the_same_end(keyless):
    """How many records a run handles at a time changes nothing."""
    for size in (1, 4, 100):
        world = replace(keyless).pages_of(size)
        world.erp("DELETE FROM client")
        assert world.run().counts["read"] == 10
        assert len(world.clients()) == 8
