"""What people see of sagas, and what they can do about those that wait: page, case, API."""

from __future__ import annotations

from typing import Any

import pytest
import sqlalchemy as sa

from tests.runs.conftest import ADMIN, RULE
from tests.webapp.conftest import (  # noqa: F401 - the console's fixtures
    add_user,
    admin_client,
    app,
    client,
    settings,
    sign_in,
)
from webapp.access import role_editing
from webapp.access.role_editing import Role
from webapp.audit.models import audit_event
from webapp.cases import sagas as cases
from webapp.cases.models import case_item
from webapp.connections import services as connections
from webapp.extensions import SYSTEM
from webapp.policies import services as policies
from webapp.rulebook import services as rulebook
from webapp.runs import hooks
from webapp.runs.hooks import SagaMoved
from webapp.runs.sagas import deeds, ledger, reading
from webapp.runs.sagas.models import saga
from webapp.runs.sagas.states import State, StepState
from webapp.runs.sagas.views import SagasView


@pytest.fixture
def house(app: Any) -> Any:  # noqa: F811
    """Return a house with a record whose account could not be taken back, as its system is away."""
    house = app.extensions["syncline"]
    away = {"host": "127.0.0.1", "port": 1, "database": "d", "user": "u"}
    connections.create(
        house, {"kind": "connection", "name": "shop", "connector": "postgresql", "settings": away}, ADMIN
    )
    now = house.clock()
    place = {"connection": "shop", "object": "client", "key_field": "id", "match_field": None, "match": None}
    note = {**place, "key": "7", "op": "create", "way": "delete", "after": {"name": "Ada"}, "undo": {}}
    head = {"rule_id": 1, "rule_name": "customers", "run_id": 3, "chunk_no": 1, "side": "left", "begun_at": now}
    with house.db.begin() as tx:
        ledger.begin(tx, head, [(0, "42")], {0: {**note, "name": "record"}})
        (one,) = ledger.of_chunk(tx, 3, 1)
        ledger.confirm(tx, 0, {one.id: "7"})
        tx.execute(sa.update(saga).values(state=State.STUCK.value))
        ledger.mark(tx, 0, [one.id], StepState.STUCK)
        for tell in hooks.sagas:
            tell(tx, SagaMoved(one.id, "customers", 3, "record", "shop › client", stuck=True, by=ADMIN, at=now))
    return house


def test_a_record_that_waits_is_shown_and_tried_again(admin_client: Any, house: Any):  # noqa: F811
    """The page names record, step and system; tried again, it says what is in the way."""
    page = admin_client.get("/runs/transactions/").text
    for told in ("Record 42", "Waits for a person", "Cannot be taken back", "shop", "Give up"):
        assert told in page, told
    (one,) = reading.listing(house)
    answer = admin_client.post(f"/runs/sagas/{one.id}/again", data={"seen": one.mark}, follow_redirects=True)
    assert "Not all steps could be taken back" in answer.text
    assert "Nothing listens on this port" in answer.text


def test_all_that_are_open_are_listed_by_api(admin_client: Any, house: Any):  # noqa: F811
    """Page by page, those that wait for a person first, each once."""
    head = {"rule_id": 1, "rule_name": "customers", "run_id": 3, "chunk_no": 2, "side": "left"}
    with house.db.begin() as tx:
        tx.execute(sa.update(saga).values(id=5))
        for number, state in ((3, "working"), (4, "stuck"), (7, "compensating"), (8, "stuck"), (9, "done")):
            place = {"id": number, "row": 0, "record_key": str(number), "begun_at": house.clock()}
            tx.execute(sa.insert(saga).values(**head, **place, state=state))
    found, after = [], ""
    while after is not None:
        page = admin_client.get(f"/api/v1/sagas/?limit=2{after and f'&after={after}'}").get_json()
        found += [one["id"] for one in page["items"]]
        after = page["next"]
    assert found == [4, 5, 8, 3, 7]
    assert admin_client.get("/api/v1/sagas/?after=x").status_code == 400


