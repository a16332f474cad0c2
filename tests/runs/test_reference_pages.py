"""Pages of rules in order: forms, sentences, what waits, and the same by API."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
from flask import Flask
from flask.testing import FlaskClient

from tests.rulebook.test_pages import form_of
from tests.runs.conftest import ADMIN, World
from tests.runs.linked import Shop
from tests.webapp.conftest import admin_client, app, client, settings, text  # noqa: F401 - fixtures
from webapp.connections import services as connections
from webapp.extensions import House
from webapp.rulebook import reading


@pytest.fixture
def shop(app: Flask, tmp_path: Path) -> Shop:  # noqa: F811 - a fixture
    """Return a shop whose orders wait for their customers."""
    house: House = app.extensions["syncline"]
    folder = tmp_path / "data"
    world = World(house, folder)
    world.house = replace(house, clock=world.now)
    for name in ("crm", "erp"):
        document = {"kind": "connection", "name": name, "connector": "sqlite", "settings": {"path": f"{folder}/{name}.db"}}  # fmt: skip # noqa: E501
        (folder / f"{name}.db").touch()
        connections.create(house, document, ADMIN)
    shop = Shop(world, validations=[])
    shop.people((1, "a@x", "Ann"), (2, "b@x", "Bob"))
    shop.purchases((10, 1, 5), (11, 2, 6), (12, None, 7))
    return shop


def _draft(shop: Shop, name: str) -> dict:
    with shop.world.house.db.read() as tx:
        return reading.get(tx, name).document


def test_the_overview_tells_of_references_and_order(shop: Shop, admin_client: FlaskClient):  # noqa: F811
    """The overview of a rule says what it runs after and what its fields refer to; its menu runs all in order."""
    page = text(admin_client, "/rules/orders/")
    assert "It runs after customers." in page
    assert "person_id / partner_no refers to records of customers" in page
    assert "Run behind what it depends on" in page
    assert "Run behind what it depends on" not in text(admin_client, "/rules/customers/")


def test_the_form_of_fields_keeps_and_takes_references(shop: Shop, admin_client: FlaskClient):  # noqa: F811
    """The form offers the rules that fit; what it does not touch stays, and an expression takes the place of one."""
    form = form_of(admin_client, "/rules/orders/fields")
    number = next(key.removeprefix("target-") for key in form if form[key] == "partner_no" and key[:7] == "target-")
    assert form[f"reference-{number}"] == "customers"
    admin_client.post("/rules/orders/fields", data=form)
    assert _draft(shop, "orders")["fields"][1]["reference"] == "customers"
    admin_client.post("/rules/orders/fields", data={**form, f"reference-{number}": ""})
    assert "reference" not in _draft(shop, "orders")["fields"][1]


def test_the_form_of_pairs_keeps_and_takes_references(shop: Shop, admin_client: FlaskClient):  # noqa: F811
    """The pairs of a two-way rule have the same choice."""
    shop.publish({**_draft(shop, "orders"), "direction": "two_way"})
    form = form_of(admin_client, "/rules/orders/fields")
    assert form["reference-1"] == "customers"
    admin_client.post("/rules/orders/fields", data={**form, "reference-1": ""})
    assert "reference" not in _draft(shop, "orders")["fields"][1]
    again = form_of(admin_client, "/rules/orders/fields")
    admin_client.post("/rules/orders/fields", data={**again, "reference-1": "customers"})
    assert _draft(shop, "orders")["fields"][1]["reference"] == "customers"


def test_the_form_of_what_happens_says_what_runs_before(shop: Shop, admin_client: FlaskClient):  # noqa: F811
    """What runs before a rule is chosen among the rules that do not come after it."""
    page = text(admin_client, "/rules/orders/behaviour")
    assert "Which rules run before it?" in page
    form = form_of(admin_client, "/rules/orders/behaviour")
    admin_client.post("/rules/orders/behaviour", data={**form, "after": ["customers"]})
    assert _draft(shop, "orders")["after"] == ["customers"]
    again = form_of(admin_client, "/rules/orders/behaviour")
    admin_client.post("/rules/orders/behaviour", data={k: v for k, v in again.items() if k != "after"})
    assert "after" not in _draft(shop, "orders")
    assert "Which rules run before it?" not in text(admin_client, "/rules/customers/behaviour")


def test_an_example_of_a_reference_is_what_a_run_would_write(shop: Shop, admin_client: FlaskClient):  # noqa: F811
    """The examples beside the form go through the same links, and say what waits."""
    form = form_of(admin_client, "/rules/orders/fields")
    assert "which is not linked yet" in admin_client.post("/rules/orders/fields/try", data=form).text
    shop.run("customers")
    assert "101" in admin_client.post("/rules/orders/fields/try", data=form).text


def test_the_quarantine_says_what_a_record_waits_for(shop: Shop, admin_client: FlaskClient):  # noqa: F811
    """The page of a parked order leads to its customer, and the page of a parked customer to its orders."""
    shop.publish({**_draft(shop, "customers"), "validations": [{"name": "named", "check": "name != 'Bob'"}]})
    shop.run("customers")
    shop.run("orders")
    order, customer = shop.parked()[0], shop.parked("customers")[0]
    page = text(admin_client, f"/quarantine/{order.id}")
    assert "What it waits for" in page
    assert f'href="/quarantine/{customer.id}"' in page
    page = text(admin_client, f"/quarantine/{customer.id}")
    assert "One record waits for this one." in page
    assert f'href="/quarantine/{order.id}"' in page
    assert "waits for another record" in text(admin_client, "/quarantine/")


def test_runs_in_order_by_page_and_api(shop: Shop, admin_client: FlaskClient):  # noqa: F811
    """The browser and the API start a rule behind those that it depends on; its run says what it waits for."""
    where = admin_client.post("/runs/start", data={"rule": "orders", "mode": "live", "dependencies": "1"}).location
    page = text(admin_client, where)
    assert "Waiting for" in page
    number = int(where.rpartition("/")[2])
    assert f"/runs/{number - 1}" in page
    assert "Waiting for" in text(admin_client, f"{where}/progress")
    assert [run.rule_name for run in shop.settle()] == ["customers", "orders"]
    answer = admin_client.post("/api/v1/runs/", json={"rule": "orders", "with_dependencies": True})
    assert (answer.status_code, answer.json["waits_for"]) == (201, [answer.json["run"] - 1])
    refused = {"rule": "orders", "mode": "simulate", "with_dependencies": True}
    assert admin_client.post("/api/v1/runs/", json=refused).status_code == 409
    refused = admin_client.post("/runs/start", data={"rule": "orders", "mode": "live", "dependencies": "1"})
    assert refused.location == "/rules/orders"


def test_the_explanation_of_an_order_names_the_link(shop: Shop, admin_client: FlaskClient):  # noqa: F811
    """Why an order has this customer: the link that gave the key is named; where there was none, what it waited for."""
    shop.run("orders")
    run = shop.run("customers")
    shop.settle()
    last = shop.run("orders")
    page = text(admin_client, f"/runs/{last.id}/explain?key=10")
    assert "which the rule customers links with 101" in page
    assert run.state == "succeeded"
