"""Explanations and comparisons in the browser, by the API and on the terminal."""

from __future__ import annotations

import json
import sqlite3
from pathlib import Path
from typing import Any

import pytest
from flask.testing import FlaskClient

from tests.cli.conftest import quiet_logs, syncline  # noqa: F401 - the command line's fixtures
from tests.rulebook.conftest import ANNA, console, document  # noqa: F401 - two systems
from tests.webapp.conftest import admin_client, app, client, client_of, events, settings  # noqa: F401 - the console
from webapp.audit.tags import Tag
from webapp.connections import services as connections
from webapp.extensions import House
from webapp.rulebook import services
from webapp.runs.execution import execute
from webapp.runs.pipeline.execute import Execution
from webapp.runs.requests import start

FIELDS = [
    {"left": "id", "right": "no"},
    {"right": "title", "to_right": "name.trim()"},
    {"right": "tel", "to_right": "phone.orDefault('none').trim()"},
]
WHERE = {"connection": "crm", "object": "account", "where": "status == 'active' && id < 100"}


def run(house: House, rule: dict[str, Any], mode: str = "live") -> int:
    """Publish a rule, run it once and return the run's number."""
    with house.db.read() as tx:
        known = services.find(tx, rule["name"])
    if known:
        services.save_draft(house, rule["name"], rule, ANNA)
    else:
        services.create(house, rule, ANNA)
    services.publish(house, rule["name"], ANNA)
    number = start(house, rule["name"], mode, ANNA)
    assert execute(house, number, "w", wait=lambda _seconds: None)
    return number


@pytest.fixture
def ran(console: House, monkeypatch: pytest.MonkeyPatch) -> tuple[House, int]:  # noqa: F811
    monkeypatch.setattr(Execution, "filters", False, raising=False)  # the source sends what is out of scope too
    return console, run(console, document(left=WHERE, fields=FIELDS))


def test_a_record_is_explained_from_the_run_page(ran: tuple[House, int], admin_client: FlaskClient):  # noqa: F811
    """A key leads to the page that tells scope, fields, partner and what was done, also for what was left alone."""
    _house, number = ran
    assert "Why did this happen to a record?" in admin_client.get(f"/runs/{number}").text
    found = admin_client.get(f"/runs/{number}/explain?key=2", follow_redirects=True)
    assert found.status_code == 200
    for text in ("It was created in erp", "In scope", "status == &#39;active&#39;", "Müller AG", "as the run stored"):
        assert text in found.text
    skipped = admin_client.get(f"/runs/{number}/explain?key=3", follow_redirects=True).text
    assert "Not in scope" in skipped
    assert "Decides: where all parts have to be true" in skipped
    missing = admin_client.get(f"/runs/{number}/explain?key=77", follow_redirects=True).text
    assert "has met no record with the key" in missing
    assert admin_client.get(f"/runs/{number}/explain").status_code == 302
    assert admin_client.get("/runs/99/explain?key=1").status_code == 404
    assert admin_client.get(f"/runs/{number}/records/99/explain").status_code == 404


def test_an_explanation_needs_the_permission_to_read_runs(ran: tuple[House, int], app: Any):  # noqa: F811
    """Values of records are shown to those only who may see runs."""
    _house, number = ran
    nobody = client_of(app, "nora")
    for address in (f"/runs/{number}/explain?key=1", f"/runs/{number}/records/1/explain", "/rules/customers/compare"):
        assert nobody.get(address).status_code == 403


def test_the_api_explains(ran: tuple[House, int], admin_client: FlaskClient):  # noqa: F811
    """The same as JSON: rule, version, clauses with values, proofs; by key or by number."""
    _house, number = ran
    found = admin_client.get(f"/api/v1/runs/{number}/explain?key=3").get_json()
    assert (found["version"], found["result"]["outcome"], found["proven"]) == (1, "skipped", True)
    clause = found["trace"]["where"]["steps"][0]
    assert (clause["text"], clause["value"], clause["decides"]) == ("status == 'active'", False, True)
    assert admin_client.get(f"/api/v1/runs/{number}/explain?record=2").get_json()["result"]["left_key"] == "2"
    assert admin_client.get(f"/api/v1/runs/{number}/explain").status_code == 422
    assert admin_client.get(f"/api/v1/runs/{number}/explain?key=77").status_code == 404
    assert admin_client.get("/api/v1/runs/99/explain?key=1").status_code == 404


