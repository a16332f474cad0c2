"""Our own database goes away while a run works: the run goes on by itself, and everything is written once.

The database is a real PostgreSQL that ends all connections and takes no new ones; tests/kill/test_servers.py kills one.
The targets have no unique key.
"""

from __future__ import annotations

import contextlib
import sqlite3
from collections.abc import Callable, Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any, NamedTuple

import psycopg
import pytest
import sqlalchemy as sa

from connectors.builtin.sqlite import SQLite
from connectors.errors import Unavailable
from rules.text import Message, msg
from tests import servers
from tests.conftest import _url
from tests.runs.conftest import ADMIN, World, numbers, open_world
from webapp.extensions import away
from webapp.runs.execution import execute
from webapp.runs.models import run_log
from webapp.runs.pipeline import stopping
from webapp.runs.pipeline.execute import Execution
from webapp.runs.pipeline.journal import Journal
from webapp.runs.pipeline.two_way_run import TwoWayExecution
from webapp.runs.requests import cancel

RECORDS = 12
LOST = sa.exc.OperationalError(None, None, psycopg.OperationalError("server closed the connection unexpectedly"))


class Outage:
    """A world on a PostgreSQL that a test can take away."""

    def __init__(self, world: World, server: servers.Server, name: str) -> None:
        self.world, self.server, self.name = world, server, name

    def _admin(self, *statements: str) -> None:
        with servers._postgres_admin(self.server) as admin:
            for statement in statements:
                admin.execute(statement.encode())

    def begin(self) -> None:
        end = f"SELECT pg_terminate_backend(pid, 5000) FROM pg_stat_activity WHERE datname = '{self.name}'"
        self._admin(f"ALTER DATABASE {self.name} ALLOW_CONNECTIONS false", end)

    def end(self, _seconds: float = 0) -> None:
        self._admin(f"ALTER DATABASE {self.name} ALLOW_CONNECTIONS true")

    def prepare(self, direction: str) -> int:
        world, key = self.world, {"left": "id", "right": "no"}
        world.erp("DROP TABLE client")
        world.erp("CREATE TABLE client (no INTEGER, title TEXT, tel TEXT, memo TEXT)")
        world.customers(*(f"n{number}" for number in range(1, RECORDS + 1)))
        fields = [{**key, "on": ["create"]} if direction == "two_way" else key, {"left": "name", "right": "title"}]
        world.rule(direction=direction, fields=fields)
        return world.pages_of(4).request()

    def work(self, run_id: int, wait: Callable[[float], None], worker: str = "w1") -> None:
        assert execute(self.world.house, run_id, worker, wait=wait)

    def log(self, run_id: int) -> list[str]:
        with self.world.house.db.read() as tx:
            lines = tx.scalars(sa.select(run_log.c.message).where(run_log.c.run_id == run_id))
            return [str(Message.from_json(line)) for line in lines]

    def assert_exact(self, run_id: int) -> None:
        run = self.world.look(run_id)
        assert (run.state, run.counts["created"]) == ("succeeded", RECORDS), str(run.message)
        rows = self.world.erp("SELECT no, title FROM client ORDER BY no")
        assert rows == [(number, f"n{number}") for number in range(1, RECORDS + 1)]
        assert not {"created", "updated", "deleted", "quarantined"} & set(numbers(self.world.run()))


@pytest.fixture
def outage(tmp_path: Path, postgres_server: servers.Server, postgres_template: str) -> Iterator[Outage]:
    with servers.postgres_database(postgres_server, postgres_template) as name:
        url = _url("postgresql+psycopg", postgres_server, name)
        with open_world(tmp_path / "data", url) as world:
            made = Outage(world, postgres_server, name)
            try:
                yield made
            finally:
                made.end()


