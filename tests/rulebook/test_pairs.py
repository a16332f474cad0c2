"""The pairs of a two-way rule: forms and documents, and the page."""

from __future__ import annotations

from typing import Any

import pytest
from flask.testing import FlaskClient

from rules.schema import Field, FieldType, Schema
from tests.rulebook.conftest import ANNA, document, draft
from tests.rulebook.test_pages import form_of
from webapp.extensions import SYSTEM, House
from webapp.rulebook import services
from webapp.rulebook.pairs import Pair, pairs, with_pairs, with_possible_ways, with_proposed

LEFT = Schema((Field("id"), Field("name"), Field("phone"), Field("seq", FieldType.INTEGER, generated=True)), ("id",))
RIGHT = Schema((Field("no"), Field("title"), Field("tel")), ("no",))
FIELDS: list[dict[str, Any]] = [
    {"left": "id", "right": "no", "on": ["create"]},
    {"left": "name", "right": "title", "to_right": "name.trim()", "to_left": "title", "conflict": "newer"},
    {"left": "phone", "right": "tel", "when": "name != ''", "when_left": "title != ''", "strength": "weak"},
    {"right": "联系邮箱", "direction": "left_to_right", "to_right": "name", "on_error": "default", "default": 7},
]
DOCUMENT = document(direction="two_way", fields=FIELDS)


def typed(shown: dict[str, Any]) -> dict[str, str]:
    """Return what the page's form sends for a document that nobody touched."""
    form = {f"key_{side}": name for side, name in shown["key"].items()}
    for number, pair in enumerate(pairs(shown)):
        names = ("left", "right", "direction", "to_right", "to_left", "strength", "on", "when", "when_left")
        form[f"place-{number}"] = str(pair.place)
        form |= {f"{n}-{number}": str(getattr(pair, n)) for n in (*names, "conflict", "resolve", "on_error", "default")}
    return form


def test_untouched_form_changes_nothing() -> None:
    """Saving the pairs as they are shown gives the same document."""
    assert with_pairs(DOCUMENT, typed(DOCUMENT)) == DOCUMENT


def test_what_is_chosen_is_noted() -> None:
    """Direction, conflict and its expression are noted; pairs without fields and lost expressions are dropped."""
    form = typed(DOCUMENT) | {"conflict-2": "expression", "resolve-2": "left", "direction-1": "right_to_left"}
    form |= {"left-0": "", "right-0": ""}
    made = with_pairs(DOCUMENT, form)["fields"]
    assert [e.get("left") for e in made] == ["name", "phone", None]
    assert (made[0]["direction"], made[1]["conflict"], made[1]["resolve"]) == ("right_to_left", "expression", "left")
    again = with_pairs(DOCUMENT, {**form, "conflict-2": "left"})["fields"][1]
    assert again["conflict"] == "left"
    assert "resolve" not in again


def test_rows_of_the_trial() -> None:
    """A pair flows to a side only where its direction lets it and something is there to flow."""
    assert Pair("a", "b", "left_to_right").row("left", None) is None
    assert Pair("", "b").row("right", None) is None
    assert Pair("a", "b").row("right", None).source == "a"  # type: ignore[union-attr]
    assert Pair("a", "b", to_left="b.trim()").row("left", None).expression == "b.trim()"  # type: ignore[union-attr]


def test_proposals_pair_what_is_open() -> None:
    """Open fields that look alike become pairs; what a system fills in itself is not written there."""
    made, count = with_proposed({**DOCUMENT, "fields": FIELDS[:1]}, LEFT, RIGHT)
    assert (count, made["fields"][1:]) == (2, [{"left": "name", "right": "title"}, {"left": "phone", "right": "tel"}])
    ways = with_possible_ways({"fields": [{"left": "seq", "right": "no"}]}, LEFT)["fields"]
    assert ways == [{"left": "seq", "right": "no", "direction": "left_to_right"}]


@pytest.fixture
def made(console: House) -> House:
    services.create(console, document(direction="two_way", fields=FIELDS[:3]), ANNA)
    return console


def test_a_new_rule_flows_both_ways(console: House, admin_client: FlaskClient) -> None:
    """The first step offers three directions, and a two-way rule starts with pairs for what looks alike."""
    assert admin_client.get("/rules/new").text.count('name="direction"') == 3
    sides = {"left_connection": "crm", "left_object": "account", "right_connection": "erp"}
    chosen = {**sides, "right_object": "customers.csv", "name": "both", "direction": "two_way"}
    answer = admin_client.post("/rules/new", data=chosen)
    assert answer.location == "/rules/both/fields?setup=1"
    assert draft(console, "both")["direction"] == "two_way"
    assert {(e["left"], e["right"]) for e in draft(console, "both")["fields"]} >= {("id", "no"), ("phone", "tel")}


