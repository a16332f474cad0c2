"""Workload W1 in MariaDB and SQLite: what the connectors read and write in a CPU second, beside the bare way.

Usage: python -m benchmarks.w1_bulk [RECORDS [TURNS]]. Starts a durable MariaDB of its own. CPU is that of this process,
its children and the server; a machine shared with others does not change it much. The bare way is `LOAD DATA LOCAL` by
the `mariadb` client and the ADBC driver's ingest (where `adbc-driver-sqlite` and its manager are installed). Multiples
are the medians of the turns.
"""

from __future__ import annotations

import importlib.util
import json
import os
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import polars as pl

from benchmarks import customers
from connectors.builtin.database import Database
from connectors.builtin.mysql import MySQL
from connectors.builtin.sqlite import SQLite
from connectors.spi import Context, ReadRequest
from rules.schema import Change, Op
from tests import servers
from tests.connectors.databases import run, settings_of

PAGE = 50_000
BAD = 500
"""One record of so many is refused."""
DURABLE = (
    "--innodb-flush-log-at-trx-commit=1", "--innodb-buffer-pool-size=2G", "--innodb-log-file-size=2G",
    "--local-infile=1",
)  # fmt: skip
NAME = "customers"
LOAD = (
    "LOAD DATA LOCAL INFILE '{path}' INTO TABLE customers CHARACTER SET utf8mb4 FIELDS TERMINATED BY ','"
    " OPTIONALLY ENCLOSED BY '\"' ESCAPED BY '' LINES TERMINATED BY '\\n'"
)
Case = Callable[[], None]


