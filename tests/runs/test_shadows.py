"""A shadow run against a live run: each record is the same, differs with its fields, or is met by one of them only."""

from __future__ import annotations

from dataclasses import replace

import pytest
from flask import Flask
from flask.testing import FlaskClient

from tests.runs.conftest import ADMIN, RULE, World
from tests.runs.test_two_way import FIELDS
from tests.webapp.conftest import admin_client, app, client, settings, text  # noqa: F401 - fixtures
from webapp.extensions import House
from webapp.rulebook import services as rulebook
from webapp.runs import shadows
from webapp.runs.reading import RunRow
from webapp.runs.shadows import Comparison, Kind, Wanted


def _compared(world: World, shadow: RunRow, live: RunRow, **wanted: object) -> Comparison:
    with world.house.db.read() as tx:
        return shadows.compared(tx, shadow, live, Wanted(**wanted))  # type: ignore[arg-type]


def _counts(found: Comparison) -> dict[str, int]:
    return {name: number for name, number in found.counts.items() if number}


@pytest.fixture
def changed(world: World) -> tuple[World, RunRow, RunRow]:
    """Return a shadow run and the live run behind it, between which some records were edited."""
    world.pages_of(2).customers("Ann", "Bob", "Cid", "Dan", None)
    world.rule(situations={"deleted_left": "delete"}, deletes={"detect": "full_scan"})
    world.run()
    world.crm("UPDATE customer SET name = 'Bobby' WHERE id = 2")
    world.crm("UPDATE customer SET phone = '3' WHERE id = 3")
    world.crm("DELETE FROM customer WHERE id = 4")
    world.customers("Eve", first=7)
    shadow = world.run("shadow")
    world.crm("UPDATE customer SET name = 'Bobbie' WHERE id = 2")
    world.crm("DELETE FROM customer WHERE id = 7")
    world.crm("UPDATE customer SET name = 'Fee' WHERE id = 5")
    world.customers("Zoe", first=9)
    return world, shadow, world.run()


@pytest.mark.parametrize("at_once", [1, 3, 1_000_000])
def test_each_record_is_compared(changed, monkeypatch, at_once: int):
    """What both did alike is counted, all else is listed with the fields; also when the keys are taken in parts."""
    monkeypatch.setattr(shadows, "AT_ONCE", at_once)
    world, shadow, live = changed
    found = _compared(world, shadow, live)
    assert _counts(found) == {"same": 3, "differs": 2, "only_shadow": 1, "only_live": 1}
    assert [(one.key, one.kind.value) for one in found.records] == [
        ("2", "differs"), ("5", "differs"), ("9", "only_live"), ("7", "only_shadow"),
    ]  # fmt: skip
    bob, fee, zoe, eve = found.records
    assert bob.fields == [("title", "Bobby", "Bobbie")]
    assert (fee.shadow.outcome, fee.live.outcome) == ("quarantined", "created")
    assert "'name' is empty" in str(fee.shadow.reason)
    assert (zoe.shadow, zoe.live.values["title"], eve.live) == (None, "Zoe", None)
    assert found.matching == 4


def test_it_is_paged_and_filtered(changed):
    """A kind, a key and a page narrow what is listed; the counts stay those of all."""
    world, shadow, live = changed
    some = _compared(world, shadow, live, kind="differs")
    assert [one.key for one in some.records] == ["2", "5"]
    assert _compared(world, shadow, live, key="9").records[0].kind is Kind.ONLY_LIVE
    page = _compared(world, shadow, live, skip=1, limit=2)
    assert ([one.key for one in page.records], page.matching, page.counts) == (["5", "9"], 4, some.counts)
    assert len(_compared(world, shadow, live, kind="same").records) == 3


def test_a_live_run_that_did_the_same_agrees(world):
    """Without an edit in between nothing differs, also both ways, where a live run meets what it has just created."""
    world.customers("Ann", "Bob")
    world.rule(direction="two_way", fields=FIELDS)
    shadow = world.run("shadow")
    live = world.run()
    assert _counts(_compared(world, shadow, live)) == {"same": 2, "idle": 2}
    assert _compared(world, shadow, live).records == ()


