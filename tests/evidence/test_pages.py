"""The pages of auditors."""

from __future__ import annotations

import io
import zipfile

import pytest

from tests.evidence.test_forwarding import heard_all
from tests.evidence.test_trail import PERSON
from tests.log_servers import syslog
from tests.runs.conftest import ADMIN, RULE
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
from webapp.access.role_editing import Role, save_role
from webapp.entities import services as entities
from webapp.evidence import changes, desk, forwarding, forwards, holds, jobs, signins
from webapp.evidence.notary import seal_due
from webapp.extensions import SYSTEM
from webapp.policies.services import set_policy
from webapp.rulebook import services as rulebook


@pytest.fixture
def shop(app, tmp_path):  # noqa: F811
    return Shop(app.extensions["syncline"], tmp_path / "data")


def test_the_history_of_a_record_on_its_page_and_for_programs(app, admin_client, shop):  # noqa: F811
    """Found from the page of a run; each step with its rule, its differences and its proof; nothing without a right."""
    run = shop.run("live")
    page = text(admin_client, "/audit/record?connection=crm&object=customer&key=2")
    assert "wait for their seal" in page
    seal_due(shop.house)
    address = "/audit/record?rule=customers&amp;side=left&amp;key=2"
    assert address in text(admin_client, f"/runs/{run}")
    page = text(admin_client, address.replace("&amp;", "&"))
    assert "The only step is sealed and unchanged." in page
    assert "/rules/customers/versions" in page
    assert "<ins>+86 2</ins>" in page
    assert "as it is published" in page
    assert "Which record?" in text(admin_client, "/audit/record")
    assert "Nothing is known" in text(admin_client, "/audit/record?connection=crm&object=customer&key=none")
    found = admin_client.get("/api/v1/evidence/record-history?rule=customers&key=2").json
    (step,) = found["steps"]
    assert (found["proven"], step["deed"], step["version"], step["seal"]["state"]) == (1, "updated", 1, "sealed")
    assert admin_client.get("/api/v1/evidence/record-history?rule=customers").status_code == 422
    assert client_of(app, "vera", "Viewer").get("/audit/record").status_code == 403


def test_any_two_states_of_a_rule_are_compared(admin_client, shop):  # noqa: F811
    """A rule's states are those of its events: the page lists them, and tells what differs between any two."""
    document = {**RULE, "label": "People"}
    rulebook.save_draft(shop.house, "customers", document, ADMIN)
    rulebook.publish(shop.house, "customers", ADMIN, "named")
    with shop.house.db.read() as tx:
        found = changes.states(tx, "rule", "customers")
        assert [(thing.kind, thing.name) for thing in changes.things(tx, "rule")] == [("rule", "customers")]
    assert [state.version for state in found] == [2, None, 1, None]
    assert found[0].document == found[1].document == document
    page = text(admin_client, f"/audit/changes/rule/customers?from={found[2].number}&to={found[0].number}")
    assert "<ins>People</ins>" in page
    same = text(admin_client, f"/audit/changes/rule/customers?from={found[1].number}&to={found[0].number}")
    assert "Nothing differs" in same
    assert "/audit/changes/connection/erp" in text(admin_client, "/audit/changes")
    assert admin_client.get("/audit/changes/rule/nobody").status_code == 404
    assert admin_client.get("/audit/changes/weather/today").status_code == 404


def test_sign_ins_tell_of_refusals_addresses_and_sessions(app, admin_client):  # noqa: F811
    """Who signed in, who was refused and why, from which address, and who is signed in now."""
    app.test_client().post("/login/", data={"username": "mallory", "password": "guess"})
    page = text(admin_client, "/audit/sign-ins")
    assert "mallory" in page
    assert "unknown user" in page
    found = signins.since(app.extensions["syncline"], 7)
    assert (found.successes, found.refusals, found.users) == (1, 1, 1)
    assert [one.user for one in found.sessions] == ["admin"]
    assert [(one.address, one.refusals) for one in found.addresses] == [("127.0.0.1", 1)]
    assert "mallory" not in text(admin_client, "/audit/sign-ins?kind=in&days=1")


