"""Whoever may not see a field or a row sees its values nowhere: planted values are looked for on every surface."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import pytest
from flask import Flask
from flask.testing import FlaskClient

from tests.cases.waiting import ADA, conflict, entry, make_rule, wait
from tests.cli.conftest import quiet_logs  # noqa: F401 - undoes what commands do to logs
from tests.installation import CommandLine
from tests.webapp.conftest import add_user, app, settings, sign_in  # noqa: F401 - the console's fixtures
from webapp.access import role_editing
from webapp.access.role_editing import Role
from webapp.access.roles import PERMISSIONS
from webapp.cases import services as cases
from webapp.cases.services import NewCase, Wanted
from webapp.entities import services as entities
from webapp.events.intake import Incoming, store
from webapp.extensions import SYSTEM, House
from webapp.policies import services as policies
from webapp.rulebook import services as rulebook
from webapp.runs import quarantine, verification
from webapp.runs.execution import execute
from webapp.runs.requests import start

HIDDEN, MASKED, ROW, CASE = "CANARYIBAN", "CANARYPHONE", "CANARYROW", "CANARYCASE"
PLANTED = (HIDDEN, MASKED, ROW, CASE)
ROOMS = ("Connections", "Entities", "Records", "Rules", "Runs", "Quarantine", "Cases", "Events", "Audit")
PERSON = {
    "kind": "entity",
    "name": "person",
    "fields": [
        {"name": "no", "type": "integer", "unique": True, "required": True},
        *({"name": name, "type": "text"} for name in ("name", "iban", "phone", "country", "note", "made")),
        {"name": "score", "type": "integer"},
    ],
}
INTO: dict[str, Any] = {
    "kind": "sync",
    "name": "into",
    "left": {"connection": "crm", "object": "customer"},
    "right": {"connection": "hub", "object": "person"},
    "direction": "left_to_right",
    "key": {"left": "id", "right": "no"},
    "fields": [
        {"left": "id", "right": "no"},
        *({"left": name, "right": name} for name in ("name", "iban", "phone", "country")),
        {"right": "note", "to_right": 'name + " " + iban'},
        {"right": "made", "to_right": "iban.lower()"},
        {"right": "score", "to_right": "id in [3, 4] ? int(iban) : 0"},
    ],
    "validations": [{"name": "rich", "check": 'name.startsWith("V")', "severity": "warn"}],
}
HEARS: dict[str, Any] = {
    "kind": "event_rule",
    "name": "hears",
    "by": "name",
    "events": {"person": {"type": "record.person.updated"}},
    "when": {"all": ["person"]},
    "then": [{"case": {"title": "{person.iban}"}}],
}
_SIDE: dict[str, Any] = {"rows": 'record.country == "DE"', "fields": {"iban": "hide", "phone": "mask:last4"}}
POLICY: dict[str, Any] = {
    "data": [
        {"on": "connection/crm/customer", **_SIDE},
        {"on": "entity/person", **_SIDE, "fields": {**_SIDE["fields"], "note": "hide"}},
        {"on": "connection/crm/account", "rows": 'record.name == "Acme"', "fields": {"phone": "hide"}},
    ]
}
LOOKING: dict[str, Any] = {  # all rows, some fields, and none of them to be changed
    "data": [
        {**{key: part for key, part in line.items() if key != "rows"}, "other_fields": "read"}
        for line in POLICY["data"]
    ]
}
SYSTEM_SQL = (
    "CREATE TABLE customer (id INTEGER PRIMARY KEY, name TEXT, iban TEXT, phone TEXT, country TEXT)",
    *(
        f"INSERT INTO customer VALUES ({number}, '{name}', '{HIDDEN}{number:04}', '{MASKED}{number:04}', '{country}')"
        for number, name, country in (
            (1, "Vera", "DE"), (2, f"V{ROW}", "AT"), (3, "Vito", "DE"), (4, f"{ROW}4", "AT"), (5, "Walt", "DE"),
        )
    ),
)  # fmt: skip


@dataclass
class World:
    """What was done, by its numbers."""

    house: House
    runs: dict[str, int]
    cases: list[int]
    parked: list[int]


def _work(house: House, run_id: int) -> int:
    assert execute(house, run_id, "w1", wait=lambda _seconds: None)
    return run_id


@pytest.fixture
def world(app: Flask) -> World:  # noqa: F811
    house: House = app.extensions["syncline"]
    number = make_rule(house)
    _sql(house, *SYSTEM_SQL)
    entities.define(house, PERSON, ADA)
    rulebook.create(house, INTO, ADA)
    rulebook.publish(house, "into", ADA)
    runs = {mode: _work(house, start(house, "into", mode, ADA)) for mode in ("simulate", "shadow", "live")}
    changes = (f"UPDATE customer SET iban = '{HIDDEN}' || (iban || '9'), name = name || 'x' WHERE id < 3",)
    _sql(house, *changes)
    runs["later"] = _work(house, start(house, "into", "live", ADA))
    _sql(house, f"UPDATE customer SET phone = '{MASKED}' || phone WHERE id < 3")
    runs["verify"] = _work(house, verification.request(house, "into", ADA))
    rulebook.save_draft(
        house, "into", {**INTO, "fields": [*INTO["fields"][:5], {"right": "note", "to_right": "iban"}]}, ADA
    )
    seen = conflict(entry(2, f"{CASE}1", f"{CASE}2", f"{CASE}3"))
    unseen = {"left": {"id": 5, "name": f"{CASE}4", "phone": f"{CASE}5"}}
    wait(house, number, ("1", "1", "linked_conflict", seen), (f"{CASE}6", None, "unmatched_left", unseen))
    _heard(house)
    with house.db.read() as tx:
        known = [case.id for case in cases.listing(tx, Wanted())]
        parked = {one.id: one.version for one in quarantine.listing(tx)}
    told = ({"name": f"{ROW}5", "iban": f"{HIDDEN}5"}, {"name": "Vito", "country": "DE", "iban": f"{HIDDEN}6"})
    for (entry_id, version), values in zip(parked.items(), told, strict=True):
        quarantine.edit(house, entry_id, values, version, ADA)
    _roles(house)
    return World(house, runs, known, [*parked])


def _sql(house: House, *statements: str) -> None:
    with sqlite3.connect(house.settings.data / "crm.db") as system:
        for statement in statements:
            system.execute(statement)


def _heard(house: House) -> None:
    """Let an event tell of a record, and a case quote it."""
    rulebook.create(house, HEARS, ADA)
    told = [
        Incoming(f"e{number}", "record.person.updated", house.clock(), {"id": number, "version": 2, **values})
        for number, values in enumerate(
            (
                {"name": "Vera", "country": "DE", "iban": f"{HIDDEN}7", "before": {"phone": f"{MASKED}7"}},
                {"name": f"{ROW}7", "country": "DE", "before": {"country": "AT"}},
            ),
            1,
        )
    ]
    with house.db.begin() as tx:
        store(tx, told, "entity:person", house.clock())
    quoting = NewCase("event_rule", f"{CASE}7", f"{ROW}8", {"key": f"{HIDDEN}8"}, "hears")
    cases.open_case(house, quoting, SYSTEM)


def _roles(house: House) -> None:
    grants = frozenset((room, action) for room in ROOMS for action in PERMISSIONS[room])
    for name, policy in (("Clerk", POLICY), ("Looker", LOOKING), ("Chief", {})):
        role_id = role_editing.save_role(house, Role(None, name, grants=grants), SYSTEM)
        if policy:
            policies.set_policy(house, role_id, policy, SYSTEM)
        add_user(house, name.lower(), name)


def _surfaces(world: World) -> Iterator[tuple[str, str, Any]]:
    """Yield method, address and body of everything that shows what records hold."""
    for run in world.runs.values():
        yield from _get(f"/runs/{run}", *_OF_RUN, *(f"/records/{number}/explain" for number in range(1, 6)))
        yield from _get(f"/api/v1/runs/{run}", *_API_OF_RUN, *(f"/explain?record={number}" for number in range(1, 6)))
    yield from _get("/quarantine/", *_PARKED, *map(str, world.parked))
    yield from _get("/cases/", "", *map(str, world.cases))
    yield from _get("/api/v1/quarantine/", "", *map(str, world.parked))
    yield from _get("/api/v1/cases/", "", *map(str, world.cases))
    yield from _get("/audit/", "", "?text=Vito", "?record=4", *map(str, range(1, 60)))
    yield from _get("", *_PAGES)
    yield from (("POST", address, body) for address, body in _ASKED.items())
    for scope in ("connection=crm&object=customer", "entity=person"):
        yield "GET", f"/expressions/?{scope}", None
        yield from (("JSON", f"/expressions/?{scope}", {"text": text}) for text in ("name + iban", "name"))


_OF_RUN = ("", "/log", "/rule", "/progress", "/plan", "/plan?outcome=created", "/warnings", "/outcomes.csv",
           "/failed.jsonl", "/undo", "/shadow", "/comparison", "/proof", "?key=4")  # fmt: skip
_API_OF_RUN = ("", "/records", "/warnings", "/plan", "/plan/records", "/undo", "/comparison/records", "/shadow")
_PARKED = ("", "export.csv", "export.jsonl", "change?rule=into&field=name&to=x&which=all")
_PAGES = (
    "/", "/runs/", "/events/", "/events/?text=Vera", "/notices/", "/api/v1/events/",
    "/rules/hears/simulation?stored=1", "/api/v1/runs/", "/api/v1/audit/?limit=500",
    "/connections/crm/preview?name=customer", "/connections/crm/object?name=customer&preview=1",
    "/api/v1/connections/crm/preview?object=customer", "/connections/hub/preview?name=person",
    "/rules/into/compare?from=1&to=draft", "/rules/into/compare.csv?from=1&to=draft", "/rules/into/tests/new?sample=1",
)  # fmt: skip
_ASKED: dict[str, dict[str, str]] = {
    "/cases/bulk": {"all": "yes", "step": "preview", "choice:customers:linked_conflict": "take:left"},
    "/audit/export/jsonl": {},
    "/audit/export/csv": {},
    "/connections/crm/quality?name=customer": {},
    "/rules/into/fields/try": {"target-0": "note", "source-0": "=", "expression-0": "name + iban"},
}


def _get(start: str, *ends: str) -> Iterator[tuple[str, str, Any]]:
    yield from (("GET", start + end, None) for end in ends)


def _told(client: FlaskClient, method: str, address: str, body: Any) -> tuple[int, str]:
    if method == "JSON":
        answer = client.post(address, json=body)
    else:
        answer = client.get(address) if method == "GET" else client.post(address, data=body)
    return answer.status_code, answer.get_data(as_text=True)


def test_planted_values_appear_nowhere_for_whom_they_are_hidden(app: Flask, world: World) -> None:  # noqa: F811
    """A hidden field, a masked one, what is made of them, a hidden row: on no surface; who may see them sees them."""
    surfaces = list(_surfaces(world))
    clerk, looker, chief = (sign_in(app.test_client(), name) for name in ("clerk", "looker", "chief"))
    leaks, seen = [], dict[str, set[str]]()
    for method, address, body in surfaces:
        for client, planted in ((clerk, PLANTED), (looker, (HIDDEN, MASKED))):
            status, text = _told(client, method, address, body)
            assert status < 500, (address, text)
            of_runs = "/runs" in address or "into" in address  # the entity itself shows what is made
            told = text.upper() if of_runs else text
            leaks += [(address, word, _around(text, word)) for word in planted if word in told]
        status, text = _told(chief, method, address, body)
        assert status < 500, (address, text)
        for word in PLANTED:
            if word in text:
                seen.setdefault(word, set()).add(address)
    assert not leaks, "\n".join(map(str, leaks))
    assert {word: len(found) > 2 for word, found in seen.items()} == dict.fromkeys(PLANTED, True)
    wanted = ("/runs/{live}", "/runs/{live}/outcomes.csv", "/runs/{live}/failed.jsonl", "/runs/{later}/undo",
              "/runs/{simulate}/plan", "/api/v1/runs/{live}/records", "/runs/{verify}/comparison")  # fmt: skip
    for address in wanted:
        assert address.format(**world.runs) in seen[HIDDEN] | seen[MASKED], address
    for address in ("/quarantine/", "/quarantine/export.jsonl", "/connections/crm/preview?name=customer",
                    "/rules/into/compare?from=1&to=draft", "/audit/export/jsonl"):  # fmt: skip
        assert address in seen[HIDDEN], address
    assert f"/cases/{world.cases[-1]}" in seen[CASE]


def _around(text: str, word: str) -> str:
    at = text.upper().index(word)
    return text[max(at - 150, 0) : at + 60]


def test_what_may_be_seen_is_there_and_no_more_is_changed(
    app: Flask,  # noqa: F811
    world: World,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Rows that may be seen are listed, masked fields masked; whoever corrects or decides changes what they see."""
    clerk = sign_in(app.test_client(), "clerk")
    records = clerk.get(f"/api/v1/runs/{world.runs['live']}/records").json["items"]
    assert [(one["left_key"], one["outcome"]) for one in records] == [
        ("1", "created"),
        ("3", "quarantined"),
        ("5", "created"),
    ]
    after = records[0]["after"]
    assert after["name"] == "Vera"
    assert after["phone"] == "●●●●0001"
    assert {"iban", "note", "made", "score"}.isdisjoint(after)
    assert "CANARY" not in json.dumps(records)
    parked = clerk.get("/api/v1/quarantine/").json["items"]
    assert [one["record"]["name"] for one in parked] == ["Vito"]
    assert "●●●●" in parked[0]["reason"]
    heard, waiting = clerk.get("/api/v1/cases/").json["items"]
    assert "Acme" in waiting["subject"]
    assert (heard["title"], heard["subject"], heard["details"]) == ("●●●●", "●●●●", {"key": "●●●●"})
    told = clerk.get("/api/v1/events/").json["items"]
    assert [one["data"] for one in told] == [
        {"id": 2, "version": 2},
        {"id": 1, "version": 2, "name": "Vera", "country": "DE", "before": {"phone": "●●●●ONE7"}},
    ]
    _changes(clerk, world, parked[0])
    _commands(world, CommandLine(_environ(world.house), capsys, monkeypatch))


