"""A drill: PostgreSQL goes back to a moment between two runs, and the installation goes on safely."""

from __future__ import annotations

import shutil
import tempfile
import time
from pathlib import Path

import psycopg

from tests import houses, servers
from tests.backups.furnished import furnished
from tests.runs.conftest import ADMIN, numbers
from webapp.audit.findings import Kind
from webapp.backups import restoring
from webapp.evidence import checking
from webapp.evidence.notary import seal_due
from webapp.evidence.stored import opened
from webapp.extensions import House, open_database
from webapp.rulebook import services as rulebook


def test_a_moment_between_two_runs_comes_back(tmp_path: Path) -> None:
    """From a base backup and the WAL archive; the rule meets what the lost run wrote; the log says what was done."""
    store = Path(tempfile.mkdtemp(prefix="syncline-wal-"))
    try:
        _drill(tmp_path, store)
    finally:
        shutil.rmtree(store)


def _drill(tmp_path: Path, store: Path) -> None:
    archive, base = store / "archive", store / "base"
    archive.mkdir()
    store.chmod(0o755)
    servers._own(store)
    with servers.postgres(
        archive_mode="on", archive_command=f"cp %p {archive}/%f.part && mv {archive}/%f.part {archive}/%f"
    ) as server:
        servers.postgres_base(server, base)
        url = f"postgresql://postgres:{server.password}@{server.host}:{server.port}/postgres"
        houses.prepare(url)
        with furnished(tmp_path / "data", url) as world:
            moment = _now(server)
            time.sleep(0.05)
            world.customers("Lost 1", "Lost 2", first=50)
            assert numbers(world.run())["created"] == 2
            seal_due(world.house)
            clients = world.clients()
            _switch(server, archive)
        password = server.password
    recovery = {"restore_command": f"cp {archive}/%f %p", "recovery_target_time": moment}
    with servers.postgres_recovered(base, recovery_target_action="promote", **recovery) as server:
        db = open_database(f"postgresql://postgres:{password}@{server.host}:{server.port}/postgres")
        _wait_until_it_writes(server)
        world.house = House(world.house.settings, db, world.now)
        held = restoring.settle(world.house, ADMIN).held
        assert [(one.name, one.finds) for one in held] == [("customers", True)]
        rulebook.resume(world.house, "customers", ADMIN)
        assert numbers(world.run()) == {"read": 24, "unchanged": 22, "quarantined": 2}
        assert world.clients() == clients
        seal_due(world.house)
        with opened(world.house) as log:
            report = checking.check(log, checking.stored_blobs(log.tx), [], [], checking.stored_rows(log.tx))
        assert (report.intact, dict(report.counts)) == (True, {Kind.RESTORED: 1}), report.findings
        assert list((tmp_path / "data" / "keys").glob("audit-mark-before-*.txt"))
        db.engine.dispose()


def _admin(server: servers.Server) -> psycopg.Connection:
    return psycopg.connect(host=str(server.socket.parent), port=server.port, user="postgres", autocommit=True)


def _now(server: servers.Server) -> str:
    with _admin(server) as admin:
        row = admin.execute("SELECT clock_timestamp()::text").fetchone()
    assert row is not None
    return str(row[0])


def _switch(server: servers.Server, archive: Path) -> None:
    """Close the log at hand, and wait until it is in the archive."""
    with _admin(server) as admin:
        row = admin.execute("SELECT pg_walfile_name(pg_switch_wal())").fetchone()
    assert row is not None
    while not (archive / str(row[0])).exists():
        time.sleep(0.05)


def _wait_until_it_writes(server: servers.Server) -> None:
    with _admin(server) as admin:
        while admin.execute("SELECT pg_is_in_recovery()").fetchone() != (False,):
            time.sleep(0.05)
