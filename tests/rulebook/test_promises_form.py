"""What a rule promises: from the document to the form and back."""

from __future__ import annotations

import pytest
from flask.testing import FlaskClient

from tests.rulebook.conftest import ANNA, document, draft
from tests.rulebook.test_pages import form_of
from webapp.extensions import House
from webapp.rulebook import services
from webapp.rulebook.promises_form import promises, with_promises

FORM = {
    "service_asked": "1",
    "service_fresh_within": "1 h",
    "service_done_within": "10m",
    "service_at_most_failed": "1%",
    "service_at_most_waiting": "50",
    "service_decided_within": "",
}
SERVICE = {"fresh_within": "1h", "done_within": "10m", "at_most_failed": "1%", "at_most_waiting": 50}


def test_what_is_promised_comes_back_from_the_form():
    """Numbers and shares are told apart, what is empty is promised by nobody, and other keys stay."""
    document = with_promises({"name": "a", "service": {"decided_within": "3d"}}, FORM)
    assert document == {"name": "a", "service": SERVICE}
    shown = promises(document)
    assert shown == {**{k: str(v) for k, v in SERVICE.items()}, "decided_within": ""}
    again = {"service_asked": "1", **{f"service_{name}": text for name, text in shown.items()}}
    assert with_promises(document, again) == document


def test_an_empty_form_promises_nothing():
    """The key goes with its last promise; a page that does not show the form changes nothing."""
    assert with_promises({"service": SERVICE}, {"service_asked": "1"}) == {}
    assert with_promises({"service": SERVICE}, {}) == {"service": SERVICE}


@pytest.mark.parametrize("direction", ["left_to_right", "two_way"])
def test_the_page_saves_what_is_promised(console: House, admin_client: FlaskClient, direction: str):
    """The tab "What happens" of rules of every direction has the form; what is wrong is said at its field."""
    services.create(console, document(direction=direction), ANNA)
    address = "/rules/customers/behaviour"
    form = form_of(admin_client, address)
    assert admin_client.post(address, data={**form, **FORM}).status_code == 302
    assert draft(console, "customers")["service"] == SERVICE
    assert form_of(admin_client, address)["service_done_within"] == "10m"
    admin_client.post(address, data={**form_of(admin_client, address), "service_done_within": "soon"})
    assert "service_done_within" in admin_client.get(address).text.partition('aria-invalid="true"')[0][-300:]
