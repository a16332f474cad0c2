"""What fills an installation for `benchmarks.capacity`: rules, runs with their records, entities, history, links.

Rules, connections and entities are made by the product itself; what comes in millions is made by the database, in the
same form as the product writes it.
"""

from __future__ import annotations

import random
import sqlite3
from dataclasses import dataclass, replace
from datetime import timedelta
from pathlib import Path

import polars as pl
import sqlalchemy as sa

from benchmarks import capacity_events as events
from benchmarks.entities import DEFINITION, batch
from benchmarks.scale import RULE
from connectors.spi import Context, Fence
from rules.schema import Change, Op
from webapp.connections import services as connections
from webapp.entities import services as entities
from webapp.entities.hub import hub_connector
from webapp.extensions import Actor, House
from webapp.rulebook import services as rulebook
from webapp.runs.execution import execute
from webapp.runs.models import link_segment, run, run_record
from webapp.runs.pipeline.link_log import SCHEMA
from webapp.runs.pipeline.links import LinkLog
from webapp.runs.requests import start

ADA = Actor("user", "ada", "1")
MILLION = 1_000_000
_SEGMENT = 25_000


@dataclass(frozen=True)
class Sizes:
    """How much of everything there is to be."""

    events: int = 10 * MILLION
    links: int = 10 * MILLION
    history: int = 5 * MILLION
    outcomes: int = 5 * MILLION
    records: int = MILLION
    runs: int = 200_000
    rules: int = 1000
    entities: int = 200


def fill(house: House, sizes: Sizes, folder: Path) -> None:
    """Fill an installation that has nothing."""
    began = house.clock() - events.SPREAD - timedelta(days=1)
    past = replace(house, clock=lambda: began)
    _systems(past, folder)
    _rules(past, sizes.rules)
    _entities(past, sizes)
    number = _first_run(past)
    events.fill(past, sizes.events, sizes.runs)
    _runs(past, sizes, number)
    _history(past, sizes.history)
    _links(past, sizes.links)
    with house.db.engine.connect().execution_options(isolation_level="AUTOCOMMIT") as tx:
        tx.exec_driver_sql("VACUUM ANALYZE")


def _systems(house: House, folder: Path) -> None:
    tables = {
        "crm": "customer (id INTEGER PRIMARY KEY, name TEXT)",
        "erp": "client (no INTEGER PRIMARY KEY, title TEXT)",
    }
    for name, table in tables.items():
        with sqlite3.connect(folder / f"{name}.db") as made:
            made.execute(f"CREATE TABLE {table}")
        settings = {"path": str(folder / f"{name}.db")}
        document = {"kind": "connection", "name": name, "connector": "sqlite", "settings": settings}
        connections.create(house, document, ADA)
    with sqlite3.connect(folder / "crm.db") as made:
        made.executemany("INSERT INTO customer VALUES (?, ?)", [(1, "Ada"), (2, "Bea"), (3, "Cid")])


def _rules(house: House, count: int) -> None:
    for number in range(count):
        rulebook.create(house, {**RULE, "name": f"rule{number}"}, ADA)
        rulebook.publish(house, f"rule{number}", ADA)
    print(f"  {count:,} rules", flush=True)