def test_versions_are_compared_on_a_page(ran: tuple[House, int], admin_client: FlaskClient):  # noqa: F811
    """The page counts and shows what differs, and gives all of it as a file, which is audited."""
    house, number = ran
    page = admin_client.get("/rules/customers/compare").text
    assert "Two versions are needed" in page
    fields = [*FIELDS[:2], {"right": "tel", "to_right": "phone.trim()"}]
    services.save_draft(house, "customers", document(left=WHERE, fields=fields), ANNA)
    assert "No difference" in admin_client.get("/rules/customers/compare").text
    upper = [FIELDS[0], {"right": "title", "to_right": "name.upper()"}, FIELDS[2]]
    services.save_draft(house, "customers", document(left=WHERE, fields=upper), ANNA)
    page = admin_client.get(f"/rules/customers/compare?from=1&to=draft&run={number}").text
    assert "MÜLLER AG" in page
    shown = page.count('class="record"')
    assert f"1 to {shown} of {shown}" in page
    beyond = admin_client.get(f"/rules/customers/compare?from=1&to=draft&run={number}&page=2").text
    assert "Nothing on this page" in beyond
    assert "/rules/customers/compare" in admin_client.get("/rules/customers/publish").text
    assert "/rules/customers/compare" in admin_client.get("/rules/customers/versions").text
    file = admin_client.get("/rules/customers/compare.csv?from=1&to=draft&run=all")
    assert file.status_code == 200
    assert "different,title,Müller AG,MÜLLER AG" in file.text
    assert len(events(house, Tag.RUN_DOWNLOADED)) == 1
    away = {**WHERE, "where": "updated_at > timestamp('2020-01-01T00:00:00Z')"}
    services.save_draft(house, "customers", document(left=away, fields=upper), ANNA)
    page = admin_client.get("/rules/customers/compare").text
    assert "Simulate the draft" in page
    assert admin_client.get("/rules/customers/compare.csv").status_code == 409


def test_what_cannot_be_compared_says_so(console: House, admin_client: FlaskClient):  # noqa: F811
    """Without versions there is no file, without stored values a hint; lookup tables are not compared."""
    services.create(console, document(), ANNA)
    assert admin_client.get("/rules/customers/compare.csv").status_code == 404
    services.publish(console, "customers", ANNA)
    services.save_draft(console, "customers", document(label="x"), ANNA)
    assert "No stored records yet" in admin_client.get("/rules/customers/compare").text
    lookup = {"kind": "lookup", "name": "units", "key": {"name": "code"}, "columns": [{"name": "n"}], "entries": []}
    services.create(console, lookup, ANNA)
    assert admin_client.get("/rules/units/compare").status_code == 404


def test_a_table_is_compared_on_its_tests(console: House, admin_client: FlaskClient):  # noqa: F811
    """A decision table that no run has asked is compared on its own tests."""
    table: dict[str, Any] = {
        "kind": "decision_table",
        "name": "credit",
        "inputs": [{"name": "country"}],
        "outputs": [{"name": "limit", "type": "integer"}],
        "rows": [{"when": ["CN"], "then": [10]}],
        "tests": [{"name": "china", "given": {"country": "CN"}, "expect": {}}],
    }
    services.create(console, table, ANNA)
    services.publish(console, "credit", ANNA)
    services.save_draft(console, "credit", {**table, "rows": [{"when": ["CN"], "then": [20]}]}, ANNA)
    page = admin_client.get("/rules/credit/compare?run=tests").text
    assert "its own tests" in page
    assert "china" in page


