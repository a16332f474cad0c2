"""What pages of a large installation cost: CPU of the console and of the database, and time by the clock."""

from __future__ import annotations

import statistics
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import sqlalchemy as sa
from flask import Flask
from flask.testing import FlaskClient

from webapp.extensions import House


@dataclass(frozen=True)
class Cost:
    """Milliseconds of one request, medians of some."""

    console: float
    database: float
    wall: float
    statements: int
    slowest: str = ""


@dataclass
class _Watch:
    """Adds up what a console sends to its database."""

    pids: set[int] = field(default_factory=set)
    sent: list[tuple[float, str]] = field(default_factory=list)
    began: float = 0.0

    def before(self, connection: sa.Connection, *_: Any) -> None:
        """Note who answers, and when it was asked."""
        self.pids.add(connection.connection.driver_connection.info.backend_pid)  # type: ignore[union-attr]
        self.began = time.perf_counter()

    def after(self, _connection: Any, _cursor: Any, statement: str, *_: Any) -> None:
        """Note how long it took."""
        self.sent.append((time.perf_counter() - self.began, " ".join(statement.split())))

    def cpu(self) -> float:
        """Return the milliseconds of CPU that the database's processes have taken for us so far."""
        return sum(int(Path(f"/proc/{pid}/schedstat").read_text().split()[0]) for pid in self.pids) / 1e6


@contextmanager
def _watched(house: House) -> Iterator[_Watch]:
    watch, engine = _Watch(), house.db.engine
    sa.event.listen(engine, "before_cursor_execute", watch.before)
    sa.event.listen(engine, "after_cursor_execute", watch.after)
    try:
        yield watch
    finally:
        sa.event.remove(engine, "before_cursor_execute", watch.before)
        sa.event.remove(engine, "after_cursor_execute", watch.after)


def cost(app: Flask, client: FlaskClient, address: str, turns: int = 5) -> Cost:
    """Return what a request costs; the first one, which loads templates and pages of tables, is left out."""
    found: list[tuple[float, float, float, int]] = []
    with _watched(app.extensions["syncline"]) as watch:
        client.get(address).close()
        for _ in range(turns):
            watch.sent.clear()
            was, began, thread = watch.cpu(), time.perf_counter(), time.thread_time()
            answer = client.get(address)
            assert answer.status_code == 200, f"{address}: {answer.status_code}"
            _ = answer.data
            answer.close()
            spent = (time.thread_time() - thread) * 1000, watch.cpu() - was, (time.perf_counter() - began) * 1000
            found.append((*spent, len(watch.sent)))
        took, text = max(watch.sent, default=(0.0, ""))
    medians = [statistics.median(column) for column in zip(*found, strict=True)]
    return Cost(medians[0], medians[1], medians[2], int(medians[3]), f"{took * 1000:.0f} ms: {text}")
