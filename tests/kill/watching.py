"""How far transactions over PostgreSQL and MariaDB are at this moment, so that something can be killed just then."""

from __future__ import annotations

import contextlib
import time
from collections import Counter
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

import psycopg
import pymysql
import sqlalchemy as sa

from webapp.extensions import House
from webapp.runs.transactions.models import global_transaction, transaction_branch
from webapp.runs.transactions.states import OPEN_STATES, State

PATIENCE = 2.0
"""Seconds to wait for a transaction that is as far as it is looked for."""


class Phase(StrEnum):
    """How far an open transaction of two databases is, by its decision and by what the databases show."""

    BEGUN = "begun"
    ONE_PREPARED = "one side prepared"
    PREPARED = "both prepared"
    DECIDED = "decided"
    ONE_COMMITTED = "one side committed"
    COMMITTED = "both committed"
    GIVEN_UP = "given up"


AIMS = tuple(Phase)
_PREPARING = (Phase.BEGUN, Phase.ONE_PREPARED, Phase.PREPARED)
_COMMITTING = (Phase.COMMITTED, Phase.ONE_COMMITTED, Phase.DECIDED)


@dataclass(frozen=True)
class Seen:
    """An open transaction."""

    number: int
    rule: str
    phase: Phase


@dataclass
class Watch:
    """Asks the coordinators' rows and both databases, by connections that stay open until a database dies."""

    house: House
    one: Callable[[], psycopg.Connection[Any]]
    other: Callable[[], pymysql.Connection[Any]]
    _open: dict[str, Any] = field(default_factory=dict)

    def look(self) -> list[Seen]:
        """Return the open transactions; those that had ended when the databases were asked are still told."""
        rows = self.rows()
        shown = {*self._asked("one", self._prepared), *self._asked("other", self._recoverable)} if rows else set()
        count = Counter({row.id: 0 for row in rows})
        for row in rows:
            count[row.id] += "".join(row.gid.rpartition(":")[::2]) in shown
        found = {row.id: row for row in rows}
        return [Seen(n, row.rule_name, _phase(State(row.state), count[n])) for n, row in found.items()]

    def rows(self) -> Sequence[sa.Row[Any]]:
        """Return what is stored of the open transactions: a row for each side."""
        t, b = global_transaction, transaction_branch
        states = [state.value for state in OPEN_STATES]
        joined = sa.select(t.c.id, t.c.rule_name, t.c.state, b.c.gid).join(b, b.c.transaction_id == t.c.id)
        with self.house.db.read() as tx:
            return tx.execute(joined.where(t.c.state.in_(states)).order_by(t.c.id)).all()

    def wait_for(self, aim: Phase | None) -> list[Seen]:
        """Return what is open as soon as something is as far as that, or what is open when that takes too long."""
        until, seen = time.monotonic() + PATIENCE, self.look()
        while aim and all(one.phase is not aim for one in seen) and time.monotonic() < until:
            time.sleep(0.001)
            seen = self.look()
        return seen

    def _prepared(self) -> Collection[str]:
        db = self._open.setdefault("one", None) or self.one()
        self._open["one"] = db
        return ["".join(gid.rpartition(":")[::2]) for (gid,) in db.execute("SELECT gid FROM pg_prepared_xacts")]

    def _recoverable(self) -> Collection[str]:
        db = self._open.setdefault("other", None) or self.other()
        self._open["other"] = db
        with db.cursor() as cursor:
            cursor.execute("XA RECOVER")
            return [bytes(name).decode() for _, _, _, name in cursor.fetchall()]

    def _asked(self, end: str, ask: Callable[[], Collection[str]]) -> Collection[str]:
        """Return what a database shows, nothing while it is away."""
        for _ in range(2):
            try:
                return ask()
            except (psycopg.Error, pymysql.Error, OSError):
                dead = self._open.pop(end, None)
                with contextlib.suppress(psycopg.Error, pymysql.Error, OSError):
                    dead and dead.close()
        return ()


def _phase(state: State, shown: int) -> Phase:
    if state is State.ABORTING:
        return Phase.GIVEN_UP
    return (_PREPARING if state is State.PREPARING else _COMMITTING)[shown]
