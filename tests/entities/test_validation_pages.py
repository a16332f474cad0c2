"""Validations in the pages and the API of entities: designing them, being refused, saving anyway."""

from __future__ import annotations

import re

import pytest
from flask import Flask
from flask.testing import FlaskClient

from tests.entities.conftest import ANN
from tests.entities.test_pages import designer, text
from tests.webapp.conftest import admin_client, app, client, settings  # noqa: F401 - fixtures
from webapp.entities import services
from webapp.entities.documents import to_document
from webapp.extensions import House

PHONE = {"name": "phone", "check": "tel.startsWith('+')", "when": "tel != null", "message": "Phones start with +"}
DEAR = {"name": "dear", "check": "price < 100", "when": "price != null", "severity": "warn", "message": "Dear"}
FIELDS = [{"name": "tel", "type": "text"}, {"name": "price", "type": "integer"}]


@pytest.fixture
def house(app: Flask) -> House:  # noqa: F811
    return app.extensions["syncline"]


@pytest.fixture
def page(admin_client: FlaskClient) -> FlaskClient:  # noqa: F811
    return admin_client


@pytest.fixture
def item(house: House) -> House:
    document = {"kind": "entity", "name": "item", "fields": FIELDS, "validations": [PHONE, DEAR]}
    services.define(house, document, ANN)
    return house


def definition(house: House, name: str) -> dict:
    with house.db.read() as tx:
        return to_document(services.entity(tx, name))


def test_validations_are_designed_reviewed_and_put_in_force(page: FlaskClient, house: House):
    inputs = designer(**{
        "validations-0-ask": "check",
        "validations-0-check": "number != ''",
        "validations-0-message": "A number is needed",
        "validations-0-severity": "warn",
    })  # fmt: skip
    reviewed = page.post("/entities/design", data={**inputs, "do": "review"})
    document = re.search(r'name="document" value="([^"]*)"', reviewed.text)
    assert document
    given = document[1].replace("&#34;", '"').replace("&#39;", "'").replace("&quot;", '"')
    assert 'name="validations-0-check"' in reviewed.text, "going back loses nothing"
    assert page.post("/entities/apply", data={"document": given, "new": "yes"}).status_code == 302
    assert definition(house, "sales_order")["validations"] == [
        {"name": "a_number_is_needed", "check": "number != ''", "severity": "warn", "message": "A number is needed"}
    ]


def test_the_designer_shows_moves_and_checks_validations(page: FlaskClient, item: House):
    shown = page.get("/entities/item/design").text
    assert "Phones start with +" in shown
    assert "Phones start with +" in page.get("/entities/item/").text
    form = {"new": "no", "name": "item", "fields-0-name": "tel", "fields-0-type": "text"}
    listed = {**form, "validations-0-ask": "check", "validations-0-check": "tell == ''", "validations-0-name": "bad"}
    stepped = page.post("/entities/design", data={**listed, "do": "v-add:unique"}, headers={"HX-Request": "true"})
    assert "validations-1-unique" in stepped.text
    assert stepped.headers["HX-Trigger-After-Settle"] == "designer-changed"
    assert "bad" in page.post("/entities/design", data={**listed, "do": "v-add:unique"}).text
    checked = page.post("/entities/design", data={**listed, "do": "check"}).text
    place = checked.index('id="slot-validations-0-check"')
    assert "Did you mean" in checked[place : place + 400]
    refused = page.post("/entities/design", data={**listed, "do": "review"})
    assert refused.status_code == 422
    assert "Did you mean" in refused.text


def test_the_plan_tells_how_many_records_fail(page: FlaskClient, house: House):
    services.define(house, {"kind": "entity", "name": "item", "fields": FIELDS}, ANN)
    services.create_record(house, "item", {"tel": "1"}, ANN)
    form = {
        "new": "no", "name": "item", "fields-0-name": "tel", "fields-0-type": "text",
        "fields-1-name": "price", "fields-1-type": "integer",
        "validations-0-ask": "check", "validations-0-name": "phone", "validations-0-check": "tel.startsWith('+')",
    }  # fmt: skip
    planned = page.post("/entities/design", data={**form, "do": "review"})
    assert "1 of 1 records do not meet the validation" in text(planned)


def test_a_form_refuses_and_asks_before_it_saves_what_is_doubtful(page: FlaskClient, item: House):
    refused = page.post("/records/item/add", data={"tel": "1", "price": "5"})
    assert refused.status_code == 422
    assert "Phones start with +" in text(refused)
    doubtful = page.post("/records/item/add", data={"tel": "+1", "price": "500"})
    assert doubtful.status_code == 422
    assert "Save anyway" in doubtful.text
    assert 'name="accepted" value="dear"' in doubtful.text
    saved = page.post("/records/item/add", data={"tel": "+1", "price": "500", "accepted": "dear"})
    assert saved.status_code == 302
    changed = {"tel": "+1", "price": "600", "version": "1"}
    assert "Save anyway" in page.post(f"{saved.location}/edit", data=changed).text
    assert page.post(f"{saved.location}/edit", data={**changed, "accepted": "dear"}).status_code == 302


def test_a_bulk_edit_tells_of_warnings(page: FlaskClient, item: House):
    ids = [str(services.create_record(item, "item", {"price": n}, ANN)) for n in (1, 2)]
    form = {"id": ids, "field": "price", "price": "500"}
    answer = page.post("/records/item/bulk/update", data=form, follow_redirects=True)
    assert "2 records do not meet a validation. The first: Dear." in text(answer)


def test_the_api_refuses_and_warns(page: FlaskClient, item: House):
    address = "/api/v1/entities/item/records"
    refused = page.post(address, json={"tel": "1"})
    assert refused.status_code == 422
    assert refused.json["errors"] == [{"at": "/tel", "detail": "Phones start with +."}]
    made = page.post(address, json={"tel": "+1", "price": 500})
    warning = {"at": "/price", "validation": "dear", "detail": "Dear."}
    assert (made.status_code, made.json["warnings"]) == (201, [warning])
    patched = page.patch(f"{address}/{made.json['id']}", json={"price": 700})
    assert (patched.status_code, patched.json["warnings"]) == (200, [warning])
    bulk = page.post(f"{address}/bulk", json={"create": [{"price": 500}, {"tel": "1"}, {"price": 1}]}).json
    assert bulk["created"] == 2
    assert [error["at"] for error in bulk["errors"]] == ["/create/1/tel"]
    assert bulk["warnings"] == [{"at": "/create/0/price", "detail": "Dear."}]


def test_an_entity_that_a_validation_refers_to_cannot_be_deleted(item: House):
    other = {"kind": "entity", "name": "other", "fields": FIELDS}
    reference = {"name": "known", "reference": {"object": "item", "field": "tel", "key": "tel"}}
    services.define(item, {**other, "validations": [reference]}, ANN)
    with pytest.raises(services.DocumentError):
        services.delete_entity(item, "item", ANN)