def test_a_history_shows_only_what_one_may_see(app, admin_client, shop):  # noqa: F811
    """That something happened and its proof are seen; values and keys only as the policies of one's roles permit."""
    shop.run("live")
    seal_due(shop.house)
    policy = {"data": [{"on": "connection/*", "allow": ["read"], "fields": {"tel": "mask:last4", "phone": "hide"}}]}
    grants = frozenset({("Audit", "read"), ("Runs", "read"), ("Connections", "read")})
    role = save_role(shop.house, Role(name="Reader", grants=grants), SYSTEM)
    set_policy(shop.house, role, policy, SYSTEM)
    reader = client_of(app, "rita", "Reader")
    page = text(reader, "/audit/record?connection=crm&object=customer&key=2")
    assert "The only step is sealed and unchanged." in page
    assert "+86 2" not in page
    assert "+86 2" in text(admin_client, "/audit/record?connection=crm&object=customer&key=2")


def test_a_package_is_asked_for_made_and_downloaded(app, admin_client, shop):  # noqa: F811
    """The form says what is wrong; a worker makes it; the download is told of; who may not export gets none."""
    shop.run("live")
    seal_due(shop.house)
    assert "No package yet" in text(admin_client, "/audit/packages")
    assert admin_client.post("/audit/packages", data={"since": "soon", "run": "x"}).status_code == 422
    assert admin_client.post("/audit/packages", data={"run": "1", "runs": "true", "title": "q12"}).status_code == 302
    assert "Waits for a worker" in text(admin_client, "/audit/packages/list")
    (number,) = jobs.waiting(shop.house)
    assert desk.work(shop.house, number)
    assert "Ready" in text(admin_client, "/audit/packages")
    answer = admin_client.post(f"/audit/packages/{number}/download")
    content = answer.data
    answer.close()
    with zipfile.ZipFile(io.BytesIO(content)) as archive:
        assert {"report.pdf", "manifest.note", "runs/1/1.outcomes"} <= {*archive.namelist()}
    assert [event.tag for event in events(shop.house, "audit:package")] == [
        "audit:package:asked",
        "audit:package:made",
        "audit:package:downloaded",
    ]
    assert client_of(app, "vera", "Viewer").post(f"/audit/packages/{number}/download").status_code == 403
    assert admin_client.post("/audit/packages/999/download").status_code == 404


def test_the_seal_is_checked_from_its_page(admin_client, shop):  # noqa: F811
    """Checkpoint, key and what the last check found; asking twice does not check twice."""
    seal_due(shop.house)
    assert "has not been checked yet" in text(admin_client, "/audit/seal")
    for _time in range(2):
        admin_client.post("/audit/seal/check")
    (number,) = jobs.waiting(shop.house)
    desk.work(shop.house, number)
    page = text(admin_client, "/audit/seal")
    assert "The last check found nothing wrong." in page
    assert "time 20" in page
    assert "Intact" in text(admin_client, "/audit/seal/checks")


def test_targets_are_set_tried_and_deleted_on_their_pages(app, admin_client, shop):  # noqa: F811
    """What is wrong is told at its field; a test message arrives; who may only read changes nothing."""
    assert "Nothing is forwarded" in text(admin_client, "/audit/forwarding")
    form = {"name": "siem", "address": "syslog://", "format": "rfc5424", "sign": "none", "enabled": "true"}
    assert "Enter an address" in admin_client.post("/audit/forwarding/add", data=form).text
    with syslog("udp") as heard:
        address = f"syslog://127.0.0.1:{heard.port}"
        assert admin_client.post("/audit/forwarding/add", data={**form, "address": address}).status_code == 302
        sent = admin_client.post("/audit/forwarding/1/test", follow_redirects=True).text
        assert "was sent to siem" in sent
        assert "sent a test message to siem" in heard_all(heard, 1)[0]
        seal_due(shop.house)
        assert forwarding.send_due(shop.house) >= 1
    assert "Up to date" in text(admin_client, "/audit/forwarding")
    assert address in text(admin_client, "/audit/forwarding/1")
    reader = client_of(app, "aud", "Auditor")
    assert "siem" in text(reader, "/audit/forwarding")
    assert reader.post("/audit/forwarding/1/delete").status_code == 403
    assert admin_client.post("/audit/forwarding/1/delete").status_code == 302
    assert admin_client.get("/audit/forwarding/1").status_code == 404


