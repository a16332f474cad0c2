"""The API of cases."""

from __future__ import annotations

from flask import Flask
from flask.testing import FlaskClient

from tests.cases.waiting import MATCH, PHONES, make_rule, wait
from tests.webapp.conftest import client_of
from webapp.extensions import House


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


def test_records_are_decided_by_api(admin_client: FlaskClient, house: House) -> None:
    """A record that waits is shown with what is in question, decided for what was seen, and a run is asked for."""
    rule = make_rule(house)
    wait(house, rule, ("1", "7", "linked_conflict", PHONES), ("5", None, "review", MATCH), days=9)
    listed = admin_client.get("/api/v1/cases?situation=review&older_than=7d&rule=customers").json["items"]
    assert [(item["id"], item["situation"]) for item in listed] == [(2, "review")]
    assert admin_client.get("/api/v1/cases?older_than=30d").json["items"] == []
    shown = admin_client.get("/api/v1/cases/1").json
    record = shown["record"]
    assert (record["situation"], record["keys"], record["options"]) == (
        "linked_conflict",
        {"left": "1", "right": "7"},
        [],
    )
    assert record["fields"]["2"]["left"] == {"name": "phone", "value": "+86 1"}
    assert [one["deed"] for one in shown["history"]] == ["opened"]
    place = "/api/v1/cases/1/answer"
    choice = {"fields": {"2": {"take": "value", "value": "+86 3"}}}
    assert admin_client.post(place, json={"record": "delete"}).status_code == 422
    assert admin_client.post(place, json={"more": 1}).status_code == 422
    assert admin_client.post(place, json={**choice, "seen": "old"}).status_code == 409
    assert admin_client.post("/api/v1/cases/99/answer", json=choice).status_code == 404
    looked = {name: record[name] for name in ("seen", "answered")}
    done = admin_client.post(place, json={**choice, **looked})
    assert (done.status_code, done.json["run"], done.json["record"]["answer"]) == (200, 2, choice)
    late = admin_client.post(place, json={**choice, **looked})
    assert (late.status_code, "has decided about this record" in late.text) == (409, True)
    assert admin_client.post(place, json={**choice, "answered": done.json["record"]["answered"]}).status_code == 200
    assert admin_client.get("/api/v1/cases/2").json["record"]["candidates"][1]["key"] == "9"


def test_many_records_are_decided_by_api(app: Flask, admin_client: FlaskClient, house: House) -> None:
    """The same choice for all of a filter; a dry run only counts."""
    rule = make_rule(house)
    rows = [(str(number), str(number), "linked_conflict", PHONES) for number in range(1, 5)]
    wait(house, rule, *rows, ("5", None, "review", MATCH))
    asked = {"rule": "customers", "choice": {"take": "left"}}
    told = admin_client.post("/api/v1/cases/answer", json={**asked, "dry_run": True}).json
    assert (told["decided"], [one["case"] for one in told["left_out"]], told["runs"]) == (4, [5], [])
    done = admin_client.post("/api/v1/cases/answer", json={**asked, "cases": [1, 2, 5]}).json
    assert (done["decided"], done["runs"]) == (2, [2])
    assert "another choice" in done["left_out"][0]["reason"]
    assert admin_client.post("/api/v1/cases/answer", json={"choice": {}}).status_code == 422
    auditor = client_of(app, "audrey", "Auditor")
    assert auditor.post("/api/v1/cases/answer", json=asked).status_code == 403
