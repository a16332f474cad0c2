"""The API of rules."""

from __future__ import annotations

from typing import Any

import pytest
from flask.testing import FlaskClient

from tests.rulebook.conftest import document
from tests.webapp.conftest import add_user, client_of
from webapp.extensions import SYSTEM, House
from webapp.rulebook import services

BASE = "/api/v1/rules"


@pytest.fixture
def api(console: House, admin_client: FlaskClient) -> FlaskClient:
    return admin_client


def test_life_of_a_rule(api: FlaskClient) -> None:
    """Create, save, check, publish, compare, roll back, pause, resume and delete work through the API."""
    created = api.post(f"{BASE}/", json=document())
    assert created.status_code == 201
    assert created.json["document"] == document()
    assert [item["name"] for item in api.get(f"{BASE}/").json["items"]] == ["customers"]
    assert api.post(f"{BASE}/check", json=document()).json == {"ok": True, "problems": []}
    assert api.post(f"{BASE}/customers/publish", json={"note": "first"}).json == {"version": 1}
    draft = {"document": document(label="Two"), "draft_version": api.get(f"{BASE}/customers").json["draft_version"]}
    saved = api.put(f"{BASE}/customers/draft", json=draft)
    assert saved.json["changed"] is True
    assert api.get(f"{BASE}/customers/diff").json == {"before": {}, "after": {"label": "Two"}}
    assert api.post(f"{BASE}/customers/publish").json == {"version": 2}
    assert api.get(f"{BASE}/customers/diff?from=2&to=1").json == {"before": {"label": "Two"}, "after": {}}
    assert api.post(f"{BASE}/customers/versions/1/roll-back").json == {"version": 3}
    assert [v["version"] for v in api.get(f"{BASE}/customers/versions").json["items"]] == [3, 2, 1]
    assert api.get(f"{BASE}/customers/versions/2").json["document"]["label"] == "Two"
    assert api.post(f"{BASE}/customers/pause").json["state"] == "paused"
    assert api.post(f"{BASE}/customers/resume").json["state"] == "active"
    assert api.delete(f"{BASE}/customers").status_code == 204
    assert api.get(f"{BASE}/customers").status_code == 404


def test_stale_draft_is_a_conflict(api: FlaskClient) -> None:
    """Who saves a draft that was made from an older one gets 409."""
    seen = api.post(f"{BASE}/", json=document()).json["draft_version"]
    api.put(f"{BASE}/customers/draft", json={"document": document(label="A"), "draft_version": seen})
    answer = api.put(f"{BASE}/customers/draft", json={"document": document(label="B"), "draft_version": seen})
    assert answer.status_code == 409
    assert "newer draft" in answer.json["detail"]


def test_problems_come_with_their_path(api: FlaskClient) -> None:
    """A rule that cannot be published is 422 with each problem at its path, column and suggestion."""
    fields: list[dict[str, Any]] = [{"left": "id", "right": "no"}, {"right": "title", "to_right": "nme.trim()"}]
    api.post(f"{BASE}/", json=document(fields=fields))
    answer = api.post(f"{BASE}/customers/publish")
    assert answer.status_code == 422
    problem = answer.json["errors"][0]
    assert (problem["path"], problem["suggestion"]) == ("fields/1/to_right", "name")
    assert (problem["line"], problem["column"], problem["end"]) == (1, 1, 4)
    assert api.post(f"{BASE}/check", json=document(fields=fields)).json["ok"] is False


@pytest.mark.parametrize(
    ("method", "path", "body", "status"),
    [
        ("get", "/nothing", None, 404),
        ("get", "/nothing/versions", None, 404),
        ("get", "/nothing/diff", None, 404),
        ("post", "/nothing/publish", {}, 404),
        ("post", "/nothing/pause", None, 404),
        ("post", "/nothing/versions/1/roll-back", None, 404),
        ("delete", "/nothing", None, 404),
        ("put", "/nothing/draft", {"document": {"name": "nothing"}}, 404),
        ("post", "/", {"name": "Bad Name"}, 422),
        ("post", "/", ["no"], 422),
        ("put", "/nothing/draft", {}, 422),
    ],
)
def test_refusals(api: FlaskClient, method: str, path: str, body: Any, status: int) -> None:
    """What does not exist is 404, what has the wrong shape is 422."""
    assert getattr(api, method)(f"{BASE}{path}", json=body).status_code == status


def test_versions_that_do_not_exist(api: FlaskClient) -> None:
    """A version that was never published is 404, in words or numbers."""
    api.post(f"{BASE}/", json=document())
    assert api.get(f"{BASE}/customers/versions/4").status_code == 404
    assert api.get(f"{BASE}/customers/diff?from=4").status_code == 404
    assert api.get(f"{BASE}/customers/diff?from=x").status_code == 404
    assert api.get(f"{BASE}/customers/diff").json == {"before": {}, "after": {}}


def test_owner(admin_client: FlaskClient, console: House) -> None:
    """The API tells with whose rights a rule works, changes its owner, and refuses who may not do what it does."""
    services.create(console, document(), SYSTEM)
    add_user(console, "bob", "Viewer")
    address = "/api/v1/rules/customers"
    assert admin_client.get(address).json["owner"] is None
    assert admin_client.put(f"{address}/owner", json={"owner": "admin"}).json["owner"] == "admin"
    assert admin_client.put(f"{address}/owner", json={"owner": "nobody"}).status_code == 422
    assert admin_client.put("/api/v1/rules/none/owner", json={"owner": "admin"}).status_code == 404
    client = client_of(admin_client.application, "eve", "Designer")
    refused = client.put(f"{address}/owner", json={"owner": "admin"})
    assert refused.status_code == 403
    assert "admin can take it over" in refused.json["detail"]