class Bench:
    """One database, filled and emptied by plain statements."""

    def __init__(self, kind: str, url: str, source: Callable[[], Database], records: pl.DataFrame) -> None:
        self.kind = kind
        self.url = url
        self.source = source
        self.records = records
        self.changed = records.filter(pl.col("id") % 20 == 7).with_columns(
            pl.col("balance") + 1, level=(pl.col("level") + 1) % 10, updated_at=pl.col("updated_at").dt.offset_by("1y")
        )

    def fresh(self) -> None:
        """Make the table anew."""
        table = customers.TABLES[self.kind].format(name=NAME)
        run(self.url, f"DROP TABLE IF EXISTS {NAME}", table, customers.INDEX.format(name=NAME))

    def cases(self) -> Iterator[tuple[str, int, Case]]:
        """Yield what is measured: its name, how many records it is about, and the work; each finds what was before."""
        whole, gone = self.records, self.records.filter(pl.col("id") % 100 == 50)
        number = pl.col("id")
        bad = whole.with_columns(customer_no=pl.when(number % BAD == 0).then(None).otherwise("customer_no"))
        double = whole.with_columns(id=pl.when(number % BAD == 0).then(number - 1).otherwise(number))
        yield "create", whole.height, lambda: self.write(Op.CREATE, whole)
        yield "read", whole.height, self.read
        yield "look up 5%", self.changed.height, self.lookup
        yield "update 5%", self.changed.height, lambda: self.write(Op.UPDATE, self.changed)
        yield "delete 1%", gone.height, lambda: self.write(Op.DELETE, gone.select("id"))
        yield "create, 0.2% empty", whole.height, lambda: self.write(Op.CREATE, bad, anew=True)
        yield "create, 0.2% twice", whole.height, lambda: self.write(Op.CREATE, double, anew=True)

    def write(self, op: Op, records: pl.DataFrame, *, anew: bool = False) -> None:
        """Write records, page by page."""
        if anew:
            self.fresh()
        refused = 0
        with self.source() as target:
            schema = target.schema(NAME)
            for part in records.iter_slices(PAGE):
                refused += len(target.write(NAME, schema, [Change(op, "id", part)]).failures)
        assert refused == (records.height // BAD if anew else 0), refused

    def read(self) -> None:
        """Read all records."""
        with self.source() as source:
            request = ReadRequest(NAME, source.schema(NAME), page_size=PAGE)
            assert sum(page.records.height for page in source.read(request)) == self.records.height

    def lookup(self) -> None:
        """Find the records that are going to be updated."""
        with self.source() as source:
            assert source.lookup(NAME, source.schema(NAME), "id", self.changed["id"]).height == self.changed.height


def mariadb(server: servers.Server, url: str, records: pl.DataFrame, folder: Path) -> tuple[Bench, Case]:
    """Return MariaDB and its bare way: a file that is there already, and the server's own client."""
    path = folder / "customers.csv"
    stamp = [pl.col(name).dt.strftime("%Y-%m-%d %H:%M:%S%.6f") for name in ("created_at", "updated_at")]
    texts = records.with_columns(pl.col("is_active").cast(pl.Int8), *stamp)
    texts.write_csv(path, include_header=False, quote_style="non_numeric", null_value="NULL")
    settings = settings_of(url)
    client = [
        "mariadb", "--no-defaults", "--local-infile=1", f"--host={server.host}", f"--port={server.port}",
        f"--user={server.user}", f"--password={server.password}", "--skip-ssl", settings["database"], "-e",
        "SET time_zone = '+00:00'; " + LOAD.format(path=path),
    ]  # fmt: skip
    bench = Bench("mysql", url, lambda: MySQL({**settings, "tls": "disable"}, Context()), records)

    def load() -> None:
        subprocess.run(client, check=True, stdout=subprocess.DEVNULL)

    return bench, load


def sqlite(records: pl.DataFrame, folder: Path) -> tuple[Bench, Case | None]:
    """Return SQLite and its bare way, if that is installed."""
    path = folder / "w1.db"
    path.touch()
    source = lambda: SQLite({"path": str(path)}, Context(file_roots=(folder,)))  # noqa: E731
    bench = Bench("sqlite", f"sqlite:///{path}", source, records)
    if importlib.util.find_spec("adbc_driver_sqlite") is None:
        return bench, None
    texts = records.with_columns(
        *(pl.col(name).cast(pl.Float64) for name in ("credit_limit", "balance")),
        *(pl.col(name).cast(pl.String) for name in ("birth_date", "created_at", "updated_at")),
        is_active=pl.col("is_active").cast(pl.Int64),
    ).to_arrow()

    def ingest() -> None:
        dbapi: Any = importlib.import_module("adbc_driver_sqlite.dbapi")
        with dbapi.connect(str(path)) as connection, connection.cursor() as cursor:
            cursor.adbc_ingest(NAME, texts, mode="append")
            connection.commit()

    return bench, ingest


def spent(process: int | None) -> float:
    """Return the CPU seconds of this process, its children and a server."""
    own = os.times()
    total = own.user + own.system + own.children_user + own.children_system
    if process is not None:
        fields = Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()
        total += (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")
    return total


def measured(bench: Bench, bare: Case | None, process: int | None, turns: int) -> None:
    """Print what each case took, and its multiple of the bare way's CPU in the same turn."""
    taken: dict[str, list[tuple[int, float]]] = {}

    def timed(name: str, count: int, case: Case) -> None:
        before = spent(process)
        case()
        taken.setdefault(name, []).append((count, spent(process) - before))

    for _ in range(turns):
        if bare is not None:
            bench.fresh()
            timed("the bare way", bench.records.height, bare)
        bench.fresh()
        for name, count, case in bench.cases():
            timed(name, count, case)
    base = [seconds for _, seconds in taken.get("the bare way", [])]
    for name, found in taken.items():
        seconds = statistics.median(second for _, second in found)
        multiple = statistics.median(s / b for (_, s), b in zip(found, base, strict=True)) if base else None
        told: dict[str, Any] = {"database": bench.kind, "case": name, "seconds": round(seconds, 2)}
        told["rows_per_cpu_second"] = round(found[0][0] / seconds) if seconds else None
        print(json.dumps(told | ({"multiple": round(multiple, 2)} if multiple else {})), flush=True)


def main(arguments: Sequence[str]) -> None:
    """Measure both databases."""
    count, turns = int(arguments[0]) if arguments else 200_000, int(arguments[1]) if len(arguments) > 1 else 1
    records = customers.customers(count)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        bench, bare = sqlite(records, folder)
        measured(bench, bare, None, turns)
        with servers.mariadb(*DURABLE) as server, servers.mariadb_database(server) as database:
            url = f"mysql+pymysql://{server.user}:{server.password}@{server.host}:{server.port}/{database}"
            made = mariadb(server, url, records, folder)
            measured(*made, server.process.pid, turns)


if __name__ == "__main__":
    main(sys.argv[1:])
