"""The API of cases."""

from __future__ import annotations

from flask import Flask
from flask.testing import FlaskClient

from tests.webapp.conftest import client_of


def test_cases_by_api(admin_client: FlaskClient) -> None:
    """A case is opened, read, listed, assigned, commented, closed and opened again."""
    new = {"title": "Look", "subject": "customer 7", "details": {"n": 1}, "assignee": "ann"}
    made = admin_client.post("/api/v1/cases", json=new)
    assert made.status_code == 201
    assert {k: made.json[k] for k in new} == new
    assert (made.json["kind"], made.json["state"], made.json["comments"]) == ("manual", "open", [])
    place = f"/api/v1/cases/{made.json['id']}"
    assert admin_client.post(f"{place}/assign", json={"assignee": None}).json["assignee"] is None
    assert admin_client.post(f"{place}/comments", json={"text": "Hm"}).json["comments"][0]["text"] == "Hm"
    assert admin_client.post(f"{place}/close", json={"text": "Done"}).json["resolution"] == "Done"
    assert admin_client.post(f"{place}/close", json={"text": "Done"}).status_code == 409
    assert admin_client.get("/api/v1/cases?state=open").json["items"] == []
    assert admin_client.post(f"{place}/reopen").json["state"] == "open"
    assert admin_client.get(place).json["title"] == "Look"


def test_pages_and_mistakes(admin_client: FlaskClient) -> None:
    """Lists come in pages; what is not there or has no words is told."""
    for number in range(3):
        admin_client.post("/api/v1/cases", json={"title": f"case {number}"})
    first = admin_client.get("/api/v1/cases?limit=2").json
    assert [item["title"] for item in first["items"]] == ["case 2", "case 1"]
    rest = admin_client.get(f"/api/v1/cases?limit=2&after={first['next']}").json
    assert ([item["title"] for item in rest["items"]], rest["next"]) == (["case 0"], None)
    assert admin_client.get("/api/v1/cases?after=x").status_code == 400
    assert admin_client.get("/api/v1/cases/99").status_code == 404
    assert admin_client.post("/api/v1/cases/99/reopen").status_code == 404
    assert admin_client.post("/api/v1/cases", json={"title": " "}).status_code == 422
    assert admin_client.post("/api/v1/cases/1/comments", json={"text": " "}).status_code == 409


def test_permissions(app: Flask) -> None:
    """Whoever may only look may not change."""
    auditor = client_of(app, "audrey", "Auditor")
    assert auditor.get("/api/v1/cases").status_code == 200
    assert auditor.post("/api/v1/cases", json={"title": "x"}).status_code == 403
