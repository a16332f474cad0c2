"""How fast a run is: a CSV file of 100,000 records into PostgreSQL and into an entity, first and again.

Usage: python -m benchmarks.sync [RECORDS]. Starts a PostgreSQL of its own. Prints records/s of wall and of CPU time,
the peak memory of this process and the run's counts.
"""

from __future__ import annotations

import csv
import json
import random
import resource
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import sqlalchemy as sa

from tests.houses import fresh_house
from tests.servers import postgres, postgres_database
from webapp.connections import services as connections
from webapp.entities import hub
from webapp.entities import services as entities
from webapp.extensions import Actor, House
from webapp.rulebook import services as rulebook
from webapp.runs import reading
from webapp.runs.execution import execute
from webapp.runs.requests import start

BENCH = Actor("cli", "bench")
HEADER = "id,name,email,phone,country,city,credit_limit,level,active,born,remark,updated_at"
COLUMNS = tuple(HEADER.split(","))


def generate(path: Path, records: int) -> None:
    """Write the source file: 12 columns, Chinese and Latin text, amounts, dates."""
    rng = random.Random(42)
    cities = ("北京", "上海", "Berlin", "Lyon", "Kyōto", "São Paulo")
    with path.open("w", newline="", encoding="utf-8") as file:
        out = csv.writer(file)
        out.writerow(COLUMNS)
        for number in range(1, records + 1):
            a, b, c = (rng.randrange(1000) for _ in range(3))
            day, month = b % 28 + 1, a % 12 + 1
            who = (number, f" 客户 {a} Ltd ", f"Mail{number}@Example.com", f"+86 1{a:03}{b:03}{c:03}")
            where = ("CN" if a % 2 else "DE", cities[a % 6])
            money = (f"{a * b}.{c % 100:02}", a % 10, "true" if b % 10 else "false")
            born = f"19{50 + a % 50}-{month:02}-{day:02}"
            seen = f"2025-{month:02}-{day:02}T{c % 24:02}:{b % 60:02}:00Z"
            out.writerow((*who, *where, *money, born, "😀 remark" if c % 3 else "", seen))


TABLE = """CREATE TABLE customer (no bigint PRIMARY KEY, name text NOT NULL, email text, phone text, country char(2),
city text, credit_limit numeric(14,2), level smallint, active boolean, born date, remark text,
updated_at timestamptz)"""
ENTITY: dict[str, Any] = {
    "kind": "entity",
    "name": "customer",
    "label": {"en": "Customer", "zh": "客户"},
    "fields": [
        {"name": "no", "type": "integer", "required": True, "unique": True},
        *({"name": n, "type": "text"} for n in ("name", "email", "phone", "country", "city", "remark")),
        {"name": "credit_limit", "type": "decimal", "precision": 14, "scale": 2},
        {"name": "level", "type": "integer"},
        {"name": "active", "type": "boolean"},
        {"name": "born", "type": "date"},
    ],
}


def rule(name: str, right: dict[str, str], skip: tuple[str, ...] = ()) -> dict[str, Any]:
    """Return the rule: most fields copied, two computed."""
    copies = [{"left": n, "right": n} for n in COLUMNS if n not in ("id", "name", "email", *skip)]
    return {
        "kind": "sync",
        "name": name,
        "left": {"connection": "inbox", "object": "customers.csv"},
        "right": right,
        "direction": "left_to_right",
        "key": {"left": "id", "right": "no"},
        "fields": [
            {"left": "id", "right": "no"},
            {"left": "name", "right": "name", "to_right": "name.trim()"},
            {"left": "email", "right": "email", "to_right": "email.lower()"},
            *copies,
        ],
    }


def measure(house: House, name: str, case: str) -> float:
    """Run a rule once, print what it took and return its CPU seconds."""
    run_id = start(house, name, "live", BENCH)
    wall, cpu = time.perf_counter(), time.process_time()
    execute(house, run_id, "bench")
    wall, cpu = time.perf_counter() - wall, time.process_time() - cpu
    with house.db.read() as tx:
        row = reading.get(tx, run_id)
    read = row.counts["read"]
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024
    counts = {k: v for k, v in row.counts.items() if v}
    print(f"{case:22} {row.state} {read / wall:8,.0f}/s wall {read / cpu:8,.0f}/s CPU, peak {peak} MB, {counts}")
    values = {"records per CPU second": read / cpu, "records per second": read / wall, "peak MB": peak}
    for unit, value in values.items():
        base = {"suite": "sync", "case": case, "value": round(value), "unit": unit}
        print(json.dumps({**base, "peers": {}, "ratio": None, "goal": None, "met": None}, separators=(",", ":")))
    return cpu


def explaining(house: House, right: dict[str, str]) -> None:
    """Print what keeping the values for explanations costs: the same unchanged run with and without, in turns."""
    rulebook.create(house, {**rule("bare", right), "explain": False}, BENCH)
    rulebook.publish(house, "bare", BENCH)
    spent: dict[str, list[float]] = {"to_postgresql": [], "bare": []}
    for turn in range(4):
        for name, taken in spent.items():
            cpu = measure(house, name, f"csv {name}, explain {name != 'bare'}")
            if turn:  # the first run links the records
                taken.append(cpu)
    more = 100 * (min(spent["to_postgresql"]) / min(spent["bare"]) - 1)
    row = {"suite": "sync", "case": "explain: true against false", "value": round(more, 1), "unit": "% more CPU"}
    print(json.dumps({**row, "peers": {}, "ratio": None, "goal": 30, "met": more <= 30}, separators=(",", ":")))


def main(records: int) -> None:
    """Generate, set up, run each rule twice."""
    with tempfile.TemporaryDirectory() as folder, postgres() as server, postgres_database(server) as database:
        data = Path(folder) / "data"
        with fresh_house(data) as house:
            inbox = data / "files"
            inbox.mkdir()
            generate(inbox / "customers.csv", records)
            address = {"host": server.host, "port": server.port, "database": database}
            login = {"user": server.user, "password": server.password}
            url = sa.URL.create("postgresql+psycopg", server.user, server.password, server.host, server.port, database)
            with sa.create_engine(url).begin() as tx:
                tx.execute(sa.text(TABLE))
            erp = {"kind": "connection", "name": "erp", "connector": "postgresql", "settings": {**address, **login}}
            settings = {"path": str(inbox), "format": "csv", "settle": 0}
            source = {"kind": "connection", "name": "inbox", "connector": "files", "settings": settings}
            for document in (erp, source):
                connections.create(house, document, BENCH)
            hub.register(house)
            entities.define(house, ENTITY, BENCH)
            for name, connection in (("to_postgresql", "erp"), ("to_entity", "hub")):
                skip = ("updated_at",) if connection == "hub" else ()
                rulebook.create(house, rule(name, {"connection": connection, "object": "customer"}, skip), BENCH)
                rulebook.publish(house, name, BENCH)
                measure(house, name, f"csv {name}, first load")
                measure(house, name, f"csv {name}, unchanged")
            explaining(house, {"connection": "erp", "object": "customer"})


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 100_000)