def at(patch: pytest.MonkeyPatch, point: Point, deed: Callable[[], object]) -> None:
    """Let something happen at a call of a method."""
    work, calls = getattr(point.owner, point.name), []

    def method(*args: Any, **more: Any) -> Any:
        calls.append(1)
        mine = len(calls) == point.call
        if mine and point.before:
            deed()
        result = work(*args, **more)
        if mine and not point.before:
            deed()
        return result

    patch.setattr(point.owner, point.name, method)


class Point(NamedTuple):
    """A call of a method."""

    owner: type
    name: str
    call: int = 1
    before: bool = False


IN_WRITE, BEHIND_WRITE = Point(SQLite, "write", 2, before=True), Point(SQLite, "write", 2)
POINTS = [
    (Journal, "plan", 2), (Journal, "_head", 2), (SQLite, "write", 2), (Journal, "_show", 1), (Journal, "_audit", 1),
    (Journal, "check_in", 1), (SQLite, "finish", 1), (Journal, "end", 1),
]  # fmt: skip


def points() -> list[Any]:
    """Return all points before and behind, in both kinds of runs; a quarter of them is enough for each day."""
    ways = [(before, direction) for before in (True, False) for direction in ("left_to_right", "two_way")]
    return [
        pytest.param(
            Point(*point, before), direction, id=f"{'before' if before else 'behind'} {point[1]}-{direction}",
            marks=() if (number + place) % 4 == 0 else pytest.mark.soak,
        )
        for number, point in enumerate(POINTS)
        for place, (before, direction) in enumerate(ways)
    ]  # fmt: skip


@pytest.mark.parametrize(("point", "direction"), points())
def test_the_run_goes_on_by_itself(outage: Outage, monkeypatch: pytest.MonkeyPatch, point: Point, direction: str):
    """Wherever the database goes away, also within a transaction, the run returns to the queue and ends exactly."""
    run_id = outage.prepare(direction)
    with monkeypatch.context() as patch:
        at(patch, point, outage.begin)
        outage.work(run_id, outage.end)
    assert outage.world.look(run_id).state == "queued"
    assert any("did not answer for a while" in line for line in outage.log(run_id))
    outage.work(run_id, outage.end, "w2")
    outage.assert_exact(run_id)


@pytest.mark.parametrize("direction", ["left_to_right", "two_way"])
def test_the_answer_to_the_end_is_lost(outage: Outage, monkeypatch: pytest.MonkeyPatch, direction: str):
    """A run whose last transaction was committed without anybody hearing of it has ended, and is not taken up again."""
    run_id = outage.prepare(direction)

    def lost() -> None:
        raise LOST

    with monkeypatch.context() as patch:
        at(patch, Point(TwoWayExecution, "_close") if direction == "two_way" else Point(Execution, "_end"), lost)
        outage.work(run_id, outage.end)
    assert not execute(outage.world.house, run_id, "w2")
    outage.assert_exact(run_id)


def test_it_stays_away_for_longer_than_the_lease(outage: Outage, monkeypatch: pytest.MonkeyPatch):
    """The worker gives up after a lease; once the database is back, another one takes the run up."""
    run_id, waits = outage.prepare("left_to_right"), []
    with monkeypatch.context() as patch:
        at(patch, BEHIND_WRITE, outage.begin)
        outage.work(run_id, waits.append)
    assert sum(waits) >= outage.world.house.settings.lease_seconds
    outage.end()
    assert outage.world.look(run_id).state == "running"
    outage.world.shift += timedelta(seconds=outage.world.house.settings.lease_seconds + 1)
    outage.work(run_id, outage.end, "w2")
    outage.assert_exact(run_id)


def test_a_worker_that_is_to_stop_does_not_wait(outage: Outage, monkeypatch: pytest.MonkeyPatch):
    """A worker that is shut down while the database is away leaves the run to the others at once."""
    run_id, waits = outage.prepare("left_to_right"), []

    def both() -> None:
        outage.begin()
        stopping.request_stop()

    with monkeypatch.context() as patch:
        patch.setattr(stopping, "_requested", type(stopping._requested)())
        at(patch, BEHIND_WRITE, both)
        outage.work(run_id, waits.append)
    assert waits == []


