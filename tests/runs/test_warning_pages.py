"""What validations said of a run, as people see it."""

from __future__ import annotations

import pytest

from tests.runs.conftest import ADMIN
from tests.webapp.conftest import admin_client, app, client, settings  # noqa: F401 - the console's fixtures
from webapp.connections import services as connections
from webapp.rulebook import services as rulebook
from webapp.runs.execution import execute
from webapp.runs.pipeline import checked
from webapp.runs.requests import start
from webapp.web import validation_words

RULE = {
    "kind": "sync",
    "name": "people",
    "left": {"connection": "a", "object": "people.csv"},
    "right": {"connection": "a", "object": "out.csv"},
    "key": {"left": "no", "right": "no"},
    "fields": [{"left": "no", "right": "no"}],
    "validations": [
        {"name": "named", "check": "name != null", "severity": "reject", "message": "A name is needed"},
        {"name": "long", "check": "size(name) > 3", "severity": "warn", "when": "name != null"},
    ],
}


@pytest.fixture
def run(app, tmp_path):  # noqa: F811
    house = app.extensions["syncline"]
    folder = tmp_path / "data" / "files"
    folder.mkdir(parents=True)
    (folder / "people.csv").write_text("no,name\n1,Cornelia\n2,Ada\n3,\n4,Bea\n", encoding="utf-8")
    (folder / "out.csv").write_text("no\n", encoding="utf-8")
    settings_ = {"path": str(folder), "format": "csv"}
    connections.create(house, {"kind": "connection", "name": "a", "connector": "files", "settings": settings_}, ADMIN)
    rulebook.create(house, RULE, ADMIN)
    rulebook.publish(house, "people", ADMIN)
    run_id = start(house, "people", "live", ADMIN)
    execute(house, run_id, "w1", wait=lambda _seconds: None)
    return run_id


def test_the_run_page_counts_what_validations_said(admin_client, run):  # noqa: F811
    page = admin_client.get(f"/runs/{run}").text
    assert "A name is needed. Found: name" in page
    assert f'href="/runs/{run}?outcome=rejected"' in page
    assert f'href="/runs/{run}/warnings?validation=long"' in page
    left_out = admin_client.get(f"/runs/{run}?outcome=rejected").text
    assert left_out.count('class="record"') == 1


def test_warnings_are_listed_and_filtered(admin_client, run):  # noqa: F811
    page = admin_client.get(f"/runs/{run}/warnings").text
    assert page.count('class="record-key"') == 2
    assert "size(name)" in page
    assert "No warnings" in admin_client.get(f"/runs/{run}/warnings?validation=named").text
    assert admin_client.get("/runs/999/warnings").status_code == 404


def test_a_list_that_was_cut_says_so(app, admin_client, run, monkeypatch):  # noqa: F811
    house = app.extensions["syncline"]
    monkeypatch.setattr(checked, "LISTED", 1)
    again = start(house, "people", "simulate", ADMIN)
    execute(house, again, "w1", wait=lambda _seconds: None)
    page = admin_client.get(f"/runs/{again}/warnings?validation=long").text
    assert "2 records were counted" in page
    assert page.count('class="record-key"') == 1
    assert "would be written" in page


def test_the_api_lists_warnings(admin_client, run):  # noqa: F811
    address = f"/api/v1/runs/{run}/warnings"
    first = admin_client.get(f"{address}?limit=1").json
    assert [(item["record"], item["key"], item["validation"], item["field"]) for item in first["items"]] == [
        (2, "2", "long", "name")
    ]
    assert first["items"][0]["reason"].startswith("'long' is not met")
    rest = admin_client.get(f"{address}?validation=long&after={first['next']}").json
    assert [item["record"] for item in rest["items"]] == [4]
    assert admin_client.get("/api/v1/runs/999/warnings").status_code == 404


def test_validations_are_called_what_they_ask(admin_client, run):  # noqa: F811
    """A message stands for its validation, or else the condition; never a name that nobody chose by itself."""
    page = admin_client.get(f"/runs/{run}").text
    assert 'A name is needed <small class="mono text-secondary">named</small>' in page
    assert 'size(name) &gt; 3 <small class="mono text-secondary">long</small>' in page
    assert '<option value="long">size(name) &gt; 3</option>' in admin_client.get(f"/runs/{run}/warnings").text


def test_what_validations_ask_in_words():
    """Uniqueness and references are told by their fields; anything else falls back to the name."""
    held = [
        {"name": "unique_1", "unique": ["code", "country"]},
        {"name": "reference_2", "reference": {"field": "code", "object": "country"}},
        {"name": "check_3"},
        "nothing",
    ]
    assert validation_words.titles({"validations": held}) == {
        "unique_1": "code, country: each value only once",
        "reference_2": "code: has to exist in country",
        "check_3": "check_3",
    }
    assert validation_words.titles({"validations": "nothing"}) == {}
