"""What people noticed: the requests of a while, and what became of every record."""

from __future__ import annotations

import itertools
import json
import signal
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import psycopg

from tests.ha.cluster import VIRTUAL, Cluster, wait_for

SAFE = ("page", "read")
"""Kinds of requests that may be sent again by a load balancer."""


@dataclass
class Noticed:
    """The requests that began in a while."""

    lines: list[dict[str, Any]]
    took: float = 0.0
    """Seconds until what was waited for had happened."""

    def failed(self, *kinds: str) -> list[dict[str, Any]]:
        return [line for line in self.lines if line["error"] and (not kinds or line["kind"] in kinds)]

    @property
    def gap(self) -> float:
        """Return the longest time, in seconds, between the ends of two good answers."""
        ends = sorted(line["at"] + line["took"] for line in self.lines if not line["error"])
        return max((b - a for a, b in itertools.pairwise(ends)), default=0.0)

    @property
    def slowest(self) -> float:
        return max((line["took"] for line in self.lines if not line["error"]), default=0.0)


@dataclass
class Scene:
    """A cluster under load, whose source system gets new orders all the time."""

    cluster: Cluster
    given: dict[str, str]
    rows: list[tuple[str, dict[str, Any]]] = field(default_factory=list)
    """What the table of results shows: what happened, and figures."""
    _stop: threading.Event = field(default_factory=threading.Event)
    _orders: int = 0

    @property
    def file(self) -> Path:
        return self.cluster.folder / "load.jsonl"

    def lines(self) -> list[dict[str, Any]]:
        if not self.file.exists():
            return []
        with self.file.open(encoding="utf-8") as lines:
            return [json.loads(line) for line in lines if line.endswith("\n")]

    @contextmanager
    def busy(self) -> Iterator[None]:
        """Let people and programs work."""
        login = json.dumps({name: self.given[name] for name in ("password", "key")})
        trusted = str(self.cluster.folder / "certificate.pem")
        argv = [sys.executable, "-m", "tests.ha.load", f"https://{VIRTUAL}", trusted, str(self.file)]
        self.cluster["client"].start("load", argv, {"SYNCLINE_LOAD": login})
        self._source = threading.Thread(target=self._order)
        self._source.start()
        try:
            wait_for(lambda: {"page", "read", "write", "run"} <= {line["kind"] for line in self.lines()}, "all kinds")
            yield
        finally:
            self.stop_orders()
            self.cluster["client"].programs["load"].send_signal(signal.SIGTERM)
            self.cluster["client"].programs.pop("load").wait()

    def stop_orders(self) -> None:
        """Let the source system rest."""
        self._stop.set()
        self._source.join()

    def _order(self) -> None:
        with psycopg.connect(
            host=str(self.cluster["systems"].folder), user="postgres", dbname="crm", autocommit=True
        ) as db:
            while not self._stop.wait(0.2):
                first = self._orders + 1
                self._orders += 50
                db.execute(
                    "INSERT INTO orders SELECT n, 'order ' || n FROM generate_series(%s::bigint, %s::bigint) n",
                    (first, self._orders),
                )

    @contextmanager
    def watched(self, what: str, settle: float = 4.0) -> Iterator[Noticed]:
        """Note what people notice while something happens, and for a few seconds afterwards."""
        noticed, since = Noticed([]), time.time()
        yield noticed
        time.sleep(settle)
        settled = time.time()
        everybody = {line["who"] for line in self.lines()}
        # nobody may still wait for an answer to what was asked before
        wait_for(lambda: {line["who"] for line in self.lines() if line["at"] >= settled} == everybody, "all answers")
        noticed.lines = [line for line in self.lines() if line["at"] >= since]
        figures = {
            "requests": len(noticed.lines),
            "failed reads": len(noticed.failed(*SAFE)),
            "failed writes": len(noticed.failed("write", "run")),
            "longest gap": round(noticed.gap, 1),
            "slowest": round(noticed.slowest, 1),
            "waited": round(noticed.took, 1),
        }
        self.rows.append((what, figures))
        sys.stderr.write("\n  ".join(map(str, (f"{what}: {figures}", *noticed.failed()[:3], ""))))

    def kept(self, what: str) -> int:
        """Return a number that the metadata database knows."""
        return int(str(self.cluster.sql("pg", what, database="syncline")[0][0]))

    def until_runs_go_on(self) -> float:
        """Wait until a run that was asked for now has ended well; return the seconds."""
        last = self.kept("SELECT coalesce(max(id), 0) FROM run WHERE state = 'succeeded'")
        newest = f"SELECT count(*) FROM run WHERE id > {last + 1} AND state = 'succeeded'"
        return wait_for(lambda: self.asked(newest), "a run that ends well")

    def asked(self, query: str) -> int:
        with suppress(psycopg.Error):
            return self.kept(query)
        return 0


def table(rows: list[tuple[str, dict[str, Any]]]) -> str:
    """Return results as a table in Markdown."""
    names = list(rows[0][1])
    head = [f"| what happened | {' | '.join(names)} |", f"|---|{'---|' * len(names)}"]
    return "\n".join([*head, *(f"| {what} | {' | '.join(str(f[n]) for n in names)} |" for what, f in rows)])
