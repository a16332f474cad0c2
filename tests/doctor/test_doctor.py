"""`syncline doctor`: each thing that can be wrong is named with what to do, and the bundle holds nothing private."""

from __future__ import annotations

import logging
import zipfile
from collections.abc import Iterator
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest
import sqlalchemy as sa

from connectors.builtin import singer_apart
from connectors.builtin.singer_programs import NOTE
from tests import servers
from tests.backups.furnished import furnished
from tests.runs.conftest import World
from webapp import logs
from webapp.doctor import bundle, machine, services
from webapp.doctor.findings import Finding, State
from webapp.evidence.notary import seal_due
from webapp.extensions import House
from webapp.rulebook.models import rule
from webapp.runs.models import run
from webapp.vault.models import vault_secret
from webapp.wake import beat, connect


@pytest.fixture
def world(tmp_path: Path, metadata_url: str, valkey_server: servers.Server) -> Iterator[World]:
    """Return a healthy installation whose processes were heard of."""
    with furnished(tmp_path / "data", metadata_url) as world:
        settings = replace(world.house.settings, redis_url=f"redis://127.0.0.1:{valkey_server.port}")
        world.house = replace(world.house, settings=settings)
        for kind in ("worker", "scheduler"):
            beat(connect(settings.redis), kind, "here:1", world.house.clock())
        seal_due(world.house)
        yield world


def wrong(house: House) -> dict[str, Finding]:
    """Return what is not well, by what was checked."""
    return {one.check: one for one in services.examine(house) if one.state is not State.OK and one.check != "disk"}


def test_a_healthy_installation_has_nothing_to_fix(world: World) -> None:
    """Every check says something, and nothing is to be done."""
    assert wrong(world.house) == {}
    said = {one.check for one in services.examine(world.house)}
    assert said == {
        "settings", "files", "disk", "egress", "database", "clock", "redis", "processes", "keys", "audit seal", "runs",
        "workers", "time zones",
    }  # fmt: skip


def test_open_files_are_named(world: World) -> None:
    """A key that others may read is named with the command that mends it."""
    key = world.folder / "keys" / "master.key"
    key.chmod(0o644)
    assert wrong(world.house)["files"].todo == f"chmod 600 {key}"


def test_lost_keys_are_named(world: World) -> None:
    """A missing key file, and a secret that does not open, are told of."""
    with world.house.db.begin() as tx:
        tx.execute(sa.update(vault_secret).where(vault_secret.c.owner_kind == "shared").values(ciphertext=b"x"))
    assert "shared erp" in wrong(world.house)["keys"].said
    (world.folder / "keys" / "master.key").unlink()
    assert "missing" in wrong(world.house)["keys"].said
    assert not (world.folder / "keys" / "master.key").exists()


def test_a_key_service_without_a_name_is_told_of(world: World) -> None:
    """Settings that do not say enough to reach the key are a finding, and keep nothing else from being told."""
    world.house = replace(world.house, settings=replace(world.house.settings, key_provider=("aws",), key_name=""))
    found = services.examine(world.house)
    assert "SYNCLINE_KEY_NAME is not set" in next(one.said for one in found if one.check == "keys")
    assert found[-1].check == "time zones"