def test_a_draft_tells_nothing_of_what_is_hidden(app: Flask, world: World) -> None:  # noqa: F811
    """Whoever writes drafts asks by them neither for hidden fields nor for hidden rows, nor does an old draft tell."""
    clerk, looker, chief = (sign_in(app.test_client(), name) for name in ("clerk", "looker", "chief"))
    asked, told = (
        "/rules/into/compare?from=1&to=draft",
        "You may not see all values that the draft would be compared on",
    )
    left = {**INTO["left"], "where": f'record["ib\\u0061n"] == "{HIDDEN}0001"'}
    rulebook.save_draft(world.house, "into", {**INTO, "left": left}, ADA)
    assert told in clerk.get(asked).text
    assert told in looker.get(asked).text
    assert "Leaves the scope" in chief.get(asked).text
    assert looker.get("/rules/into/compare.csv?from=1&to=draft").status_code == 409
    rulebook.publish(world.house, "hears", ADA)
    assert CASE not in clerk.get("/api/v1/cases/").text
    draft = {**HEARS, "events": {"person": {"type": "order.created"}}}
    assert clerk.put("/api/v1/rules/hears/draft", json={"document": draft}).status_code == 200
    assert CASE not in clerk.get("/api/v1/cases/").text
    assert clerk.delete("/api/v1/rules/hears").status_code == 204
    assert CASE not in clerk.get("/api/v1/cases/").text


