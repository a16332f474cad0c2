"""What the page of a run and the API say of its slices."""

from __future__ import annotations

import sqlite3

import pytest

from tests.runs.conftest import ADMIN, RULE
from tests.webapp.conftest import admin_client, app, client, settings  # noqa: F401 - the console's fixtures
from webapp.connections import services as connections
from webapp.rulebook import services as rulebook
from webapp.runs.execution import execute
from webapp.runs.requests import start


@pytest.fixture
def run_id(app):  # noqa: F811
    """Return a run that was split into five slices."""
    house = app.extensions["syncline"]
    for name, table in (("crm", "customer (id INTEGER PRIMARY KEY, name TEXT, phone TEXT)"),
                        ("erp", "client (no INTEGER PRIMARY KEY, title TEXT, tel TEXT)")):  # fmt: skip
        path = house.settings.data / f"{name}.db"
        with sqlite3.connect(path) as db:
            db.execute(f"CREATE TABLE {table}")
            if name == "crm":
                db.executemany("INSERT INTO customer VALUES (?, ?, ?)", [(n, f"N{n}", "1") for n in range(1, 10)])
        document = {"kind": "connection", "name": name, "connector": "sqlite", "settings": {"path": str(path)}}
        connections.create(house, document, ADMIN)
    rulebook.create(house, {**RULE, "split": {"over": 2, "every": 2}}, ADMIN)
    rulebook.publish(house, "customers", ADMIN)
    number = start(house, "customers", "live", ADMIN)
    execute(house, number, "machine:7")
    return number


def test_the_page_shows_the_slices(admin_client, run_id):  # noqa: F811
    """It tells how many are done, and of each who had it and what it came to."""
    page = admin_client.get(f"/runs/{run_id}").get_data(as_text=True)
    assert "Slices: 5 of 5 are done" in page
    assert page.count("machine:7") >= 5


def test_the_api_gives_the_slices(admin_client, run_id):  # noqa: F811
    """Each with its number, its state, its worker and its counts, and without the keys between which it lies."""
    found = admin_client.get(f"/api/v1/runs/{run_id}").get_json()["slices"]
    assert [one["slice"] for one in found] == [1, 2, 3, 4, 5]
    assert sum(one["counts"]["read"] for one in found) == 9
    assert set(found[0]) == {"slice", "state", "worker", "attempts", "counts"}
