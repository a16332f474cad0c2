"""Re-baselining two-way rules: both sides count as they are now, and the person has chosen who is right."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
import sqlalchemy as sa
from flask import Flask
from flask.testing import FlaskClient

from rules.text import Message
from tests.runs.conftest import ADMIN, RULE, World, numbers
from tests.runs.test_two_way import FIELDS
from tests.webapp.conftest import admin_client, app, client, events, settings, text  # noqa: F401 - fixtures
from webapp.extensions import House
from webapp.rulebook import services as rulebook
from webapp.runs import followups, rebaselines
from webapp.runs.models import pair_case, run_log
from webapp.runs.parts import Wanted
from webapp.runs.requests import RunRefused


@pytest.fixture
def apart(world: World) -> World:
    """Return a world of four linked customers, three of which were edited, and two without a partner."""
    world.rule(direction="two_way", fields=FIELDS)
    world.customers("Ann", "Bob", "Cid", "Dan")
    world.run()
    world.crm("UPDATE customer SET name = 'Anna' WHERE id = 1")
    world.erp("UPDATE client SET title = 'Bobby', tel = NULL WHERE no = 2")
    world.crm("UPDATE customer SET name = 'Sid' WHERE id = 3")
    world.erp("UPDATE client SET title = 'Cyd' WHERE no = 3")
    world.customers("Eve", first=5)
    world.erp("INSERT INTO client VALUES (9, 'Zoe', '9', NULL)")
    return world


def _left(world: World) -> list[tuple[Any, ...]]:
    return world.crm("SELECT id, name, phone FROM customer ORDER BY id")


def _request(world: World, differing: str, wanted: Any = None) -> int:
    return rebaselines.request(world.house, "customers", differing, ADMIN, wanted)


def _simulated(world: World, differing: str, wanted: Any = None) -> int:
    run_id = _request(world, differing, wanted)
    assert world.work(run_id)
    assert world.look(run_id).state == "succeeded", world.look(run_id).message
    return run_id


def _approved(world: World, simulated: int) -> dict[str, int]:
    run_id = followups.approve(world.house, simulated, ADMIN)
    assert world.work(run_id)
    assert world.look(run_id).state == "succeeded", world.look(run_id).message
    return numbers(world.look(run_id))


def _cases(world: World) -> list[tuple[str, str]]:
    with world.house.db.read() as tx:
        return [(r.left_key, r.state) for r in tx.execute(sa.select(pair_case).order_by(pair_case.c.id))]


@pytest.mark.parametrize("side", ["left", "right"])
def test_the_chosen_side_wins_wherever_both_differ(apart: World, side: str):
    """Nothing is written before the plan is approved; then the pairs agree on what the chosen side holds."""
    before = (_left(apart), apart.clients())
    simulated = _simulated(apart, side)
    assert (_left(apart), apart.clients()) == before
    assert numbers(apart.look(simulated)) == {"read": 4, "updated": 3, "unchanged": 1}
    assert _approved(apart, simulated) == {"read": 4, "updated": 3, "unchanged": 1}
    assert _left(apart)[:4] == apart.clients()[:4] == before[0 if side == "left" else 1][:4]
    assert len(_left(apart)) == 5
    assert len(apart.clients()) == 5
    assert numbers(apart.run()) == {"read": 10 + 1, "created": 2, "unchanged": 9}
    assert _cases(apart) == []


def test_what_both_changed_waits_if_it_is_asked_for(apart: World):
    """What was agreed before is forgotten: each difference is a case, what is empty on one side is filled."""
    simulated = _simulated(apart, "cases")
    assert numbers(apart.look(simulated)) == {"read": 4, "cases": 3, "unchanged": 1}
    assert _cases(apart) == []
    assert _approved(apart, simulated) == {"read": 4, "cases": 3, "unchanged": 1}
    assert _cases(apart) == [("1", "open"), ("2", "open"), ("3", "open")]
    assert [row[2] for row in apart.clients()[:4]] == ["+86 1", "+86 2", "+86 3", "+86 4"]
    assert [row[1] for row in _left(apart)[:4]] == ["Anna", "Bob", "Sid", "Dan"]
    again = numbers(apart.run())
    assert again["cases"] == 3
    assert len(_cases(apart)) == 3


def test_edits_after_it_flow_again(apart: World):
    """What the sides agreed on now is what later edits are compared with."""
    _approved(apart, _simulated(apart, "right"))
    apart.run()
    apart.crm("UPDATE customer SET name = 'Annika' WHERE id = 1")
    apart.erp("UPDATE client SET tel = '7' WHERE no = 1")
    assert numbers(apart.run())["updated"] == 1
    assert _left(apart)[0] == apart.clients()[0] == (1, "Annika", "7")


def test_cases_that_it_decides_are_settled(apart: World):
    """A record that waits for a person and agrees now waits no longer."""
    apart.run()
    assert _cases(apart) == [("3", "open")]
    _approved(apart, _simulated(apart, "left"))
    assert _cases(apart) == [("3", "settled")]
    assert apart.clients()[2] == (3, "Sid", "+86 3")


@pytest.mark.parametrize(
    "wanted",
    [
        [{"side": "left", "key": "1"}, {"side": "right", "key": "2"}, {"side": "left", "key": "5"}],
        Wanted("left", where="id < 3"),
        Wanted("right", None, "no", "1", "3"),
    ],
)
def test_some_records_only(apart: World, wanted: Any):
    """By keys of either side, by a condition or a range: the other pairs keep what they had agreed on."""
    simulated = _simulated(apart, "left", wanted)
    assert _approved(apart, simulated) == {"read": 2, "updated": 2}
    assert [row[1] for row in apart.clients()[:4]] == ["Anna", "Bob", "Cyd", "Dan"]
    assert numbers(apart.run())["cases"] == 1
    with apart.house.db.read() as tx:
        told = [str(Message.from_json(m)) for m in tx.scalars(sa.select(run_log.c.message))]
    named = isinstance(wanted, list)
    assert ("These records have no partner, so there is nothing to agree on: 5" in told) is named


def test_a_field_that_flows_one_way_keeps_what_the_winner_holds(world: World):
    """Where the right side wins, a field that only flows to it keeps its value until the left one changes."""
    fields = [FIELDS[0], {"right": "title", "to_right": "name.trim()"}, FIELDS[2]]
    world.rule(direction="two_way", fields=fields)
    world.customers("Ann")
    world.run()
    world.erp("UPDATE client SET title = 'Anne' WHERE no = 1")
    assert _approved(world, _simulated(world, "right")) == {"read": 1, "unchanged": 1}
    assert numbers(world.run()) == {"read": 2, "unchanged": 2}
    assert world.clients() == [(1, "Anne", "+86 1")]
    assert _approved(world, _simulated(world, "left")) == {"read": 1, "updated": 1}
    assert world.clients() == [(1, "Ann", "+86 1")]


def test_a_record_that_has_changed_since_is_left_alone(apart: World):
    """What somebody edits between the plan and its approval is not overwritten; the next run looks at it as before."""
    simulated = _simulated(apart, "left")
    apart.crm("UPDATE customer SET name = 'Annette' WHERE id = 1")
    assert _approved(apart, simulated) == {"read": 4, "updated": 2, "unchanged": 1, "skipped": 1}
    assert apart.clients()[0][1] == "Ann"
    apart.run()
    assert apart.clients()[0][1] == "Annette"


def test_pairs_that_have_lost_a_record_are_left_as_they_are(apart: World):
    """A partner that is gone is nothing to agree with; what the rule says about it is done by its next run."""
    apart.erp("DELETE FROM client WHERE no = 4")
    apart.crm("DELETE FROM customer WHERE id = 2")
    assert _approved(apart, _simulated(apart, "left")) == {"read": 3, "updated": 2, "skipped": 1}


def test_lost_baselines_do_no_harm(apart: World):
    """Where the agreements were lost, a re-baseline takes both sides as they are without calling anything an edit."""
    with apart.house.db.begin() as tx:
        tx.execute(sa.text("UPDATE link_segment SET baseline = NULL, scheme = 'lost'"))
    assert _approved(apart, _simulated(apart, "right")) == {"read": 4, "updated": 3, "unchanged": 1}
    assert [row[1] for row in _left(apart)[:4]] == ["Ann", "Bobby", "Cyd", "Dan"]


def test_what_cannot_be_asked(apart: World):
    """Only who is right, which records, and a two-way rule make sense."""
    with pytest.raises(RunRefused, match="use left, right or cases"):
        _request(apart, "newest")
    with pytest.raises(RunRefused, match="at least one key"):
        _request(apart, "left", [])
    with pytest.raises(RunRefused, match="Say which part"):
        _request(apart, "left", Wanted("left"))
    apart.rule(direction="left_to_right", fields=RULE["fields"])
    with pytest.raises(RunRefused, match="flows one way"):
        _request(apart, "left")


def test_many_pages_and_a_stop_between_them(apart: World, monkeypatch: pytest.MonkeyPatch):
    """However many records a page has, and if its worker goes in between, each pair is looked at once."""
    apart.pages_of(1)
    run_id = _request(apart, "left")
    with monkeypatch.context() as patch:
        patch.setattr("webapp.runs.pipeline.stopping._requested", stopped := _Once())
        assert apart.work(run_id)
    assert stopped.asked
    assert apart.look(run_id).state == "queued"
    assert apart.work(run_id, "w2")
    assert _approved(apart, run_id) == {"read": 4, "updated": 3, "unchanged": 1}


class _Once:
    """Says once that the worker is to stop."""

    asked = False

    def is_set(self) -> bool:
        self.asked, said = True, self.asked
        return not said


@pytest.fixture
def ruled(world: World, app: Flask) -> House:  # noqa: F811
    """Return the console's house, on the database of `world`, with its two-way rule and a rule that flows one way."""
    house: House = app.extensions["syncline"]
    world.house = replace(house, clock=world.now)
    for name, more in (("customers", {"direction": "two_way", "fields": FIELDS}), ("plain", {})):
        rulebook.create(house, {**RULE, **more, "name": name}, ADMIN)
        rulebook.publish(house, name, ADMIN)
    return house


