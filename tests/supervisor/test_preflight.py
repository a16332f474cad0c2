"""What keeps Syncline from starting: one line that names the setting and says what to do, and no traceback."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import pytest

import config
from tests.servers import free_port
from tests.supervisor.conftest import ROOT, environ
from webapp.supervisor import preflight, valkey
from webapp.supervisor.errors import UNUSABLE, CannotStart
from webapp.supervisor.instance import only_instance, running


def up(data: Path, port: int | None = None, prefix: Sequence[str] = (), **more: str) -> str:
    """Return the one line on stderr of a start that fails."""
    done = subprocess.run(
        [*prefix, sys.executable, "-m", "webapp.cli", "up"],
        check=False,
        env=environ(data, port or free_port(), **more),
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert done.returncode == UNUSABLE, done
    assert done.stdout == ""
    lines = done.stderr.splitlines()
    assert len(lines) == 1, done.stderr
    return lines[0]


@contextmanager
def listening() -> Iterator[int]:
    with socket.socket() as server:
        server.bind(("127.0.0.1", 0))
        server.listen()
        yield server.getsockname()[1]


def test_port_in_use(tmp_path: Path) -> None:
    """A port that another program uses is named with the setting."""
    with listening() as port:
        line = up(tmp_path / "data", port)
    assert line.startswith(f"Error: SYNCLINE_PORT: port {port} on 127.0.0.1 is in use.")


def test_foreign_address(tmp_path: Path) -> None:
    """An address that this machine does not have is named with the setting."""
    assert "SYNCLINE_HOST: cannot listen on '192.0.2.1'" in up(tmp_path / "data", SYNCLINE_HOST="192.0.2.1")


def test_unknown_host(tmp_path: Path) -> None:
    """A host that cannot be resolved is named with the setting."""
    assert "SYNCLINE_HOST: cannot listen on 'no such host'" in up(tmp_path / "data", SYNCLINE_HOST="no such host")


def test_data_folder_is_a_file(tmp_path: Path) -> None:
    """A file in the place of the data folder is told."""
    (tmp_path / "data").touch()
    assert up(tmp_path / "data").startswith("Error: SYNCLINE_DATA: cannot write to the data folder")


def test_read_only_data_folder(tmp_path: Path) -> None:
    """A data folder that may only be read is told."""
    data = tmp_path / "data"
    data.mkdir(mode=0o555)
    unprivileged = ["setpriv", "--bounding-set", "-all", "--"] if os.geteuid() == 0 else []
    line = up(data, prefix=unprivileged)
    assert "SYNCLINE_DATA: cannot write to the data folder" in line
    assert "permission denied" in line


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("SYNCLINE_PORT", "eighty"),
        ("SYNCLINE_PORT", "70000"),
        ("SYNCLINE_PROFILE", "testing"),
        ("SYNCLINE_WORKERS", "0"),
        ("SYNCLINE_LEASE_SECONDS", "soon"),
        ("SYNCLINE_TIMEZONE", "Shanghai/Asia"),
        ("SYNCLINE_EGRESS_ALLOW", "10.0.0.0/99"),
        ("SYNCLINE_DATABASE_URL", "mysql://host/name"),
        ("SYNCLINE_REDIS_URL", "http://localhost"),
        ("SYNCLINE_LOG_FORMAT", "xml"),
        ("SYNCLINE_SECURE_COOKIES", "perhaps"),
    ],
)
def test_broken_setting(tmp_path: Path, name: str, value: str) -> None:
    """A value that cannot be used is repeated with the name of its setting."""
    with pytest.raises(config.SettingError, match=f"^{name}: .*'{value}'"):
        config.from_environment({"SYNCLINE_DATA": str(tmp_path), name: value})


def test_broken_setting_at_the_terminal(tmp_path: Path) -> None:
    """The start ends with that line."""
    assert up(tmp_path / "data", SYNCLINE_WORKERS="many").startswith(
        "Error: SYNCLINE_WORKERS: 'many' is not a whole number"
    )


def test_unreachable_database(tmp_path: Path) -> None:
    """A database that does not answer is named, without its password."""
    line = up(tmp_path / "data", SYNCLINE_DATABASE_URL=f"postgresql://sync:hidden@127.0.0.1:{free_port()}/sync")
    assert "SYNCLINE_DATABASE_URL: cannot use the database postgresql://sync:***@127.0.0.1" in line
    assert "hidden" not in line


def test_unreachable_redis(tmp_path: Path) -> None:
    """A Redis that does not answer is named, without its password."""
    line = up(tmp_path / "data", SYNCLINE_REDIS_URL=f"redis://:hidden@127.0.0.1:{free_port()}/0")
    assert "SYNCLINE_REDIS_URL: the Redis at redis://127.0.0.1" in line
    assert "hidden" not in line


def test_missing_assets(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """A front end that was not built is told with the command that builds it."""
    monkeypatch.setattr(preflight, "ASSETS", tmp_path / "manifest.json")
    with pytest.raises(CannotStart, match="make assets"):
        preflight.assets()


def test_no_redis_at_all(monkeypatch: pytest.MonkeyPatch) -> None:
    """Without an embedded server and without one on the PATH the setting is named."""

    def missing() -> None:
        raise valkey.ValkeyBinaryNotFoundError

    monkeypatch.setattr(valkey, "get_binary_path", missing)
    monkeypatch.setattr(valkey.shutil, "which", lambda _name: None)
    with pytest.raises(CannotStart, match="SYNCLINE_REDIS_URL"):
        valkey.server_binary()
    monkeypatch.setattr(valkey.shutil, "which", lambda name: f"/usr/bin/{name}" if name == "redis-server" else None)
    assert valkey.server_binary() == "/usr/bin/redis-server"


def test_the_lock_is_given_back(tmp_path: Path) -> None:
    """A data folder is free again when its holder has gone."""
    with only_instance(tmp_path):
        assert running(tmp_path)
        with pytest.raises(CannotStart, match=f"process {os.getpid()}"), only_instance(tmp_path):
            pass
    assert not running(tmp_path)
    with only_instance(tmp_path):
        pass


def test_somebody_elses_socket_folder_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A folder in a shared place that we do not own is not used for the socket."""
    target = tmp_path / "elsewhere"
    target.mkdir()
    (tmp_path / "link").symlink_to(target)
    with pytest.raises(CannotStart, match="belongs to somebody else"):
        valkey._private_folder(tmp_path / "link")


@pytest.mark.parametrize("command", ["worker", "scheduler"])
def test_a_process_alone_needs_redis(tmp_path: Path, command: str) -> None:
    """A worker or scheduler that is started alone says what it waits for."""
    done = subprocess.run(
        [sys.executable, "-m", "webapp.cli", command],
        check=False,
        env=environ(tmp_path / "data", free_port()),
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert done.returncode == UNUSABLE
    assert done.stderr.startswith("Error: SYNCLINE_REDIS_URL: the embedded Redis does not run.")
    assert len(done.stderr.splitlines()) == 1
