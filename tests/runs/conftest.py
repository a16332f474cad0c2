"""Two SQLite systems, a rule between them, and a clock that tests can move."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from hypothesis import Phase

import webapp.entities.models
import webapp.rulebook.models
import webapp.runs.models  # noqa: F401 - the tables have to be known
from tests.houses import fresh_house
from webapp.connections import services as connections
from webapp.extensions import Actor, House
from webapp.rulebook import services as rulebook
from webapp.runs import reading
from webapp.runs.execution import execute
from webapp.runs.requests import start

ADMIN = Actor("user", "ada", "1")
PHASES = (Phase.explicit, Phase.reuse, Phase.generate)
"""A history of runs takes too long to be made smaller and smaller: what is found is told in the time of a test."""
CUSTOMERS = "CREATE TABLE customer (id INTEGER PRIMARY KEY, name TEXT, phone TEXT, status TEXT, changed TEXT)"
CLIENTS = (
    "CREATE TABLE client (no INTEGER PRIMARY KEY, title TEXT NOT NULL CHECK (length(title) < 20), tel TEXT, memo TEXT)"
)
RULE: dict[str, Any] = {
    "kind": "sync",
    "name": "customers",
    "left": {"connection": "crm", "object": "customer"},
    "right": {"connection": "erp", "object": "client"},
    "direction": "left_to_right",
    "key": {"left": "id", "right": "no"},
    "fields": [
        {"left": "id", "right": "no"},
        {"left": "name", "right": "title", "to_right": "name.trim()"},
        {"left": "phone", "right": "tel"},
    ],
}


@dataclass
class World:
    """A house, two systems, and what tests do with them."""

    house: House
    folder: Path
    shift: timedelta = field(default_factory=timedelta)

    def crm(self, statement: str, *rows: tuple[Any, ...]) -> list[tuple[Any, ...]]:
        return self._sql("crm.db", statement, rows)

    def erp(self, statement: str, *rows: tuple[Any, ...]) -> list[tuple[Any, ...]]:
        return self._sql("erp.db", statement, rows)

    def _sql(self, name: str, statement: str, rows: tuple[tuple[Any, ...], ...]) -> list[tuple[Any, ...]]:
        with sqlite3.connect(self.folder / name) as connection:
            if rows:
                connection.executemany(statement, rows)
                return []
            return connection.execute(statement).fetchall()

    def customers(self, *names: str | None, first: int = 1) -> None:
        rows = [
            (number, name, f"+86 {number}", "active", f"2024-01-01 00:00:{number % 60:02}")
            for number, name in enumerate(names, first)
        ]
        self.crm("INSERT INTO customer VALUES (?, ?, ?, ?, ?)", *rows)

    def clients(self) -> list[tuple[Any, ...]]:
        return self.erp("SELECT no, title, tel FROM client ORDER BY no")

    def rule(self, **changes: Any) -> None:
        document = {**RULE, **changes}
        with self.house.db.read() as tx:
            known = rulebook.find(tx, "customers")
        if known:
            rulebook.save_draft(self.house, "customers", document, ADMIN)
        else:
            rulebook.create(self.house, document, ADMIN)
        rulebook.publish(self.house, "customers", ADMIN)

    def request(self, mode: str = "live") -> int:
        return start(self.house, "customers", mode, ADMIN)

    def work(self, run_id: int, worker: str = "w1", house: House | None = None) -> bool:
        return execute(house or self.house, run_id, worker, wait=lambda _seconds: None)

    def run(self, mode: str = "live") -> reading.RunRow:
        run_id = self.request(mode)
        assert self.work(run_id)
        return self.look(run_id)

    def look(self, run_id: int) -> reading.RunRow:
        with self.house.db.read() as tx:
            return reading.get(tx, run_id)

    def records(self, run_id: int) -> list[reading.ShownRecord]:
        with self.house.db.read() as tx:
            return [reading.with_differences(row) for row in reading.records(tx, run_id, limit=1000)]

    def now(self) -> datetime:
        return datetime.now(UTC) + self.shift

    def pages_of(self, size: int) -> World:
        self.house = replace(self.house, settings=replace(self.house.settings, page_size=size))
        return self


def numbers(run: reading.RunRow) -> dict[str, int]:
    """Return the counts that are not zero."""
    return {name: number for name, number in run.counts.items() if number}


@pytest.fixture
def world(tmp_path: Path, metadata_url: str) -> Iterator[World]:
    with open_world(tmp_path / "data", metadata_url) as world:
        yield world


@contextmanager
def open_world(folder: Path, metadata_url: str = "") -> Iterator[World]:
    """Open a house with its two systems in a folder of its own."""
    with fresh_house(folder, metadata_url) as house:
        world = World(house, folder)
        world.house = replace(house, clock=world.now)
        world.crm(CUSTOMERS)
        world.erp(CLIENTS)
        for name in ("crm", "erp"):
            path = str(world.folder / f"{name}.db")
            document = {"kind": "connection", "name": name, "connector": "sqlite", "settings": {"path": path}}
            connections.create(house, document, ADMIN)
        yield world