def test_the_page_asks_and_shows_the_plan(ruled: House, world: World, admin_client: FlaskClient):  # noqa: F811
    """From the rule's menu to the approved plan; a rule that flows one way has no such page."""
    world.customers("Ann", "Bob")
    world.run()
    world.erp("UPDATE client SET title = 'Anne' WHERE no = 1")
    path = "/runs/rebaseline?rule=customers"
    assert path in admin_client.get("/rules/customers").text
    assert "/runs/rebaseline" not in admin_client.get("/rules/plain").text
    assert admin_client.get("/runs/rebaseline?rule=plain").status_code == 404
    for how in ("all", "keys", "where", "range"):
        assert "Show the plan" in admin_client.get(f"{path}&how={how}").text
    form = {"rule": "customers", "how": "keys", "keys": "", "differing": "right"}
    again = admin_client.post("/runs/rebaseline", data=form)
    assert again.status_code == 409
    assert "Name at least one key." in again.text
    page = admin_client.post("/runs/rebaseline", data={**form, "how": "all"})
    run_id = int(page.headers["Location"].rpartition("/")[2])
    assert world.work(run_id)
    plan = text(admin_client, f"/runs/{run_id}/plan")
    assert "the right one is right" in plan
    assert "The same on both sides: 1." in plan
    assert "Re-baseline" in text(admin_client, f"/runs/{run_id}")
    assert admin_client.post(f"/runs/{run_id}/approve").status_code == 302
    assert world.work(run_id + 1)
    assert _left(world)[0][1] == "Anne"
    asked = [e for e in events(ruled, "runs:run:requested") if e.run_id == run_id]
    assert asked[0].after["differing"] == "right"


