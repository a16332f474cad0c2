"""The tests of a rule on its pages: made in a form, run at once, and in the way of publishing while they fail."""

from __future__ import annotations

import re
from typing import Any

import pytest
from flask.testing import FlaskClient

from tests.rulebook.conftest import ANNA, document
from tests.webapp.conftest import add_user, client_of, sign_in
from webapp.access.role_editing import Role, save_role
from webapp.extensions import SYSTEM, House
from webapp.rulebook import services
from webapp.rulebook.errors import NotPublishable
from webapp.rulebook.tests_form import text_of

PASSING = {"name": "trims", "given": {"id": 1, "name": " Ada "}, "expect": {"title": "Ada"}}
FAILING = {**PASSING, "name": "wrong", "expect": {"title": "Eve"}}
FIELDS = [{"left": "id", "right": "no"}, {"right": "title", "to_right": "name.trim()"}]
TABLE: dict[str, Any] = {
    "kind": "decision_table",
    "name": "credit",
    "inputs": [{"name": "country"}, {"name": "vip", "type": "boolean"}],
    "outputs": [{"name": "limit", "type": "integer"}],
    "rows": [{"when": ["CN", "-"], "then": [10]}, {"when": ["DE", "true"], "then": [20]}],
}


@pytest.fixture
def made(console: House) -> House:
    services.create(console, document(fields=FIELDS), ANNA)
    return console


def kept(house: House, name: str = "customers") -> list[dict[str, Any]]:
    with house.db.read() as tx:
        return services.get(tx, name).document.get("tests") or []


def place(text: str, prefix: str, label: str) -> str:
    """Return the number of the field with a label in the form of a test."""
    found = re.search(rf'for="f-{prefix}(\d+)">\s*{label}\b', text)
    assert found, text
    return found[1]


def filled(client: FlaskClient, address: str, given: dict[str, str], expect: dict[str, str], **more: str):
    """Return the form of a test with these values, as a browser would send it."""
    text = client.get(address).text
    form = {f"given-{place(text, 'given-', name)}": value for name, value in given.items()}
    for name, value in expect.items():
        number = place(text, "compare-", name)
        form |= {f"compare-{number}": "1", f"expect-{number}": value}
    version = re.search(r'name="draft_version" value="(\d+)"', text)
    return {"name": "a test", "ending": "mapped", "draft_version": version[1] if version else "", **form, **more}


def test_a_failing_test_keeps_a_rule_from_being_published(made, admin_client):
    """Publishing is refused with the test, the field and both values, until the test passes."""
    services.save_draft(made, "customers", document(fields=FIELDS, tests=[PASSING, FAILING]), ANNA)
    with pytest.raises(NotPublishable, match="'title' should be 'Eve', but is 'Ada'"):
        services.publish(made, "customers", ANNA)
    answer = admin_client.post("/rules/customers/publish", data={})
    assert answer.status_code == 422
    assert "/rules/customers/tests" in answer.text
    assert "Test 2" in answer.text
    page = admin_client.get("/rules/customers/tests").text
    assert "One test fails." in page
    assert "The rule cannot be published while a test fails." in page
    services.save_draft(made, "customers", document(fields=FIELDS, tests=[PASSING]), ANNA)
    assert services.publish(made, "customers", ANNA) == 1
    assert "One test passes." in admin_client.get("/rules/customers/tests").text


def test_a_test_is_made_in_a_form(made, admin_client):
    """What was typed is kept by the field's type; only ticked fields are compared; it can be changed."""
    assert "No tests yet" in admin_client.get("/rules/customers/tests").text
    new = "/rules/customers/tests/new"
    form = filled(admin_client, new, {"id": "7", "name": " Ada "}, {"title": "Ada", "no": "7"})
    assert admin_client.post(new, data=form).status_code == 302
    assert kept(made) == [{"name": "a test", "given": {"id": 7, "name": " Ada "}, "expect": {"no": 7, "title": "Ada"}}]
    one = "/rules/customers/tests/0"
    form = filled(admin_client, one, {"id": "7"}, {}, ending="quarantined", error="empty", name="no name")
    assert admin_client.post(one, data=form).status_code == 302
    assert kept(made) == [{"name": "no name", "given": {"id": 7}, "ending": "quarantined", "error": "empty"}]
    assert admin_client.post(f"{one}/delete", data={}).status_code == 302
    assert kept(made) == []


