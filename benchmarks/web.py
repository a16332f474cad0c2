"""What pages cost the console: CPU time of the thread that answers, on SQLite, where the database works in it as well.

python -m benchmarks.web [--records 20000] [--turns 200]
"""

from __future__ import annotations

import argparse
import json
import random
import statistics
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from flask import Flask
from flask.testing import FlaskClient

import config
from benchmarks.entities import DEFINITION, batch
from benchmarks.scale import ADA, add, systems
from connectors.spi import Context, Fence
from rules.schema import Change, Op
from tests.installation import installed
from webapp.access.users import NewUser, insert_user
from webapp.app import create_app
from webapp.entities import services as entities
from webapp.entities.hub import hub_connector
from webapp.extensions import SYSTEM, House
from webapp.runs.execution import execute
from webapp.runs.requests import start

PASSWORD = "correct-horse-battery-staple"  # noqa: S105 - of an installation that lasts as long as the benchmark
PAGES = {
    "list page of an entity": ("/records/customer/", 20),
    "list of the REST API": ("/api/v1/entities/customer/records", 10),
    "page of a run": ("/runs/1", 20),
}
OTHERS = ("/", "/rules/", "/runs/", "/entities/", "/audit/")


def told(case: str, value: float, unit: str, goal: float | None, digits: int = 1) -> None:
    """Print a result for people and for build/bench.json."""
    met = None if goal is None else value <= goal
    aim = "" if goal is None else f" goal {goal:g}{'' if met else '  MISSED'}"
    print(f"  {case:<62}{value:>10.{digits}f} {unit:<4}{aim}", flush=True)
    head = {"suite": "web", "case": case, "value": round(value, 3), "unit": unit, "peers": {}, "ratio": None}
    print(json.dumps({**head, "goal": goal, "met": met}).replace('{"suite": ', '{"suite":', 1), flush=True)


def spent(client: FlaskClient, address: str, turns: int) -> list[float]:
    """Return the CPU milliseconds of some requests."""
    found = []
    for _ in range(turns + 5):
        began = time.thread_time()
        answer = client.get(address)
        found.append((time.thread_time() - began) * 1000)
        assert answer.status_code == 200, f"{address}: {answer.status_code}"
        answer.close()
    return found[5:]


@contextmanager
def console(records: int) -> Iterator[tuple[Flask, House]]:
    """Yield a console with an entity that has records, and a run."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        with installed(folder / "data", SYNCLINE_FILE_ROOTS=name) as house:
            systems(house, folder)
            add(house, "clicked")
            execute(house, start(house, "clicked", "live", ADA), "benchmark")
            fill(house, records)
        app = create_app(config.from_environment({"SYNCLINE_DATA": str(folder / "data"), "SYNCLINE_FILE_ROOTS": name}))
        yield app, app.extensions["syncline"]
        app.extensions["syncline"].db.engine.dispose()


def fill(house: House, records: int) -> None:
    """Make the entity and its records."""
    entities.define(house, DEFINITION, ADA)
    hub = hub_connector(house)({}, Context())
    change = Change(Op.CREATE, "id", batch(0, records, random.Random(7)))
    assert not hub.write("customer", hub.schema("customer"), [change], Fence("bench", 1, 1, 1)).failures


def signed_in(app: Flask) -> FlaskClient:
    """Return a client of an administrator."""
    house: House = app.extensions["syncline"]
    with house.db.begin() as tx:
        insert_user(tx, NewUser("bench", "B", "M", "bench@example.com", ("Admin",)), PASSWORD, SYSTEM, house.clock())
    app.config["WTF_CSRF_ENABLED"] = False
    client = app.test_client()
    answer = client.post("/login/", data={"username": "bench", "password": PASSWORD})
    assert answer.status_code == 302, answer.text[-2000:]
    return client


def main() -> None:
    """Measure."""
    arguments = argparse.ArgumentParser()
    arguments.add_argument("--records", type=int, default=20_000)
    arguments.add_argument("--turns", type=int, default=200)
    given = arguments.parse_args()
    with console(given.records) as (app, _house):
        client = signed_in(app)
        print(f"\nCPU of a request, median (and least) of {given.turns}; {given.records:,} records, 50 on a page")
        for case, (address, goal) in PAGES.items():
            found = spent(client, address, given.turns)
            told(f"{case}, median", statistics.median(found), "ms", goal)
            told(f"{case}, least", min(found), "ms", None)
        for address in OTHERS:
            told(f"{address}, median", statistics.median(spent(client, address, 50)), "ms", None)


if __name__ == "__main__":
    main()
