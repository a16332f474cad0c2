"""Pages, API and commands of runs over some records."""

from __future__ import annotations

from typing import Any

import pytest
import sqlalchemy as sa
from flask import Flask
from flask.testing import FlaskClient
from lxml import html

from tests.runs.conftest import ADMIN, RULE, World
from tests.webapp.conftest import admin_client, app, client, client_of, settings  # noqa: F401 - fixtures
from webapp.extensions import House
from webapp.rulebook import services as rulebook
from webapp.runs.execution import execute
from webapp.runs.models import run
from webapp.runs.requests import start


@pytest.fixture
def ruled(world: World, app: Flask) -> House:  # noqa: F811
    """Return the console's house, on the database of `world`, with its rule."""
    assert world.house
    house: House = app.extensions["syncline"]
    rulebook.create(house, RULE, ADMIN)
    rulebook.publish(house, "customers", ADMIN)
    return house


def _latest(house: House) -> tuple[str, str, Any]:
    with house.db.read() as tx:
        row = tx.execute(sa.select(run.c.kind, run.c.mode, run.c.parameters).order_by(run.c.id.desc()).limit(1)).one()
    return row.kind, row.mode, row.parameters


@pytest.mark.parametrize("how", ["keys", "where", "range"])
def test_the_page_asks_which_records(ruled: House, admin_client: FlaskClient, how: str):  # noqa: F811
    """Each way to name records has its form, with the fields of the side that is read."""
    page = admin_client.get(f"/runs/part?rule=customers&how={how}").text
    assert "Run for some records" in page
    assert ("phone" in page) == (how == "range")


def test_keys_are_run_for(ruled: House, admin_client: FlaskClient):  # noqa: F811
    """Keys, one a line, become a run over these records."""
    answer = admin_client.post("/runs/part", data={"rule": "customers", "how": "keys", "keys": "1\n 2 \n\n"})
    assert answer.status_code == 302
    asked = {"records": [{"side": "left", "key": "1"}, {"side": "left", "key": "2"}]}
    assert _latest(ruled) == ("records", "live", asked)


def test_a_condition_is_run_for(ruled: House, admin_client: FlaskClient):  # noqa: F811
    """A condition becomes a backfill; a wrong one is shown again with what is wrong."""
    given = {"rule": "customers", "how": "where", "where": "id > 3", "mode": "simulate"}
    assert admin_client.post("/runs/part", data=given).status_code == 302
    assert _latest(ruled) == ("part", "simulate", {"side": "left", "where": "id > 3", "range": None})
    again = admin_client.post("/runs/part", data={**given, "where": "idd > 3"})
    assert again.status_code == 409
    assert "idd &gt; 3" in again.text


def test_a_range_is_run_for(ruled: House, admin_client: FlaskClient):  # noqa: F811
    """A range of a field becomes a backfill; nothing at all is refused."""
    given = {"rule": "customers", "how": "range", "field": "id", "start": "3", "end": "", "mode": "live"}
    assert admin_client.post("/runs/part", data=given).status_code == 302
    assert _latest(ruled)[2]["range"] == {"field": "id", "from": "3", "to": None}
    for empty in ({**given, "start": ""}, {**given, "how": "keys"}):
        assert admin_client.post("/runs/part", data=empty).status_code == 409
    wrong = admin_client.post("/runs/part", data={**given, "start": "many"})
    assert "holds nothing like this. Write it like 42." in wrong.text


def test_the_fields_of_the_side_that_is_read_are_offered(ruled: House, admin_client: FlaskClient):  # noqa: F811
    """Where both sides are read, choosing one brings its fields: what the browser asks for then holds them."""
    rulebook.create(ruled, {**RULE, "name": "both", "direction": "two_way"}, ADMIN)
    rulebook.publish(ruled, "both", ADMIN)
    left = admin_client.get("/runs/part?rule=both&how=range").text
    asks = html.fromstring(left).xpath("//select[@name='side']")[0].attrib
    assert (asks["hx-get"], asks["hx-params"], asks["hx-target"]) == ("/runs/part", "rule,how,side", "#f-field")
    right = admin_client.get("/runs/part?rule=both&how=range&side=right").text
    offered = [html.fromstring(page).xpath("//select[@id='f-field']/option/@value") for page in (left, right)]
    assert "phone" in offered[0]
    assert "tel" in offered[1]


def test_records_that_are_not_there_are_told(ruled: House, world: World, admin_client: FlaskClient):  # noqa: F811
    """A run for named records says how many of them it found; one that reads nothing does not say that all agrees."""
    world.crm("INSERT INTO customer VALUES (?,?,?,?,?)", (1, "A", "1", "on", "2026"))
    for keys in ("1\n77", "77"):
        admin_client.post("/runs/part", data={"rule": "customers", "how": "keys", "keys": keys})
        with ruled.db.read() as tx:
            number = tx.scalar(sa.select(sa.func.max(run.c.id)))
        execute(ruled, number, "w")
        page = admin_client.get(f"/runs/{number}").text
        assert ("2 records were named, and found were: 1." in page) == (keys != "77")
        assert ("No record was read" in page) == (keys == "77")
        assert "Both systems agreed already" not in page


def test_a_rule_is_called_by_its_title(ruled: House, admin_client: FlaskClient):  # noqa: F811
    """Runs, home and quarantine call a rule what people call it; addresses keep its name."""
    rulebook.save_draft(ruled, "customers", {**RULE, "label": "Our customers"}, ADMIN)
    rulebook.publish(ruled, "customers", ADMIN)
    number = start(ruled, "customers", "live", ADMIN)
    for path in (f"/runs/{number}", "/runs/", "/"):
        page = admin_client.get(path).text
        assert "Our customers" in page, path
    assert '<a href="/rules/customers">Our customers</a>' in admin_client.get("/runs/").text


def test_one_record_is_run_for_from_its_page(ruled: House, admin_client: FlaskClient):  # noqa: F811
    """The button beside a record runs the rule for it; a rule that is gone is told of."""
    assert admin_client.post("/runs/records", data={"rule": "customers", "side": "left", "key": "7"}).status_code == 302
    assert _latest(ruled) == ("records", "live", {"records": [{"side": "left", "key": "7"}]})
    admin_client.post("/runs/records", data={"rule": "gone", "side": "left", "key": "7"})
    assert "not published" in admin_client.get("/runs/").text


def test_a_part_of_an_unknown_rule_is_not_found(admin_client: FlaskClient):  # noqa: F811
    """There is no form for a rule that does not exist."""
    assert admin_client.get("/runs/part?rule=gone").status_code == 404


def test_programs_run_for_some_records(ruled: House, admin_client: FlaskClient):  # noqa: F811
    """The API requests both kinds of runs, and refuses what cannot be run."""
    records = [{"side": "left", "key": "7"}]
    answer = admin_client.post("/api/v1/runs/records", json={"rule": "customers", "records": records})
    assert (answer.status_code, answer.json["kind"]) == (201, "records")
    part = {"rule": "customers", "field": "id", "from": "3"}
    answer = admin_client.post("/api/v1/runs/part", json=part)
    assert (answer.status_code, answer.json["kind"]) == (201, "part")
    assert _latest(ruled)[2]["range"] == {"field": "id", "from": "3", "to": None}
    assert admin_client.post("/api/v1/runs/part", json={**part, "field": "gone"}).status_code == 409
