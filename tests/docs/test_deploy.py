"""What deploy/ says of Syncline is true: settings and commands that it names exist, and its files can be read."""

from __future__ import annotations

import re
import shutil
import subprocess
from pathlib import Path

import click
import pytest
import yaml

import config
from webapp import cli

DEPLOY = Path(__file__).resolve().parents[2] / "deploy"
FILES = sorted(path for path in DEPLOY.rglob("*") if path.is_file())
KNOWN = {variable.name for variable in config.SETTINGS}


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(DEPLOY)))
def test_settings_exist(path: Path) -> None:
    """A file names no setting that config.py does not read."""
    assert set(re.findall(r"SYNCLINE_[A-Z_]+", path.read_text("utf-8"))) - KNOWN == set()


def test_the_example_settings_can_be_used() -> None:
    """Settings read the example as it is, down to the Sentinels."""
    lines = (DEPLOY / "syncline.env").read_text("utf-8").splitlines()
    given = dict(line.split("=", 1) for line in lines if line and not line.startswith("#"))
    settings = config.from_environment(given)
    assert (settings.profile, settings.trusted_proxies, settings.drain_seconds) == ("production", 2, 5)


def test_commands_exist() -> None:
    """Units, Compose and the chart start commands that there are."""
    units = {re.search(r"bin/syncline (.+)", unit.read_text())[1] for unit in (DEPLOY / "systemd").iterdir()}
    compose = yaml.safe_load((DEPLOY / "docker" / "compose.yaml").read_text())["services"]
    own = {" ".join(one["command"]) for name, one in compose.items() if name not in ("postgres", "redis")}
    lists = re.findall(r'\(list ("[^)]+)\)', "".join(p.read_text() for p in (DEPLOY / "helm").rglob("*.yaml")))
    charts = {found.replace('"', "") for found in lists}
    assert {"web", "scheduler", "events work"} <= units & own & charts
    for words in units | own | charts:
        command: click.Command = cli.cli
        for word in words.replace("%i", "1").split(" --")[0].split():
            assert isinstance(command, click.Group)
            command = command.get_command(click.Context(command), word)
            assert command is not None, words


def judged(program: str, *arguments: object) -> str:
    """Let a program look at a configuration; return what it says, and skip where it is not installed."""
    found = shutil.which(program, path="/usr/sbin:/usr/bin:/usr/local/sbin:/usr/local/bin")
    if found is None:
        pytest.skip(f"{program} is not installed")
    done = subprocess.run([found, *map(str, arguments)], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout + done.stderr


def changed(name: str, folder: Path, places: dict[str, str]) -> Path:
    """Write a file of deploy/ with texts replaced that are not on this machine; each of them has to be there."""
    text = (DEPLOY / name).read_text("utf-8")
    for old, new in places.items():
        assert old in text, old
        text = text.replace(old, new)
    path = folder / Path(name).name
    path.write_text(text, "utf-8")
    return path


def test_haproxy_takes_its_configuration(tmp_path: Path) -> None:
    """HAProxy reads the file without an error or a warning, where it is installed."""
    places = {" ssl crt /etc/haproxy/syncline.pem alpn h2,http/1.1": ""}
    assert "WARNING" not in judged("haproxy", "-c", "-f", changed("haproxy/haproxy.cfg", tmp_path, places))


def test_nginx_takes_its_configuration(tmp_path: Path) -> None:
    """So does nginx, with what it includes."""
    places = {
        "/etc/nginx/syncline-proxy.conf": str(DEPLOY / "nginx" / "syncline-proxy.conf"),
        "/run/nginx.pid": str(tmp_path / "pid"),
        "/var/log/nginx/error.log": str(tmp_path / "error.log"),
    }
    said = judged("nginx", "-t", "-e", tmp_path / "early.log", "-c", changed("nginx/nginx.conf", tmp_path, places))
    assert "[warn]" not in said


def test_systemd_takes_the_units(tmp_path: Path) -> None:
    """So does systemd, without a word."""
    places = {"/opt/syncline/.venv/bin/syncline": "/bin/true"}
    units = [changed(f"systemd/{unit.name}", tmp_path, places) for unit in (DEPLOY / "systemd").iterdir()]
    assert judged("systemd-analyze", "verify", *units) == ""


def test_prometheus_takes_the_alerts() -> None:
    """So does Prometheus, whose program `promtool` comes with it."""
    judged("promtool", "check", "rules", DEPLOY / "grafana" / "alerts.yaml")