@pytest.fixture
def installed(syncline: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> tuple[Any, int]:  # noqa: F811
    """Return the command line of an installation with one run."""
    monkeypatch.setattr(Execution, "filters", False, raising=False)  # the source sends what is out of scope too
    for name, sql in (
        ("a", "CREATE TABLE t (id INTEGER PRIMARY KEY, n TEXT)"),
        ("b", "CREATE TABLE t (id INTEGER PRIMARY KEY, m TEXT)"),
    ):
        with sqlite3.connect(tmp_path / "data" / f"{name}.db") as connection:
            connection.execute(sql)
            if name == "a":
                connection.executemany("INSERT INTO t VALUES (?, ?)", [(1, " x "), (2, None), (3, "z")])
        settings_ = {"path": str(tmp_path / "data" / f"{name}.db")}
        connections.create(
            syncline.house, {"kind": "connection", "name": name, "connector": "sqlite", "settings": settings_}, ANNA
        )
    rule = {
        "kind": "sync",
        "name": "letters",
        "left": {"connection": "a", "object": "t", "where": "id < 3"},
        "right": {"connection": "b", "object": "t"},
        "key": {"left": "id", "right": "id"},
        "fields": [{"left": "id", "right": "id"}, {"right": "m", "to_right": "n.trim()"}],
        "tests": [{"name": "trims", "given": {"id": 1, "n": " y "}, "expect": {"m": "y"}}],
    }
    return syncline, run(syncline.house, rule)


def test_the_terminal_explains(installed: tuple[Any, int]):
    """`syncline explain` tells the story of a record as text or JSON, and says where there is none."""
    line, number = installed
    told = line("explain", str(number), "1")
    assert told.code == 0
    for text in (
        "It was created in b › t.",
        "In scope",
        "id < 3 = true",
        "m = “x”  <- n.trim()",
        "ok The values come out",
    ):
        assert text in told.out
    assert "> id < 3" not in told.out
    assert "The field 'n' is empty" in line("explain", str(number), "2").out
    assert "Not in scope" in line("explain", str(number), "3").out
    assert json.loads(line("explain", str(number), "1", "--json").out)["proven"] is True
    assert line("explain", str(number), "9").code == 1


def test_the_terminal_tests_rules(installed: tuple[Any, int], tmp_path: Path):
    """`syncline rules test` exits with 1 when a test fails; tables in files need no installation's systems."""
    line, _number = installed
    good = line("rules", "test")
    assert (good.code, "letters: 1 passed, 0 failed" in good.out) == (0, True)
    assert json.loads(line("rules", "test", "letters", "--published", "--json").out)[0]["passed"] is True
    with line.house.db.read() as tx:
        rule = services.get(tx, "letters").document
    services.save_draft(
        line.house,
        "letters",
        {**rule, "tests": [{"name": "bad", "given": {"id": 1, "n": "y"}, "expect": {"m": "n"}}]},
        ANNA,
    )
    bad = line("rules", "test", "letters")
    assert (bad.code, "FAILS bad: 'm' should be 'n', but is 'y'." in bad.out) == (1, True)
    table = {
        "kind": "decision_table",
        "name": "t",
        "inputs": [{"name": "a"}],
        "outputs": [{"name": "b"}],
        "rows": [{"when": ["x"], "then": ["y"]}],
        "tests": [{"name": "one", "given": {"a": "x"}, "expect": {"b": "y"}}],
    }
    file = tmp_path / "table.json"
    file.write_text(json.dumps([table, rule, {**table, "name": "u", "outputs": []}]))
    mixed = line("rules", "test", str(file))
    assert mixed.code == 1
    assert "t: 1 passed, 0 failed, 100% covered" in mixed.out
    assert "need its connections" in mixed.out
    file.write_text(json.dumps(table))
    assert line("rules", "test", str(file)).code == 0
    file.write_text("{")
    assert line("rules", "test", str(file)).code == 1
    assert line("rules", "test", str(tmp_path / "gone.yaml")).code == 1
    services.save_draft(line.house, "letters", {**rule, "fields": [{"left": "x", "right": "id"}]}, ANNA)
    assert "once the rule is without errors" in line("rules", "test", "letters").out


def test_the_terminal_replays(installed: tuple[Any, int]):
    """`syncline rules replay` compares the draft with what is published on the values of a run."""
    line, number = installed
    with line.house.db.read() as tx:
        rule = services.get(tx, "letters").document
    fields = [{"left": "id", "right": "id"}, {"right": "m", "to_right": "n.orDefault('?').trim().upper()"}]
    services.save_draft(line.house, "letters", {**rule, "fields": fields}, ANNA)
    found = line("rules", "replay", "letters", "--run", str(number))
    assert found.code == 0
    for text in (f"1 -> draft on 3 records of run {number}", "m: “x” -> “X”", "newly fixed 2", "before: m:"):
        assert text in found.out
    assert json.loads(line("rules", "replay", "letters", "--last", "2", "--json").out)["counts"]["different"] == 1
    assert line("rules", "replay", "letters", "--from", "9").code == 1
    assert line("rules", "replay", "nothing").code == 1
