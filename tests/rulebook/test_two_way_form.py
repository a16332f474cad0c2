"""What a two-way rule does: forms and documents, and the page."""

from __future__ import annotations

from typing import Any

import pytest
from flask.testing import FlaskClient

from tests.rulebook.conftest import ANNA, document, draft
from tests.rulebook.test_pages import form_of
from webapp.extensions import House
from webapp.rulebook import services
from webapp.rulebook.shares import number, percent, plain, share
from webapp.rulebook.wording import field_lines, summary

WHOLE = document(
    direction="two_way",
    left={"connection": "crm", "object": "account", "where": "status != 'draft'"},
    detect={"left": {"by": "cursor", "field": "updated_at", "tie": "id"}, "right": {"field": "联系邮箱"}},
    correlate=[
        {"match": [{"left": "phone", "right": "tel"}]},
        {
            "match": [
                {"left": "name", "right": "title", "how": "similarity", "kind": "company", "threshold": 0.855},
                {"left": "phone", "right": "tel", "how": "normalised", "kind": "phone"},
            ],
            "confidence": 0.8,
            "confidence_from": 0.6,
            "threshold": 0.7,
        },
    ],
    auto_link=0.9,
    conflict={"default": "right", "skew": "5s"},
    situations={"deleted_left": "deactivate", "unmatched_right": "create", "linked_unchanged": "ignore"},
    deletes={"detect": "full_scan", "deactivate": {"right": {"field": "tel", "value": "-"}}},
    guards=[{"metric": "deletes", "over": "5%", "min": 20}, {"metric": "deletes", "over": 100, "do": "warn"}],
    drift={"type_change": "suspend"},
)
PAGE = "/rules/customers/behaviour"


def saved(house: House, client: FlaskClient, form: dict[str, Any]) -> dict[str, Any]:
    """Return the draft after the page was sent."""
    assert client.post(PAGE, data=form).location == PAGE
    return draft(house, "customers")


@pytest.fixture
def whole(console: House) -> House:
    services.create(console, WHOLE, ANNA)
    return console


@pytest.fixture
def small(console: House) -> House:
    services.create(console, document(direction="two_way"), ANNA)
    return console


@pytest.mark.parametrize("made", [WHOLE, document(direction="two_way")])
def test_untouched_page_changes_nothing(console: House, admin_client: FlaskClient, made: dict[str, Any]) -> None:
    """Saving the page as it is shown gives the same document, whatever it says."""
    services.create(console, made, ANNA)
    assert saved(console, admin_client, form_of(admin_client, PAGE)) == made


def test_what_is_chosen_is_noted(small: House, admin_client: FlaskClient) -> None:
    """Each part of the page reaches its key; numbers, shares and truth values get their types."""
    form = form_of(admin_client, PAGE) | {
        "situation-deleted_right": "delete",
        "conflict_default": "newer",
        "where_right": "no != ''",
        "detect_left": "cursor",
        "detect_field_left": "updated_at",
        "deletes_detect": "full_scan",
        "deactivate_field_left": "id",
        "deactivate_value_left": "0",
        "review": "70",
        "over-0": "5%",
        "min-0": "3",
        "over-2": "40",
        "do-2": "warn",
        "drift_new_field": "ignore",
    }
    made = saved(small, admin_client, form)
    assert made["situations"] == {"deleted_right": "delete"}
    assert (made["conflict"], made["right"]["where"], made["review"]) == ({"default": "newer"}, "no != ''", 0.7)
    assert made["detect"] == {"left": {"by": "cursor", "field": "updated_at"}}
    assert made["deletes"] == {"detect": "full_scan", "deactivate": {"left": {"field": "id", "value": 0}}}
    assert made["guards"] == [
        {"metric": "deletes", "over": "5%", "min": 3},
        {"metric": "updates", "over": 40, "do": "warn"},
    ]
    assert made["drift"] == {"new_field": "ignore"}


def test_ways_to_find_partners_are_added_step_by_step(small: House, admin_client: FlaskClient) -> None:
    """Ways and comparisons are added and removed on the page; only saving stores them, and empty ones are dropped."""
    form = form_of(admin_client, PAGE)
    text = admin_client.post(PAGE, data={**form, "do": "tier-add"}).text
    assert 'name="match_left-0-0"' in text
    form |= {"tier-0": "1", "match-0-0": "1", "match_left-0-0": "phone", "match_right-0-0": "tel"}
    text = admin_client.post(PAGE, data={**form, "do": "match-add-0"}).text
    assert 'name="match_left-0-1"' in text
    assert 'name="tier-0"' not in admin_client.post(PAGE, data={**form, "do": "tier-remove-0"}).text
    assert "correlate" not in draft(small, "customers")
    made = saved(small, admin_client, form | {"match-0-1": "1", "how-0-0": "similarity", "alike-0-0": "85"})
    match = {"left": "phone", "right": "tel", "how": "similarity", "threshold": 0.85}
    assert made["correlate"] == [{"match": [match]}]


