"""One trace goes from a click in the console over the scheduler to the worker and the calls that it makes."""

from __future__ import annotations

import json
import sqlite3
from pathlib import Path

import httpx

import config
from tests.supervisor.conftest import Installation, wait_for
from tests.trace_servers import Seen, receiver
from webapp.access import keys
from webapp.connections import services as connections
from webapp.extensions import SYSTEM, Actor, open_house
from webapp.rulebook import services as rulebook

RULE = {
    "kind": "sync", "name": "customers", "direction": "left_to_right",
    "left": {"connection": "crm", "object": "customer"}, "right": {"connection": "erp", "object": "client"},
    "key": {"left": "id", "right": "no"},
    "fields": [{"left": "id", "right": "no"}, {"left": "name", "right": "title"}],
}  # fmt: skip


def prepared(installation: Installation) -> str:
    """Make two systems, a rule between them and a key that may run it; return the key."""
    house = open_house(config.from_environment({"SYNCLINE_DATA": str(installation.data)}))
    for name, table in (("crm", "customer (id INTEGER PRIMARY KEY"), ("erp", "client (no INTEGER PRIMARY KEY")):
        path = installation.data / f"{name}.db"
        with sqlite3.connect(path) as system:
            system.execute(f"CREATE TABLE {table}, {'name' if name == 'crm' else 'title'} TEXT)")
            if name == "crm":
                system.execute("INSERT INTO customer VALUES (1, 'Ada')")
        document = {"kind": "connection", "name": name, "connector": "sqlite", "settings": {"path": str(path)}}
        connections.create(house, document, SYSTEM)
    rulebook.create(house, RULE, SYSTEM)
    rulebook.publish(house, "customers", SYSTEM)
    made = keys.create_key(house, keys.NewKey("starter", ("runs:run", "runs:read"), 5), Actor("user", "admin", "1"))
    house.db.engine.dispose()
    return made


def test_a_click_is_one_trace_over_all_processes(tmp_path: Path) -> None:
    """Console, scheduler and worker each add their part; what ends the worker loses none of it; logs name the trace."""
    with receiver() as heard:
        more = {"SYNCLINE_OTLP_ENDPOINT": heard.url, "SYNCLINE_LOG_FORMAT": "json"}
        installation = Installation(tmp_path / "data", more=more)
        installation.start()
        try:
            key = prepared(installation)
            answer = httpx.post(
                f"http://127.0.0.1:{installation.port}/api/v1/runs/",
                json={"rule": "customers", "mode": "live"},
                headers={"Authorization": f"Bearer {key}", "X-Request-ID": "click-0001"},
                timeout=30,
            )
            assert answer.status_code == 201
            heard.wait(lambda spans: any(s.name == "run customers" for s in spans))
            wait_for(lambda: any(s.process == "scheduler" for s in heard.spans), what="the scheduler's span")
        finally:
            installation.stop()
    (click,) = [s for s in heard.spans if s.about.get("syncline.request.id") == "click-0001"]
    mine: list[Seen] = [s for s in heard.spans if s.trace == click.trace]
    assert {s.process for s in mine} >= {"web", "scheduler", "worker"}
    assert {"announce run", "run customers", "claim", "read crm.customer", "map", "write erp.client", "check in"} <= {
        s.name for s in mine
    }
    assert click.id in {s.parent for s in mine if s.name == "announce run"}
    assert [s.parent for s in mine if s.name == "run customers"] == [click.id]
    lines = [json.loads(x) for log in (tmp_path / "data" / "logs").glob("w*.log") for x in log.read_text().splitlines()]
    assert all("trace_id" in line for line in lines if "run" in line)
