"""The REST API of entities and records, and its description."""

from __future__ import annotations

import json
from typing import Any

import pytest
from flask import Flask
from flask.testing import FlaskClient
from jsonschema import Draft202012Validator

from tests.entities.conftest import ANN, field
from tests.webapp.conftest import admin_client, app, client, client_of, settings  # noqa: F401 - fixtures
from webapp.entities import services
from webapp.extensions import House

BASE = "/api/v1/entities"
DOCUMENT = {
    "kind": "entity",
    "name": "item",
    "fields": [
        field("code", required=True, unique=True),
        field("price", "decimal", scale=3),
        field("state", "choice", choices=[{"value": "a"}, {"value": "b"}], default="a"),
        field("tags", "multi_choice", choices=[{"value": "x"}, {"value": "y"}]),
        field("raw", "json"),
        field("double", "decimal", scale=3, computed="price * 2"),
    ],
}


@pytest.fixture
def house(app: Flask) -> House:  # noqa: F811
    return app.extensions["syncline"]


@pytest.fixture
def api(admin_client: FlaskClient) -> FlaskClient:  # noqa: F811
    return admin_client


@pytest.fixture
def item(house: House) -> str:
    services.define(house, DOCUMENT, ANN)
    return f"{BASE}/item/records"


def test_definitions_are_planned_put_read_and_deleted(api: FlaskClient) -> None:
    """A definition is tried, put in force, changed with a confirmation where values are lost, and deleted."""
    tried = api.put(f"{BASE}/item?dry_run=true", json=DOCUMENT)
    assert (tried.status_code, tried.json["new"]) == (200, True)
    assert api.get(f"{BASE}/item").status_code == 404
    assert api.put(f"{BASE}/item", json=DOCUMENT).status_code == 200
    assert api.get(f"{BASE}/item").json["definition"] == DOCUMENT
    assert [e["name"] for e in api.get(f"{BASE}/").json["items"]] == ["item"]
    assert api.put(f"{BASE}/other", json=DOCUMENT).status_code == 422
    api.post(f"{BASE}/item/records", json={"code": "1", "price": "1.5"})
    less = {**DOCUMENT, "fields": DOCUMENT["fields"][:1]}
    refused = api.put(f"{BASE}/item", json=less)
    assert (refused.status_code, {e["at"] for e in refused.json["errors"]}) == (409, {"price", "double", "state"})
    assert api.put(f"{BASE}/item?confirm=true", json=less).status_code == 200
    assert api.delete(f"{BASE}/item").status_code == 204
    assert api.delete(f"{BASE}/item").status_code == 404


def test_mistakes_of_a_definition_have_paths(api: FlaskClient) -> None:
    """Mistakes are told at the key of the document, with the column of an expression."""
    wrong = {**DOCUMENT, "fields": [field("n", "integer", computed="m + 1")]}
    answer = api.put(f"{BASE}/item", json=wrong)
    assert answer.status_code == 422
    assert (answer.json["errors"][0]["at"], answer.json["errors"][0]["column"]) == ("/fields/0/computed", 1)


def test_records_are_created_read_changed_and_deleted(api: FlaskClient, item: str) -> None:
    """A record's life over the API: exact values, defaults, formulas, versions."""
    made = api.post(item, json={"code": "A", "price": 1.5, "tags": ["y", "x"], "raw": {"b": [1], "a": None}})
    assert made.status_code == 201
    record = made.json
    assert (record["price"], record["double"], record["state"], record["tags"]) == ("1.500", "3.000", "a", ["x", "y"])
    assert record["raw"] == {"a": None, "b": [1]}
    one = f"{item}/{record['id']}"
    assert api.get(one).json == record
    assert api.patch(one, json={"price": "2.125", "version": 1}).json["double"] == "4.250"
    assert api.patch(one, json={"price": None, "version": 1}).status_code == 409
    assert api.patch(one, json={"price": None}).json["double"] is None
    assert api.delete(one).status_code == 204
    assert api.get(one).status_code == 404
    assert api.delete(one).status_code == 404


