"""The pages of cases: the list, one case with its comments, opening and closing."""

from __future__ import annotations

import pytest
from flask import Flask
from flask.testing import FlaskClient

from tests.webapp.conftest import add_user, sign_in
from webapp.cases import services
from webapp.cases.services import NewCase
from webapp.extensions import Actor, House

ANNA = Actor("user", "anna", "7")


@pytest.fixture
def console(app: Flask) -> House:
    """Return the console's house with one case."""
    house: House = app.extensions["syncline"]
    new = NewCase("event_rule", "Order 7 is not paid", "Order 7", {"amount": 120, "lines": [{"no": 1}]}, "unpaid")
    services.open_case(house, new, ANNA)
    return house


def text(client: FlaskClient, path: str) -> str:
    answer = client.get(path, follow_redirects=True)
    assert answer.status_code == 200, path
    return answer.get_data(as_text=True)


def test_empty_lists_say_what_to_do(admin_client: FlaskClient) -> None:
    """Nothing open, nothing mine, nothing closed: each says what belongs there."""
    assert "No open cases" in text(admin_client, "/cases/")
    assert "Nothing waits for you" in text(admin_client, "/cases/?mine=1")
    assert "No case has been closed" in text(admin_client, "/cases/?state=closed")
    assert admin_client.get("/cases/1").status_code == 404
    assert admin_client.post("/cases/1/close", data={"resolution": "x"}).status_code == 404


@pytest.mark.usefixtures("console")
def test_a_case_is_worked_on(admin_client: FlaskClient) -> None:
    """A case is shown, assigned, discussed, closed with a decision and opened again."""
    page = text(admin_client, "/cases/1")
    assert "Order 7 is not paid" in page
    assert "120" in page
    assert 'class="nav-count">1<' in page
    assert admin_client.post("/cases/1/assign", data={"assignee": "admin"}).status_code == 302
    assert "Order 7 is not paid" in text(admin_client, "/cases/?mine=1")
    assert admin_client.post("/cases/1/comment", data={"text": " "}).status_code == 422
    assert admin_client.post("/cases/1/comment", data={"text": "I asked <them>."}).status_code == 302
    assert "I asked &lt;them&gt;." in text(admin_client, "/cases/1")
    assert admin_client.post("/cases/1/close", data={"resolution": ""}).status_code == 422
    assert admin_client.post("/cases/1/close", data={"resolution": "Paid by hand"}).status_code == 302
    assert admin_client.post("/cases/1/close", data={"resolution": "again"}).status_code == 422
    assert "Paid by hand" in text(admin_client, "/cases/1")
    assert "Order 7 is not paid" in text(admin_client, "/cases/?state=closed")
    assert "nav-count" not in text(admin_client, "/cases/")
    assert admin_client.post("/cases/1/reopen").status_code == 302
    assert "Order 7 is not paid" in text(admin_client, "/cases/")


def test_a_case_is_opened_by_hand(admin_client: FlaskClient) -> None:
    """A title is enough; without one the form says so."""
    assert "What is it about?" in text(admin_client, "/cases/new")
    assert admin_client.post("/cases/new", data={"title": " "}).status_code == 422
    made = admin_client.post("/cases/new", data={"title": "Look", "text": "At this", "assignee": "admin"})
    assert made.headers["Location"] == "/cases/1"
    assert "At this" in text(admin_client, "/cases/1")


def test_who_may_only_look_cannot_change(console: House, client: FlaskClient) -> None:
    """Without a right to cases nobody sees them."""
    add_user(console, "vera", "Viewer")
    sign_in(client, "vera")
    assert client.get("/cases/").status_code == 403
    assert client.post("/cases/1/close", data={"resolution": "x"}).status_code == 403
