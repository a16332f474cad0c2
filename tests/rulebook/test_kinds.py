"""Rules of several kinds in one rulebook."""

from __future__ import annotations

from typing import Any

import pytest
from flask.testing import FlaskClient

from tests.rulebook.conftest import ANNA, document
from webapp.extensions import House
from webapp.rulebook import services, views
from webapp.rulebook.errors import BadKind, NotPublishable, RuleBusy
from webapp.runs.requests import RunRefused, start

TABLE: dict[str, Any] = {
    "kind": "decision_table",
    "name": "discount",
    "label": "Discount",
    "inputs": [{"name": "amount", "type": "decimal"}],
    "outputs": [{"name": "percent", "type": "integer"}],
    "rows": [{"when": ["< 100"], "then": ["0"]}, {"when": [">= 100"], "then": ["5"]}],
}


def test_a_decision_table_is_drafted_and_published_like_any_rule(house: House) -> None:
    """The rulebook stores, checks and versions it."""
    row = services.create(house, TABLE, ANNA)
    assert row.kind == "decision_table"
    assert services.publish(house, "discount", ANNA) == 1


def test_a_broken_table_is_not_published(house: House) -> None:
    """What its own check finds keeps it a draft."""
    services.create(house, {**TABLE, "rows": [{"when": [], "then": ["0"]}]}, ANNA)
    with pytest.raises(NotPublishable, match="0 cells"):
        services.publish(house, "discount", ANNA)


def test_an_unknown_kind_is_refused(house: House) -> None:
    """A kind that nobody knows is told with those that there are."""
    with pytest.raises(BadKind, match=r"'spell' is no kind of rule.*decision_table"):
        services.create(house, {**TABLE, "kind": "spell"}, ANNA)


def test_the_kind_of_a_rule_stays(house: House) -> None:
    """A saved document cannot turn a table into a sync rule."""
    services.create(house, TABLE, ANNA)
    with pytest.raises(BadKind, match="cannot be changed"):
        services.save_draft(house, "discount", document(name="discount"), ANNA)


def test_only_rules_that_run_are_started(house: House) -> None:
    """A decision table is asked by others; a run of it is refused."""
    services.create(house, TABLE, ANNA)
    services.publish(house, "discount", ANNA)
    with pytest.raises(RunRefused, match="not a rule that runs"):
        start(house, "discount", "live", ANNA)


def test_the_list_shows_all_kinds_and_one_at_a_time(console: House, admin_client: FlaskClient) -> None:
    """Tabs choose the kind; each rule stands with what it is about."""
    services.create(console, TABLE, ANNA)
    services.create(console, document(), ANNA)
    page = admin_client.get("/rules/").get_data(as_text=True)
    assert "amount → percent; rows: 2" in page
    assert "crm › account → erp › customers.csv" in page
    tables = admin_client.get("/rules/?kind=decision_table").get_data(as_text=True)
    assert "Discount" in tables
    assert "crm › account" not in tables


@pytest.mark.parametrize(
    "changes",
    [
        {"decisions": [{"table": "discount", "inputs": {"amount": "1.0"}}]},
        {"fields": [{"left": "id", "right": "no"}, {"right": "title", "to_right": 'lookup("discount", name)'}]},
        {"fields": [{"left": "id", "right": "no"}, {"right": "title", "to_right": "lookup( 'discount', name)"}]},
    ],
)
def test_a_table_that_is_asked_stays(house: House, changes: dict[str, Any]) -> None:
    """Deleting it names the rule that asks it."""
    services.create(house, TABLE, ANNA)
    services.create(house, document(**changes), ANNA)
    with pytest.raises(RuleBusy, match="'customers' asks the table 'discount'"):
        services.delete(house, "discount", ANNA)
    services.delete(house, "customers", ANNA)
    services.delete(house, "discount", ANNA)


def test_what_the_analysis_finds_is_a_problem(house: House) -> None:
    """Overlapping rows keep a table with the policy unique from being published; a gap is a warning."""
    rows = [{"when": ["< 100"], "then": ["0"]}, {"when": ["< 50"], "then": ["5"]}]
    found = services.check(house, {**TABLE, "rows": rows})
    assert sorted((problem.severity.value, problem.path) for problem in found) == [
        ("error", "rows/1"),
        ("warning", "rows"),
    ]


def test_an_empty_lookup_table_is_worth_a_look(house: House) -> None:
    """It can be published, but nothing is ever found in it."""
    codes = {"kind": "lookup", "name": "codes", "key": {"name": "code"}, "columns": [{"name": "text"}], "entries": []}
    assert [(p.path, p.severity.value) for p in services.check(house, codes)] == [("entries", "warning")]
    assert services.check(house, {**codes, "entries": [["a", "Aa"]]}) == []


def test_a_long_list_of_rules_comes_in_pages(
    house: House, admin_client: FlaskClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Page by page each rule is listed once; a name finds those that have it, whatever page they would be on."""
    monkeypatch.setattr(views, "PAGE", 2)
    names = [f"rule_{number}" for number in "abcde"]
    for name in names:
        services.create(house, {**TABLE, "name": name, "label": ""}, ANNA)
    shown = [admin_client.get(f"/rules/?from={place}").get_data(as_text=True) for place in (0, 2, 4)]
    assert [[name for name in names if f'"/rules/{name}/"' in page] for page in shown] == [
        names[:2],
        names[2:4],
        names[4:],
    ]
    assert ['rel="next"' in page for page in shown] == [True, True, False]
    found = admin_client.get("/rules/?q=E_D").get_data(as_text=True)
    assert [name for name in names if f'"/rules/{name}/"' in found] == ["rule_d"]
    assert "No rule found" in admin_client.get("/rules/?q=nothing").get_data(as_text=True)
    assert admin_client.get("/rules/?endpoint=a&_method=POST").status_code == 200


@pytest.mark.parametrize("asked", ["from=100", "q=nothing", "kind=sync"])
def test_a_page_that_has_no_rule_does_not_say_that_there_are_none(
    house: House, admin_client: FlaskClient, asked: str
) -> None:
    """An address that was kept can ask for a page or a name that is no longer there; other rules still are."""
    services.create(house, TABLE, ANNA)
    page = admin_client.get(f"/rules/?{asked}").get_data(as_text=True)
    assert "No rule found" in page
    assert "No rules yet" not in page
