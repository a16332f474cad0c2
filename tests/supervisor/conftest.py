"""Real installations: `syncline up` in a folder of its own, on a free port."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

import psutil
import pytest

from tests.servers import free_port

ROOT = Path(__file__).resolve().parents[2]
PATIENCE = 180.0


def environ(data: Path, port: int, **more: str) -> dict[str, str]:
    plain = {name: value for name, value in os.environ.items() if not name.startswith("SYNCLINE_")}
    return {**plain, "SYNCLINE_DATA": str(data), "SYNCLINE_PORT": str(port), "SYNCLINE_WORKERS": "1", **more}


def wait_for(condition: Callable[[], bool], seconds: float = PATIENCE, what: str = "it") -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, f"waited in vain for {what}"
        time.sleep(0.05)


@dataclass
class Installation:
    """A data folder and what runs on it."""

    data: Path
    port: int = field(default_factory=free_port)
    more: dict[str, str] = field(default_factory=dict)
    options: tuple[str, ...] = ()
    process: subprocess.Popen[str] | None = None
    seconds: float = 0.0

    @property
    def output(self) -> str:
        return self.data.with_name(f"{self.data.name}.out").read_text()

    @property
    def ready(self) -> bool:
        assert self.process is not None
        assert self.process.poll() is None, self.output
        return "Ctrl-C stops everything" in self.output

    def start(self) -> None:
        started = time.monotonic()
        with self.data.with_name(f"{self.data.name}.out").open("w") as out:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "webapp.cli", "up", *self.options],
                env=environ(self.data, self.port, **self.more),
                cwd=ROOT,
                stdin=subprocess.DEVNULL,
                stdout=out,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
        wait_for(lambda: self.ready, what="the installation")
        self.seconds = time.monotonic() - started

    def page(self, path: str) -> int:
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{self.port}{path}", timeout=10) as answer:
                return answer.status
        except urllib.error.HTTPError as error:
            return error.code
        except OSError:
            return 0

    def family(self) -> list[psutil.Process]:
        """Return the supervisor's descendants."""
        assert self.process is not None
        return psutil.Process(self.process.pid).children(recursive=True)

    def child(self, name: str) -> psutil.Process | None:
        """Return the supervisor's own child: web, worker, scheduler, redis."""
        assert self.process is not None
        for process in psutil.Process(self.process.pid).children():
            with contextlib.suppress(psutil.NoSuchProcess):
                if name in process.cmdline()[:4] or (name == "redis" and process.name().endswith("-server")):
                    return process
        return None

    def stop(self, number: int = signal.SIGINT) -> int:
        """Ask the whole session to stop, as a terminal does on Ctrl-C."""
        assert self.process is not None
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self.process.pid, number)
        return self.process.wait(PATIENCE)


def alive(processes: list[psutil.Process]) -> list[psutil.Process]:
    return [p for p in processes if p.is_running() and p.status() != psutil.STATUS_ZOMBIE]


@pytest.fixture
def installation(tmp_path: Path) -> Iterator[Installation]:
    one = Installation(tmp_path / "data")
    yield one
    _end(one)


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Installation]:
    """Return an installation that runs; the module's tests share it."""
    one = Installation(tmp_path_factory.mktemp("up") / "data")
    try:
        one.start()
        yield one
    finally:
        _end(one)


def _end(one: Installation) -> None:
    if one.process is not None and one.process.poll() is None:
        family = one.family()
        one.process.kill()
        one.process.wait()
        for process in family:
            with contextlib.suppress(psutil.NoSuchProcess):
                process.kill()