def _entities(house: House, sizes: Sizes) -> None:
    for number in range(1, sizes.entities):
        entities.define(house, {**DEFINITION, "name": f"entity{number}"}, ADA)
    entities.define(house, {**DEFINITION, "name": "customer"}, ADA)
    hub = hub_connector(house)({}, Context())
    chance, size = random.Random(7), 50_000
    for chunk in range(sizes.records // size):
        frame = batch(chunk * size, size, chance)
        result = hub.write(
            "customer", hub.schema("customer"), [Change(Op.CREATE, "id", frame)], Fence("capacity", 1, 1, chunk)
        )
        assert not result.failures
    print(f"  {sizes.entities:,} entities, {sizes.records:,} records of one", flush=True)


def _first_run(house: House) -> int:
    """Carry one run out: the generated ones are like it."""
    number = start(house, "rule1", "live", ADA)
    execute(house, number, "capacity")
    with house.db.read() as tx:
        assert tx.scalar(sa.select(run.c.state).where(run.c.id == number)) == "succeeded"
    return number


def _runs(house: House, sizes: Sizes, number: int) -> None:
    """Copy a run, spread over rules and time, and give the runs their records."""
    names = [column.name for column in run.c if column.name not in ("id", "rule_id", "rule_name", "requested_at")]
    own = [f"r.{name}" for name in names if name not in ("started_at", "ended_at")]
    rest = [name for name in names if name not in ("started_at", "ended_at")]
    step = events.SPREAD / sizes.runs
    copied = f"""
        INSERT INTO run (id, rule_id, rule_name, requested_at, started_at, ended_at, {", ".join(rest)})
        SELECT r.id + i, rule.id, rule.name, t.at, t.at, t.at + interval '20 seconds', {", ".join(own)}
        FROM generate_series(1, CAST(:runs AS bigint)) AS i
        JOIN run AS r ON r.id = :number
        JOIN rule ON rule.name = 'rule' || i % :rules
        CROSS JOIN LATERAL (SELECT r.requested_at + i * CAST(:step AS interval) AS at) AS t
    """
    records = """
        INSERT INTO run_record (run_id, rule_name, record_no, left_key, right_key, outcome, situation, before,
                                after, side)
        SELECT CASE WHEN i % 2 = 0 THEN :large ELSE :number + 1 + i % :runs END, 'rule' || i % :rules, i,
               CAST(i % 1000000 AS text), CAST(i % 1000000 AS text), 'updated', 'linked_changed',
               '{"phone": "+86 138' || i || '"}', '{"phone": "+86 139' || i || '"}', 'left'
        FROM generate_series(CAST(:first AS bigint), CAST(:last AS bigint)) AS i
    """.replace('": "', '"\\: "')
    base = {"number": number, "runs": sizes.runs, "rules": sizes.rules}
    with house.db.begin() as tx:
        tx.execute(sa.text(copied), {**base, "step": step})
        tx.exec_driver_sql(f"SELECT setval(pg_get_serial_sequence('run', 'id'), {number + sizes.runs})")
    for first in range(1, sizes.outcomes, events.PART):
        span = {"first": first, "last": min(first + events.PART - 1, sizes.outcomes), "large": number + sizes.runs}
        with house.db.begin() as tx:
            tx.execute(sa.text(records), {**base, **span})
    with house.db.read() as tx:
        found = tx.scalar(sa.select(sa.func.count()).select_from(run_record))
    print(f"  {sizes.runs:,} runs, {found:,} of their records", flush=True)


def _history(house: House, count: int) -> None:
    made = """
        INSERT INTO entity_history (entity, record_id, version, at, actor_kind, actor, before, after)
        SELECT 'entity' || i % 200, i / 200 % 100000, 2 + i / 20000000,
               CAST(:start AS timestamptz) + i * interval '15 s',
               'user', 'user' || i % 500, jsonb_build_object('phone', '+86 138' || i),
               jsonb_build_object('phone', '+86 139' || i)
        FROM generate_series(CAST(:first AS bigint), CAST(:last AS bigint)) AS i
    """
    for first in range(1, count, events.PART):
        with house.db.begin() as tx:
            span = {"start": house.clock(), "first": first, "last": min(first + events.PART - 1, count)}
            tx.execute(sa.text(made), span)
    print(f"  {count:,} entries of histories", flush=True)


def _links(house: House, count: int) -> None:
    """Give one rule links, as the end of a run lays them down."""
    with house.db.begin() as tx:
        rule_id = tx.scalar(sa.text("SELECT id FROM rule WHERE name = 'rule2'"))
        log = LinkLog(int(rule_id), ("", ""), reverse=False)
        nothing = {name: pl.lit(None, dtype=dtype) for name, dtype in SCHEMA.items() if not name.endswith("_key")}
        for first in range(0, count, _SEGMENT):
            keys = pl.int_range(first, first + _SEGMENT, eager=True).cast(pl.String)
            frame = pl.DataFrame({"left_key": keys, "right_key": keys}).with_columns(**nothing)
            log.append(tx, 1, frame.select(*SCHEMA))
        held = tx.scalar(sa.select(sa.func.sum(link_segment.c.rows)).where(link_segment.c.rule_id == rule_id))
    print(f"  {held:,} links of one rule", flush=True)