@pytest.mark.parametrize(
    ("body", "at"),
    [
        ({}, "/code"),
        ({"code": "A", "price": "x"}, "/price"),
        ({"code": "A", "price": 0.0001}, "/price"),
        ({"code": 5}, "/code"),
        ({"code": "A", "tags": "x,z"}, "/tags"),
        ({"code": "A", "state": ["a"]}, "/state"),
        ({"code": "A", "double": 1}, "/double"),
        ({"code": "A", "id": 1}, "/id"),
        ({"code": "A", "nothing": 1}, "/nothing"),
    ],
)
def test_refusals_name_the_field(api: FlaskClient, item: str, body: dict[str, Any], at: str) -> None:
    """A record that does not fit is refused with the field's path."""
    answer = api.post(item, json=body)
    assert answer.status_code == 422
    assert [e["at"] for e in answer.json["errors"]] == [at]


def test_lists_page_filter_and_sort(api: FlaskClient, item: str) -> None:
    """Records are listed page by page, with filters and a sort that an index serves."""
    for n in range(7):
        api.post(item, json={"code": f"{n}", "price": n, "state": "b" if n % 2 else "a"})
    first = api.get(
        item,
        query_string={"limit": 2, "sort": "code", "filter": json.dumps([["state", "is", "a"], ["price", "ge", "1"]])},
    ).json
    assert [r["code"] for r in first["items"]] == ["2", "4"]
    rest = api.get(
        item,
        query_string={
            "limit": 2,
            "sort": "code",
            "after": first["next"],
            "filter": '[["state", "is", "a"], ["price", "ge", "1"]]',
        },
    ).json
    assert ([r["code"] for r in rest["items"]], rest["next"]) == (["6"], None)
    for wrong in (
        {"filter": "x"},
        {"filter": '[["state", "near", "a"]]'},
        {"sort": "price"},
        {"limit": "0"},
        {"after": "x"},
    ):
        assert api.get(item, query_string=wrong).status_code == 422, wrong
    assert api.get(f"{BASE}/nothing/records").status_code == 404


def test_many_at_once(api: FlaskClient, item: str) -> None:
    """A batch writes what is good and tells what is not, each at its place."""
    one = api.post(item, json={"code": "A"}).json["id"]
    body = {
        "create": [{"code": "B"}, {"code": "A"}],
        "update": [{"id": one, "price": "9.000"}, {"id": 99}],
        "delete": [98],
    }
    answer = api.post(f"{item}/bulk", json=body).json
    assert (answer["created"], answer["updated"], answer["deleted"]) == (1, 1, 0)
    assert [e["at"] for e in answer["errors"]] == ["/create/1/code", "/update/1", "/delete/0"]
    assert api.post(f"{item}/bulk", json={"create": [{"x": 1}]}).status_code == 422


def test_permissions(app: Flask, item: str) -> None:  # noqa: F811
    """Who may only look can neither write nor design over the API."""
    viewer = client_of(app, "vera", "Viewer")
    assert viewer.get(item).status_code == 200
    answers = [
        viewer.post(item, json={"code": "A"}),
        viewer.patch(f"{item}/1", json={"code": "A"}),
        viewer.delete(f"{item}/1"),
        viewer.post(f"{item}/bulk", json={"create": []}),
        viewer.put(f"{BASE}/item", json=DOCUMENT),
        viewer.delete(f"{BASE}/item"),
    ]
    assert {a.status_code for a in answers} == {403}


def test_description_follows_the_definitions(api: FlaskClient, house: House, item: str) -> None:
    """The OpenAPI document has the operations and schemas of each entity as it is now; answers fit them."""
    made = api.post(item, json={"code": "A", "price": 1, "tags": ["x"]}).json
    paths = api.get("/api/v1/openapi.json").json["paths"]
    create = paths[item]["post"]
    Draft202012Validator(create["responses"]["201"]["content"]["application/json"]["schema"]).validate(made)
    body = create["requestBody"]["content"]["application/json"]["schema"]
    assert body["required"] == ["code"]
    assert "double" not in body["properties"]
    assert set(paths[f"{item}/{{record_id}}"]) == {"get", "patch", "delete"}
    services.define(house, {**DOCUMENT, "fields": [*DOCUMENT["fields"], field("more")]}, ANN)
    later = api.get("/api/v1/openapi.json").json["paths"]
    assert "more" in later[item]["post"]["requestBody"]["content"]["application/json"]["schema"]["properties"]
