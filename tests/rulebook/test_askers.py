"""Tables that published rules ask: what would stop those rules is not published."""

from __future__ import annotations

from typing import Any

import pytest
from flask.testing import FlaskClient

import webapp.events.kind  # noqa: F401 - event rules have to be known
from rules.documents import errors
from tests.rulebook.conftest import ANNA, document
from tests.rulebook.test_kinds import TABLE
from webapp.extensions import House
from webapp.rulebook import fitting, services
from webapp.rulebook.errors import NotPublishable

CODES: dict[str, Any] = {
    "kind": "lookup",
    "name": "codes",
    "key": {"name": "code"},
    "columns": [{"name": "text"}],
    "entries": [["a", "Aa"]],
}
RENAMED = {**TABLE, "outputs": [{"name": "share", "type": "integer"}]}
OTHER_VALUES = {**TABLE, "rows": [{"when": ["< 50"], "then": ["1"]}, *TABLE["rows"]], "hit_policy": "first"}
ASKS_TABLE = document(
    decisions=[{"table": "discount", "inputs": {"amount": "decimal(1)"}}],
    fields=[{"left": "id", "right": "no"}, {"right": "title", "to_right": "string(discount.percent)"}],
)
ASKS_CODES = document(
    fields=[
        {"left": "id", "right": "no"},
        {"right": "title", "to_right": "lookup('codes', name, 'text').orDefault('')"},
    ],
)
RENAMED_CODES = {**CODES, "columns": [{"name": "words"}]}


def published(house: House, *documents: dict[str, Any]) -> None:
    for one in documents:
        with house.db.read() as tx:
            known = services.find(tx, one["name"])
        if known:
            services.save_draft(house, one["name"], one, ANNA)
        else:
            services.create(house, one, ANNA)
        services.publish(house, one["name"], ANNA)


@pytest.mark.parametrize(
    ("table", "rule", "changed"), [(TABLE, ASKS_TABLE, RENAMED), (CODES, ASKS_CODES, RENAMED_CODES)]
)
def test_a_table_that_would_stop_a_rule_is_not_published(
    house: House, table: dict[str, Any], rule: dict[str, Any], changed: dict[str, Any]
) -> None:
    """The refusal names the rule and what it misses; once the rule does not ask it any more, the table goes out."""
    published(house, table, rule)
    with pytest.raises(NotPublishable, match="'customers' asks this table and would stop working") as caught:
        published(house, changed)
    assert len(caught.value.problems) == 1
    published(house, document(), changed)


def test_the_check_of_a_draft_tells_it_too(house: House) -> None:
    """Who edits the table learns of it before publishing; a table that says the same in other rows is fine."""
    published(house, TABLE, ASKS_TABLE)
    found = [str(problem.message) for problem in services.check(house, RENAMED)]
    assert [text for text in found if "'customers'" in text and "'discount.share'" in text]
    assert not errors(services.check(house, OTHER_VALUES))


def test_a_rule_that_is_broken_anyhow_holds_nothing_up(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    """Only what this version breaks is told."""
    published(house, TABLE, ASKS_TABLE)
    with monkeypatch.context() as unchecked:
        unchecked.setattr(fitting, "stopped", lambda *_: ())
        published(house, RENAMED)
    published(house, {**RENAMED, "label": "New"})
    published(house, TABLE)


def test_tables_that_ask_tables_count(house: House) -> None:
    """A decision table whose results look something up is named as well."""
    rows = [{"when": ["-"], "then": ["lookup('codes', 'a', 'text').orDefault('')"]}]
    asks = {**TABLE, "name": "words", "outputs": [{"name": "word", "type": "text"}], "rows": rows}
    published(house, CODES, asks)
    with pytest.raises(NotPublishable, match="'words' asks this table"):
        published(house, RENAMED_CODES)


def test_event_rules_count(house: House) -> None:
    """An event rule whose condition looks something up is named as well."""
    listen = {"type": "x.y", "where": "lookup('codes', 'a', 'text') == 'Aa'"}
    then = [{"notify": {"web_hook": {"url": "https://example.com/"}}}]
    published(
        house,
        CODES,
        {"kind": "event_rule", "name": "hears", "events": {"e": listen}, "when": {"any": ["e"]}, "then": then},
    )
    with pytest.raises(NotPublishable, match="'hears' asks this table"):
        published(house, RENAMED_CODES)


def test_roll_back_checks_who_asks(house: House) -> None:
    """An old version without the output is not published again, nor is an old rule that asks what is gone."""
    published(house, RENAMED, TABLE, ASKS_TABLE)
    with pytest.raises(NotPublishable, match="'customers' asks this table"):
        services.roll_back(house, "discount", 1, ANNA)
    published(house, document(), RENAMED)
    with pytest.raises(NotPublishable, match=r"There is no field .discount."):
        services.roll_back(house, "customers", 1, ANNA)
    with house.db.read() as tx:
        assert services.get(tx, "customers").published_version == 2


def test_the_pages_name_the_rules(console: House, admin_client: FlaskClient) -> None:
    """The page of publishing lists them, and rolling back says why it does not."""
    published(console, RENAMED, TABLE, ASKS_TABLE)
    services.save_draft(console, "discount", RENAMED, ANNA)
    page = admin_client.get("/rules/discount/publish").get_data(as_text=True)
    assert "would stop working" in page
    assert "customers" in page
    done = admin_client.post("/rules/discount/versions/1/roll-back", follow_redirects=True)
    assert "Version 1 cannot be published again." in done.get_data(as_text=True)
    assert "would stop working" in done.get_data(as_text=True)
