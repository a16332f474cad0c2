"""The disk runs full, below the target or below our own database, in the middle of a run.

Once there is room again, the run goes on, and every record is there once. The target has no unique key.
"""

from __future__ import annotations

import contextlib
import sqlite3
import subprocess
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import pytest
import sqlalchemy as sa

from connectors.builtin.sqlite import SQLite
from tests.runs.conftest import ADMIN, World, numbers, open_world
from webapp.runs.pipeline.journal import Journal
from webapp.runs.requests import resume

RECORDS, PAGE = 400, 50
LONG = "n" * 2000
SIZE = "10m"


@pytest.fixture
def world(tmp_path: Path) -> Iterator[World]:
    """Return a world on SQLite: nothing here depends on the metadata database."""
    with open_world(tmp_path / "data") as made:
        yield made


def prepare(world: World, direction: str) -> int:
    world.erp("DROP TABLE client")
    world.erp("CREATE TABLE client (no INTEGER, title TEXT, tel TEXT, memo TEXT)")
    world.customers(*(f"{LONG}{number}" for number in range(1, RECORDS + 1)))
    world.rule(direction=direction, errors={"transient": {"retry": 1}})
    return world.pages_of(PAGE).request()


def go_on(world: World, run_id: int) -> None:
    """Let the run end now that there is room, and look at what it has written."""
    if world.look(run_id).state == "failed":
        resume(world.house, run_id, ADMIN)
    else:
        world.shift += timedelta(seconds=world.house.settings.lease_seconds + 1)
    assert world.work(run_id, "w2")
    run = world.look(run_id)
    assert (run.state, run.counts["created"]) == ("succeeded", RECORDS), str(run.message)
    expected = [(number, f"{LONG}{number}") for number in range(1, RECORDS + 1)]
    assert world.erp("SELECT no, title FROM client ORDER BY no") == expected
    assert not {"created", "updated", "deleted", "quarantined"} & set(numbers(world.run()))


@pytest.mark.parametrize("direction", ["left_to_right", "two_way"])
def test_the_target_is_full(world: World, monkeypatch: pytest.MonkeyPatch, direction: str):
    """A target without room refuses no record: the run fails, says so, and goes on when it is resumed."""
    run_id, connect = prepare(world, direction), SQLite.open

    def small(self: SQLite) -> sqlite3.Connection:
        connection = connect(self)
        connection.execute("PRAGMA max_page_count = 100")
        return connection

    with monkeypatch.context() as patch:
        patch.setattr(SQLite, "open", small)
        assert world.work(run_id)
    run = world.look(run_id)
    assert (run.state, str(run.message)) == ("failed", "There is no room left for the database.")
    assert 0 < run.counts["read"] < RECORDS
    assert run.counts["quarantined"] == 0
    go_on(world, run_id)


@pytest.mark.parametrize("direction", ["left_to_right", "two_way"])
@pytest.mark.parametrize("at", ["plan", "check_in"])
def test_our_own_database_is_full(tmp_path: Path, direction: str, at: str):
    """A worker that cannot note what it does stops; what the target has taken by then is found by the next one."""
    with open_world(tmp_path / "data") as world, pytest.MonkeyPatch.context() as patch:
        run_id, work, calls = prepare(world, direction), getattr(Journal, at), []

        def full(connection: sqlite3.Connection, *_: object) -> None:
            pages = connection.execute("PRAGMA page_count").fetchone()[0] if len(calls) >= 3 else 2**30
            connection.execute(f"PRAGMA max_page_count = {pages}")

        def noted(*args: object) -> None:
            calls.append(1)
            work(*args)

        sa.event.listen(world.house.db.engine, "checkout", full)
        patch.setattr(Journal, at, noted)
        with contextlib.suppress(sa.exc.OperationalError):  # even that cannot be noted
            world.work(run_id)
        run = world.look(run_id)
        assert run.state == "running" or "disk is full" in str(run.message)
        assert 0 < run.counts["read"] < RECORDS
        calls.clear()
        patch.setattr(Journal, at, work)
        go_on(world, run_id)


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[Path]:
    """Return a disk of ten megabytes; skips where none may be mounted."""
    folder = tmp_path / "disk"
    folder.mkdir()
    command = ["mount", "-t", "tmpfs", "-o", f"size={SIZE}", "tmpfs", str(folder)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        pytest.skip(f"no disk can be mounted here: {done.stderr.strip()}")
    yield folder
    subprocess.run(["umount", "-l", str(folder)], check=True)


@pytest.mark.parametrize("direction", ["left_to_right", "two_way"])
@pytest.mark.parametrize("at", ["plan", "check_in"])
def test_a_real_disk_is_full(disk: Path, direction: str, at: str):
    """Source, target and our own database are on one disk, which another program fills up and later clears."""
    with open_world(disk / "data") as world, pytest.MonkeyPatch.context() as patch:
        run_id, work, calls, ballast = prepare(world, direction), getattr(Journal, at), [], disk / "ballast"

        def fills(*args: object) -> None:
            calls.append(1)
            if len(calls) == 3:
                with contextlib.suppress(OSError), ballast.open("wb", buffering=0) as file:
                    while file.write(b"x" * 512):
                        pass
            work(*args)

        patch.setattr(Journal, at, fills)
        with contextlib.suppress(sa.exc.OperationalError):
            world.work(run_id)
        assert world.look(run_id).state in ("failed", "running")
        ballast.unlink()
        go_on(world, run_id)
