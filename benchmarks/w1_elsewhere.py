"""First loads of workload W1 into MariaDB and SQLite, beside what loads a prepared file fastest into the same table."""

from __future__ import annotations

import hashlib
import os
import sqlite3
import subprocess
import tempfile
from collections.abc import Callable, Mapping
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import polars as pl
import pymysql

from benchmarks import customers
from benchmarks.environments import NotInstallableError, environment
from benchmarks.w1_bed import PAGE, SOURCE, Bed, psql
from benchmarks.w1_product import Installation
from benchmarks.w1_report import Figure, Report
from benchmarks.w1_rules import copying
from benchmarks.w1_spent import Meter, Spent
from tests.servers import NotInstalledError, Server, mariadb

DURABLE = (
    "--innodb-flush-log-at-trx-commit=1", "--innodb-doublewrite=1", "--innodb-flush-method=fsync",
    "--innodb-buffer-pool-size=2G", "--innodb-log-file-size=2G", "--local-infile=1",
)  # fmt: skip
GOAL = 1.5
_PLAIN = ("id", "customer_no", "name_zh", "name_en", "email", "phone", "gender", "birth_date", "address", "city",
          "country", "level", "remark")  # fmt: skip
_MONEY = ("credit_limit", "balance")
_TIMES = ("created_at", "updated_at")
_POSTGRESQL = ", ".join((
    *_PLAIN, *_MONEY, "is_active::int", "floor(score * 1024)::bigint", "attrs->>'tier'", "attrs->>'seg'",
    *(f"to_char({name} AT TIME ZONE 'UTC', 'YYYY-MM-DD HH24:MI:SS.US')" for name in _TIMES),
))  # fmt: skip
_MARIADB = ", ".join((
    *_PLAIN, *_MONEY, "is_active", "CAST(floor(score * 1024) AS SIGNED)", "json_value(attrs, '$.tier')",
    "json_value(attrs, '$.seg')", *(f"date_format({name}, '%Y-%m-%d %H:%i:%s.%f')" for name in _TIMES),
))  # fmt: skip
_SQLITE = ", ".join((
    *_PLAIN, *(f"printf('%.2f', {name})" for name in _MONEY), "is_active", "CAST(score * 1024 AS INTEGER)",
    "attrs->>'tier'", "attrs->>'seg'", *(f"moment({name})" for name in _TIMES),
))  # fmt: skip
_LOADED = """COPY (SELECT id, customer_no, name_zh, name_en, email, phone, gender, birth_date, address, city, country,
credit_limit, balance, score, level, is_active::int, attrs, remark, created_at AT TIME ZONE 'UTC',
updated_at AT TIME ZONE 'UTC' FROM customers) TO STDOUT"""


@dataclass
class Place:
    """Another database: how to make its table anew, what loads a file into it, its rows and how it is connected."""

    fresh: Callable[[], None]
    alone: Callable[[], float | None]
    rows: Callable[[], tuple[int, int]]
    connector: str
    settings: Mapping[str, Any]


def load(name: str, bed: Bed, report: Report, product: Installation) -> None:
    """Measure a first load without mapping into `mariadb` or `sqlite`."""
    title, of, opened = CASES[name]
    bed.renew()
    with ExitStack() as stack:
        try:
            place = opened(stack, bed, product.folder)
        except (NotInstalledError, NotInstallableError) as error:
            report.say(f"{title}: not measured, {error}")
            return
        place.fresh()
        base: Spent = Meter().of(place.alone)
        wanted = _expected(bed)
        assert place.rows() == wanted, f"{of}: {place.rows()}, not {wanted}"
        print(f"  {'(' + of + ')':22} {base.wall:7.2f} s, {base.cpu:7.2f} CPU s", flush=True)
        place.fresh()
        product.connect(SOURCE, "postgresql", bed.settings(SOURCE))
        product.connect(name, place.connector, place.settings)
        product.publish(copying(name, right={"connection": name, "object": "customers"}))
        bed.settle()
        ran = product.run(name)
        assert ran.counts["created"] == bed.rows, ran.counts
        assert place.rows() == wanted, f"{place.rows()}, not {wanted}"
        report.add(Figure(name, title, GOAL, ran.spent, base, of))


def _expected(bed: Bed) -> tuple[int, int]:
    number = "('x' || substr(md5(concat_ws('|', " + _POSTGRESQL + ")), 1, 8))::bit(32)::bigint"
    count, total = bed.ask(SOURCE, f"SELECT count(*), sum({number}) FROM customers")
    return int(count), int(total)