def test_a_form_says_what_is_wrong_with_it(made, admin_client):
    """A test needs a name of its own; what does not fit a field is told by the result, not lost."""
    new = "/rules/customers/tests/new"
    form = filled(admin_client, new, {"id": "seven"}, {}, name=" ")
    answer = admin_client.post(new, data=form)
    assert answer.status_code == 422
    assert "Say in a few words" in answer.text
    assert "&#39;seven&#39; is not a value of type integer" in answer.text
    services.save_draft(made, "customers", document(fields=FIELDS, tests=[PASSING]), ANNA)
    again = admin_client.post(new, data=filled(admin_client, new, {"id": "1"}, {}, name="trims"))
    assert "another test with this name" in again.text


def test_the_result_shows_while_typing(made, admin_client):
    """The typed test is run at once, without being kept."""
    form = filled(admin_client, "/rules/customers/tests/new", {"id": "1", "name": " Ada "}, {"title": "Eve"})
    part = admin_client.post("/rules/customers/tests/try", data=form)
    assert "Not all values come out as expected." in part.text
    assert "Eve" in part.text
    assert kept(made) == []
    form["expect-1"] = "Ada"
    assert "The test passes." in admin_client.post("/rules/customers/tests/try", data=form).text
    assert admin_client.post("/rules/customers/tests/try", data={**form, "ending": "0"}).status_code == 200
    out = admin_client.post("/rules/customers/tests/try", data={**form, "given-0": "x"}).text
    assert "is not a value of type integer" in out


def test_a_new_test_is_not_called_wrong_before_it_is_written(made, admin_client):
    """Where nothing was given yet there is no verdict, but what to do."""
    page = admin_client.get("/rules/customers/tests/new").text
    assert "test-verdict" not in page
    assert "what comes out is shown here" in page
    assert "test-verdict" in admin_client.get("/rules/customers/tests/new?sample=1").text


def test_a_test_is_taken_from_a_record(made, admin_client):
    """A record of the source fills the given values, and what comes out now becomes what is expected."""
    page = admin_client.get("/rules/customers/tests/new?sample=1").text
    assert 'value="Müller AG"' in page
    form = filled(admin_client, "/rules/customers/tests/new", {"id": "2", "name": " Müller "}, {}, do="expect")
    page = admin_client.post("/rules/customers/tests/new", data=form).text
    assert re.search(r'value="Müller"', page)
    empty = filled(admin_client, "/rules/customers/tests/new", {"id": "2"}, {}, do="expect")
    page = admin_client.post("/rules/customers/tests/new", data=empty).text
    assert re.search(r'value="quarantined" checked', page)
    wrong = filled(admin_client, "/rules/customers/tests/new", {"id": "x"}, {}, do="expect")
    assert "is not a value of type" in admin_client.post("/rules/customers/tests/new", data=wrong).text


def test_records_are_not_shown_to_who_may_not_read_them(made, client):
    """Whoever may write rules but read no records fills tests by hand."""
    save_role(made, Role(None, "Own", "", 0, frozenset({("Rules", "read"), ("Rules", "update")})), SYSTEM)
    add_user(made, "eve", "Own")
    page = sign_in(client, "eve").get("/rules/customers/tests/new?sample=1")
    assert page.status_code == 200
    assert "Müller" not in page.text


def test_somebody_was_faster(made, admin_client):
    """A form made from an older draft is not written over the newer one."""
    form = filled(admin_client, "/rules/customers/tests/new", {"id": "1", "name": "a"}, {"title": "a"})
    services.save_draft(made, "customers", document(fields=FIELDS, tests=[PASSING]), ANNA)
    answer = admin_client.post("/rules/customers/tests/new", data=form)
    assert answer.status_code == 409
    assert [t["name"] for t in kept(made)] == ["trims"]
    admin_client.post("/rules/customers/tests/0/delete", data={"draft_version": "1"})
    assert [t["name"] for t in kept(made)] == ["trims"]


def test_a_rule_with_mistakes_says_why_its_tests_cannot_run(made, admin_client):
    """Tests wait until the rule itself is without errors, or its systems can be asked."""
    broken = document(fields=[{"left": "id", "right": "no"}, {"right": "title", "to_right": "nme.trim()"}])
    services.save_draft(made, "customers", {**broken, "tests": [PASSING]}, ANNA)
    assert "once the rule is without errors" in admin_client.get("/rules/customers/tests").text
    assert "Not run" in admin_client.get("/rules/customers/tests").text
    for address in ("new", "0"):
        assert admin_client.get(f"/rules/customers/tests/{address}").status_code == 302
    assert admin_client.post("/rules/customers/tests/new", data={}).status_code == 302
    assert "without errors" in admin_client.post("/rules/customers/tests/try", data={}).text
    away = document(left={"connection": "gone", "object": "x"}, tests=[PASSING])
    services.save_draft(made, "customers", away, ANNA)
    assert "fields of both systems" in admin_client.get("/rules/customers/tests").text


