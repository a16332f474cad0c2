"""Who has looked at personal data is told, cheaply, wherever it is shown."""

from __future__ import annotations

from dataclasses import replace

import pytest

from tests.evidence.test_trail import INTO, PERSON
from tests.runs.conftest import ADMIN
from tests.runs.test_plan_pages import Shop
from tests.webapp.conftest import (  # noqa: F401 - the console's fixtures
    admin_client,
    app,
    client,
    client_of,
    events,
    settings,
    text,
)
from webapp.audit import looks
from webapp.entities import services as entities
from webapp.rulebook import services as rulebook
from webapp.runs.requests import start

TAG = "data:values:seen"


@pytest.fixture
def people(app):  # noqa: F811
    house = app.extensions["syncline"]
    entities.define(house, PERSON, ADMIN)
    entities.define(house, {**PERSON, "name": "thing", "fields": PERSON["fields"][:1]}, ADMIN)
    for number in range(60):
        entities.create_record(house, "person", {"no": number, "name": f"n{number}"}, ADMIN)
    entities.create_record(house, "thing", {"no": 1}, ADMIN)
    return house


def told(house):
    return [
        (e.subject, e.record_key, e.after["records"], e.after["fields"], e.after["way"]) for e in events(house, TAG)
    ]


@pytest.mark.parametrize(
    ("path", "expected"),
    [
        ("/records/person/3", ("entity/person", "3", 1, ["name"], "page")),
        ("/records/person/3/edit", ("entity/person", "3", 1, ["name"], "page")),
        ("/records/person/", ("entity/person", None, 50, ["name"], "page")),
        ("/records/person/?c=no", None),
        ("/api/v1/entities/person/records?limit=20", ("entity/person", None, 20, ["name"], "api")),
        ("/api/v1/entities/person/records/7", ("entity/person", "7", 1, ["name"], "api")),
        ("/records/person/export/csv", ("entity/person", None, 60, ["name"], "export")),
        ("/connections/hub/preview?name=person", ("entity/person", None, 50, ["name"], "page")),
        ("/connections/hub/preview?name=thing", None),
        ("/records/thing/1", None),
        ("/records/thing/", None),
    ],
)
def test_each_surface_tells_once_a_request(people, admin_client, path, expected):  # noqa: F811
    """One event a request: of which records, which fields; none where no personal field is shown."""
    answer = admin_client.post(path) if "export" in path else admin_client.get(path)
    assert answer.status_code == 200, answer.text[:300]
    assert len(answer.data) > 20
    assert told(people) == ([] if expected is None else [expected])


def test_the_page_shows_who_has_looked_at_whom(app, people, admin_client):  # noqa: F811
    """By record, by person; a list names at most so many records; nothing is recorded where it is switched off."""
    reader = client_of(app, "rita", "Viewer")
    reader.get("/records/person/3")
    admin_client.get("/records/person/")
    page = text(admin_client, "/audit/looks?key=3")
    assert page.count(">rita<") == 2
    assert text(admin_client, "/audit/looks?key=3&endpoint=a&_method=POST").count(">rita<") == 2
    assert len(events(people, TAG)[-1].after["keys"]) == looks.KEYS
    assert "rita" not in text(admin_client, "/audit/looks?data=entity/person&actor=admin")
    assert "Nobody has looked" in text(admin_client, "/audit/looks?key=none")
    app.extensions["syncline"] = replace(people, settings=replace(people.settings, record_reads=False))
    reader.get("/records/person/3")
    assert len(events(people, TAG)) == 2
    assert "not recorded" in text(admin_client, "/audit/looks")


def test_pages_of_runs_tell_of_personal_values_too(app, admin_client, tmp_path):  # noqa: F811
    """What a run wrote to an entity of Syncline is personal on the page of the run, as it is on that of the record."""
    house = app.extensions["syncline"]
    shop = Shop(house, tmp_path / "data")
    entities.define(house, PERSON, ADMIN)
    rulebook.create(house, INTO, ADMIN)
    rulebook.publish(house, "people", ADMIN)
    run = shop.work(start(house, "people", "live", ADMIN))
    admin_client.get(f"/runs/{run}")
    assert {(e.subject, *e.after["fields"]) for e in events(house, TAG)} == {("entity/person", "name")}