def test_the_page_saves_what_it_shows(made: House, admin_client: FlaskClient) -> None:
    """The page shows both sides of each pair; saving it untouched changes nothing."""
    before = draft(made, "customers")
    form = form_of(admin_client, "/rules/customers/fields")
    assert (form["left-1"], form["right-1"], form["to_right-1"]) == ("name", "title", "name.trim()")
    assert admin_client.post("/rules/customers/fields", data=form).location == "/rules/customers/fields"
    assert draft(made, "customers") == before


def test_what_no_choice_offers_is_not_kept(made: House, admin_client: FlaskClient) -> None:
    """A value that the page does not offer for when a field is set changes nothing, and the page still shows."""
    before = draft(made, "customers")
    form = form_of(admin_client, "/rules/customers/fields")
    sent = admin_client.post("/rules/customers/fields", data={**form, "on-1": "\ufffe"}, follow_redirects=True)
    assert (sent.status_code, draft(made, "customers")) == (200, before)


@pytest.mark.parametrize(
    "wrong", [{"on": ["x"]}, {"direction": "x"}, {"strength": "x"}, {"conflict": "x"}, {"on": "create"}]
)
def test_a_draft_with_a_value_that_there_is_not(made: House, admin_client: FlaskClient, wrong: dict[str, Any]) -> None:
    """A draft from a file or the text editor that holds an unknown choice is shown with what is wrong."""
    before = draft(made, "customers")
    fields = [{**before["fields"][0], **wrong}, *before["fields"][1:]]
    for direction in ("two_way", "left_to_right"):
        services.save_draft(made, "customers", {**before, "direction": direction, "fields": fields}, SYSTEM)
        for page in ("fields", ""):
            assert admin_client.get(f"/rules/customers/{page}").status_code == 200, (direction, page)


def test_an_unknown_choice_is_kept_until_another_is_made(made: House, admin_client: FlaskClient) -> None:
    """Saving a page does not make "both" of a choice that there is not, nor of one that the page did not offer."""
    before = draft(made, "customers")
    for direction in ("two_way", "left_to_right"):
        fields = [before["fields"][0], {**before["fields"][1], "on": ["x"]}, *before["fields"][2:]]
        services.save_draft(made, "customers", {**before, "direction": direction, "fields": fields}, SYSTEM)
        number = ""
        for chosen, kept in (("x", ["x"]), ("create", ["create"]), ("y", ["create"]), ("both", None)):
            form = form_of(admin_client, "/rules/customers/fields")
            number = number or next(name for name, value in form.items() if name.startswith("on-") and value == "x")
            admin_client.post("/rules/customers/fields", data={**form, number: chosen})
            assert [e.get("on") for e in draft(made, "customers")["fields"]][1] == kept, (direction, chosen)


def test_pairs_are_added_and_removed(made: House, admin_client: FlaskClient) -> None:
    """Buttons add an empty pair, remove one and propose; nothing is stored until the draft is saved."""
    before = draft(made, "customers")
    form = form_of(admin_client, "/rules/customers/fields")
    assert 'name="left-3"' in admin_client.post("/rules/customers/fields", data={**form, "do": "add"}).text
    text = admin_client.post("/rules/customers/fields", data={**form, "do": "remove-1"}).text
    assert 'name="left-2"' not in text
    assert "No further field looks alike" in admin_client.post(
        "/rules/customers/fields", data={**form, "do": "suggest"}
    ).text  # fmt: skip
    assert draft(made, "customers") == before


def test_the_trial_shows_both_ways(made: House, admin_client: FlaskClient) -> None:
    """The first records of both sides show what each pair gives to the other side, also while it is typed."""
    form = form_of(admin_client, "/rules/customers/fields") | {"to_left-1": "title.upper()"}
    text = admin_client.post("/rules/customers/fields/try", data=form).text
    assert "上海贝尔" in text
    assert "BELL" in text
    assert "3 pairs of fields agree." in text
    wrong = admin_client.post("/rules/customers/fields/try", data=form | {"to_left-1": "title +"}).text
    assert "1 needs a look." in wrong


def test_the_settling_expression_knows_its_words(made: House, admin_client: FlaskClient) -> None:
    """What settles a conflict may name left, right and base, typed as on the left, and nothing else."""
    scope = "/expressions/?connection=crm&object=account&resolve=name"
    assert [f["name"] for f in admin_client.get(scope).json["fields"]] == ["left", "right", "base"]
    good = admin_client.post(scope, json={"text": "left.orDefault('') + right.orDefault('')"}).json
    assert (good["problems"], good["type"]) == ([], "text")
    assert admin_client.post(scope, json={"text": "phone"}).json["problems"]
