"""The page of deliveries: what it shows, and what it takes to drop one."""

from __future__ import annotations

import json
import re
from typing import Any

import polars as pl
import pytest
import sqlalchemy as sa

from tests.runs.conftest import ADMIN
from tests.webapp.conftest import admin_client, app, client, settings  # noqa: F401 - the console's fixtures
from webapp.audit.models import audit_event
from webapp.connections import services as connections
from webapp.dashboard import measures
from webapp.extensions import House
from webapp.runs.outbox import deeds, keeping
from webapp.runs.outbox.models import delivery


@pytest.fixture
def house(app: Any) -> House:  # noqa: F811
    """Return a house with two deliveries that wait."""
    house: House = app.extensions["syncline"]
    away = {"host": "127.0.0.1", "port": 1, "database": "d", "user": "u"}
    document = {"kind": "connection", "name": "shop", "connector": "postgresql", "settings": away}
    connections.create(house, document, ADMIN)
    rows = {
        "op": ["create", "update"], "whole": [True, True], "key": ["K1", "K2"], "target_key": ["1", "2"],
        "fields": [json.dumps({"no": 1}), "{}"], "record": [None, None], "record_no": [1, 2], "hash": [None, None],
    }  # fmt: skip
    place = keeping.Place(1, "customers", "left", "shop", "client", house.clock)
    with house.db.begin() as tx:
        keeping.store(tx, place, (7, 1, ""), pl.DataFrame(rows, schema_overrides={**keeping.POSTED, "hash": pl.UInt64}))
    return house


def test_nothing_to_deliver_says_what_would_stand_there(admin_client: Any):  # noqa: F811
    """Without deliveries the page is no empty table."""
    assert "Nothing waits to be delivered" in admin_client.get("/runs/deliveries/").text


def test_what_waits_is_listed_and_filtered(admin_client: Any, house: House):  # noqa: F811
    """Keys, target and state are there; a key leaves the others out; the metric tells how many wait for whom."""
    page = admin_client.get("/runs/deliveries/").text
    for told in ("K1", "K2", "shop", "Waiting", "Try now"):
        assert told in page, told
    assert "K2" not in admin_client.get("/runs/deliveries/?key=K1").text
    assert "No delivery fits" in admin_client.get("/runs/deliveries/?state=failed").text
    told = measures.text(house)
    assert 'syncline_deliveries_waiting{connection="shop"} 2.0' in told
    assert "syncline_delivery_oldest_seconds" in told


def test_filters_offer_what_there_is_and_each_input_has_its_label(admin_client: Any, house: House):  # noqa: F811
    """Rules and connections are chosen from a list, one that is gone stays chosen; no two inputs have one id."""
    page = admin_client.get("/runs/deliveries/?rule=customers").text
    assert '<option value="shop">shop</option>' in page
    assert '<option value="customers" selected>customers</option>' in page
    ids = re.findall(r' id="([^"]+)"', page)
    assert len(ids) == len(set(ids))


def test_a_delivery_is_dropped_for_a_reason_only(house: House):
    """The audit log has the reason; what has ended is not dropped again."""
    with house.db.read() as tx:
        number = tx.scalar(sa.select(sa.func.min(delivery.c.id)))
    with pytest.raises(deeds.NotDone, match="Say why"):
        deeds.drop(house, [number], " ", ADMIN)
    deeds.drop(house, [number], "sent by hand", ADMIN)
    with pytest.raises(deeds.NotDone, match="does not wait"):
        deeds.drop(house, [number], "sent by hand", ADMIN)
    with house.db.read() as tx:
        query = sa.select(audit_event.c.reason).where(audit_event.c.tag == "runs:delivery:dropped")
        assert tx.scalars(query).all() == ["sent by hand"]


def test_waiting_deliveries_are_tried_at_once(admin_client: Any, house: House):  # noqa: F811
    """The deed says how many, and is in the audit log."""
    page = admin_client.post("/runs/deliveries/retry", follow_redirects=True).text
    assert "2 deliveries are tried now" in page


def test_only_what_the_page_lists_is_tried(admin_client: Any, house: House):  # noqa: F811
    """Filtered by key or connection, the others wait on."""
    others = ({"connection": "other"}, {"run": "8"})
    for chosen, told in (({"key": "K1", "run": "7"}, "1 delivery is"), *((one, "0 deliveries are") for one in others)):
        page = admin_client.post("/runs/deliveries/retry", data=chosen, follow_redirects=True).text
        assert f"{told} tried now" in page


def test_a_delivery_that_has_been_sent_since_is_not_dropped(admin_client: Any, house: House):  # noqa: F811
    """What was shown had not been sent: now nobody knows whether it has arrived, so it is shown again first."""
    assert 'name="seen" value="waiting-0"' in admin_client.get("/runs/deliveries/").text
    with house.db.begin() as tx:
        tx.execute(sa.update(delivery).where(delivery.c.id == 1).values(attempts=1))
    form = {"reason": "no", "seen": "waiting-0"}
    assert "gone on since" in admin_client.post("/runs/deliveries/1/drop", data=form, follow_redirects=True).text
    place = "/api/v1/deliveries/1/drop"
    answers = [admin_client.post(place, json={"reason": "no", "seen": f"waiting-{n}"}).status_code for n in (0, 1)]
    assert answers == [409, 204]


def test_a_connection_that_deliveries_need_is_not_deleted(admin_client: Any, house: House):  # noqa: F811
    """Without it nothing could be delivered; the refusal says how many wait."""
    with pytest.raises(connections.ConnectionInUse, match="2 deliveries"):
        connections.delete(house, "shop", ADMIN)


def test_deeds_lead_back_to_the_list_as_it_was_filtered(admin_client: Any, house: House):  # noqa: F811
    """Both forms of the page carry its filter along."""
    page = admin_client.get("/runs/deliveries/?connection=shop&key=K1").text
    assert page.count('<input type="hidden" name="key" value="K1">') == 2
    chosen = {"connection": "shop", "key": "K1", "state": "", "rule": ""}
    for deed in ("retry", "1/drop"):
        answer = admin_client.post(f"/runs/deliveries/{deed}", data={**chosen, "reason": "no", "seen": "waiting-0"})
        assert answer.location == "/runs/deliveries/?connection=shop&key=K1"


def test_deliveries_are_listed_tried_and_dropped_by_api(admin_client: Any, house: House):  # noqa: F811
    """Page by page, by key and state; a dropped one is not dropped again, and one without a reason not at all."""
    first = admin_client.get("/api/v1/deliveries/?limit=1").json
    second = admin_client.get(f"/api/v1/deliveries/?limit=1&after={first['next']}").json
    assert [page["items"][0]["key"] for page in (first, second)] == ["K2", "K1"]
    assert second["next"] is None
    assert admin_client.post("/api/v1/deliveries/retry", json={}).json == {"deliveries": 2}
    place = f"/api/v1/deliveries/{second['items'][0]['delivery']}/drop"
    answers = [admin_client.post(place, json=body).status_code for body in ({}, {"reason": "no"}, {"reason": "no"})]
    assert answers == [422, 204, 409]
    (dropped,) = admin_client.get("/api/v1/deliveries/?state=dropped").json["items"]
    assert dropped["key"] == "K1"
