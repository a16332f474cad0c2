"""A large installation on PostgreSQL, and what people, runs and auditors meet there.

    python -m benchmarks.capacity [--share 0.01]

A share of 1 is 10 million audit events, links, 5 million entries of histories and records of runs, 200,000 runs, 1,000
rules and 200 entities; it takes about 25 minutes and 15 GB on two processors, 1% about two minutes.
"""

from __future__ import annotations

import argparse
import json
import tempfile
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import fields, replace
from datetime import timedelta
from pathlib import Path

import polars as pl
import sqlalchemy as sa

import config
from benchmarks import capacity_events as events
from benchmarks import web
from benchmarks.capacity_fill import ADA, Sizes, fill
from benchmarks.capacity_pages import cost
from tests import servers
from tests.houses import settings_in
from webapp.app import create_app
from webapp.audit.verification import verify
from webapp.evidence import stored
from webapp.extensions import House, open_house
from webapp.installation import initialise
from webapp.runs.execution import execute
from webapp.runs.pipeline.links import Links
from webapp.runs.requests import start

PAGES = (
    "/", "/rules/", "/rules/rule5", "/entities/", "/records/customer/", "/records/customer/500", "/runs/",
    "/runs/{run}", "/quarantine/", "/cases/", "/metrics", "/audit/", "/audit/?actor=user77", "/audit/?actor=nobody",
    "/audit/?tag=rulebook", "/audit/?run=77", "/audit/?kind=entity&subject=entity5&record=155",
    "/audit/?since=2025-01-01&until=2025-01-02", "/audit/?text=nothing", "/api/v1/entities/customer/records",
)  # fmt: skip


def told(case: str, value: float, unit: str) -> None:
    """Print a result for people and for build/bench.json."""
    print(f"  {case:<70}{value:>10.1f} {unit}", flush=True)
    rest = {"value": round(value, 3), "unit": unit, "peers": {}, "ratio": None, "goal": None, "met": None}
    print(json.dumps({"suite": "capacity", "case": case, **rest}).replace('{"suite": ', '{"suite":', 1), flush=True)


def scaled(share: float) -> Sizes:
    """Return so much of everything, in numbers that can be divided."""
    least = {"records": 50_000, "links": 25_000, "rules": 10, "entities": 10, "runs": 200}
    values = {f.name: max(int(f.default * share), least.get(f.name, 1000)) for f in fields(Sizes)}  # type: ignore[operator]
    return Sizes(**{**values, "records": values["records"] // 50_000 * 50_000})


@contextmanager
def installed(share: float) -> Iterator[tuple[House, config.Settings]]:
    """Yield a filled installation that is three years old."""
    more = {"shared_buffers": "1GB", "max_wal_size": "4GB", "max_parallel_workers_per_gather": "0", "jit": "off"}
    with ExitStack() as stack:
        name = stack.enter_context(tempfile.TemporaryDirectory())
        server = stack.enter_context(servers.postgres(on_disk=True, **more))
        database = stack.enter_context(servers.postgres_database(server))
        url = f"postgresql://{server.user}:{server.password}@{server.host}:{server.port}/{database}"
        settings = settings_in(Path(name) / "data", url, SYNCLINE_FILE_ROOTS=name)
        house = open_house(settings)
        began = house.clock() - events.SPREAD - timedelta(days=1)
        initialise(replace(house, clock=lambda: began))
        fill(house, scaled(share), Path(name))
        yield house, settings
        house.db.engine.dispose()


def pages(settings: config.Settings) -> None:
    """Measure pages."""
    app = create_app(settings)
    client = web.signed_in(app)
    house: House = app.extensions["syncline"]
    with house.db.read() as tx:
        last = tx.scalar(sa.text("SELECT max(id) FROM run"))
    for page in PAGES:
        found = cost(app, client, page.format(run=last))
        told(f"{page}: CPU of the console", found.console, "ms")
        told(f"{page}: CPU of the database", found.database, "ms")
    house.db.engine.dispose()


@contextmanager
def timed(case: str) -> Iterator[None]:
    """Tell how much CPU our process takes, and how long."""
    cpu, wall = time.process_time(), time.perf_counter()
    yield
    told(f"{case}: CPU", time.process_time() - cpu, "s")
    told(f"{case}: by the clock", time.perf_counter() - wall, "s")


def deeds(house: House) -> None:
    """Measure what is done with all of it."""
    with house.db.read() as tx:
        rule_id = tx.scalar(sa.text("SELECT id FROM rule WHERE name = 'rule2'"))
    for count in (1, 500):
        with timed(f"look {count} links up"):
            keys = pl.Series("key", [str(number) for number in range(count)])
            assert not Links.lazy(house.db.read, int(rule_id)).known(keys)["right_key"].null_count()
    with timed("ask for a run"):
        number = start(house, "rule5", "live", ADA)
    with timed("carry out a run of three records"):
        execute(house, number, "capacity")
    with timed("verify the audit log"), stored.opened(house) as log:
        report = verify(log)
    assert not report.findings, report.findings[:3]


def main() -> None:
    """Measure."""
    arguments = argparse.ArgumentParser()
    arguments.add_argument("--share", type=float, default=0.01)
    with installed(arguments.parse_args().share) as (house, settings):
        pages(settings)
        deeds(house)


if __name__ == "__main__":
    main()
