"""Workload W1 against `psql` binary COPY piped into COPY, in turns: the connector alone, and the run of a rule.

Usage: python -m benchmarks.w1 [RECORDS [TURNS]]. Starts a durable PostgreSQL of its own with two databases. Prints
multiples of the pipe's wall time in the same turn (the median of the turns) and the peak memory of this process.
"""

from __future__ import annotations

import json
import os
import queue
import resource
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import polars as pl
import psycopg

from benchmarks import customers
from connectors.builtin.postgresql import PostgreSQL
from connectors.spi import Context, ReadRequest
from rules.schema import Change, Op, Schema
from tests.houses import fresh_house
from tests.servers import Server, postgres
from webapp.connections import services as connections
from webapp.extensions import Actor, House
from webapp.rulebook import services as rulebook
from webapp.runs import reading
from webapp.runs.execution import execute
from webapp.runs.requests import start

BENCH = Actor("cli", "bench")
DURABLE = {
    "shared_buffers": "2GB", "max_wal_size": "8GB", "checkpoint_timeout": "30min", "work_mem": "64MB", "jit": "off",
    "fsync": "on", "synchronous_commit": "on", "full_page_writes": "on", "wal_level": "replica",
}  # fmt: skip
PAGE = 50_000
MAPPED = """CREATE TABLE mapped (id bigint PRIMARY KEY, customer_no varchar(20) NOT NULL, name_en varchar(80),
full_name varchar(140), email varchar(120), phone varchar(32), sex smallint, birth_date date, age smallint,
address varchar(200), city varchar(40), country char(2), free numeric(14,2), score double precision, level smallint,
status varchar(10), attrs jsonb, remark text, created_at timestamptz, updated_at timestamptz)"""
EXPRESSIONS = {
    "name_en": ("name_en", "name_en.trim().upper()"),
    "full_name": ("name_zh", "name_zh + ' (' + name_en + ')'"),
    "email": ("email", "email.trim().lower()"),
    "phone": ("phone", "phone == null ? null : phone.replace(' ', '').replace('-', '')"),
    "sex": ("gender", "gender == 'M' ? 1 : (gender == 'F' ? 2 : 0)"),
    "age": ("birth_date", "birth_date == null ? null : 2026 - year(birth_date)"),
    "free": ("credit_limit", "credit_limit - balance"),
    "status": ("is_active", "!is_active ? 'inactive' : (score != null && score > 700.0 ? 'vip' : 'normal')"),
}
COPIED = (
    "id", "customer_no", "birth_date", "address", "city", "country", "score", "level", "attrs", "remark", "created_at",
    "updated_at",
)  # fmt: skip
GOALS = {"read and write, no mapping": 1.15, "first load, 8 expressions": 1.5}


class Bench:
    """One server with a source that is filled once and a target that is made anew for each case."""

    def __init__(self, server: Server, count: int) -> None:
        self.server = server
        self.count = count
        for name in ("source", "target"):
            self.run("postgres", f"CREATE DATABASE {name}")
        self.records = customers.customers(count)
        self.fresh("source")
        with self.connector("source") as source:
            self.write(source, self.records.iter_slices(PAGE))
        self.run("source", "VACUUM ANALYZE customers")

    def run(self, database: str, *statements: str) -> None:
        """Run statements."""
        with psycopg.connect(**self.login(database), autocommit=True) as connection:
            for statement in statements:
                connection.execute(statement.encode())

    def login(self, database: str) -> dict[str, Any]:
        """Return where a database is."""
        server = self.server
        place = {"host": server.host, "port": server.port}
        return {**place, "dbname": database, "user": server.user, "password": server.password}

    def settings(self, database: str) -> dict[str, Any]:
        """Return the settings of a connection."""
        login = self.login(database)
        return {**{name: login[name] for name in ("host", "port", "user", "password")}, "database": database}

    def connector(self, database: str) -> PostgreSQL:
        """Return the connector of a database."""
        return PostgreSQL(self.settings(database), Context())

    def fresh(self, database: str = "target") -> None:
        """Make the tables anew."""
        table = customers.TABLES["postgresql"].format(name="customers")
        index = customers.INDEX.format(name="customers")
        self.run(database, "DROP TABLE IF EXISTS customers, mapped", table, index, MAPPED, "CHECKPOINT")

    def pipe(self) -> None:
        """Copy from database to database as `psql` does."""
        call = "psql -q -v ON_ERROR_STOP=1 -h {host} -p {port} -U {user} -d {dbname} -c"
        out, into = (call.format(**self.login(name)) for name in ("source", "target"))
        copies = "'COPY customers TO STDOUT (FORMAT binary)'", "'COPY customers FROM STDIN (FORMAT binary)'"
        environment = {**os.environ, "PGPASSWORD": self.server.password}
        subprocess.run(f"{out} {copies[0]} | {into} {copies[1]}", shell=True, check=True, env=environment)  # noqa: S602

    def pages(self) -> Iterator[pl.DataFrame]:
        """Read the source."""
        with self.connector("source") as source:
            for page in source.read(ReadRequest("customers", source.schema("customers"), page_size=PAGE)):
                yield page.records

    def write(self, target: PostgreSQL, batches: Iterator[pl.DataFrame]) -> None:
        """Create records."""
        schema: Schema = target.schema("customers")
        for records in batches:
            assert not target.write("customers", schema, [Change(Op.CREATE, "id", records)]).failures

    def read_only(self) -> None:
        """Read all records."""
        assert sum(records.height for records in self.pages()) == self.count

    def write_only(self) -> None:
        """Write all records."""
        with self.connector("target") as target:
            self.write(target, self.records.iter_slices(PAGE))

    def through(self) -> None:
        """Read in one thread and write in another, two pages between them."""
        waiting: queue.Queue[pl.DataFrame | None] = queue.Queue(2)

        def read() -> None:
            for records in self.pages():
                waiting.put(records)
            waiting.put(None)

        reader = threading.Thread(target=read)
        reader.start()
        with self.connector("target") as target:
            self.write(target, _until_none(waiting))
        reader.join()


