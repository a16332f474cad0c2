"""The tab "Validations" of a rule: the list, its steps, counts from real records, and the decision tables it asks."""

from __future__ import annotations

from typing import Any

import pytest
from flask.testing import FlaskClient

from tests.rulebook.conftest import ANNA, document
from tests.rulebook.test_pages import form_of, row
from webapp.extensions import House
from webapp.rulebook import reading, services

ADDRESS = "/rules/customers/validations"
PHONE = {"name": "phone", "check": "phone != null", "message": "A phone is needed"}
ONCE = {"name": "once", "unique": ["status"], "severity": "reject"}
KNOWN = {
    "name": "known",
    "reference": {"connection": "erp", "object": "customers.csv", "field": "id", "key": "no"},
    "when": "status == 'active'",
    "severity": "warn",
}
TABLE = {
    "kind": "decision_table",
    "name": "grade",
    "inputs": [{"name": "status", "type": "text"}],
    "outputs": [{"name": "letter", "type": "text"}],
    "rows": [{"when": ["'active'"], "then": ["'A'"]}],
}


@pytest.fixture
def made(console: House) -> House:
    services.create(console, document(validations=[PHONE, ONCE, KNOWN]), ANNA)
    return console


def sent(**inputs: Any) -> dict[str, Any]:
    """Return what a form sends; `v0_check` is the input `validations-0-check`."""
    return {
        f"validations-{name[1:].partition('_')[0]}-{name.partition('_')[2]}" if name[0] == "v" else name: value
        for name, value in inputs.items()
    }


def test_saving_untouched_changes_nothing(admin_client: FlaskClient, made: House):
    form = form_of(admin_client, ADDRESS)
    form["validations-1-unique"] = ["status"]
    answer = admin_client.post(ADDRESS, data={**form, "do": "save"})
    assert answer.status_code == 302
    assert row(made).document == document(validations=[PHONE, ONCE, KNOWN])


def test_validations_are_written_changed_and_removed(admin_client: FlaskClient, made: House):
    form = sent(
        v0_ask="check", v0_check="size(name) > 2", v0_severity="warn", v0_message="Names are longer", v0_when="",
        v1_ask="unique", v1_unique=["id", "name"], v1_name="ids",
    )  # fmt: skip
    assert admin_client.post(ADDRESS, data={**form, "do": "save"}).status_code == 302
    assert row(made).document["validations"] == [
        {"name": "names_are_longer", "check": "size(name) > 2", "severity": "warn", "message": "Names are longer"},
        {"name": "ids", "unique": ["id", "name"]},
    ]
    assert admin_client.post(ADDRESS, data={"do": "save"}).status_code == 302
    assert "validations" not in row(made).document


def test_a_step_shows_the_list_as_it_would_be_and_saves_nothing(admin_client: FlaskClient, made: House):
    before = row(made).document
    listed = sent(v0_ask="check", v0_name="first", v1_ask="unique", v1_name="second")
    page = admin_client.post(f"{ADDRESS}/step", data={**listed, "do": "up:1"}).text
    assert page.index("second") < page.index("first")
    assert "first" not in admin_client.post(f"{ADDRESS}/step", data={**listed, "do": "remove:0"}).text
    assert "validations-2-object" in admin_client.post(f"{ADDRESS}/step", data={**listed, "do": "add:reference"}).text
    whole = admin_client.post(ADDRESS, data={**listed, "do": "add:check"}).text
    assert "validations-2-check" in whole
    assert "not saved yet" in whole
    assert row(made).document == before


def test_mistakes_are_told_at_their_inputs(admin_client: FlaskClient, made: House):
    services.save_draft(made, "customers", document(validations=[{"name": "a", "check": "phon == ''"}]), ANNA)
    page = admin_client.get(ADDRESS).text
    place = page.index('id="slot-validations-0-check"')
    assert "Did you mean" in page[place : place + 400]


def test_counts_come_from_the_first_records(admin_client: FlaskClient, made: House):
    form = form_of(admin_client, ADDRESS)
    form["validations-1-unique"] = ["status"]
    page = " ".join(admin_client.post(f"{ADDRESS}/try", data=form).text.split())
    assert "Counted in the first 3 records." in page
    for number, words in enumerate(("2 of 3 meet it", "2 of 3 meet it", "1 of 2 meet it")):
        place = page.index(f'id="validation-count-{number}"')
        assert words in page[place : place + 250]


def test_what_cannot_be_counted_is_left_open(admin_client: FlaskClient, made: House):
    form = sent(v0_ask="check", v0_check="nothing ==", v1_ask="reference", v1_field="id", v1_connection="gone",
                v1_object="x", v1_key="y", v2_ask="check", v2_check="true", v2_when="false")  # fmt: skip
    page = admin_client.post(f"{ADDRESS}/try", data=form).text
    assert page.count("meet it") == 0
    assert "cannot be asked now" in page
    assert "asked of none" in page