def test_a_template_fills_in_ways(small: House, admin_client: FlaskClient) -> None:
    """A template proposes the fields that look like its own, and fills in ways for those that are chosen."""
    text = admin_client.get(PAGE).text
    assert 'name="preset-company-name-left"' in text
    form = form_of(admin_client, PAGE)
    assert (form["preset-company-phone-left"], form["preset-company-phone-right"]) == ("phone", "tel")
    names = {"preset-company-name-left": "name", "preset-company-name-right": "title"}
    text = admin_client.post(PAGE, data={**form, **names, "do": "preset-company"}).text
    assert text.count('class="tier"') == 2
    assert "How sure is such a match? (%)" in text


def test_problems_stand_at_their_places(whole: House, admin_client: FlaskClient) -> None:
    """What the check finds is shown where it can be mended."""
    text = admin_client.get(PAGE).text
    assert "联系邮箱" in text
    form = form_of(admin_client, PAGE) | {"conflict_default": "newer", "review": "much"}
    saved(whole, admin_client, form)
    assert 'value="much"' in admin_client.get(PAGE).text


def test_the_direction_can_be_changed(small: House, admin_client: FlaskClient) -> None:
    """A rule becomes one-way and two-way again on the same page."""
    made = saved(small, admin_client, form_of(admin_client, PAGE) | {"direction": "left_to_right"})
    assert "direction" not in made
    made = saved(small, admin_client, form_of(admin_client, PAGE) | {"direction": "two_way"})
    assert made["direction"] == "two_way"


def test_somebody_else_was_faster(small: House, admin_client: FlaskClient) -> None:
    """What was typed stays when the draft has changed meanwhile."""
    form = form_of(admin_client, PAGE) | {"where_left": "status == 'typed'"}
    services.save_draft(small, "customers", document(direction="two_way", label="New"), ANNA)
    answer = admin_client.post(PAGE, data=form)
    assert answer.status_code == 409
    assert "typed" in answer.text


def test_shares_are_percent() -> None:
    """Shares are shown and typed as percent; untouched and unreadable ones stay as they are."""
    assert (percent(0.855), percent(None, 0.6), percent("x"), percent(True)) == ("85.5", "60", "x", "True")
    assert (share("85.5", 0.855, 0.9), share("", 0.5, 0.9), share("70 %", None, 0.9)) == (0.855, 0.9, 0.7)
    assert share("x", None, 0.9) == "x"
    assert share("1e12", None, 0.9) == "1e12"
    assert (number("2", 2, 1.0), number("", 2, 1.0), number("2.5", None, 1.0), plain(2.0)) == (2, 1.0, 2.5, "2")


def test_the_overview_tells_what_it_does(whole: House, admin_client: FlaskClient) -> None:
    """The overview says in words how partners are found, who wins, what becomes of deletions, and how fields flow."""
    text = " ".join(admin_client.get("/rules/customers/").text.split())
    for told in (
        "Keeps crm › account and erp › customers.csv the same, both ways.",
        "recognised by phone, name; from 90% on they are linked, from 60% on a person is asked.",
        "If both sides changed the same field: erp › customers.csv wins.",
        "A linked record is gone from crm › account: deactivate it in erp › customers.csv.",
        "It stops before more than this: records deleted: 5%.",
        "Each run reads what is new in crm › account, by the field updated_at.",
    ):
        assert told in text


def test_the_overview_of_other_choices() -> None:
    """What differs from the usual is told; names of fields beyond a few are counted."""
    fields = [{"left": f"l{n}", "right": f"r{n}", "direction": "left_to_right", "on_error": "null"} for n in range(8)]
    fields += [{"left": "x", "right": "y", "conflict": "newer"}]
    said = {"unmatched_left": "ignore", "linked_changed": "update", "deleted_left": "case"}
    told = summary(document(direction="two_way", fields=fields, situations=said))
    assert "Records with the same key are partners." in told
    assert "A record of crm › account has no partner: do nothing." in told
    assert "Only to erp › customers.csv flows: l0, l1, l2, l3, l4, l5 and 2 more." in told
    assert "For x: the newer change wins." in told
    assert "Deletions are not noticed: what is gone from one side stays on the other." in told
    assert field_lines(document(direction="two_way", fields=fields))[0].note == "Leave the field empty"
    other = summary(document(direction="two_way", situations={"linked_changed": "case", "linked_conflict": "ignore"}))
    assert "A linked record has changed on one side: ask a person." in other
    assert "Both sides have changed the same field: do nothing." in other


def test_rules_in_one_direction_have_limits_too(console: House, admin_client: FlaskClient) -> None:
    """Guards and what is done about changed fields are edited for every rule; an untouched page changes nothing."""
    services.create(
        console, document(guards=[{"metric": "creates", "over": 5}], drift={"type_change": "suspend"}), ANNA
    )
    form = form_of(admin_client, PAGE)
    before = draft(console, "customers")
    assert saved(console, admin_client, form) == before
    made = saved(console, admin_client, form_of(admin_client, PAGE) | {"over-1": "5%", "over-0": ""})
    assert made["guards"] == [{"metric": "deletes", "over": "5%"}]
