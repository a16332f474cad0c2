"""Parked records: exported, corrected together, expired, replayed; of one side or of both."""

from __future__ import annotations

import csv
import io
import json
from datetime import timedelta

import pytest
import sqlalchemy as sa
from flask import Flask
from flask.testing import FlaskClient

from tests.runs.conftest import ADMIN, World, numbers
from tests.runs.test_named import TWO_WAY
from tests.webapp.conftest import admin_client, app, client, client_of, settings  # noqa: F401 - fixtures
from webapp.audit.models import audit_event
from webapp.audit.tags import Tag
from webapp.extensions import House
from webapp.runs import quarantine
from webapp.runs.pipeline.chunk import COUNTED
from webapp.runs.quarantine import Entry, EntryRefused
from webapp.runs.quarantine_expiry import expire_due
from webapp.runs.quarantine_export import csv_lines, json_lines
from webapp.runs.quarantine_remap import Remap, affected, fields, remap

LONG = "far too long a name for this target"


def _open(world: World, **asked: str) -> list[Entry]:
    with world.house.db.read() as tx:
        return quarantine.listing(tx, **asked)


def _tags(world: World) -> list[str]:
    with world.house.db.read() as tx:
        return list(tx.scalars(sa.select(audit_event.c.tag).order_by(audit_event.c.id)))


@pytest.fixture
def parked(world: World) -> World:
    """Return a world with three parked customers of four."""
    world.customers("Ada", LONG, LONG, None)
    world.rule()
    assert numbers(world.run()) == {"read": 4, "created": 1, "quarantined": 3}
    return world


def test_many_records_are_corrected_together_and_replayed(parked: World):
    """One field of all records that hold a value gets another one; a preview names them, a replay writes them."""
    change = Remap("customers", "name", "Short", only=LONG)
    with parked.house.db.read() as tx:
        assert "name" in fields(tx, "customers")
        assert [e.left_key for e in affected(tx, change)] == ["3", "2"]
    done = remap(parked.house, change, ADMIN)
    assert len(done) == 2
    assert _tags(parked).count(Tag.QUARANTINE_EDITED) == 2
    run_id = quarantine.replay(parked.house, "customers", done, ADMIN)
    assert parked.work(run_id)
    assert numbers(parked.look(run_id)) == {"read": 2, "created": 2}
    assert [row[1] for row in parked.clients()] == ["Ada", "Short", "Short"]
    with pytest.raises(EntryRefused, match="altered"):
        remap(parked.house, change, ADMIN)


def test_a_change_is_limited_to_chosen_records(parked: World):
    """Only ticked records are changed, also those without a value; null can be set."""
    entries = {e.left_key: e.id for e in _open(parked)}
    assert remap(parked.house, Remap("customers", "name", "Bob", "", (entries["4"],)), ADMIN) == (entries["4"],)
    assert remap(parked.house, Remap("customers", "name", "", None, (entries["2"],)), ADMIN) == (entries["2"],)
    assert {e.left_key: e.values["name"] for e in _open(parked)} == {"2": None, "3": LONG, "4": "Bob"}


def test_what_is_parked_is_exported(parked: World):
    """CSV has a line a record, with formulas defused; JSON lines hold the records as they are."""
    parked.crm(f"UPDATE customer SET name = '=1+1 {LONG}', phone = '=cmd()' WHERE id = 2")
    parked.run()
    asked = {"rule": "customers", "state": "open", "side": "left", "run_id": None}
    rows = list(csv.DictReader(io.StringIO("".join(csv_lines(parked.house, asked, ADMIN, str)))))
    assert [(row["key"], row["side"], row["stage"]) for row in rows] == [
        ("4", "left", "map"), ("3", "left", "write"), ("2", "left", "write"),
    ]  # fmt: skip
    assert not any(value.startswith(("=", "@")) for row in rows for value in row.values())
    lines = [json.loads(line) for line in json_lines(parked.house, asked, ADMIN, str)]
    assert lines[2]["record"]["phone"] == "=cmd()"
    assert _tags(parked).count(Tag.QUARANTINE_EXPORTED) == 2
    assert list(json_lines(parked.house, {**asked, "side": "right"}, ADMIN, str)) == []