def test_an_output_of_a_table_is_made_of_what_the_table_reads(app: Flask, world: World) -> None:  # noqa: F811
    """However an expression names the output of a decision table, it is hidden where the table reads a hidden field."""
    table = {
        "kind": "decision_table",
        "name": "rates",
        "inputs": [{"name": "iban", "type": "text"}],
        "outputs": [{"name": "out"}],
        "rows": [{"when": ['!= "x"'], "then": ["CANARYOUT"]}],
    }
    fields = [*INTO["fields"][:5], {"right": "note", "to_right": 'record["rates.out"]'}]
    fields.append({"right": "made", "to_right": '"is " + record["rates.out"]'})
    for document in (table, {**INTO, "decisions": [{"table": "rates"}], "fields": fields}):
        name = document["name"]
        with world.house.db.read() as tx:
            known = rulebook.find(tx, name)
        rulebook.save_draft(world.house, name, document, ADA) if known else rulebook.create(world.house, document, ADA)
        rulebook.publish(world.house, name, ADA)
    run = _work(world.house, start(world.house, "into", "simulate", ADA))
    clerk, chief = (sign_in(app.test_client(), name) for name in ("clerk", "chief"))
    assert "CANARYOUT" in chief.get(f"/api/v1/runs/{run}/records").text
    assert "CANARYOUT" not in clerk.get(f"/api/v1/runs/{run}/records").text


