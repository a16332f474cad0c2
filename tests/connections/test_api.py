"""Connections over the REST API."""

from __future__ import annotations

import pytest
from flask import Flask
from flask.testing import FlaskClient

from tests.connections.test_services import ANN, CANARY, document
from tests.webapp.conftest import admin_client, app, client, settings  # noqa: F401 - fixtures
from webapp.connections import services
from webapp.extensions import House

BASE = "/api/v1/connections/"


@pytest.fixture
def house(app: Flask) -> House:  # noqa: F811
    return app.extensions["syncline"]


@pytest.fixture
def api(admin_client: FlaskClient) -> FlaskClient:  # noqa: F811
    return admin_client


def test_a_connections_life(api: FlaskClient, house: House) -> None:
    """Create, list, show, replace and delete; secrets go in and never come out."""
    made = api.post(BASE, json=document(password=CANARY))
    assert made.status_code == 201, made.text
    reference = "vault:connection/erp/password"
    assert made.json["settings"] == {"host": "h", "password": reference}
    assert [item["name"] for item in api.get(BASE).json["items"]] == ["hub", "erp"]
    changed = {**document(password=reference, port=9), "version": 1}
    assert api.put(BASE + "erp", json=changed).json["version"] == 2
    late = api.put(BASE + "erp", json=changed)
    assert late.status_code == 409
    assert "admin changed the connection" in late.json["detail"]
    with services.open_connector(house, "erp") as connector:
        assert connector.settings["password"] == CANARY
    shown = api.get(BASE + "erp")
    assert shown.json["settings"] == {"host": "h", "password": reference, "port": 9}
    assert CANARY not in made.text + shown.text
    assert api.delete(BASE + "erp").status_code == 204
    assert api.get(BASE + "erp").status_code == 404


def test_what_is_shown_can_be_sent_back(api: FlaskClient) -> None:
    """The document part of an answer is accepted as it is and changes nothing."""
    shown = api.post(BASE, json=document(password=CANARY)).json
    document_keys = ("kind", "name", "connector", "label", "settings", "version")
    again = api.put(BASE + "erp", json={key: shown[key] for key in document_keys})
    assert again.json["version"] == 1


def test_problems_are_told_with_their_places(api: FlaskClient) -> None:
    """An invalid document answers 422 with each problem's place; the hub and strange names are refused."""
    answer = api.post(BASE, json=document("Bad", port=0, password=CANARY))
    assert answer.status_code == 422
    assert {e["at"] for e in answer.json["errors"]} == {"name", "settings/port"}
    assert CANARY not in answer.text
    assert api.post(BASE, json=[]).status_code == 422
    assert api.put(BASE + "x", json=document("y")).status_code == 422
    assert api.put(BASE + "x", json=document("x")).status_code == 404
    assert api.delete(BASE + "hub").status_code == 409


def test_looking_into_a_system(api: FlaskClient, house: House) -> None:
    """Test, objects, fields and first records, with names of any characters."""
    services.create(house, document(), ANN)
    assert api.post(BASE + "erp/check").json == {
        "ok": True,
        "steps": [
            {"name": "connect", "ok": True, "detail": "h answers."},
            {"name": "sign in", "ok": True, "detail": "Signed in."},
        ],
    }
    assert api.get(BASE + "erp").json["state"] == "ok"
    names = [item["name"] for item in api.get(BASE + "erp/objects?refresh=true").json["items"]]
    assert names == ["notes", "a/b c?"]
    fields = api.get(BASE + "erp/schema", query_string={"object": "a/b c?"}).json
    assert (fields["key"], fields["fields"][0]["type"]) == (["id"], "integer")
    preview = api.get(BASE + "erp/preview?object=notes&limit=2").json
    assert preview["records"][0] == {"id": 1, "name": "Ann", "data": '{"a": 1}', "photo": "0001"}
    assert preview["rejects"][0]["detail"] == "'b' is not a number."
    assert api.get(BASE + "erp/schema").status_code == 422
    assert api.get(BASE + "erp/schema?object=nope").status_code == 404


def test_failures_have_a_status_and_a_sentence(api: FlaskClient, house: House) -> None:
    """A system that does not answer is a 503 with what to do; a broken connector shows nothing inside."""
    services.create(house, document(mood="bad"), ANN)
    services.create(house, document("bug", mood="broken", password=CANARY), ANN)
    answer = api.get(BASE + "erp/objects")
    assert (answer.status_code, answer.json["detail"]) == (503, "No answer. Try later.")
    broken = api.get(BASE + "bug/objects")
    assert broken.status_code == 422
    assert CANARY not in broken.text


def test_strangers_get_nothing(client: FlaskClient) -> None:  # noqa: F811
    """Without a key or a session every operation answers 401."""
    assert client.get(BASE).status_code == 401
    assert client.post(BASE, json={}).status_code == 401
