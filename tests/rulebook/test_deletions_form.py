"""How deletions are noticed, on the tab "What happens" of rules of every direction."""

from __future__ import annotations

from flask.testing import FlaskClient

from tests.rulebook.conftest import ANNA, document, draft
from tests.rulebook.test_pages import form_of
from webapp.extensions import House
from webapp.rulebook import services

PAGE = "/rules/customers/behaviour"


def test_a_mark_in_the_source_is_chosen(console: House, admin_client: FlaskClient) -> None:
    """A rule that flows one way asks its source, and says what is done about what is gone."""
    services.create(console, document(), ANNA)
    form = form_of(admin_client, PAGE)
    assert form["deletes_detect"] == "none"
    chosen = {"deletes_detect": "tombstone", "deletes_when": "status == 'closed'", "situation-deleted_left": "delete"}
    assert admin_client.post(PAGE, data={**form, **chosen}).status_code == 302
    saved = draft(console, "customers")
    assert saved["deletes"] == {"detect": "tombstone", "when": "status == 'closed'"}
    assert saved["situations"] == {"deleted_left": "delete"}
    assert form_of(admin_client, PAGE)["deletes_when"] == "status == 'closed'"
    again = {**form_of(admin_client, PAGE), "deletes_detect": "none", "deletes_when": ""}
    admin_client.post(PAGE, data=again)
    assert "deletes" not in draft(console, "customers")


def test_both_sides_of_a_two_way_rule_are_asked(console: House, admin_client: FlaskClient) -> None:
    """A two-way rule has a condition for each side; what is wrong stands below it."""
    services.create(console, document(direction="two_way"), ANNA)
    form = form_of(admin_client, PAGE)
    chosen = {"deletes_detect": "tombstone", "deletes_when": "status == 'closed'", "deletes_when_right": "gone"}
    admin_client.post(PAGE, data={**form, **chosen})
    said = draft(console, "customers")["deletes"]
    assert said == {"detect": "tombstone", "when": "status == 'closed'", "when_right": "gone"}
    assert "There is no field" in admin_client.get(PAGE).text


def test_a_system_that_tells_of_no_deletions(console: House, admin_client: FlaskClient) -> None:
    """Waiting for what a system never tells is said to be wrong."""
    services.create(console, document(), ANNA)
    admin_client.post(PAGE, data={**form_of(admin_client, PAGE), "deletes_detect": "event"})
    assert "does not tell of deletions" in admin_client.get(PAGE).text
