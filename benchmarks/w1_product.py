"""An installation for one scenario: its own metadata database, Valkey and a worker process, as `syncline up` runs them.

Runs are requested as people do it and announced to the worker as the dispatcher does it.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import redis
from rq import Worker

from benchmarks.w1_spent import Meter, Spent, children
from tests.houses import fresh_house
from tests.servers import valkey
from webapp.connections import services as connections
from webapp.extensions import Actor, House, utcnow
from webapp.rulebook import services as rulebook
from webapp.runs import reading
from webapp.runs.queue import enqueue, queue
from webapp.runs.reading import RunRow
from webapp.runs.requests import start

ROOT = Path(__file__).resolve().parents[1]
BENCH = Actor("cli", "bench")
_LOOK = 0.02
_PATIENCE = 60.0


@dataclass(frozen=True)
class Ran:
    """A run that has ended, and what it took."""

    row: RunRow
    spent: Spent

    @property
    def counts(self) -> dict[str, int]:
        """Return the counts of the run."""
        return self.row.counts


@dataclass
class Installation:
    """One house with one worker; `servers` are the processes of the systems, whose CPU time is told apart."""

    house: House
    bell: redis.Redis
    worker: subprocess.Popen[bytes]
    folder: Path
    connected: set[str] = field(default_factory=set)
    servers: Sequence[int] = ()

    def connect(self, name: str, connector: str, settings: Mapping[str, Any]) -> None:
        """Connect a system, unless it is connected."""
        if name in self.connected:
            return
        self.connected.add(name)
        document = {"kind": "connection", "name": name, "connector": connector, "settings": dict(settings)}
        connections.create(self.house, document, BENCH)

    def publish(self, document: Mapping[str, Any]) -> None:
        """Publish a rule."""
        rulebook.create(self.house, dict(document), BENCH)
        rulebook.publish(self.house, str(document["name"]), BENCH)

    def run(self, name: str) -> Ran:
        """Run a rule; its wall time is that from the request to the end that the run notes."""
        ended: list[RunRow] = []

        def work() -> float:
            asked = utcnow()
            run_id = start(self.house, name, "live", BENCH)
            enqueue(queue(self.bell), run_id)
            ended.append(self._ended(run_id))
            assert ended[0].ended_at is not None, ended[0]
            return (ended[0].ended_at - asked).total_seconds()

        spent = Meter(lambda: children(self.worker.pid), self.servers).of(work)
        row = ended[0]
        assert row.state == "succeeded", f"run of {name}: {row.state}: {row.message} {row.counts}"
        assert adds_up(row.counts), row.counts
        return Ran(row, spent)

    def _ended(self, run_id: int) -> RunRow:
        while True:
            with self.house.db.read() as tx:
                row = reading.get(tx, run_id)
            if not row.active:
                return row
            assert self.worker.poll() is None, "The worker has died."
            time.sleep(_LOOK)


def adds_up(counts: Mapping[str, int]) -> bool:
    """Tell whether every record that was read has one outcome."""
    outcomes = ("created", "updated", "unchanged", "skipped", "quarantined", "cases")
    return counts["read"] == sum(counts[name] for name in outcomes)


@contextmanager
def installation(*servers: int) -> Iterator[Installation]:
    """Open a house with a warm worker; it is gone afterwards."""
    with tempfile.TemporaryDirectory(prefix="syncline-bench-") as name, valkey() as server:
        folder, url = Path(name), f"unix://{server.socket}"
        environ = {"SYNCLINE_REDIS_URL": url, "SYNCLINE_FILE_ROOTS": str(folder)}
        with fresh_house(folder / "data", **environ) as house, redis.Redis.from_url(url) as bell:
            environ = {**os.environ, "PYTHONPATH": str(ROOT), "SYNCLINE_DATA": str(folder / "data"), **environ}
            argv = [sys.executable, "-m", "webapp.cli", "worker", "--name", "bench"]
            worker = subprocess.Popen(argv, cwd=ROOT, env=environ)
            try:
                _await(worker, bell)
                yield Installation(house, bell, worker, folder, servers=servers)
            finally:
                worker.send_signal(signal.SIGTERM)
                worker.wait(_PATIENCE)


def _await(worker: subprocess.Popen[bytes], bell: redis.Redis) -> None:
    until = time.monotonic() + _PATIENCE
    while not Worker.count(connection=bell):
        assert worker.poll() is None, "The worker has not started."
        assert time.monotonic() < until, "The worker does not answer."
        time.sleep(_LOOK)