def test_what_nobody_settles_expires(parked: World):
    """A rule may give a time after which parked records are discarded; each is told of in the audit log."""
    parked.shift = timedelta(days=40)
    assert expire_due(parked.house) == 0, "the rule does not say so"
    parked.shift = timedelta()
    parked.rule(errors={"expire": "30d"})
    parked.shift = timedelta(days=29)
    assert expire_due(parked.house) == 0
    parked.shift = timedelta(days=31)
    assert expire_due(parked.house) == 3
    assert _open(parked) == []
    assert {e.state for e in _open(parked, state="discarded")} == {"discarded"}
    assert _tags(parked).count(Tag.QUARANTINE_EXPIRED) == 3
    assert expire_due(parked.house) == 0


def test_a_two_way_rule_parks_and_replays_by_side(world: World):
    """Each side's records are listed apart, and replays of one or of all write what was corrected."""
    world.customers("Ada", LONG)
    world.erp("INSERT INTO client VALUES (?, ?, ?, ?)", (1, "Ada", "+86 1", None))
    world.rule(**TWO_WAY)
    run = world.run()
    assert run.counts["read"] == sum(run.counts[name] for name in COUNTED if name != "deleted")
    assert [e.left_key for e in _open(world, side="left")] == ["2"]
    assert _open(world, side="right") == []
    remap(world.house, Remap("customers", "name", "Bob"), ADMIN)
    run_id = quarantine.replay(world.house, "customers", None, ADMIN)
    assert world.work(run_id)
    assert numbers(world.look(run_id)) == {"read": 1, "created": 1}
    assert world.clients()[1] == (2, "Bob", "+86 2")
    assert _open(world) == []


def test_the_pages_tick_change_and_download(parked: World, app: Flask, admin_client: FlaskClient):  # noqa: F811
    """The list filters by side and offers files; ticked records are changed after a look at what would change."""
    house: House = app.extensions["syncline"]
    page = admin_client.get("/quarantine/?rule=customers&side=left").text
    assert page.count('name="entry"') == 3
    assert "No parked record meets the filter" in admin_client.get("/quarantine/?rule=customers&side=right").text
    ids = [e.id for e in _open(parked)]
    ticked = admin_client.post("/quarantine/change", data={"rule": "customers", "entry": ids})
    assert ticked.headers["Location"].count("entry=") == 3
    asked = {"rule": "customers", "field": "name", "which": "only", "only": LONG, "to": "Bob", "entry": ids}
    assert "2 records would be changed" in admin_client.get("/quarantine/change", query_string=asked).text
    assert admin_client.post("/quarantine/change", data={**asked, "then": "keep"}).status_code == 302
    assert admin_client.post("/quarantine/change", data={**asked, "then": "keep"}).status_code == 302
    everything = {**asked, "which": "any", "to": "Cid", "then": "replay"}
    assert "/runs/" in admin_client.post("/quarantine/change", data=everything).headers["Location"]
    for ending in ("csv", "jsonl"):
        answer = admin_client.get(f"/quarantine/export.{ending}?rule=customers")
        assert (answer.status_code, "Cid" in answer.text) == (200, True)
    assert "Nothing would change" in admin_client.get("/quarantine/change", query_string=everything).text
    body = {"rule": "customers", "field": "name", "to": None}
    assert len(admin_client.post("/api/v1/quarantine/change", json=body).json["entries"]) == 3
    assert admin_client.post("/api/v1/quarantine/change", json=body).status_code == 409
    assert len(admin_client.get("/api/v1/quarantine/?side=left").json["items"]) == 3
    with house.db.read() as tx:
        assert quarantine.count_open(tx, "customers") == 3