def test_a_pair_that_waits_for_a_person_is_no_difference(world):
    """What a shadow run meets again from the other side waits there too, as in a live run."""
    world.rule(direction="two_way", fields=FIELDS)
    world.customers("Ann", "Bob")
    world.run()
    world.crm("UPDATE customer SET name = 'Annie' WHERE id = 1")
    world.erp("UPDATE client SET title = 'Anna' WHERE no = 1")
    shadow, live = world.run("shadow"), world.run()
    assert shadow.counts == live.counts
    assert live.counts["cases"] == 1
    found = _compared(world, shadow, live)
    assert [one.kind.value for one in found.records] == []


def test_only_live_runs_behind_it_are_offered(world):
    """The next live run comes first; simulations, other rules and runs before it are no choice."""
    world.customers("Ann")
    world.rule()
    world.run()
    shadow = world.run("shadow")
    with world.house.db.read() as tx:
        assert shadows.candidates(tx, shadow) == []
    world.run("simulate")
    first, second = world.run(), world.run()
    with world.house.db.read() as tx:
        assert [row.id for row in shadows.candidates(tx, shadow)] == [first.id, second.id]
    assert shadows.hindrance(shadow, second) is None
    assert "not a shadow run" in str(shadows.hindrance(first))
    assert "not a live run of the same rule" in str(shadows.hindrance(shadow, shadow))
    assert "still at work" in str(shadows.hindrance(replace(shadow, state="running")))


@pytest.fixture
def ruled(world: World, app: Flask) -> House:  # noqa: F811
    """Return the console's house, on the database of `world`, with its rule."""
    house: House = app.extensions["syncline"]
    world.house = replace(house, clock=world.now)
    rulebook.create(house, RULE, ADMIN)
    rulebook.publish(house, "customers", ADMIN)
    return house


def test_the_page_compares(ruled: House, world: World, admin_client: FlaskClient):  # noqa: F811
    """From the page of a shadow run: without a live run it says what to do, then it shows what differs."""
    world.customers("Ann", "Bob")
    shadow = world.run("shadow")
    assert 'name="mode" value="shadow"' in text(admin_client, "/rules/customers")
    path = f"/runs/{shadow.id}/shadow"
    assert path in text(admin_client, f"/runs/{shadow.id}")
    assert "No live run yet" in text(admin_client, path)
    world.crm("UPDATE customer SET name = 'Bobbie' WHERE id = 2")
    live = world.run()
    page = text(admin_client, path)
    assert "Bobbie" in page
    assert "Records that are not the same" in page
    assert "No record matches this filter." in text(admin_client, f"{path}?kind=only_live&live={live.id}")
    assert admin_client.get(f"/runs/{live.id}/shadow").status_code == 404
    assert admin_client.get("/runs/99/shadow").status_code == 404


def test_programs_compare(ruled: House, world: World, admin_client: FlaskClient):  # noqa: F811
    """The API returns counts and records with their fields, page by page, and refuses what makes no sense."""
    world.customers("Ann", "Bob", "Cid")
    shadow = world.run("shadow")
    path = f"/api/v1/runs/{shadow.id}/shadow"
    assert admin_client.get(path).status_code == 409
    world.crm("UPDATE customer SET name = name || 'by'")
    live = world.run()
    found = admin_client.get(f"{path}?limit=2").json
    assert (found["live"], found["counts"]["differs"], found["matching"], len(found["items"])) == (live.id, 3, 3, 2)
    assert found["items"][0]["fields"] == [{"field": "title", "shadow": "Ann", "live": "Annby"}]
    rest = admin_client.get(f"{path}?limit=2&after={found['next']}&live={live.id}").json
    assert ([one["key"] for one in rest["items"]], rest["next"]) == (["3"], None)
    assert admin_client.get(f"{path}?live={shadow.id}").status_code == 409
    assert admin_client.get(f"/api/v1/runs/{live.id}/shadow").status_code == 409
    assert admin_client.get(f"{path}?live=99").status_code == 404
