"""The data quality of an object of a connection: its first records or all, and what rules that read it demand."""

from __future__ import annotations

import pytest

from tests.rulebook.conftest import ANNA, BEN, console, document  # noqa: F401 - fixtures
from tests.webapp.conftest import admin_client, app, client, settings  # noqa: F401 - the console's fixtures
from webapp.connections import quality
from webapp.rulebook import services as rulebook

VALIDATIONS = [
    {"name": "phone", "check": "phone != null", "message": "A phone is needed"},
    {"name": "once", "unique": ["status"], "severity": "warn"},
    {"name": "known", "reference": {"connection": "erp", "object": "customers.csv", "field": "id", "key": "no"}},
]


@pytest.fixture
def published(console):  # noqa: F811
    rulebook.create(console, document(validations=VALIDATIONS), ANNA)
    rulebook.publish(console, "customers", BEN)
    return console


def test_fields_and_the_validations_of_rules_are_measured(published):
    found = quality.measure(published, "crm", "account")
    assert (found.complete, found.rejects, found.quality.records) == (True, 0, 3)
    fields = {f.name: (f.weight, f.filled, f.distinct, f.form, f.valid) for f in found.quality.fields}
    assert fields["id"] == (3, 3, 3, "", 0)
    assert fields["phone"] == (1, 2, 2, "phone", 1), "spaces around a phone number are no part of it"
    assert fields["status"] == (1, 3, 2, "", 0)
    met = {v.name: (v.weight, v.asked, v.met) for v in found.quality.validations}
    assert met == {"customers.phone": (3, 3, 2), "customers.once": (1, 3, 2), "customers.known": (3, 3, 1)}


def test_a_sample_reads_no_further(published):
    found = quality.measure(published, "crm", "account", 2)
    assert (found.complete, found.quality.records) == (False, 2)


def test_fields_that_rules_write_weigh_more(published):
    weights = {f.name: f.weight for f in quality.measure(published, "erp", "customers.csv").quality.fields}
    assert weights["title"] == 2
    assert weights["tel"] == 1


def test_the_page_measures_when_asked(admin_client, published):  # noqa: F811
    address = "/connections/crm/quality?name=account"
    assert "Data quality" in admin_client.get("/connections/crm/object?name=account").text
    assert "Not measured yet" in admin_client.get(address).text
    page = admin_client.post(address, data={"how": "all"}).text
    assert "Measured over all 3 records" in page
    assert "A phone is needed" in page
    assert "There is no" in admin_client.post("/connections/crm/quality?name=nothing", data={"how": "sample"}).text
    assert admin_client.get("/connections/gone/quality?name=x").status_code == 404