def test_the_plan_tells_where_nothing_differs_and_what_waits(ruled: House, world: World, admin_client: FlaskClient):  # noqa: F811
    """A plan that writes nothing can be approved all the same, and one that only opens cases says how many."""
    world.customers("Ann")
    world.run()
    same = _simulated(world, "left")
    assert "All linked records are the same on both sides." in text(admin_client, f"/runs/{same}/plan")
    world.crm("UPDATE customer SET name = 'Anna' WHERE id = 1")
    waits = _simulated(world, "cases")
    assert "Would wait for a person" in text(admin_client, f"/runs/{waits}/plan")
    assert "Records that would wait for a person to decide: 1." in text(admin_client, f"/runs/{waits}")
    _approved(world, waits)
    assert '<a href="/cases/?rule=customers">Show the cases' in text(admin_client, f"/runs/{waits + 1}")


def test_programs_ask_for_it(ruled: House, admin_client: FlaskClient):  # noqa: F811
    """The API requests the simulation, for all pairs, a part of them or single records, and refuses nonsense."""
    path, asked = "/api/v1/runs/rebaseline", {"rule": "customers", "differing": "left"}
    answer = admin_client.post(path, json=asked)
    assert (answer.status_code, answer.json["kind"], answer.json["mode"]) == (201, "rebaseline", "simulate")
    one = {"records": [{"side": "right", "key": "7"}]}
    assert admin_client.post(path, json={**asked, **one}).status_code == 201
    assert admin_client.post(path, json={**asked, "where": "id > 3"}).status_code == 201
    assert admin_client.post(path, json={**asked, **one, "where": "id > 3"}).status_code == 422
    for part in (
        {"side": "left"},
        {"from": "1"},
        {"to": "9"},
        {"where": "id > 3", "from": "1"},
        {**one, "side": "left"},
    ):
        assert admin_client.post(path, json={**asked, **part}).status_code == 422, part
    assert admin_client.post(path, json={**asked, "rule": "plain"}).status_code == 409
    assert admin_client.post(path, json={**asked, "differing": "newest"}).status_code == 422
