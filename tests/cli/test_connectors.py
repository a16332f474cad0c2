"""`syncline connector`: what there is, what it is worth, and a new one whose tests are green as it is written."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from importlib.metadata import EntryPoint, EntryPoints
from pathlib import Path

import pytest

from connectors import registry
from connectors.builtin import singer_programs
from connectors.builtin.singer_programs import Program, install_program, installed
from connectors.errors import Misconfigured
from tests.installation import Answer, CommandLine


def refused(syncline: CommandLine, *arguments: str) -> Answer:
    """Return what a command says that could not do what was asked."""
    answer = syncline(*arguments)
    assert answer.code == 1, answer
    return answer


def test_connectors_are_listed(syncline: CommandLine, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each connector is listed with its version and quality; a plugin that cannot be loaded with its reason."""
    real = registry.entry_points
    point = EntryPoints([EntryPoint("acme", "no_such_module:X", registry.GROUP)])
    monkeypatch.setattr(registry, "entry_points", lambda **w: EntryPoints([*real(**w), *point.select(**w)]))
    rows = {row["name"]: row for row in syncline.ok("connector", "list", "--json").json}
    assert set(registry.BUILTIN) <= set(rows)
    assert "hub" not in rows
    assert rows["sqlite"]["quality"] in ("silver", "gold", "platinum")
    assert "no_such_module" in rows["acme"]["problem"]
    out = syncline.ok("connector", "list").out
    assert "PostgreSQL" in out
    assert "no_such_module" in out


def test_a_connector_is_shown(syncline: CommandLine) -> None:
    """Its settings, abilities and criteria are shown; one that does not exist is an error with a way out."""
    shown = syncline.ok("connector", "show", "sqlite", "--json").json
    assert {"name": "path", "label": "File", "required": True} in [
        {**s, "label": "File"} for s in shown["settings"] if s["name"] == "path"
    ]
    assert {c["criterion"] for c in shown["criteria"]} >= {"conformance", "faults"}
    out = syncline.ok("connector", "show", "sqlite").out
    assert "path*" in out
    failed = refused(syncline, "connector", "show", "nothing")
    assert "There is no connector 'nothing'" in failed.err


def test_a_level_can_be_asked_for(syncline: CommandLine) -> None:
    """Below the level that is asked for, the exit code says so, and what is missing."""
    assert syncline.ok("connector", "check", "sqlite", "--json").json["quality"]
    assert "NOT MET" in refused(syncline, "connector", "check", "rest", "--level", "platinum").out
    failed = refused(syncline, "connector", "check", "singer_target")
    assert "left no results" in failed.err


def test_a_new_connector_is_complete(syncline: CommandLine, tmp_path: Path) -> None:
    """The package that is written works as it is: its tests are green, and the suite rates it."""
    folder = tmp_path / "acme"
    made = syncline.ok("connector", "new", "acme_crm", "--into", str(folder), "--json").json
    assert {Path(path).relative_to(folder).as_posix() for path in made["files"]} == {
        "pyproject.toml", "README.md", "docs/acme_crm.md", "syncline_acme_crm/__init__.py", "tests/acme_crm_service.py",
        "tests/test_acme_crm.py",
    }  # fmt: skip
    found = folder / "syncline_acme_crm" / "quality.json"
    command = [sys.executable, "-m", "pytest", "-q", "-W", "error", "-p", "no:cacheprovider"]
    command += [f"--connector-quality={found}"]
    environment = {**os.environ, "PYTHONDONTWRITEBYTECODE": "1"}
    done = subprocess.run(command, capture_output=True, text=True, check=False, cwd=folder, env=environment)
    assert done.returncode == 0, done.stdout + done.stderr
    (laws,) = (connector["laws"] for connector in json.loads(found.read_text())["connectors"].values())
    assert "failed" not in laws.values()
    assert laws["test_create_round_trip"] == "passed"
    checked = subprocess.run(
        [str(Path(sys.executable).parent / "ruff"), "check", "--select", "E,F,B,UP", "--line-length", "120", "."],
        capture_output=True, text=True, check=False, cwd=folder,
    )  # fmt: skip
    assert checked.returncode == 0, checked.stdout
    again = refused(syncline, "connector", "new", "acme_crm", "--into", str(folder))
    assert "There is something in" in again.err


@pytest.mark.parametrize("name", ["Acme", "1st", "acme-crm", "sqlite", "a__b"])
def test_a_name_has_to_be_one(syncline: CommandLine, tmp_path: Path, name: str) -> None:
    """Names that cannot be, or that are taken, are refused before anything is written."""
    failed = refused(syncline, "connector", "new", name, "--into", str(tmp_path / "x"))
    assert name in failed.err
    assert not (tmp_path / "x").exists()


def test_singer_programs(syncline: CommandLine, monkeypatch: pytest.MonkeyPatch) -> None:
    """Installing takes exactly one version of one package; what is installed is listed and can be taken away."""
    ran: list[list[str]] = []

    def run(command: list[str]) -> None:
        ran.append(command)
        if command[2] == "pip":
            program = Path(command[0]).parent / "tap-x"
            program.parent.mkdir(parents=True)
            program.write_text("")

    monkeypatch.setattr(singer_programs, "_run", run)
    assert "No Singer" in syncline.ok("connector", "programs").out
    for wrong in ("tap-x", "tap-x>=1", "tap-x==1; echo", "git+https://x/y==1"):
        assert "one version" in refused(syncline, "connector", "install", "singer", wrong).err
    assert ran == []
    out = syncline.ok("connector", "install", "singer", "tap-x==1.0").out
    assert "tap-x 1.0 is installed" in out
    assert ran[1][-1] == "tap-x==1.0"
    assert syncline.ok("connector", "programs", "--json").json == [{"name": "tap-x", "version": "1.0"}]
    assert "installed already" in refused(syncline, "connector", "install", "singer", "tap-x==1.1").err
    failed = refused(syncline, "connector", "install", "singer", "tap-y==1.0")
    assert "has no program 'tap-y'" in failed.err
    assert [p["name"] for p in syncline.ok("connector", "programs", "--json").json] == ["tap-x"]
    assert syncline.ok("connector", "uninstall", "singer", "tap-x", "--json").json == {"name": "tap-x"}
    direct = syncline.ok("connector", "install", "singer", "tap-x==1.0", "--direct-network", "--json").json
    assert direct == {"name": "tap-x", "version": "1.0"}
    assert [program.direct for program in singer_programs.installed(syncline.house.settings.data / "singer")] == [True]
    syncline.ok("connector", "uninstall", "singer", "tap-x")
    assert "no Singer program" in refused(syncline, "connector", "uninstall", "singer", "tap-x").err


def test_an_installation_that_fails_leaves_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What pip says is told; what it left is taken away, also after a time-out."""
    commands = iter(([sys.executable, "-c", "import sys; sys.exit('no matching version')"],))
    run = singer_programs._run
    monkeypatch.setattr(singer_programs, "_run", lambda _: run(next(commands)))
    with pytest.raises(Misconfigured, match="failed: no matching version"):
        install_program(tmp_path, "tap-x==1.0")
    assert list(tmp_path.iterdir()) == []
    monkeypatch.setattr(singer_programs, "_PATIENCE", 0.01)
    with pytest.raises(Misconfigured, match="took longer"):
        run([sys.executable, "-c", "import time; time.sleep(9)"])
    assert installed(None) == []
    assert Program("a", "1", "/x").name == "a"
