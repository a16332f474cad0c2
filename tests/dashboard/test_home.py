"""The home page: the newcomer's list, and what runs and fails."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
import sqlalchemy as sa
from flask import Flask
from flask.testing import FlaskClient

from rules.text import msg
from tests.webapp.conftest import client_of
from webapp.connections.models import connection
from webapp.dashboard import services
from webapp.dashboard.views import _steps
from webapp.entities.services import define
from webapp.extensions import SYSTEM, House
from webapp.rulebook.models import rule
from webapp.runs.models import quarantine, run

NOW = datetime(2026, 5, 4, 12, tzinfo=UTC)


def _stamps() -> dict[str, Any]:
    return {"created_at": NOW, "created_by": "a", "updated_at": NOW, "updated_by": "a"}


def _connect(house: House, name: str, *steps: bool) -> None:
    check = [
        {"name": "reach", "ok": ok, "detail": msg("Nobody answers at {host}.", host="db9").to_json()} for ok in steps
    ]
    values = {
        "name": name,
        "label": "",
        "connector": "sqlite",
        "settings": {},
        "granted_roots": [],
        "note": "",
        "preset": "",
        "version": 1,
    }
    tested = {"last_check": check, "last_check_at": NOW} if steps else {}
    with house.db.begin() as tx:
        tx.execute(sa.insert(connection).values(**values, **tested, **_stamps()))


def _rule(house: House, name: str = "customers") -> int:
    values = {"name": name, "kind": "sync", "draft_version": 1, "state": "active"}
    with house.db.begin() as tx:
        return tx.execute(sa.insert(rule).values(**values, **_stamps())).inserted_primary_key[0]


def _run(house: House, rule_id: int, state: str, mode: str = "live", **counts: int) -> int:
    ended = None if state in services.GOING else house.clock() - timedelta(minutes=1)
    values = {
        "rule_id": rule_id,
        "rule_name": "customers",
        "document": {},
        "mode": mode,
        "kind": "sync",
        "state": state,
    }
    more = {"counts": counts, "chunks": 0, "requested_by": "a", "requested_at": NOW, "ended_at": ended, "token": 1}
    message = msg("The system {name} refuses the password.", name="erp").to_json() if state == "failed" else None
    with house.db.begin() as tx:
        return tx.execute(sa.insert(run).values(**values, **more, message=message)).inserted_primary_key[0]


def _park(house: House, rule_id: int, key: str, state: str = "open") -> None:
    values = {
        "rule_id": rule_id,
        "rule_name": "customers",
        "run_id": 1,
        "left_key": key,
        "place": "record 1",
        "stage": "map",
    }
    with house.db.begin() as tx:
        tx.execute(
            sa.insert(quarantine).values(
                **values, reason={}, state=state, attempts=1, version=1, first_at=NOW, last_at=NOW
            )
        )


def _signs(client: FlaskClient) -> list[str]:
    items = re.findall(
        r'<li class="([^"]*)"', client.get("/").text.partition('<ol class="ladder">')[2].partition("</ol>")[0]
    )
    return [item.removeprefix("is-") for item in items]


def test_list_ticks_itself(house: House, admin_client: FlaskClient):
    """Each step of the newcomer's list is ticked by what was really done, and the list leaves when all is done."""
    assert _signs(admin_client) == ["next", "", "", "", ""]
    _connect(house, "crm")
    assert _signs(admin_client) == ["done", "next", "", "", ""]
    fields = [{"name": "title", "type": "text", "label": {"en": "Title"}}]
    define(house, {"kind": "entity", "name": "customer", "label": {"en": "Customer"}, "fields": fields}, SYSTEM)
    assert _signs(admin_client) == ["done", "done", "next", "", ""]
    rule_id = _rule(house)
    _run(house, rule_id, "failed", "simulate")
    assert _signs(admin_client) == ["done", "done", "done", "next", ""]
    assert 'href="/rules/customers/"' in admin_client.get("/").text.partition('<ol class="ladder">')[2]
    _run(house, rule_id, "succeeded", "simulate")
    assert _signs(admin_client) == ["done", "done", "done", "done", "next"]
    _run(house, rule_id, "succeeded")
    assert _signs(admin_client) == []


def test_links_of_the_list_exist(app: Flask, admin_client: FlaskClient):
    """Every step leads to a page that is there."""
    with app.test_request_context():
        urls = {step["url"] for step in _steps(services.Progress(0, 0, 0, simulated=False, ran=False))}
    for url in urls | {"/connections/new/", "/entities/new-entity"}:
        assert admin_client.get(url).status_code == 200, url


def test_failures_ask_for_attention_until_they_are_mended(house: House, admin_client: FlaskClient):
    """A rule whose last run failed is named with the reason; a later good run takes it away, a simulation does not."""
    rule_id = _rule(house)
    _run(house, rule_id, "failed")
    assert "refuses the password" in admin_client.get("/").text
    _run(house, rule_id, "succeeded", "simulate")
    assert "refuses the password" in admin_client.get("/").text
    _run(house, rule_id, "succeeded")
    assert "refuses the password" not in admin_client.get("/").text


def test_quarantine_and_unreachable_systems_ask_for_attention(house: House, admin_client: FlaskClient):
    """Open records are counted by rule; a connection is named while its last test failed."""
    rule_id = _rule(house)
    for key in ("1", "2"):
        _park(house, rule_id, key)
    _park(house, rule_id, "3", "discarded")
    _connect(house, "well", True, True)
    _connect(house, "ill", True, False)
    text = admin_client.get("/").text
    assert "2 records of customers failed and wait" in text
    assert "ill did not pass its last test" in text
    assert "Nobody answers at db9." in text
    assert "well did not" not in text


def test_numbers_of_the_week(house: House):
    """The week counts what real runs wrote and leaves simulations out."""
    rule_id = _rule(house)
    _run(house, rule_id, "succeeded", created=2, updated=3, deleted=1, unchanged=50)
    _run(house, rule_id, "failed", created=1)
    _run(house, rule_id, "succeeded", "simulate", created=99)
    _park(house, rule_id, "1")
    with house.db.read() as tx:
        assert services.week(tx, house.clock()) == services.Week(2, 7, 1, 1)
        assert services.week(tx, house.clock() + timedelta(days=8)).runs == 0


@pytest.mark.parametrize(("state", "asks"), [("running", True), ("queued", True), ("succeeded", False)])
def test_page_asks_again_while_something_runs(house: House, admin_client: FlaskClient, state: str, asks: bool):
    """The list of runs renews itself while a run is going, and rests when none is."""
    _run(house, _rule(house), state, read=1234)
    part = admin_client.get("/home/now", headers={"HX-Request": "true"}).text
    assert "1,234" in part
    assert ("hx-trigger" in part) is asks


def test_metrics_count_runs_and_quarantine(house: House, client: FlaskClient):
    """The metrics say how many runs are in which state and how many records wait."""
    rule_id = _rule(house)
    _run(house, rule_id, "failed")
    _park(house, rule_id, "1")
    text = client.get("/metrics").text
    assert 'syncline_runs{state="failed"} 1' in text
    assert "syncline_quarantine_open 1" in text


def test_home_shows_only_what_one_may_read(app: Flask, house: House):
    """A user without roles sees no runs, records or connections on the home page."""
    rule_id = _rule(house)
    _run(house, rule_id, "failed")
    _park(house, rule_id, "1")
    _connect(house, "ill", False)
    text = client_of(app, "nobody").get("/").text
    assert "customers" not in text
    assert "ill did not" not in text
