"""The rest of the room: intake, sources, retention, the note of failures, simulation, API, command line."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from flask import Flask
from flask.testing import FlaskClient

from rules.documents import errors
from tests.cli.conftest import quiet_logs, syncline  # noqa: F401 - the command line's fixtures
from tests.events.conftest import ADMIN, ONBOARDING, START, UNPAID, World
from tests.installation import CommandLine
from tests.runs.conftest import World as RunWorld
from tests.runs.conftest import world as run_world_fixture
from tests.webapp.conftest import admin_client, app, client, client_of, settings  # noqa: F401 - the console's fixtures
from webapp.cases import services as cases
from webapp.entities import services as entities
from webapp.events import intake, kind, program, reading, retention, simulating, sources
from webapp.events.doers import Doers
from webapp.events.hand import Hand
from webapp.events.intake import EventRefused
from webapp.events.keeper import Keeper, waiting_since
from webapp.events.models import event, event_action, event_match, event_process, event_timer
from webapp.extensions import House
from webapp.rulebook import services as rulebook

GOOD = {"type": "a.b"}
BAD: list[Any] = [
    5, {}, {"type": "A"}, {"type": "a" * 101}, {**GOOD, "more": 1}, {**GOOD, "id": 5}, {**GOOD, "id": "x" * 201},
    {**GOOD, "id": ""}, {**GOOD, "at": "soon"}, {**GOOD, "at": 5}, {**GOOD, "at": "2026-01-01T00:00:00"},
    {**GOOD, "at": "2027-01-01T00:00:00Z"}, {**GOOD, "data": [1]}, {**GOOD, "data": {"n": float("nan")}},
    {**GOOD, "data": {"t": "a\x00"}}, {**GOOD, "data": {"t": "x" * 100_001}}, {**GOOD, "data": {"t": "\ud800"}},
    {**GOOD, "type": "record.customer.updated"},
]  # fmt: skip


@pytest.mark.parametrize("item", BAD, ids=range(len(BAD)))
def test_an_event_that_cannot_be_taken(world: World, item: Any) -> None:
    """A mistake names the event, and nothing of the batch is stored."""
    with pytest.raises(EventRefused, match="Event 2 cannot be taken"):
        intake.post(world.house, [GOOD, item], "test", ADMIN)
    assert world.rows(event) == []


def test_batches_have_a_size(world: World) -> None:
    """Nothing, or too much, is refused."""
    for items in ([], [GOOD] * 1001):
        with pytest.raises(EventRefused):
            intake.post(world.house, items, "test", ADMIN)
    assert intake.post(world.house, [GOOD] * 1000, "test", ADMIN) == intake.Accepted(1000, 0)


def test_events_of_entities(world: World) -> None:
    """Created, changed and deleted records give events while a rule listens to them; also those of an older version."""
    world.entity()
    listen = {name: {"type": f"record.customer.{name}"} for name in ("created", "updated", "deleted")}
    world.rule(UNPAID, events=listen, by="no", when={"any": list(listen)}, then=[{"case": {"title": "x"}}])
    entities.create_record(world.house, "customer", {"no": "1", "name": "Bell"}, ADMIN)
    entities.update_record(world.house, "customer", 1, {"name": "Bell AG"}, ADMIN)
    entities.delete_record(world.house, "customer", 1, ADMIN)
    found = [(row.type.rpartition(".")[2], row.data["name"], row.data.get("before")) for row in world.rows(event)]
    assert found == [("created", "Bell", None), ("updated", "Bell AG", {"name": "Bell"}), ("deleted", "Bell AG", None)]
    rulebook.pause(world.house, "unpaid", ADMIN)
    entities.create_record(world.house, "customer", {"no": "2"}, ADMIN)
    assert len(world.rows(event)) == 3


run_world = pytest.fixture(run_world_fixture.__wrapped__)


def test_events_of_runs(run_world: RunWorld) -> None:
    """The end of a run gives an event that says how it went."""
    sources.register()
    try:
        document = {**UNPAID, "events": {"run": {"type": "run.succeeded"}}, "by": "rule", "when": {"any": ["run"]}}
        rulebook.create(run_world.house, {**document, "then": [{"case": {"title": "{run.run}"}}]}, ADMIN)
        rulebook.publish(run_world.house, "unpaid", ADMIN)
        run_world.customers("Ann", "Bob")
        run_world.rule()
        run_world.run()
        with run_world.house.db.read() as tx:
            (row,) = reading.events(tx)
        assert (row.type, row.data["rule"], row.data["counts"]["created"]) == ("run.succeeded", "customers", 2)
    finally:
        sources.entity_hooks.changed.clear()
        sources.run_hooks.ended.clear()


def test_what_is_old_is_forgotten(world: World) -> None:
    """Events that something open needs stay, and so do actions that wait; all else goes after its days."""
    world.house = replace(world.house, settings=replace(world.house.settings, event_days=10))
    world.rule(ONBOARDING)
    world.rule()
    world.post("customer.signed_up", no=1, name="Bell")
    world.post("order.created", customer=1, id="o1")
    world.work()
    world.later(days=3).work()
    world.later(days=14).post("order.created", customer=2, id="o2")
    assert retention.sweep(world.house) == 1
    assert [row.type for row in world.rows(event)] == ["customer.signed_up", "order.created"]
    assert world.rows(event_timer, event_timer.c.fired_at.is_not(None)) == []
    assert world.rows(event_match) == []
    assert world.rows(event_action) == []
    rulebook.delete(world.house, "onboarding", ADMIN)
    retention.sweep(world.house)
    assert [row.key for row in world.rows(event_process, event_process.c.ended_at.is_(None))] == []
    world.restart().work()


def test_the_note_of_failures(world: World) -> None:
    """What was at work when a process died is found by the next; a turn that went well wipes the slate."""
    Hand(world.house).take((1, 2))
    again = Hand(world.house)
    assert again.hopeless() == []
    again.take((1, 2))
    third = Hand(world.house)
    third.take((1, 2))
    assert Hand(world.house).hopeless() == [(1, 2)]
    Hand(world.house).lay_down()
    assert Hand(world.house).hopeless() == []
    resting = Hand(world.house)
    resting.take((1, 2))
    resting.rest()
    assert Hand(world.house)._failures == {}
    (world.house.settings.data / "run" / "events.json").write_text("{")
    assert Hand(world.house).hopeless() == []


def test_a_crash_at_a_rule_stops_it_in_the_end(world: World) -> None:
    """A rule at which the process died three times is not loaded any more."""
    world.rule()
    world.post("order.created", customer=1, id="o1")
    for _ in range(3):
        Hand(world.house).take((1, 1))
    world.restart().work()
    with world.house.db.read() as tx:
        assert reading.standing(tx, "unpaid").problem is not None
        assert waiting_since(tx) is None
    world.rule(label="changed")
    world.post("order.created", customer=2, id="o2")
    world.work()
    assert [p.key for p in world.processes()] == ["2"]


def test_simulations_run_in_a_process_of_their_own(world: World) -> None:
    """A timeline as plain data; what cannot be simulated is refused with a reason."""
    items = [{"type": "order.created", "data": {"customer": 1, "id": "o1"}}]
    found = simulating.simulate(world.house, UNPAID, items)
    assert [entry["kind"] for entry in found["entries"]] == ["event", "match", "action"]
    assert found["entries"][2]["values"]["title"] == "Order o1 is not paid"
    early = simulating.simulate(world.house, UNPAID, items, START + timedelta(minutes=1), START)
    assert [(live["key"], len(live["timers"])) for live in early["live"]] == [("1", 1)]
    for document, events in ((UNPAID, [{"type": 5}]), ({**UNPAID, "when": {}}, items)):
        with pytest.raises(simulating.SimulationRefused):
            simulating.simulate(world.house, document, events)


def test_examples_are_a_gate(world: World) -> None:
    """A rule whose examples fail cannot be published, and the check says what differs."""
    order = {"type": "order.created", "data": {"customer": 1, "id": "o1"}}
    right = {"name": "right", "events": [order], "until": "1h", "expect": [{"do": "case", "at": "30m"}]}
    wrong = {**right, "name": "wrong", "expect": []}
    assert kind.check(world.house, {**UNPAID, "tests": [right]}) == []
    (problem,) = errors(kind.check(world.house, {**UNPAID, "tests": [right, wrong]}))
    assert (problem.path, "nothing was expected" in str(problem.message)) == ("tests/1", True)


@pytest.mark.parametrize(
    ("act", "path"),
    [
        ({"create_record": {"object": "nowhere", "fields": {"a": "key"}}}, "create_record/object"),
        ({"create_record": {"object": "customer", "fields": {"nam": "key"}}}, "create_record/fields/nam"),
        ({"update_record": {"object": "customer", "key": {"x": "1"}, "fields": {"no": "1"}}}, "update_record/key/x"),
        ({"create_record": {"connection": "erp", "object": "x", "fields": {"a": "key"}}}, "create_record/connection"),
        ({"call": {"connection": "hub", "path": "/"}}, "call/connection"),
        ({"call": {"connection": "erp", "path": "/"}}, "call/connection"),
        ({"run": {"rule": "nothing"}}, "run/rule"),
        ({"notify": {"email": {"to": ["a@b.c"], "subject": "x", "text": "x"}}}, "notify/email"),
    ],
)  # fmt: skip
def test_the_surroundings_of_a_rule_are_checked(world: World, act: dict[str, Any], path: str) -> None:
    """Connections, entities, fields, rules and the mail server are looked for when the rule is checked."""
    world.entity()
    document = {**UNPAID, "then": [act]}
    assert [problem.path for problem in kind.check(world.house, document)] == [f"then/0/{path}"]
    with world.house.db.begin() as tx:
        assert len(kind.check(world.house, document, tx)) == 1
    assert kind.structure(document) == []
    assert kind.structure({**UNPAID, "then": []}) != []
    assert kind.EVENT_RULE.lead(document) == "order.created, payment.received"


def test_a_round_of_the_process(world: World, monkeypatch) -> None:
    """A round works on events and actions; a database that does not answer is tried again."""
    world.rule()
    world.post("order.created", customer=1, id="o1")
    doers, sweeper = Doers(world.house, "one"), retention.Sweeper(world.house)
    while program.turn(world.keeper, doers, sweeper):
        pass
    world.later(hours=1)
    while program.turn(world.keeper, doers, sweeper):
        pass
    doers.close()
    assert [action.state for action in world.actions()] == ["done"]

    def broken(_: Keeper) -> bool:
        raise program.sa.exc.OperationalError("x", {}, Exception("gone"))

    monkeypatch.setattr(Keeper, "turn", broken)
    assert not program.turn(world.keeper, doers, sweeper)


@pytest.fixture
def console(app: Flask) -> Iterator[World]:  # noqa: F811
    """Return the house of the console, with a rule and an event."""
    house: House = app.extensions["syncline"]
    world = World(house)
    world.rule()
    world.post("order.created", customer=1, id="o1")
    yield world
    sources.entity_hooks.changed.clear()
    sources.run_hooks.ended.clear()


def test_events_by_api(console: World, admin_client: FlaskClient) -> None:  # noqa: F811
    """Events are sent, once each, and listed with what became of them."""
    events = [{"id": "x1", "type": "order.created", "data": {"customer": 2, "id": "o2"}}, {"type": "some.thing"}]
    answer = admin_client.post("/api/v1/events", json={"events": events})
    assert (answer.status_code, answer.json) == (202, {"stored": 2, "known": 0})
    assert admin_client.post("/api/v1/events", json={"events": events[:1]}).json == {"stored": 0, "known": 1}
    assert admin_client.post("/api/v1/events", json={"events": [{"type": "X"}]}).status_code == 422
    assert admin_client.post("/api/v1/events", json={"events": []}).status_code == 422
    first = admin_client.get("/api/v1/events?limit=2").json
    assert [item["type"] for item in first["items"]] == ["some.thing", "order.created"]
    rest = admin_client.get(f"/api/v1/events?limit=2&after={first['next']}").json
    assert ([item["uid"] for item in rest["items"]], rest["next"]) == (["e1"], None)
    assert len(admin_client.get("/api/v1/events?type=some.thing").json["items"]) == 1
    assert admin_client.get("/api/v1/events?after=x").status_code == 400
    with console.house.db.read() as tx:
        assert reading.event_types(tx) == ["order.created", "some.thing"]
        assert [row.uid for row in reading.by_uids(tx, ["x1", "e1"])] == ["e1", "x1"]


def test_rules_at_work_by_api(console: World, admin_client: FlaskClient) -> None:  # noqa: F811
    """What is open, what was met and what was done is told; a failed action is tried again."""
    console.rule(then=[{"notify": {"email": {"to": ["a@b.c"], "subject": "x", "text": "x"}}}])
    console.work()
    place = "/api/v1/events/rules/unpaid"
    (item,) = admin_client.get(f"{place}/processes").json["items"]
    assert (item["key"], [name for name, _ in item["timers"]]) == ("1", ["absent"])
    assert admin_client.get(place).json["live"] == 1
    console.later(hours=1).work()
    (met,) = admin_client.get(f"{place}/matches?key=1").json["items"]
    assert met["events"] == {"order": ["e1"]}
    assert admin_client.get(f"{place}/processes").json["items"] == []
    assert len(admin_client.get(f"{place}/processes?ended=true").json["items"]) == 1
    (action,) = admin_client.get("/api/v1/events/actions?rule=unpaid&state=failed").json["items"]
    assert "SYNCLINE_SMTP_URL" in action["problem"]
    assert admin_client.get(place).json["failed"] == 1
    again = f"/api/v1/events/actions/{action['id']}"
    assert admin_client.post(f"{again}/retry").json["state"] == "pending"
    assert admin_client.get(again).json["attempts"] == 0
    assert admin_client.post(f"{again}/retry").status_code == 409
    assert admin_client.post("/api/v1/events/actions/99/retry").status_code == 404
    assert admin_client.get("/api/v1/events/actions/99").status_code == 404
    assert admin_client.get("/api/v1/events/rules/nothing").status_code == 404
    assert admin_client.post(f"{place}/restart").status_code == 204


def test_simulation_by_api(console: World, admin_client: FlaskClient) -> None:  # noqa: F811
    """A rule, or the document that is being edited, is simulated over pasted events."""
    place = "/api/v1/events/rules/unpaid/simulate"
    events = [{"type": "order.created", "data": {"customer": 1, "id": "o1"}}]
    kinds = [entry["kind"] for entry in admin_client.post(place, json={"events": events}).json["entries"]]
    assert kinds == ["event", "match", "action"]
    edited = {**UNPAID, "when": {"any": ["order"]}}
    asked = {"events": events, "document": edited, "until": "2026-01-01T00:00:00Z"}
    assert admin_client.post(place, json=asked).json["entries"][1]["at"].startswith("2026-01-01T00:00:00")
    assert admin_client.post(place, json={"events": events, "until": "soon"}).status_code == 422
    assert admin_client.post(place, json={"events": [{}]}).status_code == 422


def test_a_sync_rule_is_no_event_rule(console: World, app: Flask, admin_client: FlaskClient) -> None:  # noqa: F811
    """Other kinds of rules are not found here; whoever may only read may not send."""
    lookup = {"kind": "lookup", "name": "codes", "key": {"name": "code"}, "columns": [{"name": "text"}], "rows": []}
    rulebook.create(console.house, lookup, ADMIN)
    assert admin_client.get("/api/v1/events/rules/codes").status_code == 404
    viewer = client_of(app, "vera", "Viewer")
    assert viewer.get("/api/v1/events").status_code == 200
    assert viewer.post("/api/v1/events", json={"events": [GOOD]}).status_code == 403


def test_events_at_the_command_line(syncline: CommandLine, tmp_path: Path) -> None:  # noqa: F811
    """Events are sent from a file or the terminal, rules simulated, and what they did is listed."""
    rulebook.create(syncline.house, UNPAID, ADMIN)
    rulebook.publish(syncline.house, "unpaid", ADMIN)
    file = tmp_path / "events.json"
    order = {"id": "x1", "type": "order.created", "at": "2026-01-01T00:00:00Z", "data": {"customer": 1, "id": "o1"}}
    file.write_text(json.dumps({"events": [order]}))
    assert "1 events stored, 0 known" in syncline.ok("events", "post", file).out
    lines = "\n".join(json.dumps(one) for one in (order, {"type": "some.thing"}))
    assert syncline.ok("events", "post", "-", "--json", stdin=lines).json == {"stored": 1, "known": 1}
    assert "Event 1 cannot be taken" in syncline("events", "post", "-", stdin='{"type": "X"}').err
    assert "not JSON" in syncline("events", "post", "-", stdin="{").err
    assert "some.thing" in syncline.ok("events", "list").out
    assert [one["uid"] for one in syncline.ok("events", "list", "--type", "order.created", "--json").json] == ["x1"]
    keeper, world = Keeper(syncline.house, "one"), World(syncline.house)
    while keeper.turn():
        pass
    assert syncline.ok("events", "processes", "unpaid", "--json").json == []
    assert "Nothing has ended" in syncline.ok("events", "processes", "unpaid", "--ended").out
    assert "case" in syncline.ok("events", "actions").out
    assert [one["state"] for one in syncline.ok("events", "actions", "--rule", "unpaid", "--json").json] == ["pending"]
    world.act()
    timeline = syncline.ok("events", "simulate", "unpaid", file).out
    assert "Order o1 is not paid" in timeline
    assert timeline.splitlines()[0].startswith("2026-01-01 00:00:00  1")
    document = tmp_path / "rule.json"
    document.write_text(json.dumps(ONBOARDING))
    signup = json.dumps({"type": "customer.signed_up", "data": {"no": 1}})
    shown = syncline.ok("events", "simulate", document, "-", "--until", "2026-01-01T01:00:00Z", stdin=signup).out
    assert "new > checking" in shown
    assert "open: 1 checking" in shown
    assert syncline.ok("events", "simulate", document, "-", "--json", stdin=signup).json["states"] == {"1": "late"}
    assert "is not a time" in syncline("events", "simulate", "unpaid", file, "--until", "soon").err
    assert "cannot be read" in syncline("events", "simulate", "nothing.yaml", file).err
    assert "Event 1" in syncline("events", "simulate", "unpaid", "-", stdin="[5]").err


def test_cases_at_the_command_line(syncline: CommandLine) -> None:  # noqa: F811
    """Open cases are listed; closed ones with --all."""
    assert "No case waits" in syncline.ok("cases").out
    first = cases.open_case(syncline.house, cases.NewCase("match", "Alike?", rule_name="customers"), ADMIN)
    assert "Alike?" in syncline.ok("cases").out
    cases.close(syncline.house, first, "", ADMIN)
    assert syncline.ok("cases", "--json").json == []
    assert [one["state"] for one in syncline.ok("cases", "--all", "--rule", "customers", "--json").json] == ["closed"]
