"""A rule between two systems, and records of it that wait."""

from __future__ import annotations

import json
import sqlite3
from datetime import timedelta
from typing import Any

import polars as pl
import sqlalchemy as sa

from rules.schema import Field, FieldType, Schema
from webapp.cases import pairs
from webapp.connections import services as connections
from webapp.extensions import Actor, House
from webapp.rulebook import services as rulebook
from webapp.runs import pair_cases
from webapp.runs.models import run

ADA = Actor("user", "ada", "1")
LEFT = Schema(
    (
        Field("id", FieldType.INTEGER, nullable=False),
        Field("name", length=40),
        Field("phone"),
        Field("credit", FieldType.DECIMAL, scale=2),
        Field("vip", FieldType.BOOLEAN),
    ),
    ("id",),
)
RIGHT = Schema(
    (
        Field("no", FieldType.INTEGER, nullable=False),
        Field("title"),
        Field("tel"),
        Field("ceiling", FieldType.DECIMAL, scale=2),
        Field("vip", FieldType.BOOLEAN, label="Important"),
    ),
    ("no",),
)
DOCUMENT: dict[str, Any] = {
    "kind": "sync",
    "name": "customers",
    "left": {"connection": "crm", "object": "account"},
    "right": {"connection": "erp", "object": "client"},
    "direction": "two_way",
    "key": {"left": "id", "right": "no"},
    "fields": [
        {"left": "id", "right": "no"},
        {"left": "name", "right": "title", "to_right": "name.trim()", "to_left": "title"},
        {"left": "phone", "right": "tel"},
        {"left": "credit", "right": "ceiling"},
        {"left": "vip", "right": "vip"},
    ],
}
_SQL = {
    "crm": "CREATE TABLE account (id INTEGER PRIMARY KEY, name TEXT, phone TEXT, credit DECIMAL(10,2), vip BOOLEAN)",
    "erp": "CREATE TABLE client (no INTEGER PRIMARY KEY, title TEXT, tel TEXT, ceiling DECIMAL(10,2), vip BOOLEAN)",
}


def make_rule(house: House, **changes: Any) -> int:
    """Connect both systems, publish the rule between them and return its number."""
    pairs.register()
    for name, label in (("crm", "Sales"), ("erp", "")):
        path = house.settings.data / f"{name}.db"
        with sqlite3.connect(path) as system:
            system.execute(_SQL[name])
        stated = {"kind": "connection", "name": name, "label": label, "connector": "sqlite"}
        connections.create(house, {**stated, "settings": {"path": str(path)}}, ADA)
    made = rulebook.create(house, {**DOCUMENT, **changes}, ADA)
    rulebook.publish(house, "customers", ADA)
    return made.id


def make_run(house: House, rule_id: int, **changes: Any) -> int:
    """Store a run that has met records which have to wait."""
    noted = [{"chunk": 1, "source": LEFT.to_json(), "target": RIGHT.to_json()}]
    head = {"rule_id": rule_id, "rule_name": "customers", "document": DOCUMENT, "mode": "live", "kind": "sync"}
    state = {"state": "succeeded", "counts": {}, "requested_by": "ada", "requested_at": house.clock()}
    with house.db.begin() as tx:
        values = {**head, **state, "schemas": noted, **changes}
        return int(tx.execute(sa.insert(run).values(values)).inserted_primary_key[0])  # type: ignore[index]


def entry(number: int, left: Any, right: Any, base: Any = None) -> dict[str, Any]:
    """Return a field in question."""
    pair = DOCUMENT["fields"][number]
    sides = {side: {"name": pair[side], "value": value} for side, value in (("left", left), ("right", right))}
    named = f"{pair['left']} / {pair['right']}"
    return {"index": str(number), "field": named, **sides, "base": {"left": base, "right": base}}


def conflict(*entries: dict[str, Any]) -> dict[str, Any]:
    """Return the details of a conflict, with both records as far as they are in question."""
    records: dict[str, dict[str, Any]] = {"left": {"id": 1, "name": "Acme"}, "right": {"no": 1, "title": "Acme"}}
    for one in entries:
        for side, record in records.items():
            record[one[side]["name"]] = one[side]["value"]
    return {"fields": list(entries), **records}


PHONES = conflict(entry(2, "+86 1", "+86 2", "+86"))
CANDIDATES = [
    {"key": "8", "confidence": 0.7, "tier": 2, "record": {"no": 8, "title": "Acme Inc.", "tel": "1"}},
    {"key": "9", "confidence": 0.85, "tier": 2, "record": {"no": 9, "title": "Acme Corp", "tel": "2"}},
]
MATCH = {"left": {"id": 5, "name": "Acme", "phone": "1"}, "candidates": CANDIDATES}


def wait(
    house: House,
    rule_id: int,
    *rows: tuple[str | None, str | None, str, dict[str, Any]],
    seen: str = "s1",
    run_id: int = 0,
    days: int = 0,
) -> int:
    """Let records wait; returns the run that met them."""
    run_id = run_id or make_run(house, rule_id)
    names = ("left_key", "right_key", "situation", "details", "seen")
    plain = [(*row[:3], json.dumps(row[3], ensure_ascii=False), seen) for row in rows]
    frame = pl.DataFrame(plain, schema=dict.fromkeys(names, pl.String()), orient="row")
    with house.db.begin() as tx:
        pair_cases.wait(tx, rule_id, "customers", run_id, frame, house.clock() - timedelta(days=days))
    return run_id


def settle(house: House, rule_id: int, left: str | None, right: str | None, run_id: int = 99) -> None:
    """Let a run say that a record need not wait any more."""
    with house.db.begin() as tx:
        pair_cases.settle(tx, rule_id, [pair_cases.pair_name(left, right)], run_id, house.clock(), "run")
