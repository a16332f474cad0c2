"""What an auditor may not see comes out of no proof, package or list of looks; what one sees in the log is told of."""

from __future__ import annotations

import pytest
from flask.testing import FlaskClient

from tests.entities.conftest import ANN
from tests.webapp.conftest import (  # noqa: F401 - the console's fixtures
    add_user,
    admin_client,
    app,
    client,
    client_of,
    events,
    house,
    settings,
    sign_in,
    text,
)
from webapp.access import role_editing
from webapp.access.role_editing import Role
from webapp.approvals.deeds import appliers
from webapp.audit.sealing import seal_all
from webapp.audit.services import Event, Subject, record
from webapp.audit.tags import Tag
from webapp.entities import services as entities
from webapp.evidence import jobs, package
from webapp.evidence.desk import work
from webapp.evidence.hold_views import HoldView
from webapp.evidence.holds import DEED
from webapp.evidence.signing import signer
from webapp.extensions import SYSTEM, House
from webapp.policies import services as policies

PERSON = {
    "kind": "entity",
    "name": "person",
    "fields": [{"name": "grade", "type": "text"}, {"name": "phone", "type": "text", "personal": True}],
}
POLICY = {"data": [{"on": "entity/person", "fields": {"grade": "hide"}}, {"on": "connection/*", "deny": ["read"]}]}
PROOF, PACKAGES = "/api/v1/evidence/proofs/{}", "/api/v1/evidence/packages"


@pytest.fixture
def log(house: House) -> int:  # noqa: F811
    """Return the event of a record, in a log that is sealed."""
    entities.define(house, PERSON, ANN)
    entities.create_record(house, "person", {"grade": "zebra", "phone": "555"}, ANN)
    with house.db.begin() as tx:
        told = {"fields": ["phone"], "records": 2, "keys": ["ada@x", "bo@x"], "page": "/", "way": "page"}
        record(tx, ANN, house.clock(), Event(Tag.DATA_SEEN, Subject("data", "connection/crm/contact"), after=told))
    seal_all(house, signer(house))
    return int(events(house, Tag.RECORD_CREATED)[0].id)


@pytest.fixture
def partly(app, log: int) -> FlaskClient:  # noqa: F811
    """Return who reads and exports the log, and may not see everything that it holds."""
    opened: House = app.extensions["syncline"]
    deeds = {("Audit", "read"), ("Audit", "export"), ("Records", "read"), ("Connections", "read"), ("Runs", "read")}
    role = role_editing.save_role(opened, Role(None, "Part", grants=frozenset(deeds)), SYSTEM)
    policies.set_policy(opened, role, POLICY, SYSTEM)
    add_user(opened, "pia", "Part")
    return sign_in(app.test_client(), "pia")


def taken(someone: FlaskClient, number: int) -> int:
    """Return what somebody is answered who downloads a package."""
    with someone.post(f"/audit/packages/{number}/download") as answer:
        return answer.status_code


def test_a_proof_holds_what_only_some_may_see(log: int, partly: FlaskClient, admin_client: FlaskClient):  # noqa: F811
    """It can be checked only as it was sealed, so who may not see all gets none."""
    refused = partly.get(PROOF.format(log))
    assert refused.status_code == 403
    assert "zebra" not in refused.text
    assert "zebra" in admin_client.get(PROOF.format(log)).text


def test_a_package_is_for_who_may_see_all(house: House, log: int, partly: FlaskClient, admin_client: FlaskClient):  # noqa: F811
    """Neither asked for nor taken by anybody else, on pages and in the API."""
    assert partly.post("/audit/packages", data={"text": "zebra"}).status_code == 403
    assert partly.post(f"{PACKAGES}?text=zebra").status_code == 403
    assert events(house, Tag.PACKAGE_ASKED) == []
    number = admin_client.post(PACKAGES).json["id"]
    assert work(house, number)
    assert taken(partly, number) == 403
    assert taken(admin_client, number) == 200


def test_the_records_of_runs_are_for_who_may_see_personal_values(app, log: int, admin_client: FlaskClient):  # noqa: F811
    """They are in clear in a package; an auditor gets packages without them."""
    opened: House = app.extensions["syncline"]
    auditor = client_of(app, "eve", "Auditor")
    assert auditor.post(f"{PACKAGES}?runs=true").status_code == 403
    number = auditor.post(PACKAGES).json["id"]
    assert work(opened, number)
    assert taken(auditor, number) == 200
    with_runs = jobs.request(opened, jobs.PACKAGE, package.Wanted(package.queries.Filter(), runs=True).to_json(), ANN)
    assert work(opened, with_runs)
    assert taken(auditor, with_runs) == 403


def test_keys_of_systems_stay_hidden_among_looks(log: int, partly: FlaskClient, admin_client: FlaskClient):  # noqa: F811
    """They are values of fields: not shown, and not found by."""
    assert "ada@x" in text(admin_client, "/audit/looks")
    assert "connection/crm/contact" in text(partly, "/audit/looks")
    assert "ada@x" not in text(partly, "/audit/looks")
    assert text(partly, "/audit/looks?key=ada@x").count("connection/crm/contact") < text(partly, "/audit/looks").count(
        "connection/crm/contact"
    )


@pytest.mark.parametrize(
    ("path", "seen"),
    [("/audit/{}", True), ("/api/v1/audit/{}", True), ("/api/v1/audit/?kind=entity", True), ("/audit/", False),
     ("/audit/persons?kind=entity&name=person&record=1", False)],
)  # fmt: skip
def test_who_reads_personal_values_in_the_log_is_told_of(house: House, log: int, admin_client, path, seen):  # noqa: F811
    """An event about a record shows them like the record's page; a list of sentences does not."""
    assert admin_client.get(path.format(log)).status_code == 200
    told = [(e.subject, e.record_key, e.after["fields"]) for e in events(house, Tag.DATA_SEEN)[1:]]
    assert told == ([("entity/person", "1", ["phone"])] if seen else [])


def test_who_is_refused_a_personal_value_has_not_looked(app, house: House, log: int):  # noqa: F811
    """An auditor sees that something was written, and not what."""
    page = text(client_of(app, "eve", "Auditor"), f"/audit/{log}")
    assert "555" not in page
    assert len(events(house, Tag.DATA_SEEN)) == 1


def test_who_may_not_release_a_hold_approves_no_release():
    """The second person needs the permission that the page of holds asks for."""
    assert appliers[DEED].permission == ("update", HoldView.class_permission_name)
    assert appliers[DEED].permission[0] == HoldView.release._permission_name
    assert appliers[DEED].url("a") == "/audit/holds"


def test_who_sees_a_part_forwards_nothing(app, log: int, admin_client: FlaskClient):  # noqa: F811
    """Events go to other systems as they were sealed, so that only who may see all of them says where."""
    opened: House = app.extensions["syncline"]
    grants = frozenset({("Audit", "read"), ("Audit", "update"), ("Records", "read"), ("Connections", "read")})
    role_id = role_editing.save_role(opened, Role(None, "Sender", grants=grants), SYSTEM)
    policies.set_policy(opened, role_id, POLICY, SYSTEM)
    form = {"name": "log", "address": "syslog://127.0.0.1:514", "format": "rfc5424", "sign": "none", "start": "all"}
    sender = client_of(app, "sender", "Sender")
    assert sender.post("/audit/forwarding/add", data=form).status_code == 403
    assert admin_client.post("/audit/forwarding/add", data=form).status_code == 302
