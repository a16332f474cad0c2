"""A house with two real systems: a CRM in a SQLite file and an ERP of CSV files."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

import webapp.rulebook.models  # noqa: F401 - the tables have to be known
from tests.houses import fresh_house
from tests.webapp.conftest import admin_client, app, client, settings  # noqa: F401 - the console's fixtures
from webapp.connections import services as connections
from webapp.extensions import Actor, House
from webapp.rulebook import services as rulebook

ANNA = Actor("user", "anna", "1")
BEN = Actor("user", "ben", "2")

ACCOUNTS = [
    (1, "上海贝尔", " 021-555 ", "active", "2026-01-01 10:00:00"),
    (2, "Müller AG", "0711-1", "active", "2026-01-02 10:00:00"),
    (3, "Old Ltd", None, "closed", "2026-01-03 10:00:00"),
]


def document(**changes: Any) -> dict[str, Any]:
    """Return a rule that fits the systems of `systems`."""
    return {
        "kind": "sync",
        "name": "customers",
        "left": {"connection": "crm", "object": "account"},
        "right": {"connection": "erp", "object": "customers.csv"},
        "key": {"left": "id", "right": "no"},
        "fields": [{"left": "id", "right": "no"}, {"left": "name", "right": "title"}],
        **changes,
    }


def draft(house: House, name: str) -> dict[str, Any]:
    """Return the document of a rule's draft."""
    with house.db.read() as tx:
        return rulebook.get(tx, name).document


def add_systems(house: House, folder: Path) -> None:
    """Create the two systems and their connections."""
    folder.mkdir(exist_ok=True)
    with sqlite3.connect(folder / "crm.db") as crm:
        columns = "id INTEGER PRIMARY KEY, name TEXT NOT NULL, phone TEXT, status TEXT, updated_at TIMESTAMP"
        crm.execute(f"CREATE TABLE account ({columns})")
        crm.executemany("INSERT INTO account VALUES (?, ?, ?, ?, ?)", ACCOUNTS)
    crm.close()
    files = folder / "erp"
    files.mkdir()
    (files / "customers.csv").write_text("no,title,tel,联系邮箱\n1,Bell,021,bell@example.com\n", encoding="utf-8")
    crm_settings = {"path": str(folder / "crm.db")}
    connections.create(house, _connection("crm", "sqlite", crm_settings), ANNA, (folder,))
    connections.create(house, _connection("erp", "files", {"path": str(files), "format": "csv"}), ANNA, (folder,))


def _connection(name: str, connector: str, settings: dict[str, Any]) -> dict[str, Any]:  # noqa: F811
    return {"kind": "connection", "name": name, "connector": connector, "settings": settings}


@pytest.fixture
def bare_house(tmp_path: Path, metadata_url: str) -> Iterator[House]:
    """Return a house without any connection."""
    with fresh_house(tmp_path / "data", metadata_url) as house:
        yield house


@pytest.fixture
def house(bare_house: House, tmp_path: Path) -> House:
    """Return a house with the two systems."""
    add_systems(bare_house, tmp_path / "systems")
    return bare_house


@pytest.fixture
def console(app: Any, tmp_path: Path) -> House:  # noqa: F811
    """Return the house of the console, with the two systems."""
    house: House = app.extensions["syncline"]
    add_systems(house, tmp_path / "systems")
    return house