def test_decision_tables_are_added_given_inputs_and_removed(admin_client: FlaskClient, made: House):
    services.create(made, TABLE, ANNA)
    services.publish(made, "grade", ANNA)
    page = admin_client.post(ADDRESS, data={"do": "ask", "new_decision": "grade"}).text
    assert 'name="decisions-0-input-status"' in page
    data = {"decisions-0-table": "grade", "decisions-0-name": "g", "decisions-0-input-status": "status.trim()"}
    assert admin_client.post(ADDRESS, data={**data, "do": "save"}).status_code == 302
    asked = [{"table": "grade", "name": "g", "inputs": {"status": "status.trim()"}}]
    assert row(made).document["decisions"] == asked
    same = {**data, "decisions-0-name": "", "decisions-0-input-status": "status"}
    admin_client.post(ADDRESS, data={**same, "do": "save"})
    assert row(made).document["decisions"] == [{"table": "grade"}]
    assert "decisions-0-table" not in admin_client.post(ADDRESS, data={**data, "do": "forget:0"}).text


def test_outputs_of_decision_tables_can_be_validated(admin_client: FlaskClient, made: House):
    services.create(made, TABLE, ANNA)
    services.publish(made, "grade", ANNA)
    form = {"decisions-0-table": "grade", **sent(v0_ask="check", v0_check="grade.letter == 'A'")}
    assert "2 of 3 meet it" in admin_client.post(f"{ADDRESS}/try", data=form).text


def test_outputs_of_decision_tables_can_fill_fields(admin_client: FlaskClient, made: House):
    services.create(made, TABLE, ANNA)
    services.publish(made, "grade", ANNA)
    admin_client.post(ADDRESS, data={"decisions-0-table": "grade", "do": "save"})
    form = form_of(admin_client, "/rules/customers/fields")
    number = next(key for key, value in form.items() if key.startswith("target-") and value == "title")
    number = number.removeprefix("target-")
    form |= {f"source-{number}": "=", f"expression-{number}": "grade.letter.orDefault('B') + ' ' + name"}
    tried = admin_client.post("/rules/customers/fields/try", data=form).text
    assert "A Müller AG" in tried
    page = admin_client.get("/rules/customers/fields").text
    address = next(found for found in page.split('"') if found.startswith("/expressions/?"))
    checked = admin_client.post(address.replace("&amp;", "&"), json={"text": "grade.letter"}).get_json()
    assert (checked["type"], checked["problems"]) == ("text", [])


def test_problems_are_named_and_lead_to_the_tab(admin_client: FlaskClient, made: House):
    services.save_draft(made, "customers", document(validations=[{"name": "a", "check": "1 +"}]), ANNA)
    page = admin_client.get("/rules/customers/").text
    assert "Validation 1" in page
    assert 'href="/rules/customers/validations"' in page


def test_what_a_validation_refers_to_is_in_use(made: House):
    """A connection that a validation looks into cannot be deleted."""
    services.save_draft(
        made, "customers", document(right={"connection": "crm", "object": "account"}, validations=[KNOWN]), ANNA
    )
    with made.db.read() as tx:
        assert ("erp", "customers") in [used[:2] for used in reading.using_connections(tx)]
        assert services.using_object(tx, "erp", "customers.csv") == ["customers"]


def test_validations_of_a_rule_that_flows_both_ways_name_their_side(admin_client: FlaskClient, console: House):
    """Each validation says whose records it is about; it is counted there, and kept when the page is saved."""
    right = {"name": "title", "check": "title != null", "side": "right"}
    services.create(console, document(direction="two_way", validations=[PHONE, right]), ANNA)
    text = admin_client.get(ADDRESS).text
    assert text.count("Asked of records of") == 2
    form = form_of(admin_client, ADDRESS)
    assert form["validations-1-side"] == "right"
    counted = admin_client.post(f"{ADDRESS}/try", data=form)
    assert counted.status_code == 200
    assert "validation-count-1" in counted.text
    assert admin_client.post(ADDRESS, data={**form, "do": "save"}).status_code == 302
    assert row(console).document["validations"] == [PHONE, right]
    step = admin_client.post(f"{ADDRESS}/step", data={**form, "do": "side:1"})
    assert "data-validation open" in step.text


def test_a_rule_that_flows_one_way_is_not_asked_for_sides(admin_client: FlaskClient, made: House):
    """Where only one side is read there is nothing to choose."""
    assert "Asked of records of" not in admin_client.get(ADDRESS).text