def test_what_steps_say_of_a_person_is_erased_in_the_browser(admin_client: Any, house: Any):  # noqa: F811
    """Also where the log holds nothing of them; while a step is under way the page says that it keeps its values."""
    page = "/audit/persons?kind=rule&name=customers&record=42"
    assert "then erase once more" in admin_client.get(page).text
    with house.db.begin() as tx:
        tx.execute(sa.update(saga).values(reason={"template": "Ada is wrong", "values": {}}))
    (one,) = reading.listing(house)
    deeds.give_up(house, one.id, "done by hand", ADMIN)
    shown = admin_client.get(page).text
    assert ("then erase once more" in shown, "Erase what is chosen" in shown) == (False, True)
    erased = {"who": "rule\tcustomers\t42", "reason": "asked for"}
    assert "of 1 of 1." in admin_client.post("/audit/persons/erase", data=erased, follow_redirects=True).text
    with house.db.read() as tx:
        assert tx.scalar(sa.select(saga.c.reason)) is None
    assert "Erase what is chosen" not in admin_client.get(page).text


def test_it_is_a_case_until_somebody_has_seen_to_it(admin_client: Any, house: Any):  # noqa: F811
    """The case leads to the record and closes with it; the audit log has the reason."""
    assert cases.saga_moved in hooks.sagas
    with house.db.read() as tx:
        case = tx.execute(sa.select(case_item).where(case_item.c.kind == "saga")).one()
    assert f"/runs/transactions/#saga-{case.origin.removeprefix('saga:')}" in admin_client.get(f"/cases/{case.id}").text
    refused = admin_client.post(f"/cases/{case.id}/close", data={"resolution": "no"}, follow_redirects=True)
    assert "See to the record" in refused.text
    (one,) = reading.listing(house)
    place = f"/runs/sagas/{one.id}/end"
    assert "Say why" in admin_client.post(place, data={"reason": " ", "seen": one.mark}, follow_redirects=True).text
    deed = {"reason": "deleted by hand", "deed": "done"}
    for seen in ({}, {"seen": one.mark.replace("stuck", "confirmed")}):
        assert "gone on since" in admin_client.post(place, data={**deed, **seen}, follow_redirects=True).text
    ended = admin_client.post(place, data={**deed, "seen": one.mark}, follow_redirects=True)
    assert "Done." in ended.text
    assert reading.listing(house) == []
    with house.db.read() as tx:
        assert tx.scalar(sa.select(case_item.c.state).where(case_item.c.id == case.id)) == "closed"
        event = tx.execute(sa.select(audit_event).where(audit_event.c.tag == "runs:saga:forced")).one()
    assert (event.reason, event.actor_name) == ("deleted by hand", "admin")


def test_a_connection_that_a_record_waits_for_is_not_deleted(admin_client: Any, house: Any):  # noqa: F811
    """Without it nobody could take the step back."""
    with pytest.raises(connections.ConnectionInUse) as found:
        connections.delete(house, "shop", ADMIN)
    assert "the steps of record" in str(found.value)


def test_forced_deeds_need_a_fresh_proof():
    """What is ended by hand is ended only by who has just shown who they are."""
    assert SagasView.end.needs_proof


def test_who_needs_a_connection_is_told_in_the_readers_language(admin_client: Any, house: Any):  # noqa: F811
    """Its page names the record that waits, in Chinese for who reads Chinese."""
    (one,) = reading.listing(house)
    assert f"the steps of record {one.id}" in admin_client.get("/connections/shop/").text
    admin_client.post("/language/zh")
    assert f"记录 {one.id} 的步骤" in admin_client.get("/connections/shop/").text


@pytest.mark.parametrize("hidden", ["connection/crm/customer", "connection/shop/client"])
def test_who_may_not_see_all_of_a_record_decides_nothing_about_it(app: Any, house: Any, hidden: str):  # noqa: F811
    """Neither of the source's record nor of what a step has made of it, by page or API."""
    rulebook.create(house, RULE, ADMIN)
    grants = frozenset(("Runs", deed) for deed in ("read", "run", "approve"))
    role_id = role_editing.save_role(house, Role(None, "Clerk", grants=grants), SYSTEM)
    add_user(house, "clerk", "Clerk")
    clerk = sign_in(app.test_client(), "clerk")
    (one,) = reading.listing(house)
    form = {"seen": one.mark, "reason": "by hand", "deed": "give_up"}
    policies.set_policy(house, role_id, {"data": [{"on": hidden, "fields": {"name": "hide"}}]}, SYSTEM)
    for deed in ("again", "end"):
        assert clerk.post(f"/runs/sagas/{one.id}/{deed}", data=form).status_code == 403
    assert [left.mark for left in reading.listing(house)] == [one.mark]
    policies.set_policy(house, role_id, {}, SYSTEM)
    assert clerk.post(f"/runs/sagas/{one.id}/end", data=form).status_code == 302
    assert reading.listing(house) == []