def test_holds_are_placed_and_released_on_their_page(app, admin_client):  # noqa: F811
    """A hold keeps what it covers from being erased; auditors see holds and change none."""
    assert "no legal holds" in text(admin_client, "/audit/holds")
    assert "needs a name and a reason" in admin_client.post("/audit/holds", data={"name": "x"}).text
    hold = {"name": "lawsuit", "reason": "case 4711", "kind": "user", "subject": "ann"}
    assert admin_client.post("/audit/holds", data=hold).status_code == 302
    assert "user · ann" in text(admin_client, "/audit/holds")
    assert client_of(app, "aud", "Auditor").post("/audit/holds", data=hold).status_code == 403
    assert admin_client.post("/audit/holds/release", data={"name": "lawsuit"}).status_code == 302
    assert (
        "no legal hold"
        in admin_client.post("/audit/holds/release", data={"name": "lawsuit"}, follow_redirects=True).text
    )


def test_a_person_is_erased_behind_a_preview(app, admin_client, shop):  # noqa: F811
    """The page shows what would go, of all subjects that links lead to; that goes and no more; holds stop it."""
    house = shop.house
    entities.define(house, PERSON, ADMIN)
    number = entities.create_record(house, "person", {"no": 1, "name": "Ada"}, ADMIN)
    entities.change_record(house, entities.Edit("person", number, {"name": "Ada L."}), ADMIN)
    entities.create_record(house, "person", {"no": 2, "name": "Bea"}, ADMIN)
    address = f"/audit/persons?kind=entity&name=person&record={number}"
    page = text(admin_client, address)
    assert "2 events hold personal values" in page
    assert "name × 3" in page
    whole = {"who": f"entity\tperson\t{number}", "reason": "request 1"}
    admin_client.post("/audit/holds", data={"name": "all", "reason": "case 1"})
    assert "legal hold" in admin_client.post("/audit/persons/erase", data=whole, follow_redirects=True).text
    assert "Held" in text(admin_client, address)
    admin_client.post("/audit/holds/release", data={"name": "all"})
    assert (
        "say why" in admin_client.post("/audit/persons/erase", data={**whole, "reason": ""}, follow_redirects=True).text
    )
    given = admin_client.post("/audit/persons/export", data={"kind": "entity", "name": "person", "record": number})
    assert "Ada L." in given.text
    assert client_of(app, "aud", "Auditor").post("/audit/persons/erase", data=whole).status_code == 403
    admin_client.post("/audit/persons/erase", data=whole)
    assert "no personal values of this person" in text(admin_client, address)
    assert "name × 1" in text(admin_client, "/audit/persons?kind=entity&name=person&record=2")
    seal_due(house)
    history = text(admin_client, f"/audit/record?entity=person&record={number}")
    assert "Altered" not in history


def test_programs_ask_for_packages_and_read_the_state(admin_client, shop):  # noqa: F811
    """Targets, holds and packages are listed; a package that is asked for waits for a worker; a wrong date is told."""
    forwards.save(shop.house, forwards.Form("siem", "syslog://log.example"), ADMIN)
    holds.place(shop.house, "all", "case", holds.Scope(), ADMIN)
    assert admin_client.get("/api/v1/evidence/forwarding").json["items"][0]["name"] == "siem"
    assert admin_client.get("/api/v1/evidence/holds").json["items"][0]["reason"] == "case"
    made = admin_client.post("/api/v1/evidence/packages?kind=rule&title=q1&runs=true")
    assert (made.status_code, made.json["state"], made.json["wanted"]["runs"]) == (202, "queued", True)
    assert admin_client.get("/api/v1/evidence/packages").json["items"][0]["id"] == made.json["id"]
    assert admin_client.post("/api/v1/evidence/packages?since=soon").status_code == 422
