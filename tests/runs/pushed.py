"""Two rules over one table, one carried out inside the database, the other one by Syncline; difficult records."""

from __future__ import annotations

import contextlib
import random
import sqlite3
from collections.abc import Callable, Iterator
from typing import Any

import psycopg
import sqlalchemy as sa

from tests.runs.conftest import ADMIN, World, numbers
from webapp.connections import services as connections
from webapp.rulebook import services as rulebook
from webapp.runs import quarantine, reading
from webapp.runs.models import run_record
from webapp.runs.pipeline.links import Links
from webapp.runs.requests import start

Ask = Callable[..., list[tuple[Any, ...]]]
SOURCE = """CREATE TABLE src (id BIGINT {key}, name TEXT, code VARCHAR(12), qty INTEGER, big BIGINT,
price NUMERIC(12, 2), rate DOUBLE PRECISION, ok BOOLEAN, day DATE, clock TIME, at TIMESTAMPTZ, local TIMESTAMP,
body {bytes})"""
TARGET = """CREATE TABLE {name} (no BIGINT {key}, title VARCHAR(20) CONSTRAINT fair CHECK (title <> 'refused'),
code TEXT, amount BIGINT, price NUMERIC(10, 1), rate DOUBLE PRECISION, ok BOOLEAN, day DATE, clock TIME, at TIMESTAMPTZ,
local TIMESTAMP, body {bytes}, memo TEXT DEFAULT 'new')"""
NAMES = (
    "Ada",
    " ada ",
    "李雷",
    "名前😀",
    "Straße",
    "ÀB",
    "",
    "  ",
    "x" * 19,
    "x" * 30,
    "refused",
    "a\u3000",
    "Z",
    None,
    "nul",
)
PLACES = {
    "name": NAMES,
    "code": ("a", "B", "ab-1", "", None, "é"),
    "qty": (0, 1, -7, 2**31 - 1, None, 40_000),
    "big": (0, 3, -(2**63), 2**63 - 1, 2**53 + 1, None, 99),
    "price": ("0.00", "1.50", "-12.30", "9999999999.99", None, "0.05", "7.00"),
    "rate": (0.0, 0.1, -2.5, 1e300, 1e-200, 3.0, None, 1e16),
    "ok": (True, False, None),
    "day": ("2024-02-29", "0001-01-02", "9999-12-31", None),
    "clock": ("00:00:00", "23:59:59", "09:30:00", None),
    "at": ("2024-02-29 12:00:00+00:00", "1969-12-31 23:59:59+00:00", None),
    "local": ("2024-02-29 12:00:00", "2024-03-31 02:30:00", None),
    "body": (b"", b"\x00\xff", None),
}  # fmt: skip
TITLES = (
    "name.trim()", "name.upper()", "name.lower()", "name.orDefault('none')", "isBlank(name) ? 'blank' : name",
    "name == null ? code : name + '-' + code.orDefault('?')", "qty > 0 ? 'many' : 'few'", "name", "'fixed'",
    "coalesce(name, code, 'neither').trim()", "ok ? name : code", "name.trim().lower() + code",
)  # fmt: skip
AMOUNTS = ("qty * 2 + 1", "big * qty", "big - 1", "qty.orDefault(0)", "size(name)", "-big", "qty", "ok ? qty : big")
RATES = ("rate * 1.5", "rate / 2.0", "rate + qty", "qty", "-rate", "1.0 / rate", "rate * rate", "rate", "qty * 0.1")
CONDITIONS = (
    "qty > 0", "ok", "!ok", "name != null && name.startsWith('a')", "name in ['Ada', '李雷', '']", "rate < 2.5",
    "qty > 0 || ok", "price >= 1.5", "code == 'a' || code == null", "name.contains('a') && !isBlank(code)", "big == 3",
    "qty < 1.5", "size(name) <= 5", "name.endsWith('e')", "name < 'Z'", "qty == big", "rate == 0.1 || qty in [1, -7]",
)  # fmt: skip
COPIES = ("price", "ok", "day", "clock", "at", "local", "body")


