"""Fields of connected systems marked as personal: withheld from the Auditor, and told of where they are seen."""

from __future__ import annotations

import re
from typing import Any

import sqlalchemy as sa
from flask import Flask

from tests.runs.test_sight import HIDDEN, World, _surfaces, _told, world  # noqa: F401 - what was done, and its surfaces
from tests.webapp.conftest import add_user, app, client_of, events, settings, sign_in  # noqa: F401
from webapp.access import role_editing
from webapp.access.role_editing import Role
from webapp.audit.models import audit_event
from webapp.audit.tags import Tag
from webapp.connections import personal_marks
from webapp.connections import services as connections
from webapp.connections.models import connection_personal
from webapp.extensions import SYSTEM
from webapp.policies import services as policies

PLACE = ("crm", "customer")
SYSTEM_OWN = re.compile(rf"{HIDDEN}(?![78](?!\d))")
"""What events of an entity tell, and a case quotes, ends in 7 or 8: it does not come from the system."""


def found(client: Any, world: World) -> set[str]:  # noqa: F811
    """Return the addresses that show planted values of the field `iban`."""
    answers = ((address, _told(client, method, address, body)[1]) for method, address, body in _surfaces(world))
    return {address for address, answer in answers if SYSTEM_OWN.search(answer)}


def test_marks_withhold_from_the_auditor(app: Flask, world: World):  # noqa: F811
    """What is marked, the Auditor sees only as far as an entity holds it unmarked; other roles still see it."""
    auditor = client_of(app, "olga", "Auditor")
    systems = {one for one in found(auditor, world) if one.startswith(("/runs/", "/api/v1/runs/"))}
    assert systems, "nothing is marked yet"
    personal_marks.mark(world.house, PLACE, ["iban"], SYSTEM, withheld=False)
    left = found(auditor, world)
    assert {one for one in left if "person" not in one} == set()
    chief = sign_in(app.test_client(), "chief")
    assert systems & found(chief, world)
    with world.house.db.read() as tx:
        looks = tx.execute(sa.select(audit_event).where(audit_event.c.tag == Tag.DATA_SEEN)).all()
    told = {(one.actor_name, one.subject) for one in looks if "iban" in one.after["fields"]}
    assert told == {("chief", "connection/crm/customer")}


def test_marks_are_set_on_the_page_of_an_object(app: Flask, world: World):  # noqa: F811
    """Who may change connections marks fields; what is marked is in the log, and outlives the schema."""
    chief = sign_in(app.test_client(), "chief")
    personal_marks.mark(world.house, PLACE, ["gone"], SYSTEM, withheld=False)
    page = chief.get("/connections/crm/object?name=customer").text
    assert 'name="personal" value="gone"' in page
    sent = {"name": "customer", "personal": ["iban", "gone"]}
    assert chief.post("/connections/crm/personal", data=sent).status_code == 302
    assert (
        'value="iban" aria-label="iban is about a person" checked'
        in chief.get("/connections/crm/object?name=customer").text
    )
    (event,) = events(world.house, Tag.PERSONAL_MARKED)[1:]
    assert (event.before["personal"], event.after["personal"]) == (["gone"], ["gone", "iban"])
    assert chief.post("/connections/hub/personal", data=sent).status_code == 404
    with world.house.db.read() as tx:
        assert set(tx.scalars(sa.select(connection_personal.c.field))) == {"iban", "gone"}


def test_whom_a_role_withholds_personal_data_unmarks_nothing(app: Flask, world: World):  # noqa: F811
    """Nobody takes a mark away to see what it withholds."""
    personal_marks.mark(world.house, PLACE, ["iban"], SYSTEM, withheld=False)
    both = client_of(app, "max", "Auditor", "Designer")
    answer = both.post("/connections/crm/personal", data={"name": "customer"})
    assert answer.status_code == 403
    body = {"object": "customer", "fields": []}
    assert both.put("/api/v1/connections/crm/personal", json=body).status_code == 403
    assert both.get("/api/v1/connections/crm/personal?object=customer").json["fields"] == ["iban"]
    chief = sign_in(app.test_client(), "chief")
    assert chief.put("/api/v1/connections/crm/personal", json=body).json == body
    assert chief.put("/api/v1/connections/hub/personal", json=body).status_code == 409


def test_whom_something_is_withheld_changes_no_way_to_it(app: Flask, world: World):  # noqa: F811
    """A marked field is not reached by an own query or another object; other changes go on, and those of others."""
    personal_marks.mark(world.house, PLACE, ["iban"], SYSTEM, withheld=False)
    grants = {("Connections", "read"), ("Connections", "update"), ("Records", "read")}
    careful = role_editing.save_role(world.house, Role(None, "Careful", grants=frozenset(grants)), SYSTEM)
    policies.set_policy(world.house, careful, {"personal": "hide"}, SYSTEM)
    part, whole = client_of(app, "max", "Careful"), client_of(app, "mia", "Designer")
    with world.house.db.read() as tx:
        document = connections.to_document(tx, connections.get_connection(tx, "crm"))
    around = document | {"settings": document["settings"] | {"queries": {"all": "SELECT * FROM customer"}}}
    tries = ((part, around, 403), (part, document | {"note": "new"}, 200), (whole, around | {"note": "new"}, 200))
    for client, changed, status in tries:
        found = client.put("/api/v1/connections/crm", json=changed)
        assert found.status_code == status, found.text