def test_another_worker_is_quicker(outage: Outage, monkeypatch: pytest.MonkeyPatch):
    """A worker that could not reach the database while another one could has lost its lease, and changes nothing."""
    run_id = outage.prepare("left_to_right")

    def taken_over(_seconds: float) -> None:
        outage.end()
        outage.world.shift += timedelta(seconds=outage.world.house.settings.lease_seconds + 1)
        outage.work(run_id, lambda _: None, "w2")

    with monkeypatch.context() as patch:
        at(patch, IN_WRITE, outage.begin)
        outage.work(run_id, taken_over)
    outage.assert_exact(run_id)


def test_a_system_is_asked_again_only_under_the_lease(outage: Outage, monkeypatch: pytest.MonkeyPatch):
    """Whoever waits for a system asks it again only after the lease was renewed: without it nothing is written."""
    run_id, tries = outage.prepare("left_to_right"), []

    def refuses(*_: Any, **_more: Any) -> Any:
        tries.append(1)
        raise Unavailable(msg("erp does not answer."))

    def wait(_seconds: float) -> None:
        (outage.begin if len(tries) == 1 else outage.end)()
        tries.append(0)

    with monkeypatch.context() as patch:
        patch.setattr(SQLite, "write", refuses)
        outage.work(run_id, wait)
    assert sum(tries) == 1
    assert outage.world.look(run_id).state == "queued"
    outage.work(run_id, outage.end, "w2")
    outage.assert_exact(run_id)


def test_a_run_that_was_cancelled_meanwhile_ends(outage: Outage, monkeypatch: pytest.MonkeyPatch):
    """What people asked for while the database came back is heeded by the next worker."""
    run_id = outage.prepare("left_to_right")
    with monkeypatch.context() as patch:
        at(patch, Point(Journal, "check_in"), outage.begin)
        outage.work(run_id, lambda _: (outage.end(), cancel(outage.world.house, run_id, ADMIN)))
    outage.work(run_id, outage.end, "w2")
    run = outage.world.look(run_id)
    assert (run.state, len(outage.world.clients())) == ("cancelled", run.counts["created"])


def test_a_locked_file_is_waited_for(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """On SQLite a file that another program keeps locked is an outage, too."""
    with open_world(tmp_path / "data") as world, contextlib.ExitStack() as stack:
        path = world.house.settings.database_url.removeprefix("sqlite:///")
        other = stack.enter_context(
            contextlib.closing(sqlite3.connect(path, isolation_level=None, check_same_thread=False))
        )
        sa.event.listen(
            world.house.db.engine, "checkout", lambda one, *_: one.execute("PRAGMA busy_timeout=20").close()
        )
        outage = Outage(world, None, "")  # type: ignore[arg-type] - no server
        run_id = outage.prepare("left_to_right")
        with monkeypatch.context() as patch:
            at(patch, BEHIND_WRITE, lambda: other.execute("BEGIN IMMEDIATE"))
            outage.work(run_id, lambda _: other.in_transaction and other.execute("ROLLBACK"))
        assert world.look(run_id).state == "queued"
        outage.work(run_id, lambda _: None, "w2")
        outage.assert_exact(run_id)


def test_what_is_no_outage():
    """An error that the database answers with is none, whatever its kind."""
    refused = psycopg.errors.QueryCanceled("canceling statement due to statement timeout")
    assert not away(sa.exc.OperationalError("SELECT 1", None, refused))
    assert not away(sa.exc.OperationalError("SELECT 1", None, psycopg.OperationalError("too many parameters")))
    assert not away(sa.exc.InvalidRequestError("no"))
    assert not away(ValueError())
    assert away(sa.exc.TimeoutError("no connection has become free"))