def _until_none(waiting: queue.Queue[pl.DataFrame | None]) -> Iterator[pl.DataFrame]:
    while (records := waiting.get()) is not None:
        yield records


def rule() -> dict[str, Any]:
    """Return the first load with its mapping."""
    computed = [{"left": left, "right": right, "to_right": text} for right, (left, text) in EXPRESSIONS.items()]
    return {
        "kind": "sync",
        "name": "w1",
        "left": {"connection": "source", "object": "customers"},
        "right": {"connection": "target", "object": "mapped"},
        "direction": "left_to_right",
        "key": {"left": "id", "right": "id"},
        "fields": [*({"left": name, "right": name} for name in COPIED), *computed],
    }


def load(bench: Bench, folder: Path) -> Callable[[], None]:
    """Return what runs the rule once, in a house of its own, since links and outcomes are kept there."""

    def once() -> None:
        with tempfile.TemporaryDirectory(dir=folder) as data, fresh_house(Path(data) / "data") as house:
            prepared(house, bench)
            run_id = start(house, "w1", "live", BENCH)
            execute(house, run_id, "bench")
            with house.db.read() as tx:
                row = reading.get(tx, run_id)
            assert row.state == "succeeded", row
            assert row.counts["created"] == bench.count, row.counts

    return once


def prepared(house: House, bench: Bench) -> None:
    """Connect both databases and publish the rule."""
    for name in ("source", "target"):
        document = {"kind": "connection", "name": name, "connector": "postgresql", "settings": bench.settings(name)}
        connections.create(house, document, BENCH)
    rulebook.create(house, rule(), BENCH)
    rulebook.publish(house, "w1", BENCH)


def timed(bench: Bench, case: Callable[[], None]) -> tuple[float, float]:
    """Return wall and CPU seconds of a case into a fresh target; CPU without the servers'."""
    bench.fresh()
    wall, cpu = time.perf_counter(), time.process_time()
    case()
    return time.perf_counter() - wall, time.process_time() - cpu


def main(count: int, turns: int) -> None:
    """Run the cases in turns and print what they took."""
    with tempfile.TemporaryDirectory() as folder, postgres(**DURABLE) as server:
        bench = Bench(server, count)
        cases: dict[str, Callable[[], None]] = {
            "read only": bench.read_only,
            "write only": bench.write_only,
            "read and write, no mapping": bench.through,
            "first load, 8 expressions": load(bench, Path(folder)),
        }
        taken: dict[str, list[float]] = {name: [] for name in cases}
        for turn in range(turns):
            base, _ = timed(bench, bench.pipe)
            print(f"turn {turn + 1}: psql COPY into COPY {base:.1f} s", flush=True)
            for name, case in cases.items():
                wall, cpu = timed(bench, case)
                taken[name].append(wall / base)
                print(f"  {name:28} {wall:6.1f} s, {cpu:5.1f} CPU s, {wall / base:.2f} times", flush=True)
        for name, ratios in taken.items():
            value, goal = round(statistics.median(ratios), 2), GOALS.get(name)
            met = None if goal is None else value <= goal
            row = {
                "suite": "sync",
                "case": f"W1 {count:,}: {name}",
                "value": value,
                "unit": "times psql COPY into COPY",
            }
            print(json.dumps({**row, "peers": {}, "ratio": value, "goal": goal, "met": met}, separators=(",", ":")))
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024
        row = {"suite": "sync", "case": f"W1 {count:,}: peak memory with the generated records", "value": peak}
        print(
            json.dumps(
                {**row, "unit": "MB", "peers": {}, "ratio": None, "goal": None, "met": None}, separators=(",", ":")
            )
        )


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 1_000_000, int(sys.argv[2]) if len(sys.argv) > 2 else 3)