def _changes(clerk: FlaskClient, world: World, parked: dict[str, Any]) -> None:
    """What is corrected keeps what is not seen of it; nothing is written that may not be written."""
    place, unseen = f"/api/v1/quarantine/{parked['id']}", next(one for one in world.parked if one != parked["id"])
    body = {"values": {**parked["record"], "name": "Vic"}, "version": parked["version"]}
    assert clerk.put(place, json=body).json["record"]["name"] == "Vic"
    with world.house.db.read() as tx:
        kept = quarantine.stored(tx, parked["id"])
    assert kept.values == {"name": "Vic", "country": "DE", "iban": f"{HIDDEN}6"}
    for values in ({"iban": "x"}, {"phone": "x"}, {"country": "AT"}):
        body = {"values": {**parked["record"], "name": "Vic", **values}, "version": kept.version}
        assert clerk.put(place, json=body).status_code == 403, values
    assert clerk.put(f"/api/v1/quarantine/{unseen}", json=body).status_code == 409
    assert clerk.get(f"/quarantine/{unseen}").status_code == 404
    change = {"rule": "into", "field": "iban", "to": "x", "only": f"{HIDDEN}6"}
    assert clerk.post("/api/v1/quarantine/change", json=change).status_code == 403
    looker = sign_in(clerk.application.test_client(), "looker")
    assert looker.put(place, json={"values": {"name": "x"}, "version": kept.version}).status_code == 403
    case = clerk.get("/api/v1/cases/?rule=customers").json["items"][0]["id"]
    answer = {"fields": {"2": {"take": "left"}}}
    assert clerk.post(f"/api/v1/cases/{case}/answer", json=answer).status_code == 403
    told = clerk.post("/api/v1/cases/answer", json={"cases": world.cases, "choice": {"take": "left"}}).json
    assert (told["decided"], [one["case"] for one in told["left_out"]]) == (0, [case])
    part = {"rule": "into", "where": f'iban == "{HIDDEN}0001"', "mode": "simulate"}
    rows = {**part, "where": f'name.startsWith("{ROW}")'}
    assert [clerk.post("/api/v1/runs/part", json=one).status_code for one in (part, rows)] == [403, 403]
    assert [looker.post("/api/v1/runs/part", json=one).status_code for one in (part, rows)] == [403, 201]