@contextlib.contextmanager
def postgresql(world: World, url: str) -> Iterator[Ask]:
    """Give a connection called `db` and a way to ask it."""
    u = sa.make_url(url)
    settings: dict[str, Any] = {"host": u.host, "port": u.port, "database": u.database, "user": u.username}
    settings |= {"password": u.password} if u.password else {}
    connections.create(world.house, _connection("postgresql", settings), ADMIN)
    keywords = {"database": "dbname"}
    with psycopg.connect(**{keywords.get(k, k): v for k, v in settings.items()}, autocommit=True) as sql:

        def ask(statement: str, *row: Any) -> list[tuple[Any, ...]]:
            done = sql.execute(statement.replace("?", "%s").encode(), row or None)
            return done.fetchall() if done.description else []

        ask("DROP TABLE IF EXISTS src, pushed, plain")  # of an example that was broken off
        _create(ask, "BYTEA")
        yield ask


@contextlib.contextmanager
def sqlite(world: World, _url: str = "") -> Iterator[Ask]:
    """Give a connection called `db` and a way to ask it."""
    path = world.folder / "both.db"
    with contextlib.closing(sqlite3.connect(path, isolation_level=None)) as sql:

        def ask(statement: str, *row: Any) -> list[tuple[Any, ...]]:
            return sql.execute(statement, row).fetchall()

        _create(ask, "BLOB")
        connections.create(world.house, _connection("sqlite", {"path": str(path)}), ADMIN)
        yield ask


def _create(ask: Ask, kind: str) -> None:
    ask(SOURCE.format(key="NOT NULL PRIMARY KEY", bytes=kind))
    for name in ("pushed", "plain"):
        ask(TARGET.format(name=name, key="NOT NULL PRIMARY KEY", bytes=kind))


def _connection(connector: str, settings: dict[str, Any]) -> dict[str, Any]:
    return {"kind": "connection", "name": "db", "connector": connector, "settings": settings}


