"""A million records of an entity: how long pages take, on SQLite and PostgreSQL. CPU time where the work is done here
(SQLite), time by the clock where a server does it (PostgreSQL).

    python benchmarks/entities.py [--records 1000000] [--database sqlite|postgresql|both]
"""

from __future__ import annotations

import argparse
import random
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from decimal import Decimal
from pathlib import Path

import polars as pl

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

import config
import webapp.audit.models
import webapp.entities.models  # noqa: F401 - the tables
from connectors.spi import Context, Fence, ReadRequest
from rules.schema import Change, Op
from tests import servers
from webapp.entities import listing, services
from webapp.entities.filters import Filter, Operator
from webapp.entities.hub import hub_connector
from webapp.entities.listing import Query
from webapp.extensions import SYSTEM, House, metadata, open_house

DEFINITION = {
    "kind": "entity",
    "name": "customer",
    "fields": [
        {"name": "name", "type": "text", "required": True, "searchable": True, "indexed": True},
        {"name": "code", "type": "text", "unique": True},
        {"name": "city", "type": "text", "indexed": True},
        {"name": "phone", "type": "phone", "searchable": True},
        {"name": "email", "type": "email", "searchable": True},
        {"name": "credit", "type": "money", "currency": "CNY", "indexed": True},
        {
            "name": "status",
            "type": "choice",
            "choices": [{"value": v} for v in ("lead", "active", "blocked")],
            "indexed": True,
        },
        {"name": "since", "type": "date", "indexed": True},
    ],
}
CASES: dict[str, Query] = {
    "first page": Query(),
    "sorted by credit": Query(sort="-credit"),
    "status is active": Query((Filter("status", Operator.IS, "active"),)),
    "status is blocked, by credit": Query((Filter("status", Operator.IS, "blocked"),), sort="credit"),
    "city is one of 200": Query((Filter("city", Operator.IS, "City 17"),)),
    "name starts with": Query((Filter("name", Operator.STARTS, "wang 12"),)),
    "credit more than, since": Query(
        (Filter("credit", Operator.MORE, "99000"), Filter("since", Operator.LESS, "2021-01-01"))
    ),
    "search a rare word": Query(search="wang70007"),
    "search the end of a phone": Query(search="34567"),
    "search a common Chinese name": Query(search="王伟"),
    "search a word and a name": Query(search="example 李娜"),
}


@contextmanager
def house_on(kind: str) -> Iterator[House]:
    with tempfile.TemporaryDirectory() as folder:
        environ = {"SYNCLINE_DATA": folder}
        if kind == "sqlite":
            yield _opened(environ)
            return
        with servers.postgres() as server, servers.postgres_database(server) as name:
            url = f"postgresql://{server.user}:{server.password}@{server.host}:{server.port}/{name}"
            yield _opened({**environ, "SYNCLINE_DATABASE_URL": url})


def _opened(environ: dict[str, str]) -> House:
    house = open_house(config.from_environment(environ))
    metadata.create_all(
        house.db.engine, tables=[t for n, t in metadata.tables.items() if n.startswith(("entity", "audit"))]
    )
    return house


def batch(start: int, count: int, chance: random.Random) -> pl.DataFrame:
    numbers = range(start, start + count)
    given = ["王伟", "李娜", "张敏", "刘洋", "陈静", "Wang", "Smith", "Müller", "García", "Ivanova"]
    return pl.DataFrame(
        {
            "name": [f"{given[i % 10] if i % 3 else 'Wang'} {i}" for i in numbers],
            "code": [f"C{i:07d}" for i in numbers],
            "city": [f"City {chance.randrange(200)}" for _ in numbers],
            "phone": [f"+86 138{chance.randrange(10**8):08d}" for _ in numbers],
            "email": [f"wang{i}@example.com" for i in numbers],
            "credit": pl.Series([Decimal(chance.randrange(10**7)) / 100 for _ in numbers], dtype=pl.Decimal(38, 2)),
            "status": chance.choices(["lead", "active", "blocked"], [70, 29, 1], k=count),
            "since": pl.Series([18000 + chance.randrange(2500) for _ in numbers], dtype=pl.Int32).cast(pl.Date),
        }
    )


def fill(house: House, records: int) -> list[tuple[str, float]]:
    services.define(house, DEFINITION, SYSTEM)
    hub = hub_connector(house)({}, Context())
    schema = hub.schema("customer")
    chance = random.Random(7)
    size = min(records, 100_000)
    took = []
    for chunk in range(records // size):
        frame = batch(chunk * size, size, chance)
        started = time.perf_counter()
        result = hub.write("customer", schema, [Change(Op.CREATE, "id", frame)], Fence("bench", 1, 1, chunk))
        assert not result.failures
        took.append(time.perf_counter() - started)
    with house.db.begin() as tx:
        tx.exec_driver_sql("ANALYZE")
    started = time.perf_counter()
    read = sum(page.records.height for page in hub.read(ReadRequest("customer", schema)))
    return [
        (f"create {size:,} records, first (s)", took[0]),
        (f"create {size:,} records, last (s)", took[-1]),
        ("read all (records/s)", read / (time.perf_counter() - started)),
    ]


def measure(house: House, clock: Callable[[], float]) -> list[tuple[str, float, float]]:
    with house.db.read() as tx:
        entity = services.entity(tx, "customer")
    found = []
    for name, query in CASES.items():
        pages, counts = [], []
        for _ in range(7):
            with house.db.read() as tx:
                started = clock()
                first = listing.page(tx, entity, query)
                pages.append(clock() - started)
                started = clock()
                listing.count(tx, entity, query)
                counts.append(clock() - started)
        assert first.records, name
        found.append((name, statistics.median(pages) * 1000, statistics.median(counts) * 1000))
    with house.db.read() as tx:
        page = listing.page(tx, entity, Query(sort="-credit"))
        for _ in range(200):
            started = clock()
            page = listing.page(tx, entity, Query(sort="-credit"), after=page.after)
            last = clock() - started
    found.append(("page 201, by credit", last * 1000, 0.0))
    return found


def main() -> None:
    arguments = argparse.ArgumentParser()
    arguments.add_argument("--records", type=int, default=1_000_000)
    arguments.add_argument("--database", choices=["sqlite", "postgresql", "both"], default="both")
    given = arguments.parse_args()
    for kind in ["sqlite", "postgresql"] if given.database == "both" else [given.database]:
        with house_on(kind) as house:
            print(f"\n{kind}, {given.records:,} records")
            for name, value in fill(house, given.records):
                print(f"  {name:<44}{value:>12,.1f}")
            clock = time.process_time if kind == "sqlite" else time.perf_counter
            print(f"  {'':<44}{'page ms':>12}{'count ms':>12}")
            for name, page, count in measure(house, clock):
                print(f"  {name:<44}{page:>12.1f}{count:>12.1f}")
            house.db.engine.dispose()


if __name__ == "__main__":
    main()