def _environ(house: House) -> dict[str, str]:
    return {"SYNCLINE_DATA": str(house.settings.data), "SYNCLINE_DATABASE_URL": house.settings.database_url}


def _commands(world: World, syncline: CommandLine) -> None:
    """Commands show everything to who has the machine, and with --as what that user may see."""
    run, later = str(world.runs["live"]), str(world.runs["later"])
    calls = [
        ("runs", "show", run), ("quarantine",), ("quarantine", "export"), ("cases", "show", str(world.cases[-1])),
        ("cases",), ("explain", later, "1"), ("connection", "preview", "crm", "customer"), ("audit", "list", "--json"),
        ("audit", "export"), ("runs", "undo", later, "--preview"),
    ]  # fmt: skip
    whole = "".join(syncline(*call).out for call in calls)
    assert [word for word in PLANTED if word not in whole] == []
    for call in calls:
        command = call[
            : 2 if call[0] in ("runs", "connection", "audit") or call[1:2] in (("show",), ("export",)) else 1
        ]
        told = syncline(*command, "--as", "clerk", *call[len(command) :])
        assert told.out, (call, told.err)
        assert not [word for word in PLANTED if word in told.out + told.err], (call, told.out)
    assert "no active user" in syncline("quarantine", "--as", "nobody").err