def _in_mariadb(stack: ExitStack, bed: Bed, folder: Path) -> Place:
    server = stack.enter_context(mariadb(*DURABLE))
    with pymysql.connect(**_login(server)) as admin:
        admin.cursor().execute("CREATE DATABASE target CHARACTER SET utf8mb4")
    file = folder / "customers.tsv"
    with file.open("wb") as into:
        subprocess.run([psql(), "-qX", bed.url(SOURCE), "-c", _LOADED], stdout=into, check=True)
    table = customers.TABLES["mysql"].format(name="customers"), customers.INDEX.format(name="customers")

    def ask(*statements: str) -> tuple[int, int]:
        with pymysql.connect(**_login(server), database="target") as connection, connection.cursor() as cursor:
            for statement in ("SET time_zone = '+00:00'", *statements):
                cursor.execute(statement)
            row = cursor.fetchone() or (0, 0)
            return int(row[0]), int(row[1])

    def alone() -> None:
        loading = f"LOAD DATA LOCAL INFILE '{file}' INTO TABLE customers CHARACTER SET utf8mb4"
        argv = ["mariadb", "--no-defaults", "--local-infile=1", "-h", server.host, "-P", str(server.port)]
        argv += ["-u", server.user, "target", "-e", f"SET time_zone = '+00:00'; {loading}"]
        subprocess.run(argv, check=True, env={**os.environ, "MYSQL_PWD": server.password})

    number = f"CAST(conv(substr(md5(concat_ws('|', {_MARIADB})), 1, 8), 16, 10) AS UNSIGNED)"
    asked = f"SELECT count(*), coalesce(sum({number}), 0) FROM customers"
    settings = {**_login(server), "database": "target"}
    return Place(
        lambda: _done(ask("DROP TABLE IF EXISTS customers", *table)), alone, lambda: ask(asked), "mysql", settings
    )


def _done(_result: object) -> None:
    """Forget a result."""


def _login(server: Server) -> dict[str, Any]:
    return {"host": server.host, "port": server.port, "user": server.user, "password": server.password}


def _in_sqlite(stack: ExitStack, bed: Bed, folder: Path) -> Place:
    path = folder / "target.db"
    python = environment("adbc") / "python"
    work = Path(stack.enter_context(tempfile.TemporaryDirectory()))
    texts = [pl.col(pl.Decimal).cast(pl.String), pl.col(pl.Boolean).cast(pl.Int64), pl.col(pl.Date).cast(pl.String)]
    moments = pl.col(pl.Datetime).dt.strftime("%Y-%m-%d %H:%M:%S%.6f")
    frame = customers.customers(bed.rows).with_columns(*texts, moments)
    frame.write_ipc(work / "customers.arrow", compat_level=pl.CompatLevel.oldest(), record_batch_size=PAGE)

    def fresh() -> None:
        path.unlink(missing_ok=True)
        with sqlite3.connect(path) as connection:
            connection.execute(customers.TABLES["sqlite"].format(name="customers"))
            connection.execute(customers.INDEX.format(name="customers"))

    def alone() -> float:
        argv = [str(python), str(Path(__file__).with_name("w1_ingest.py")), str(work / "customers.arrow"), str(path)]
        return float(subprocess.run(argv, check=True, capture_output=True, text=True).stdout)

    def rows() -> tuple[int, int]:
        with sqlite3.connect(path) as connection:
            connection.create_function("number", -1, _number, deterministic=True)
            connection.create_function("moment", 1, _moment, deterministic=True)
            found = connection.execute(f"SELECT count(*), sum(number({_SQLITE})) FROM customers").fetchone()
        return int(found[0]), int(found[1])

    return Place(fresh, alone, rows, "sqlite", {"path": str(path)})


def _number(*values: Any) -> int:
    text = "|".join(str(value) for value in values if value is not None)
    return int(hashlib.md5(text.encode(), usedforsecurity=False).hexdigest()[:8], 16)


def _moment(text: str) -> str:
    """Return a time as the other databases show it, whichever of the usual forms is stored."""
    plain = text.replace("T", " ").removesuffix("Z").removesuffix("+00:00")
    whole, _, fraction = plain.partition(".")
    return f"{whole}.{fraction.ljust(6, '0')}"


CASES: dict[str, tuple[str, str, Callable[[ExitStack, Bed, Path], Place]]] = {
    "mariadb": ("first load into MariaDB", "LOAD DATA LOCAL alone", _in_mariadb),
    "sqlite": ("first load into SQLite", "ADBC ingest alone", _in_sqlite),
}
