"""Which versions may work on a database that a newer one has upgraded."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import sqlalchemy as sa

from tests.houses import settings_in
from tests.servers import free_port, valkey
from webapp.extensions import open_database
from webapp.migrations import services

ROOT = Path(__file__).resolve().parents[2]
SECOND = '''"""Adds something."""
revision, down_revision = "{name}", "{before}"
branch_labels = depends_on = None


def upgrade():
    pass
'''


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return a folder of revisions of a version of its own."""
    folder = tmp_path / "migrations"
    shutil.copytree(services.FOLDER, folder, ignore=shutil.ignore_patterns("__pycache__"))
    monkeypatch.setattr(services, "FOLDER", folder)
    return folder


def add(folder: Path, name: str, before: str) -> None:
    (folder / "versions" / f"{name}.py").write_text(SECOND.format(name=name, before=before))


def at(revision: str | None) -> sa.Connection:
    """Return a database with a revision."""
    connection = sa.create_engine("sqlite://").connect()
    if revision:
        connection.execute(sa.text("CREATE TABLE alembic_version (version_num VARCHAR(32))"))
        connection.execute(sa.text("INSERT INTO alembic_version VALUES (:name)"), {"name": revision})
    return connection


@pytest.mark.parametrize("revision", ["0002", "0003", "0003_needs_0002", "0009_needs_0002"])
def test_a_version_goes_on_where_nothing_it_uses_was_taken_away(folder: Path, revision: str) -> None:
    """It knows 0002; what came later was only added, or took away what versions that know 0002 do not use."""
    add(folder, "0002", "0001")
    services.require(at(revision))


@pytest.mark.parametrize("revision", ["0004_needs_0003", "0009_needs_0004"])
def test_a_version_refuses_where_something_it_uses_was_taken_away(folder: Path, revision: str) -> None:
    """The text says to install the newer one."""
    add(folder, "0002", "0001")
    with pytest.raises(services.NewerDatabase, match=f"revision {revision}.*install the newer one"):
        services.require(at(revision))


@pytest.mark.parametrize("revision", [None, "0001", "unknown"])
def test_a_version_refuses_what_was_not_prepared_for_it(folder: Path, revision: str | None) -> None:
    """The text says what to call first."""
    add(folder, "0002", "0001")
    with pytest.raises(services.OlderDatabase, match="syncline init"):
        services.require(at(revision))


def test_a_revision_says_in_its_name_who_may_go_on(folder: Path) -> None:
    """What takes away needs the version before; what follows needs no less, since it is the only name that is kept."""
    names = []
    for removes in (False, True, False, True):
        (path,) = services.revise("Something", removes=removes)
        names.append(path.name.removesuffix("_something.py"))
    assert names == ["0002", "0003_needs_0002", "0004_needs_0002", "0005_needs_0004"]


@pytest.mark.parametrize("command", [["web"], ["worker"], ["scheduler"], ["events", "work"]], ids=" ".join)
def test_no_process_starts_on_a_database_that_has_lost_what_it_uses(tmp_path: Path, command: list[str]) -> None:
    """It says so in one line and ends, before it has touched anything."""
    settings = settings_in(tmp_path)
    db = open_database(settings.database_url)
    with db.begin() as tx:
        tx.execute(sa.text("UPDATE alembic_version SET version_num = '0003_needs_0002'"))
    db.engine.dispose()
    environ = {"SYNCLINE_DATA": str(tmp_path), "SYNCLINE_PORT": str(free_port()), "PATH": "/usr/bin:/bin"}
    argv = [sys.executable, "-m", "webapp.cli", *command]
    with valkey() as server:
        environ["SYNCLINE_REDIS_URL"] = f"unix://{server.socket}"
        done = subprocess.run(argv, cwd=ROOT, env=environ, capture_output=True, text=True, timeout=200, check=False)
    assert done.returncode != 0
    assert "install the newer one" in done.stderr
