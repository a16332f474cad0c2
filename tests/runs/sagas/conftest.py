"""Customers become clients in the ERP, accounts in a billing system and lines of a book: all of it, or nothing."""

from __future__ import annotations

import sqlite3
from typing import Any

import pytest

from tests.runs.conftest import ADMIN, World
from webapp.connections import services as connections

STEPS: list[dict[str, Any]] = [
    {
        "name": "account",
        "connection": "billing",
        "object": "account",
        "match": "reference",
        "fields": [
            {"field": "reference", "value": "'C' + string(id)"},
            {"field": "owner", "value": "name.trim()"},
            {"field": "client", "value": "record_key"},
        ],
    },
    {
        "name": "line",
        "connection": "book",
        "object": "line",
        "match": "code",
        "fields": [{"field": "code", "value": "'L' + string(id)"}, {"field": "account", "value": "account_key"}],
        "compensate": {"created": "update", "fields": [{"field": "note", "value": "'void'"}]},
    },
]
SAGA: dict[str, Any] = {"transaction": "saga", "saga": {"steps": STEPS}}
ACCOUNT = (
    "CREATE TABLE account (id INTEGER PRIMARY KEY AUTOINCREMENT, reference TEXT, owner TEXT CHECK (owner <> 'bad'),"
    " client INTEGER, memo TEXT)"
)
LINE = "CREATE TABLE line (code TEXT PRIMARY KEY, account INTEGER, note TEXT CHECK (note <> 'never'))"


class Office:
    """The world with two more systems, none of which keeps a fence or a unique key beside its own."""

    def __init__(self, world: World) -> None:
        self.world = world
        for name, table in (("billing", ACCOUNT), ("book", LINE)):
            self.sql(name, table)
            settings = {"path": str(world.folder / f"{name}.db")}
            document = {"kind": "connection", "name": name, "connector": "sqlite", "settings": settings}
            connections.create(world.house, document, ADMIN)

    def sql(self, name: str, statement: str, *row: Any) -> list[Any]:
        with sqlite3.connect(self.world.folder / f"{name}.db") as connection:
            return connection.execute(statement, row).fetchall()

    def state(self) -> dict[str, list[Any]]:
        return {
            "clients": [row[:2] for row in self.world.clients()],
            "accounts": self.sql("billing", "SELECT reference, owner, client FROM account ORDER BY reference"),
            "lines": self.sql("book", "SELECT code, account IS NOT NULL, note FROM line ORDER BY code"),
        }


@pytest.fixture
def office(world: World) -> Office:
    made = Office(world)
    world.rule(**SAGA)
    return made
