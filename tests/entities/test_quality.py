"""The data quality of an entity: measured over all records, with a score, a trend, and the records that fail."""

from __future__ import annotations

import pytest
from flask import Flask
from flask.testing import FlaskClient

from tests.entities.conftest import ANN
from tests.entities.test_pages import text
from tests.webapp.conftest import admin_client, app, client, settings  # noqa: F401 - fixtures
from webapp.entities import quality, services, surveying
from webapp.extensions import House

FIELDS = [
    {"name": "name", "type": "text", "required": True},
    {"name": "mail", "type": "text"},
    {"name": "phone", "type": "phone"},
    {"name": "note", "type": "text"},
    {"name": "letters", "type": "integer", "computed": "size(name)"},
]
PHONE = {"name": "phone", "check": "phone != null", "message": "A phone is needed"}
ONCE = {"name": "once", "unique": ["name"], "severity": "warn"}


def define(house: House, *validations: dict) -> None:
    services.define(house, {"kind": "entity", "name": "item", "fields": FIELDS, "validations": list(validations)}, ANN)


@pytest.fixture
def house(app: Flask) -> House:  # noqa: F811
    return app.extensions["syncline"]


@pytest.fixture
def item(house: House) -> House:
    define(house)
    for values in (
        {"name": "a", "mail": "a@example.com", "phone": "+86 1380013"},
        {"name": "b", "mail": "nope"},
        {"name": "a", "phone": "+86 1380014", "note": "x"},
        {"name": "c", "mail": ""},
    ):
        services.create_record(house, "item", values, ANN)
    define(house, PHONE, ONCE)
    return house


def measured(house: House) -> quality.Measured:
    with house.db.read() as tx:
        entity = services.entity(tx, "item")
    quality.measure(house, entity, ANN)
    with house.db.read() as tx:
        found = quality.latest(tx, "item")
    assert found is not None
    return found


def test_fields_and_validations_are_measured(item: House):
    found = measured(item)
    assert [(f.name, f.weight, f.filled, f.distinct, f.form, f.valid) for f in found.quality.fields] == [
        ("name", 3, 4, 3, "", 0),
        ("mail", 1, 2, 2, "email", 1),
        ("phone", 1, 2, 2, "phone", 2),
        ("note", 1, 1, 1, "", 0),
    ]
    assert [(v.name, v.weight, v.asked, v.met) for v in found.quality.validations] == [
        ("phone", 3, 4, 2),
        ("once", 1, 4, 3),
    ]
    assert found.failing == {"phone": [2, 4], "once": [3]}
    weighed = 3 * 1 + 0.25 + 0.5 + 0.25 + 3 * 0.5 + 0.75
    assert found.score == round(100 * weighed / 10, 1)


def test_the_pages_that_are_read_make_no_difference(item: House, monkeypatch):
    whole = measured(item)
    monkeypatch.setattr(surveying, "PAGE", 1)
    assert measured(item).quality == whole.quality


def test_fields_that_rules_map_weigh_more(item: House, monkeypatch):
    monkeypatch.setattr(quality, "mapped_fields", [lambda _tx, name: {"note"} if name == "item" else set()])
    weights = {f.name: f.weight for f in measured(item).quality.fields}
    assert weights == {"name": 3, "mail": 1, "phone": 1, "note": 2}


def test_only_so_many_measurements_are_kept(item: House, monkeypatch):
    monkeypatch.setattr(quality, "KEPT", 2)
    for _ in range(4):
        measured(item)
    with item.db.read() as tx:
        assert len(quality.history(tx, "item")) == 2


def test_an_entity_without_records_has_no_score(house: House):
    define(house)
    assert measured(house).score is None


def test_the_page_shows_score_trend_and_failing_records(admin_client: FlaskClient, item: House):  # noqa: F811
    assert "Not measured yet" in text(admin_client.get("/entities/item/quality"))
    for _ in range(2):
        assert admin_client.post("/entities/item/quality").status_code == 302
    answer = admin_client.get("/entities/item/quality")
    page = text(answer)
    assert "62.5 of 100" in page
    assert "A phone is needed" in page
    assert "Last 2 measurements" in page
    assert "50 % are e-mail addresses" in page
    assert 'href="/records/item/?f=id%3Aany_of%3A2%2C4"' in answer.text
    listed = text(admin_client.get("/records/item/?f=id%3Aany_of%3A2%2C4"))
    empty = text(admin_client.get("/records/item/?f=note%3Aempty%3A"))
    assert "nope" in empty
    assert 'href="/records/item/?f=note%3Aempty%3A"' in answer.text
    assert "nope" in listed
    assert "a@example.com" not in listed


def test_the_api_measures_and_tells(admin_client: FlaskClient, item: House):  # noqa: F811
    address = "/api/v1/entities/item/quality"
    assert admin_client.get(address).json == {"entity": "item", "score": None, "history": []}
    made = admin_client.post(address)
    assert made.status_code == 201
    found = admin_client.get(address).json
    assert found["score"] == made.json["score"] == 62.5
    assert found["failing"] == {"phone": [2, 4], "once": [3]}
    assert [point["score"] for point in found["history"]] == [62.5]
    assert admin_client.get("/api/v1/entities/nothing/quality").status_code == 404
