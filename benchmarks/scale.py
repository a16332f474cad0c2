"""How soon an installation begins what it is asked for: a click, a thousand schedules due in one minute, a click behind
them. What runs is `syncline up` with two workers, as it is installed.

    python -m benchmarks.scale [--rules 1000] [--clicks 30] [--database sqlite|postgresql|both]
"""

from __future__ import annotations

import argparse
import json
import sqlite3
import statistics
import tempfile
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import sqlalchemy as sa

import config
from tests import servers
from tests.installation import installed
from tests.supervisor.conftest import Installation
from webapp import wake
from webapp.connections import services as connections
from webapp.extensions import Actor, House
from webapp.rulebook import services as rulebook
from webapp.runs.models import run, schedule_slot
from webapp.runs.requests import start

ADA = Actor("user", "ada", "1")
PATIENCE = 300.0
RULE: dict[str, Any] = {
    "kind": "sync",
    "left": {"connection": "crm", "object": "customer"},
    "right": {"connection": "erp", "object": "client"},
    "direction": "left_to_right",
    "key": {"left": "id", "right": "no"},
    "fields": [{"left": "id", "right": "no"}, {"left": "name", "right": "title"}],
}


def told(case: str, value: float, unit: str, goal: float, digits: int = 0) -> None:
    """Print a result for people and for build/bench.json."""
    met = value <= goal
    print(f"  {case:<62}{value:>10.{digits}f} {unit:<4} goal {goal:g}{'' if met else '  MISSED'}")
    head = {"suite": "scale", "case": case, "value": round(value, 3), "unit": unit, "peers": {}, "ratio": None}
    print(json.dumps({**head, "goal": goal, "met": met}).replace('{"suite": ', '{"suite":', 1))


@contextmanager
def prepared(kind: str, rules: int) -> Iterator[tuple[House, Installation]]:
    """Yield an installation that runs: rules with a schedule, and one that people click on."""
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        more: dict[str, str] = {"SYNCLINE_FILE_ROOTS": str(folder), "SYNCLINE_WORKERS": "2"}
        url = ""
        if kind == "postgresql":
            server = stack.enter_context(servers.postgres())
            name = stack.enter_context(servers.postgres_database(server))
            url = f"postgresql://{server.user}:{server.password}@{server.host}:{server.port}/{name}"
            more["SYNCLINE_DATABASE_URL"] = url
        house = stack.enter_context(installed(folder / "data", url, SYNCLINE_FILE_ROOTS=str(folder)))
        systems(house, folder)
        add(house, "clicked")
        for number in range(rules):
            add(house, f"due{number}", schedule={"cron": "* * * * *"})
        running = Installation(folder / "data", more=more)
        running.start()
        stack.callback(running.stop)
        yield house, running


def systems(house: House, folder: Path) -> None:
    """Make two small databases and their connections."""
    for name, table in (
        ("crm", "customer (id INTEGER PRIMARY KEY, name TEXT)"),
        ("erp", "client (no INTEGER PRIMARY KEY, title TEXT)"),
    ):
        with sqlite3.connect(folder / f"{name}.db") as made:
            made.execute(f"CREATE TABLE {table}")
        settings = {"path": str(folder / f"{name}.db")}
        document = {"kind": "connection", "name": name, "connector": "sqlite", "settings": settings}
        connections.create(house, document, ADA)
    with sqlite3.connect(folder / "crm.db") as made:
        made.executemany("INSERT INTO customer VALUES (?, ?)", [(1, "Ada"), (2, "Bea"), (3, "Cid")])


def add(house: House, name: str, **more: Any) -> None:
    """Publish a rule."""
    rulebook.create(house, {**RULE, "name": name, **more}, ADA)
    rulebook.publish(house, name, ADA)


def click(house: House, settings: config.Settings) -> float:
    """Do what the console does on a click; return how many milliseconds later a worker has begun."""
    began = datetime.now(UTC)
    number = start(house, "clicked", "live", ADA)
    wake.announce(settings)
    row = until(lambda: _row(house, number), "the end of the run that was clicked")
    return float((row.started_at - began).total_seconds() * 1000)


def _row(house: House, number: int) -> Any:
    with house.db.read() as tx:
        row = tx.execute(sa.select(run).where(run.c.id == number)).one()
    return row if row.state == "succeeded" else None


def until(condition: Any, what: str) -> Any:
    """Return what the condition returns once that is true."""
    ends = time.monotonic() + PATIENCE
    while not (found := condition()):
        assert time.monotonic() < ends, f"waited in vain for {what}"
        time.sleep(0.01)
    return found


def fired(house: House, slot: datetime) -> list[Any]:
    """Return the firings of a slot."""
    with house.db.read() as tx:
        return list(tx.execute(sa.select(schedule_slot).where(schedule_slot.c.slot == slot)))


def idle(house: House) -> bool:
    """Tell whether no run waits or works."""
    with house.db.read() as tx:
        return not tx.scalar(sa.select(sa.func.count()).where(run.c.state.in_(("queued", "running"))))


def begun(house: House, rules: int) -> bool:
    """Tell whether all schedules count from now on."""
    with house.db.read() as tx:
        return tx.scalar(sa.select(sa.func.count(sa.distinct(schedule_slot.c.rule_id)))) == rules


def measure(kind: str, rules: int, clicks: int) -> None:
    """Measure on one kind of database."""
    with prepared(kind, rules) as (house, running):
        settings = house.settings if kind == "postgresql" else _of(running)
        print(f"\n{kind}, 2 workers, {rules:,} rules due every minute")
        until(lambda: begun(house, rules), "all schedules")
        now = datetime.now(UTC)
        slot = now.replace(second=0, microsecond=0) + timedelta(minutes=1 if now.second < 40 else 2)
        click(house, settings)
        times = [click(house, settings) for _ in range(clicks) if datetime.now(UTC) < slot - timedelta(seconds=2)]
        told(f"{kind}: a click begins, median of {len(times)}", statistics.median(times), "ms", 300)
        until(lambda: len(fired(house, slot)) >= rules, "all slots")
        late = datetime.now(UTC) - slot
        found = fired(house, slot)
        assert len(found) == rules == len({row.rule_id for row in found}), "each slot fires once"
        told(f"{kind}: {rules:,} schedules of one minute, the last one fired", late.total_seconds(), "s", 10, 1)
        told(f"{kind}: a click behind them begins", click(house, settings), "ms", 1000)
        until(lambda: idle(house), "the end of all runs")
        with house.db.read() as tx:
            ended = tx.scalar(sa.select(sa.func.max(run.c.ended_at)))
            states = set(tx.scalars(sa.select(run.c.state).where(run.c.requested_at >= slot)))
        assert states == {"succeeded"}, states
        told(f"{kind}: the last of their runs has ended", (ended - slot).total_seconds(), "s", 60, 1)


def _of(running: Installation) -> config.Settings:
    return config.from_environment({"SYNCLINE_DATA": str(running.data)})


def main() -> None:
    """Measure."""
    arguments = argparse.ArgumentParser()
    arguments.add_argument("--rules", type=int, default=1000)
    arguments.add_argument("--clicks", type=int, default=30)
    arguments.add_argument("--database", choices=["sqlite", "postgresql", "both"], default="both")
    given = arguments.parse_args()
    for kind in ["sqlite", "postgresql"] if given.database == "both" else [given.database]:
        measure(kind, given.rules, given.clicks)


if __name__ == "__main__":
    main()
