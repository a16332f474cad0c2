"""Both ends of two-way rules that are killed at work: their records, and the workers that edit and synchronise them."""

from __future__ import annotations

import contextlib
import os
import signal
import time
from dataclasses import dataclass
from typing import Any

import psycopg
import pymysql
import sqlalchemy as sa

from config import Settings
from tests.runs.conftest import ADMIN
from webapp.extensions import House, open_house
from webapp.runs.execution import execute
from webapp.runs.models import run
from webapp.runs.requests import start
from webapp.runs.transactions import recovery
from webapp.vault import people


@dataclass(frozen=True)
class Ends:
    """How to sign in to both databases, past the doors."""

    one: dict[str, Any]
    other: dict[str, Any]

    def pg(self, statement: str, *values: Any) -> list[Any]:
        with psycopg.connect(**self.one, options="-c lock_timeout=300") as db:
            found = db.execute(statement, values)
            return found.fetchall() if found.description else []

    def my(self, statement: str, *values: Any) -> list[Any]:
        more = {"init_command": "SET innodb_lock_wait_timeout = 1"}
        with contextlib.closing(pymysql.connect(**self.other, **more)) as db, db.cursor() as cursor:
            cursor.execute(statement, values)
            db.commit()
            return list(cursor.fetchall())

    def edit(self, name: str) -> bool:
        """Change `a` on the left and `b` on the right of every pair; False: a database is away, or holds locks."""
        try:
            last = self.pg(f"SELECT max(a) FROM {name}")[0][0], self.my(f"SELECT max(b) FROM {name}")[0][0]
            self.pg(f"UPDATE {name} SET a = %s", max(last) + 1)
            self.my(f"UPDATE {name} SET b = %s", max(last) + 1)
        except (psycopg.Error, pymysql.Error):
            return False
        return True


def waiting(house: House, name: str) -> int | None:
    """Return the run of a rule that a worker has left behind."""
    mine = (run.c.rule_name == name, run.c.state.in_(("queued", "running")))
    with house.db.read() as tx:
        return tx.scalar(sa.select(run.c.id).where(*mine).order_by(run.c.id))


def worker(settings: Settings, name: str, ends: Ends, *, takes_over: bool = False) -> None:
    """A worker in a process of its own, which may be killed at any moment.

    It edits, then runs, again and again, until it is asked to end. One that takes over from a worker that may wake up
    takes its run up before it edits: both edits of a round are made before somebody reads them.
    """
    asked: list[int] = []
    signal.signal(signal.SIGTERM, lambda number, _frame: asked.append(number))
    house = open_house(settings)
    people.register(house)
    while takes_over and (left := waiting(house, name)):
        takes_over = not _executed(house, left)
    while not asked:
        if ends.edit(name):
            _executed(house, waiting(house, name) or start(house, name, "live", ADMIN))
        else:  # what is in doubt keeps its records locked
            recovery.recover(house)
            recovery.sweep(house)
            time.sleep(0.05)


def _executed(house: House, number: int) -> bool:
    return execute(house, number, worker_name(os.getpid()), wait=lambda _seconds: None)


def worker_name(pid: int | None) -> str:
    """Return under which name a worker holds its run."""
    return f"w{pid}"