def test_what_is_stuck_is_named(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """Runs that nobody takes up, rules that are held, events that are not sealed, and processes that are silent."""
    monkeypatch.setattr(services, "SKEW", 4_000)
    waits = world.request("simulate")
    with world.house.db.begin() as tx:
        tx.execute(sa.update(rule).values(held_at=world.now()))
        tx.execute(sa.update(run).where(run.c.id == 1).values(state="running", lease_until=world.now()))
    later = replace(world.house, clock=lambda: world.now() + timedelta(hours=1))
    found = [one for one in services.examine(later) if one.state is not State.OK]
    told = " ".join(one.said for one in found)
    for part in (f"Run {waits} has waited", "Run 1 was left", "1 rules are held", "waited for their seal", "No worker"):
        assert part in told
    assert all(one.todo for one in found)


def test_too_few_workers_are_named(world: World) -> None:
    """Runs that could begin and wait for long, with how many workers would find something to do."""
    waits = world.request("simulate")
    with world.house.db.begin() as tx:
        tx.execute(sa.update(run).where(run.c.id == waits).values(requested_at=world.now() - timedelta(minutes=5)))
    connect(world.house.settings.redis).flushdb()
    assert "1 runs wait" in wrong(world.house)["workers"].said
    assert "1 workers would find something to do, 0 are there" in wrong(world.house)["workers"].said


def test_an_old_log_is_named(world: World) -> None:
    """A database that was wound back is told of, since this machine has sealed more."""
    with world.house.db.begin() as tx:
        tx.execute(sa.text("UPDATE audit_head SET size = size - 1"))
    assert "put back" in wrong(world.house)["audit seal"].said


def test_what_does_not_answer_is_named(world: World) -> None:
    """Redis and the database, each with what to do; what needs the database is left out then."""
    away = replace(world.house.settings, redis_url=f"redis://127.0.0.1:{servers.free_port()}")
    assert wrong(replace(world.house, settings=away))["redis"].state is State.BAD
    with world.house.db.begin() as tx:
        tx.execute(sa.text("UPDATE alembic_version SET version_num = '0000'"))
    found = wrong(world.house)
    assert ("0000" in found["database"].said, "keys" in found) == (True, False)


def test_clocks_and_settings_are_compared(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """A clock that is off, a misspelt setting, networks without an end, and a production without HTTPS are named."""
    slow = replace(world.house, clock=lambda: world.now() - timedelta(seconds=30))
    assert wrong(slow)["clock"].said.startswith("The clock of the ")
    monkeypatch.setenv("SYNCLINE_WROKERS", "3")
    wide = replace(world.house.settings, egress_allow=("0.0.0.0/0",), profile="production", secure_cookies=False)
    found = services.examine(replace(world.house, settings=wide))
    told = " ".join(one.said for one in found)
    for part in ("SYNCLINE_WROKERS", "any address", "without HTTPS", "kept nowhere else"):
        assert part in told


def test_time_zones_and_certificates_are_looked_at(world: World) -> None:
    """A zone that is not known, and an address that offers no certificate."""
    assert [one.state for one in machine.time_zones({"UTC", "Mars/Olympus"})] == [State.BAD]
    url = f"https://127.0.0.1:{servers.free_port()}"
    (found,) = machine.certificate(replace(world.house.settings, console_url=url))
    assert "does not answer" in found.said


CANARIES = ("Ann 1", "王小明", "Acme", "canary", "customers", "crm", "13800138000", "hunter2", "ada")


def test_the_bundle_holds_nothing_private(world: World, tmp_path: Path) -> None:
    """Neither a record, nor a name of a person, rule, entity or connection, nor a secret, path or line of a log."""
    logs.folder(world.house.settings).mkdir(exist_ok=True)
    text = (
        "timestamp='2026-03-01T10:00:00Z' level='error' logger='webapp.runs.execution' event='run 1 failed: Ann 1'\n"
        'Traceback (most recent call last):\n  File "/srv/hunter2/webapp/runs/execution.py", line 77, in execute\n'
        "ValueError: Acme 13800138000\n"
    )
    (logs.folder(world.house.settings) / "worker-1.log").write_text(text)
    logging.getLogger("webapp").debug("canary")
    path = tmp_path / "bundle.zip"
    bundle.write(world.house, path, services.examine(world.house))
    with zipfile.ZipFile(path) as archive:
        held = {name: archive.read(name).decode() for name in archive.namelist()}
    for name, part in held.items():
        private = [one for one in CANARIES if one in part and name != "versions.json"]
        assert private == [], name
        assert str(tmp_path) not in part
    assert "webapp/runs/execution.py:77 execute" in held["logs.json"]
    assert '"error webapp.runs.execution": 1' in held["logs.json"]
    assert '"ValueError": 1' in held["logs.json"]
    assert '"succeeded"' in held["runs.json"]
    with pytest.raises(FileExistsError):
        bundle.write(world.house, path, [])


def test_programs_that_nothing_keeps_apart_are_named(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """Without Landlock installed programs can read all keys, without its ports reach any network; both are told."""
    place = world.folder / "singer" / "tap-a"
    place.mkdir(parents=True)
    (place / NOTE).write_text('{"name": "tap-a", "version": "1", "path": "/nowhere/bin/tap-a"}')
    expected = {0: (State.BAD, "keys included"), 3: (State.WARNING, "any network")}
    for version, (state, told) in expected.items():
        monkeypatch.setattr(singer_apart, "apart", lambda known=version: known)
        found = wrong(world.house)["programs"]
        assert found.state is state
        assert "tap-a" in found.said
        assert told in found.said
    monkeypatch.setattr(singer_apart, "apart", lambda: singer_apart.NETWORKS)
    assert "programs" not in wrong(world.house)
