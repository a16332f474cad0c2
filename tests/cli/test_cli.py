"""The command line as a whole: help, errors, exit codes."""

from __future__ import annotations

import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import click
import pytest
import structlog

from tests.installation import CommandLine
from webapp import cli
from webapp.commands import users

ROOT = Path(__file__).resolve().parents[2]


def commands(group: click.Group, path: tuple[str, ...] = ()) -> Iterator[tuple[str, ...]]:
    context = click.Context(group)
    for name in group.list_commands(context):
        command = group.get_command(context, name)
        yield (*path, name)
        if isinstance(command, click.Group):
            yield from commands(command, (*path, name))


@pytest.mark.parametrize("path", list(commands(cli.cli)), ids=" ".join)
def test_every_command_has_help(path: tuple[str, ...], syncline: CommandLine) -> None:
    """`--help` says what a command does and what each option means."""
    answer = syncline.ok(*path, "--help")
    assert answer.out.startswith("Usage: syncline ")
    command: click.Command = cli.cli
    for name in path:
        assert isinstance(command, click.Group)
        command = command.get_command(click.Context(command), name)
    assert command.help
    assert all(p.help for p in command.params if isinstance(p, click.Option))


def test_the_commands_are_those_of_the_contract() -> None:
    """The names are fixed; scripts rely on them."""
    names = (
        "up web worker scheduler init backup restore doctor apply export run runs explain rules "
        "simulate verify backfill rebaseline approve approval cases events hook quarantine logs "
        "transactions deliveries connection connector audit secrets user bench"
    )
    assert [name for name in cli.COMMANDS if name != "demo"] == names.split()


def test_an_unknown_command_is_told(syncline: CommandLine) -> None:
    """A command that does not exist ends with exit code 2 and names it."""
    answer = syncline("frobnicate")
    assert answer.code == 2
    assert "frobnicate" in answer.err


def test_without_an_installation(tmp_path: Path, syncline: CommandLine) -> None:
    """In the wrong folder one line says what to do, and nothing is made there."""
    syncline.environ = {"SYNCLINE_DATA": str(tmp_path / "elsewhere")}
    answer = syncline("runs")
    assert answer.code == 1
    assert len(answer.err.splitlines()) == 1
    assert "SYNCLINE_DATA: there is no installation" in answer.err
    assert not (tmp_path / "elsewhere").exists()


def test_a_broken_setting(syncline: CommandLine) -> None:
    """A setting that cannot be used is one line with its name."""
    syncline.environ["SYNCLINE_PORT"] = "many"
    answer = syncline("runs")
    assert answer.code != 0
    assert answer.err.startswith("Error: SYNCLINE_PORT: 'many' is not a whole number")
    assert len(answer.err.splitlines()) == 1


def test_the_unexpected_is_one_line(syncline: CommandLine, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """An error that nobody foresaw shows no traceback; the log has it."""

    def fail(*_: object, **__: object) -> None:
        raise RuntimeError("the moon is blue")

    monkeypatch.setattr(users.users, "list_users", fail)
    answer = syncline("user", "list")
    assert answer.code == 1
    assert len(answer.err.splitlines()) == 1
    assert "RuntimeError: the moon is blue" in answer.err
    assert "in fail" in (tmp_path / "data" / "logs" / "cli.log").read_text()


def test_a_secret_in_a_log_event_is_masked(syncline: CommandLine, tmp_path: Path) -> None:
    """The last line of defence: values under names that sound like secrets are not written."""
    syncline.ok("user", "list")
    structlog.get_logger("test").warning("signed in", password="hunter2", user="ann")
    text = (tmp_path / "data" / "logs" / "cli.log").read_text()
    assert "ann" in text
    assert "hunter2" not in text


def test_a_line_of_the_log_stays_one_line(syncline: CommandLine, tmp_path: Path) -> None:
    """Whatever a value holds, nobody writes a line of their own into the log; each line tells its time in UTC."""
    syncline.ok("user", "list")
    before = len((tmp_path / "data" / "logs" / "cli.log").read_text().splitlines())
    structlog.get_logger("test").warning(
        "sign-in\nforged", user="ann\n2026-01-01 level='info' event='all is well'\r\x85"
    )
    lines = (tmp_path / "data" / "logs" / "cli.log").read_text().splitlines()
    assert len(lines) == before + 1
    assert re.search(r"timestamp='\d{4}-\d\d-\d\dT[0-9:.]+Z'", lines[-1])


def test_the_script_is_installed() -> None:
    """`syncline --version` works from the shell."""
    script = Path(sys.executable).parent / "syncline"
    done = subprocess.run([script, "--version"], cwd=ROOT, capture_output=True, text=True, check=True)
    assert done.stdout.startswith("syncline, version ")
