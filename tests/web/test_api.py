"""The base of the API: checks, problems, pages, and its description."""

from __future__ import annotations

from typing import Any

import pytest
from flask import Flask
from flask.testing import FlaskClient

from rules.text import msg
from tests.webapp.conftest import add_user, client_of, sign_in
from webapp.web.api import PAGING, ApiError, RoomApi, listed, listing, operation
from webapp.web.openapi import path_of

BODY = {
    "type": "object",
    "required": ["name"],
    "additionalProperties": False,
    "properties": {"name": {"type": "string", "minLength": 2}, "size": {"type": "integer"}},
}


class BoxApi(RoomApi):
    route_base = "/api/v1/boxes"

    @operation(
        "GET",
        "/",
        scope="rules:read",
        summary="List boxes",
        query={**PAGING, "open": {"type": "boolean"}, "weight": {"type": "number"}, "kind": {"enum": ["big", "small"]}},
        response=listing({"type": "object"}),
    )
    def list(self) -> Any:
        return listed([self.query], 7)

    @operation(
        "POST", "/", scope="rules:create", summary="Make a box", body=BODY, response={"type": "object"}, status=201
    )
    def make(self) -> Any:
        return self.body

    @operation("DELETE", "/<int:no>", scope="rules:delete", summary="Drop a box")
    def drop(self, no: int) -> None:
        if no == 404:
            raise ApiError(404, msg("There is no box {no}.", no=no))
        if no == 500:
            raise RuntimeError("the secret inside")

    @operation("GET", "/<path:place>/inside", scope="rules:read", summary="Look inside")
    def look(self, place: str) -> Any:
        return {"place": place, "actor": self.actor.name}, 202


@pytest.fixture
def app(app: Flask) -> Flask:
    """Return the console with one more API."""
    with app.app_context():
        app.extensions["appbuilder"].add_api(BoxApi)
    return app


@pytest.fixture
def admin(app: Flask) -> FlaskClient:
    return sign_in(app.test_client())


def test_query_is_checked_and_converted(admin: FlaskClient):
    """Parameters arrive in their type, with defaults; a wrong one is told by name."""
    answer = admin.get("/api/v1/boxes?limit=3&open=true&weight=1.5&kind=big").json
    assert answer == {"items": [{"limit": 3, "after": None, "open": True, "weight": 1.5, "kind": "big"}], "next": "7"}
    assert admin.get("/api/v1/boxes").json["items"][0]["limit"] == 50
    for wrong in ("limit=x", "limit=0", "limit=501", "open=maybe", "weight=heavy", "kind=middle"):
        answer = admin.get(f"/api/v1/boxes?{wrong}")
        assert answer.status_code == 422, wrong
        assert wrong.partition("=")[0] in answer.text


def test_what_is_sent_is_read_once(admin: FlaskClient):
    """Of a parameter that comes twice the first counts; a body does not; and nothing is decoded a second time."""
    assert admin.get("/api/v1/boxes?limit=3&limit=501").json["items"][0]["limit"] == 3
    assert admin.get("/api/v1/boxes", data={"limit": "4"}).json["items"][0]["limit"] == 50
    assert admin.post("/api/v1/boxes?name=cd", json={"name": "ab"}).json == {"name": "ab"}
    assert admin.get("/api/v1/boxes?kind=%62ig").status_code == 200
    assert admin.get("/api/v1/boxes?kind=%2562ig").status_code == 422
    assert admin.get("/api/v1/boxes/a%2525b/inside").json["place"] == "a%25b"


def test_body_is_checked_with_the_place_of_each_mistake(admin: FlaskClient):
    """A body that has not the documented shape is refused, naming every wrong place."""
    assert admin.post("/api/v1/boxes", json={"name": "ab"}).status_code == 201
    answer = admin.post("/api/v1/boxes", json={"name": "a", "size": "x", "more": 1})
    assert answer.status_code == 422
    assert answer.mimetype == "application/problem+json"
    assert {error["at"] for error in answer.json["errors"]} == {"", "/name", "/size"}
    assert admin.post("/api/v1/boxes", data="{", content_type="application/json").status_code == 400
    assert admin.post("/api/v1/boxes", data="name=ab").status_code == 400
    assert admin.post("/api/v1/boxes").status_code == 422


def test_problems_are_documents(admin: FlaskClient, client: FlaskClient):
    """What goes wrong comes as a problem document with a sentence and a number, never with what is inside."""
    answer = admin.delete("/api/v1/boxes/404")
    assert answer.status_code == 404
    assert answer.json["detail"] == "There is no box 404."
    assert answer.json["request_id"] == answer.headers["X-Request-ID"]
    broken = admin.delete("/api/v1/boxes/500")
    assert broken.status_code == 500
    assert "secret" not in broken.text
    assert admin.get("/api/v1/nothing").json["status"] == 404
    assert admin.put("/api/v1/boxes/").json["status"] == 405
    assert client.get("/api/v1/boxes").json["status"] == 401


def test_answers(admin: FlaskClient):
    """None is an empty answer, a pair carries its status, a path may hold slashes."""
    assert admin.delete("/api/v1/boxes/1").status_code == 204
    answer = admin.get("/api/v1/boxes/a/b/inside")
    assert (answer.status_code, answer.json) == (202, {"place": "a/b", "actor": "admin"})


def test_permissions_apply_to_cookies(app: Flask):
    """A signed-in user does through the API what the roles permit, and nothing else."""
    viewer = client_of(app, "vera", "Viewer")
    assert viewer.get("/api/v1/boxes").status_code == 200
    assert viewer.post("/api/v1/boxes", json={"name": "ab"}).status_code == 403


def test_document_describes_every_operation(app: Flask, admin: FlaskClient):
    """The OpenAPI document has each operation with scope, parameters, body and answers, and what hooks add."""
    app.extensions["syncline_openapi"].append(
        lambda _house: {
            "/api/v1/records/customer": {"get": {"summary": "List customers", "tags": ["records"], "responses": {}}}
        }
    )
    document = admin.get("/api/v1/openapi.json").json
    assert document["openapi"] == "3.1.0"
    make = document["paths"]["/api/v1/boxes"]["post"]
    assert make["x-scope"] == "rules:create"
    assert make["requestBody"]["content"]["application/json"]["schema"] == BODY
    assert set(make["responses"]) == {"201", "default"}
    drop = document["paths"]["/api/v1/boxes/{no}"]["delete"]
    assert drop["parameters"] == [{"name": "no", "in": "path", "required": True, "schema": {"type": "integer"}}]
    assert "204" in drop["responses"]
    assert document["paths"]["/api/v1/records/customer"]["get"]["summary"] == "List customers"
    page = admin.get("/api/docs").text
    assert "Make a box" in page
    assert "List customers" in page


def test_document_covers_all_registered_operations(app: Flask, admin: FlaskClient):
    """No address of the API is missing from its document."""
    paths = admin.get("/api/v1/openapi.json").json["paths"]
    for rule in app.url_map.iter_rules():
        if not rule.rule.startswith("/api/v1/") or rule.endpoint == "ApiView.openapi":
            continue
        path, _parameters = path_of(rule.rule)
        for method in rule.methods - {"HEAD", "OPTIONS"}:
            assert method.lower() in paths[path], (method, path)


def test_document_needs_sign_in_or_a_key(client: FlaskClient, app: Flask):
    """The description is not for strangers."""
    assert client.get("/api/v1/openapi.json").status_code == 401
    add_user(app.extensions["syncline"], "ann")
    assert sign_in(client, "ann").get("/api/v1/openapi.json").status_code == 200
