"""The pages that take a web service over from its description."""

from __future__ import annotations

import io
import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from flask import Flask
from flask.testing import FlaskClient
from lxml import html

from tests.connectors.conftest import reply, web  # noqa: F401 - fixtures
from tests.webapp.conftest import admin_client, app, client, client_of, settings  # noqa: F401 - fixtures
from webapp.connections import services
from webapp.extensions import SYSTEM, House

SHOP = Path(__file__).parents[1] / "connectors" / "descriptions" / "shop.yaml"


@pytest.fixture
def house(app: Flask) -> House:  # noqa: F811
    return app.extensions["syncline"]


@pytest.fixture
def near(app: Flask, house: House) -> None:  # noqa: F811
    """Allow this machine, where the tests' services are."""
    app.extensions["syncline"] = replace(house, settings=replace(house.settings, egress_allow=("127.0.0.0/8",)))


@pytest.fixture
def page(admin_client: FlaskClient) -> FlaskClient:  # noqa: F811
    return admin_client


def fields(text: str) -> dict[str, str]:
    """Return what the form of a connection holds."""
    form = html.fromstring(text).xpath("//form[@data-controller='settings']")[0]
    return {i.name: i.value or "" for i in form.inputs if i.name and i.get("type") != "checkbox"}


def boxes(text: str) -> dict[str, str]:
    found = html.fromstring(text).xpath("//input[@name='object']/@value")
    return {json.loads(value)["name"]: value for value in found}


def test_from_a_file_to_a_stored_connection(page: FlaskClient, house: House) -> None:
    """What is ticked comes into the form with address and authentication; saving it stores the connection."""
    assert "/connections/new/rest/import" in page.get("/connections/new/rest").text
    assert "Import a web service" in page.get("/connections/new/rest/import").text
    file = {"file": (io.BytesIO(SHOP.read_bytes()), "shop.yaml"), "action": "read"}
    shown = page.post("/connections/new/rest/import", data=file).text
    assert "not with JSON" in shown
    found = boxes(shown)
    assert set(found) == {"customers", "orders"}
    assert shown.count(">changes</span>") == 1
    hidden = {i.name: i.value for i in html.fromstring(shown).xpath("//input[@type='hidden']")}
    sent = {"action": "take", "title": "Shop", "settings": hidden["settings"], "object": [found["customers"]]}
    form = page.post("/connections/new/rest/import", data=sent).text
    assert 'action="/connections/new/rest"' in form
    values = fields(form)
    assert values["setting.base_url"] == "https://eu.shop.example/v2"
    assert values["setting.authentication"] == "oauth2_client"
    assert (values["name"], values["label"]) == ("shop", "Shop")
    answer = page.post("/connections/new/rest", data=values, follow_redirects=True)
    assert "is saved" in answer.text
    with house.db.read() as tx:
        stored = services.get_connection(tx, "shop").settings
    assert [one["name"] for one in stored["objects"]] == ["customers"]
    assert stored["token_url"] == "https://auth.example/token"


def test_more_objects_for_a_connection(page: FlaskClient, house: House) -> None:
    """Objects come beside those there are; one of the same name takes its place, which the page tells."""
    objects = [{"name": "customers", "path": "/old"}, {"name": "own", "path": "/own"}]
    document = {"kind": "connection", "name": "shop", "connector": "rest",
                "settings": {"base_url": "https://own.example", "objects": objects}}  # fmt: skip
    services.create(house, document, SYSTEM)
    shown = page.post("/connections/shop/import", data={"text": SHOP.read_text(), "action": "read"}).text
    assert "takes the place" in shown
    sent = {"action": "take", "settings": "{}", "object": list(boxes(shown).values())}
    form = page.post("/connections/shop/import", data=sent).text
    assert 'action="/connections/shop/edit"' in form
    values = fields(form)
    assert [one["path"] for one in json.loads(values["setting.objects"])] == [
        "/own", "/customers/", "/customers/{parent}/orders",
    ]  # fmt: skip
    assert values["setting.base_url"] == "https://own.example"
    assert page.get("/connections/nothing/import").status_code == 404
    assert page.get("/connections/hub/import").status_code == 404


@pytest.mark.usefixtures("near")
def test_from_an_address(page: FlaskClient, web: Any, reply: Any) -> None:  # noqa: F811
    """The document is fetched within the egress rules; its own address completes what it says."""
    root = {"openapi": "3.0.0", "info": {"title": ""}, "servers": [{"url": "/api"}], "paths": {}}
    web.answer = lambda r: reply(body=root) if r.path == "/o.json" else reply(404)
    post = {"action": "read", "address": web.url + "/o.json"}
    shown = page.post("/connections/new/rest/import", data=post).text
    assert web.url + "/api" in shown
    assert "No list of records is described" in shown
    missed = page.post("/connections/new/rest/import", data={**post, "address": web.url + "/x"})
    assert missed.status_code == 422
    assert "answers with the status 404" in missed.text
    refused = page.post("/connections/new/rest/import", data={**post, "address": "http://10.1.2.3/o.json"})
    assert "must not be reached" in refused.text


@pytest.mark.parametrize(
    ("sent", "words"),
    [
        ({"action": "read"}, "There is no document yet"),
        ({"action": "read", "text": "openapi: ["}, "cannot be read"),
        ({"action": "read", "text": "<html>"}, "cannot be read"),
        ({"action": "take", "settings": "[]"}, "What was chosen cannot be read"),
        ({"action": "take", "settings": "{"}, "What was chosen cannot be read"),
        ({"action": "take", "object": '{"name": 7}'}, "is wrong: Expected"),
    ],
)
def test_what_cannot_be_taken_over(page: FlaskClient, sent: Any, words: str) -> None:
    """What is no document, and what a page never sent, ends in a sentence."""
    answer = page.post("/connections/new/rest/import", data=sent)
    assert answer.status_code == 422
    assert words in answer.text


def test_only_who_may_make_connections(app: Flask) -> None:  # noqa: F811
    """The pages need the permission to create or to change connections."""
    viewer = client_of(app, "vera", "Viewer")
    assert viewer.get("/connections/new/rest/import").status_code == 403
    assert viewer.post("/connections/shop/import").status_code == 403