def test_a_decision_table_is_tested_too(console, admin_client):
    """Inputs go in and outputs are compared; an error can be expected; failing tests refuse publishing."""
    services.create(
        console, {**TABLE, "tests": [{"name": "t", "given": {"country": "CN"}, "expect": {"limit": 1}}]}, ANNA
    )
    with pytest.raises(NotPublishable, match="'limit' should be 1, but is 10"):
        services.publish(console, "credit", ANNA)
    one = "/rules/credit/tests/0"
    given = {"country": "DE", "vip": "true"}
    form = filled(admin_client, one, given, {"limit": "20"}, day="2026-01-01")
    assert admin_client.post(one, data=form).status_code == 302
    assert kept(console, "credit") == [
        {"name": "a test", "given": {"country": "DE", "vip": True}, "expect": {"limit": 20}, "day": "2026-01-01"}
    ]
    assert services.publish(console, "credit", ANNA) == 1
    assert "Row 1 never decides." in admin_client.get("/rules/credit/tests").text
    form = filled(admin_client, "/rules/credit/tests/new", {"country": "x"}, {}, ending="error", name="other")
    assert "Write a part of the error" in admin_client.post("/rules/credit/tests/new", data=form).text
    form = filled(admin_client, one, given, {}, do="expect")
    assert 'value="20"' in admin_client.post(one, data=form).text


def test_only_rules_with_records_have_tests(console, admin_client):
    """Lookup tables have no tests; neither has a number that there is not."""
    lookup = {"kind": "lookup", "name": "units", "key": {"name": "code"}, "columns": [{"name": "n"}], "entries": []}
    services.create(console, lookup, ANNA)
    assert admin_client.get("/rules/units/tests").status_code == 404
    services.create(console, document(), ANNA)
    assert admin_client.get("/rules/customers/tests/3").status_code == 404
    assert admin_client.post("/rules/customers/tests/3/delete", data={}).status_code == 404


def test_readers_see_tests_and_do_not_change_them(made, app):
    """Whoever may only read sees the results and no buttons."""
    services.save_draft(made, "customers", document(fields=FIELDS, tests=[PASSING]), ANNA)
    reader = client_of(app, "rita", "Auditor")
    page = reader.get("/rules/customers/tests")
    assert page.status_code == 200
    assert "Add a test" not in page.text
    assert reader.post("/rules/customers/tests/0/delete", data={}).status_code == 403


def test_values_are_shown_as_they_are_typed():
    """JSON and truth values are shown in the form in which they can be typed again."""
    assert [text_of(value) for value in (None, True, False, {"a": 1}, [1], 2.5, "x")] == [
        "",
        "true",
        "false",
        '{"a": 1}',
        "[1]",
        "2.5",
        "x",
    ]


def test_keeping_values_is_switched_in_the_form(made, admin_client):
    """Under Behaviour a rule is told to keep what its runs read, which it does unless told otherwise."""
    page = admin_client.get("/rules/customers/behaviour").text
    assert re.search(r'name="explain" value="true" checked', page)
    for sent, wanted in (({}, False), ({"explain": "true"}, None)):
        form = {"explain_asked": "1", "schedule_kind": "manual", **sent}
        assert admin_client.post("/rules/customers/behaviour", data=form).status_code == 302
        with made.db.read() as tx:
            assert services.get(tx, "customers").document.get("explain") is wanted


BOTH = [
    {"left": "id", "right": "no"},
    {"left": "name", "right": "title", "to_right": "name.trim()", "to_left": "title"},
]


def test_a_test_of_the_other_direction(console, admin_client):
    """A rule that flows both ways has a switch; the form has the fields of the side that goes in, and keeps the way."""
    services.create(console, document(direction="two_way", fields=BOTH), ANNA)
    assert "direction=to_left" in admin_client.get("/rules/customers/tests/new").text
    address = "/rules/customers/tests/new?direction=to_left"
    form = filled(admin_client, address, {"title": "Ada"}, {"name": "Ada"}, direction="to_left")
    assert "The test passes." in admin_client.post("/rules/customers/tests/try", data=form).text
    assert admin_client.post("/rules/customers/tests/new", data=form).status_code == 302
    (test,) = kept(console)
    assert test == {"name": "a test", "given": {"title": "Ada"}, "expect": {"name": "Ada"}, "direction": "to_left"}
    listing = admin_client.get("/rules/customers/tests").text
    assert "Passes" in listing
    assert "to crm" in listing
    assert 'name="direction" value="to_left"' in admin_client.get("/rules/customers/tests/0").text
