"""What the pages and the metrics say of the logs that rules follow."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
import sqlalchemy as sa

from connectors.changes import LogState
from connectors.errors import Unavailable
from rules.text import Message
from tests.runs.conftest import ADMIN
from tests.webapp.conftest import admin_client, app, client, settings  # noqa: F401 - the console's fixtures
from webapp.connections import services as connections
from webapp.rulebook import services as rulebook
from webapp.rulebook.models import rule
from webapp.runs import log_keeping, log_lags, log_views
from webapp.runs.models import kept_log

GB = 10**9


@pytest.fixture
def house(app, monkeypatch):  # noqa: F811
    """Return a house with a rule that follows the log of a database."""
    house = app.extensions["syncline"]
    settings = {"host": "127.0.0.1", "port": 1, "database": "d", "user": "u"}  # noqa: F811
    for name in ("shop", "erp"):
        connections.create(
            house, {"kind": "connection", "name": name, "connector": "postgresql", "settings": settings}, ADMIN
        )
    rulebook.create(house, {
        "kind": "sync", "name": "customers", "direction": "left_to_right", "key": {"left": "id", "right": "no"},
        "left": {"connection": "shop", "object": "customer"}, "right": {"connection": "erp", "object": "client"},
        "fields": [{"left": "id", "right": "no"}], "detect": {"left": {"by": "cdc"}},
    }, ADMIN)  # fmt: skip
    monkeypatch.setattr(rulebook, "errors", lambda _: [])  # the systems are not there
    rulebook.publish(house, "customers", ADMIN)
    return house


def keep(house, **values):
    with house.db.begin() as tx:
        tx.execute(sa.delete(kept_log))
        number = tx.scalar(sa.select(rule.c.id))
        row = {"rule_id": number, "side": "left", "rule_name": "customers", "connection": "shop"}
        row |= {"object": "customer", "key": "id", "name": "slot_1", "kept_at": datetime.now(UTC)}
        tx.execute(sa.insert(kept_log).values({**row, **values}))


def stands(monkeypatch, state):
    def told(*_):
        if isinstance(state, Exception):
            raise state
        return state

    monkeypatch.setattr(log_keeping, "state", told)


def test_nothing_is_followed(admin_client, house):  # noqa: F811
    """Without a log the page says what to do, and the page of a connection shows nothing."""
    assert "No rule follows a log of changes" in admin_client.get("/runs/logs/").text
    assert "<table" not in admin_client.get("/runs/logs/of?connection=shop").text
    assert "/runs/logs/of?connection=shop" in admin_client.get("/connections/shop/").text


def test_how_a_log_stands(admin_client, house, monkeypatch):  # noqa: F811
    """Page and metrics show how far a rule is behind, what the system keeps and its limit, as last seen."""
    keep(house)
    assert "Not seen yet" in admin_client.get("/runs/logs/").text
    stands(monkeypatch, LogState(None, 1500, 90.0, 2 * GB, "0/16B3748", 10 * GB))
    log_lags.measure(house)
    page = admin_client.get("/runs/logs/of?connection=shop").text
    for told in ("1.5 kB", "90 seconds", "2 GB", "20 % of the limit", "10 GB", "0/16B3748", "Well"):
        assert told in page, told
    assert "<table" not in admin_client.get("/runs/logs/of?connection=erp").text
    lines = admin_client.get("/metrics").text
    labels = '{rule="customers",side="left",connection="shop"}'
    for line in ("behind_bytes%s 1500", "behind_seconds%s 90", "kept_bytes%s 2000000000", "ok%s 1"):
        assert "syncline_log_" + line % labels in lines


@pytest.mark.parametrize(
    ("state", "told"),
    [
        (LogState(None, 5, 1.0, 6 * GB, "0/1", 10 * GB), "at its limit"),
        (LogState(None, 5, 1.0, 6 * GB, "0/1"), "fill its disk"),
        (LogState(None, 5, 7200.0, 5, "0/1"), "not read it for long"),
        (LogState(Message("The slot is gone.")), "The slot is gone."),
        (Unavailable(Message("The shop is closed.")), "The shop is closed."),
    ],
)
def test_what_to_do_about_a_log(admin_client, house, monkeypatch, state, told):  # noqa: F811
    """Where somebody has to do something, the page says what."""
    keep(house)
    stands(monkeypatch, state)
    log_lags.measure(house)
    assert told in admin_client.get("/runs/logs/").text
    assert f'connection="shop"}} {0 if told.startswith("The s") else 1}' in admin_client.get("/metrics").text


def test_a_log_that_no_rule_needs(admin_client, house, monkeypatch):  # noqa: F811
    """A log of another object is taken away soon, and one that was never read has no place."""
    keep(house, object="other")
    stands(monkeypatch, None)
    log_lags.measure(house)
    page = admin_client.get("/runs/logs/").text
    assert "No rule needs it any more" in page


@pytest.mark.parametrize(
    ("length", "text"),
    [
        ({"seconds": 1}, "1 second"),
        ({"minutes": 5}, "5 minutes"),
        ({"hours": 3}, "3 hours"),
        ({"days": 4}, "4 days"),
    ],
)
def test_lengths_of_time(app, length, text):  # noqa: F811
    """Lengths are told in the unit that people would use."""
    with app.test_request_context():
        assert log_views._length(timedelta(**length).total_seconds()) == text