class Story:
    """Random rules and edits of one source, carried out in two ways."""

    def __init__(self, world: World, ask: Ask, seed: int) -> None:
        self.world, self.ask, self.dice, self.next = world.pages_of(6), ask, random.Random(seed), 1

    def edit(self) -> None:
        """Add, change and delete records of the source, and change what the targets hold, both in the same way."""
        dice = self.dice
        for _ in range(dice.randrange(10, 40)):
            marks = ", ".join("?" * (len(PLACES) + 1))
            self.ask(f"INSERT INTO src VALUES ({marks})", self.next, *(dice.choice(p) for p in PLACES.values()))
            self.next += dice.randrange(1, 4)
        for _ in range(dice.randrange(12)):
            key, name = dice.randrange(1, self.next), dice.choice(list(PLACES))
            self.ask(f"UPDATE src SET {name} = ? WHERE id = ?", dice.choice(PLACES[name]), key)
            self.ask("DELETE FROM src WHERE id = ?", dice.randrange(1, self.next))
        for statement in ("UPDATE {} SET title = 'edited', rate = NULL WHERE no = ?", "DELETE FROM {} WHERE no = ?"):
            for key in (dice.randrange(1, self.next) for _ in range(dice.randrange(4))):
                for name in ("pushed", "plain"):
                    self.ask(statement.format(name), key)

    def rules(self) -> None:
        """Publish a random rule twice."""
        dice = self.dice
        document: dict[str, Any] = {
            "kind": "sync",
            "left": {"connection": "db", "object": "src"},
            "key": {"left": "id", "right": "no"},
            "direction": "left_to_right",
            "fields": [{"left": "id", "right": "no"}, *self._pairs()],
            "situations": {
                "deleted_left": dice.choice(("delete", "unlink")),
                "out_of_scope": dice.choice(("unlink", "delete")),
            },
            "deletes": {"detect": dice.choice(("full_scan", "none"))},
        }
        if dice.random() < 0.6:
            document["left"]["where"] = dice.choice(CONDITIONS)
        if dice.random() < 0.5:
            severity = dice.choice(("reject", "quarantine", "warn"))
            check = {"name": "good", "check": dice.choice(CONDITIONS), "severity": severity}
            document["validations"] = [{**check, **({"when": dice.choice(CONDITIONS)} if dice.random() < 0.4 else {})}]
        self.document = document
        self._publish("pushed", "pushdown")
        self._publish("plain", "worker")

    def _pairs(self) -> Iterator[dict[str, Any]]:
        dice = self.dice
        for right, texts in (("title", TITLES), ("amount", AMOUNTS), ("rate", RATES)):
            pair: dict[str, Any] = {"right": right, "to_right": dice.choice(texts)}
            said = (("when", CONDITIONS, 0.3), ("strength", ["weak"], 0.3), ("on_error", ["null"], 0.2))
            pair |= {name: dice.choice(values) for name, values, share in said if dice.random() < share}
            yield {**pair, **({"on": [dice.choice(("create", "update"))]} if dice.random() < 0.2 else {})}
        yield from ({"left": name, "right": name} for name in COPIES if dice.random() < 0.7)

    def _publish(self, name: str, execute: str) -> None:
        own = {**self.document, "name": name, "right": {"connection": "db", "object": name}, "execute": execute}
        house = self.world.house
        with house.db.read() as tx:
            known = rulebook.find(tx, name)
        if known:
            rulebook.save_draft(house, name, own, ADMIN)
        else:
            rulebook.create(house, own, ADMIN)
        rulebook.publish(house, name, ADMIN)

    def run(self, name: str, mode: str = "live") -> int:
        """Run a rule to its end."""
        run_id = start(self.world.house, name, mode, ADMIN)
        self.world.work(run_id)
        return run_id

    def held(self, name: str) -> list[tuple[Any, ...]]:
        """Return all that a target holds, by the characters of each value."""
        columns = [c for (c,) in self.ask(self._columns, name)]
        cells = ", ".join(self._cell.format(column) for column in columns)
        return self.ask(f"SELECT {cells} FROM {name} ORDER BY no")

    @property
    def _is_postgresql(self) -> bool:
        try:
            self.ask("SELECT sqlite_version()")
        except psycopg.Error:
            return True
        return False

    @property
    def _columns(self) -> str:
        if self._is_postgresql:
            return "SELECT column_name::text FROM information_schema.columns WHERE table_name = ? ORDER BY 1"
        return "SELECT name FROM pragma_table_info(?) ORDER BY 1"

    @property
    def _cell(self) -> str:
        return "{}::text" if self._is_postgresql else "quote({0}) || typeof({0})"


def told(story: Story, name: str, run_id: int) -> dict[str, Any]:
    """Return all that a run has led to, but for what push-down does not keep: values of created records."""
    house = story.world.house
    with house.db.read() as tx:
        run = reading.get(tx, run_id)
        links = Links.load(tx, run.rule_id)
        entries = [e for e in quarantine.listing(tx, limit=10_000) if e.rule_name == name and e.state == "open"]
        parked = sorted((e.left_key, e.stage, str(e.reason), e.attempts) for e in entries)
        columns = ("left_key", "right_key", "outcome", "situation", "before", "after", "field", "reason")
        query = sa.select(*(run_record.c[name] for name in columns)).where(run_record.c.run_id == run_id)
        shown = sorted(
            str((*row[:5], None if row.outcome == "created" else row.after, *row[6:])) for row in tx.execute(query)
        )
    pairs = links.rows.select("left_key", "right_key").sort("left_key").rows()
    return {
        "state": (run.state, str(run.message)), "counts": numbers(run), "links": pairs, "parked": parked,
        "shown": shown,
        "held": story.held(name),
    }  # fmt: skip
