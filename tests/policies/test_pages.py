"""The pages of permissions: the matrix and its lines, reviewed before they are saved, and why somebody may do what."""

from __future__ import annotations

import html
import re
from typing import Any

import pytest
import sqlalchemy as sa
from flask import Flask
from flask.testing import FlaskClient

from tests.approvals.conftest import ask_for
from tests.webapp.conftest import add_user, client_of, events, text
from webapp.access import attributes, group_editing, models, role_documents, role_editing
from webapp.access.group_editing import Group
from webapp.access.role_editing import Role
from webapp.audit.tags import Tag
from webapp.entities import services as entities
from webapp.extensions import SYSTEM, Actor, House, to_json
from webapp.policies import services

ADMIN = Actor("user", "admin", "1")
GRANTS = frozenset({("Records", "read"), ("Records", "update"), ("Entities", "read")})
POLICY: dict[str, Any] = {
    "data": [
        {
            "on": "entity/customer",
            "allow": ["read", "update"],
            "deny": ["delete"],
            "rows": "record.country == user.country",
            "fields": {"iban": "mask:last4"},
        }
    ],
    "personal": "mask",
}


@pytest.fixture
def role_id(house: House) -> int:
    fields = [{"name": name, "type": "text"} for name in ("name", "country", "iban")]
    fields.append({"name": "phone", "type": "phone", "personal": True})
    document = {"kind": "entity", "name": "customer", "label": {"en": "Customers"}, "fields": fields}
    entities.define(house, document, ADMIN)
    for number, country in enumerate(["DE", "FR", "DE"]):
        entities.create_record(
            house, "customer", {"name": f"Customer {number}", "country": country, "iban": "DE001234"}, ADMIN
        )
    found = role_editing.save_role(house, Role(None, "Sales", grants=GRANTS), SYSTEM)
    services.set_policy(house, found, POLICY, SYSTEM)
    return found


@pytest.fixture
def anna(house: House, role_id: int) -> int:
    user_id = add_user(house, "anna", "Sales")
    with house.db.begin() as tx:
        attributes.set_attributes_in(tx, user_id, {"country": "DE"}, SYSTEM, house.clock())
    return user_id


def _form(page: str, action: str = "") -> dict[str, list[str]]:
    """Return what the form would send whose button reviews or saves, as it is shown."""
    form = next(
        part for part in re.findall(r"<form.*?</form>", page, re.S) if 'method="post"' in part and action in part
    )
    found: dict[str, list[str]] = {}
    for tag in re.findall(r"<input[^>]*>", form):
        parts = dict(re.findall(r'([\w-]+)="([^"]*)"', tag))
        ticked = parts.get("type") not in ("radio", "checkbox") or " checked" in tag
        if ticked and parts.get("name"):
            found.setdefault(parts["name"], []).append(html.unescape(parts.get("value", "")))
    for name, inside in re.findall(r'<select[^>]*name="([^"]+)".*?>(.*?)</select>', form, re.S):
        chosen = re.search(r'value="([^"]*)" selected', inside)
        found[name] = [chosen[1] if chosen else ""]
    for name, inside in re.findall(r'<textarea[^>]*name="([^"]+)"[^>]*>(.*?)</textarea>', form, re.S):
        found[name] = [html.unescape(inside)]
    return found


def _plain(page: str) -> str:
    return re.sub(r"\s+", " ", html.unescape(re.sub(r"<[^>]+>", " ", page))).strip()


def _policy(house: House, role_id: int) -> dict[str, Any]:
    with house.db.read() as tx:
        return services.document_of(tx, role_id)


def _save(client: FlaskClient, review: str, role_id: int) -> None:
    answer = client.post(f"/roles/{role_id}/data/save", data=_form(review, "/data/save"))
    assert answer.status_code == 302, answer.text


def test_a_cell_is_changed_reviewed_and_saved(house: House, role_id: int, admin_client: FlaskClient) -> None:
    """A changed cell is shown as a difference, is saved only after it, and is in the audit log."""
    form = _form(text(admin_client, f"/roles/{role_id}/data"), 'name="on"')
    form["cell:entity/customer:export"] = ["allow"]
    review = admin_client.post(f"/roles/{role_id}/data", data=form).text
    assert "Customers export records not said allowed" in _plain(review)
    assert "1 difference." in review
    assert _policy(house, role_id) == POLICY
    _save(admin_client, review, role_id)
    assert _policy(house, role_id)["data"][0]["allow"] == ["read", "update", "export"]
    assert len(events(house, Tag.POLICY_SET)) == 2


def test_what_is_not_changed_is_not_saved(house: House, role_id: int, admin_client: FlaskClient) -> None:
    """Forms that are sent as they were shown change nothing, and say so."""
    for path, mark in ((f"/roles/{role_id}/data", 'name="on"'), (_line_path(role_id), "cell:read")):
        answer = admin_client.post(path, data=_form(text(admin_client, path), mark), follow_redirects=True)
        assert "Nothing was changed." in answer.text, path
    assert _policy(house, role_id) == POLICY


def _line_path(role_id: int, on: str = "entity/customer") -> str:
    return f"/roles/{role_id}/data/line?on={on}"


def test_a_line_says_what_is_seen_of_fields_and_rows(house: House, role_id: int, admin_client: FlaskClient) -> None:
    """Field access, personal data and conditions are chosen in words and stored as the policy writes them."""
    path = _line_path(role_id)
    form = _form(text(admin_client, path), "cell:read")
    form |= {
        "field:iban": ["deny"],
        "field:phone": ["mask:first1"],
        "deny_rows": ["name == 'Customer 9'"],
        "deed": ["review"],
    }
    review = admin_client.post(path, data=form).text
    told = _plain(review)
    assert "Field iban only the last four characters are shown denied, whatever other roles show" in told
    assert "Field phone not named only the first character is shown" in told
    assert "Never records for which no condition name == 'Customer 9'" in told
    _save(admin_client, review, role_id)
    line = _policy(house, role_id)["data"][0]
    assert line["fields"] == {"iban": "deny", "phone": "mask:first1"}
    assert line["deny_rows"] == "name == 'Customer 9'"


def test_mistakes_are_told_at_their_place(role_id: int, admin_client: FlaskClient) -> None:
    """A condition that no database can tell exactly is refused at its input, and nothing that was chosen is lost."""
    path = _line_path(role_id)
    form = _form(text(admin_client, path), "cell:read") | {"rows": ["size(name) > country"], "field:phone": ["hide"]}
    answer = admin_client.post(path, data=form)
    assert answer.status_code == 422
    place = answer.text.index('id="e-rows"')
    assert "field-error" in answer.text[place - 40 : place]
    assert "size(name) &gt; country" in answer.text
    assert re.search(r'name="field:phone".*?value="hide" selected', answer.text, re.S)
    assert admin_client.get(_line_path(role_id, "customer")).status_code == 404


def test_conditions_are_counted_for_those_who_hold_the_role(role_id: int, anna: int, admin_client: FlaskClient) -> None:
    """A condition that is not saved yet is tried on the records that there are."""
    path = _line_path(role_id)
    form = _form(text(admin_client, path), "cell:read") | {"deed": ["try"]}
    assert "anna sees 2 of 3 records by this line." in _plain(admin_client.post(path, data=form).text)
    form["rows"] = ["record.country == 'FR'"]
    assert "anna sees 1 of 3 records by this line." in _plain(admin_client.post(path, data=form).text)


def test_two_who_change_a_role_do_not_overwrite_each_other(
    house: House, role_id: int, admin_client: FlaskClient
) -> None:
    """Who reviews a change of what is no longer so is told, and nothing is saved."""
    form = _form(text(admin_client, f"/roles/{role_id}/data"), 'name="on"') | {"personal": ["hide"]}
    review = admin_client.post(f"/roles/{role_id}/data", data=form).text
    services.set_policy(house, role_id, {}, SYSTEM)
    answer = admin_client.post(f"/roles/{role_id}/data/save", data=_form(review, "/data/save"), follow_redirects=True)
    assert "Somebody has changed this role meanwhile." in answer.text
    assert _policy(house, role_id) == {}


def test_a_line_is_removed_and_an_unknown_object_gets_one(
    house: House, role_id: int, admin_client: FlaskClient
) -> None:
    """Without its line an object follows the areas again; fields of an object that nobody knows are typed in."""
    review = admin_client.post(f"/roles/{role_id}/data/remove", data={"on": "entity/customer"}).text
    assert "A line of its own yes no" in _plain(review)
    _save(admin_client, review, role_id)
    path = _line_path(role_id, "connection/crm/contacts")
    form = _form(text(admin_client, path), "cell:read") | {"name-0": ["salary"], "level-0": ["hide"]}
    _save(admin_client, admin_client.post(path, data=form).text, role_id)
    assert _policy(house, role_id)["data"] == [{"on": "connection/crm/contacts", "fields": {"salary": "hide"}}]


def test_built_in_roles_and_readers_change_nothing(
    app: Flask, house: House, role_id: int, admin_client: FlaskClient
) -> None:
    """A built-in role shows its matrix without inputs; who may not change roles sees none anywhere."""
    with house.db.read() as tx:
        auditor = tx.scalar(sa.select(models.role.c.id).where(models.role.c.name == "Auditor"))
    assert 'type="radio"' not in text(admin_client, f"/roles/{auditor}/data")
    seen = to_json(_policy(house, auditor))
    refused = admin_client.post(f"/roles/{auditor}/data/save", data={"document": "{}", "seen": seen})
    assert "is built in and does not change" in text(admin_client, refused.location)
    reader = client_of(app, "otto", "Auditor")
    assert 'type="radio"' not in text(reader, f"/roles/{role_id}/data")
    assert reader.post(f"/roles/{role_id}/data").status_code == 403


def test_it_is_explained_who_may_do_what_and_why(
    house: House, role_id: int, anna: int, admin_client: FlaskClient
) -> None:
    """For a user and an entity each action and field is told with the roles, groups and lines that decide."""
    add_user(house, "bert")
    group_editing.save_group(house, Group(None, "Europe", "", ("Sales",), ("bert",)), SYSTEM)
    found = _plain(text(admin_client, "/permissions/?who=user:anna&on=entity/customer&record=1"))
    assert "anna sees Customer 0, because: The role Sales permits to see records. entity/customer" in found
    assert "record.country == user.country (for this user: country = 'DE')" in found
    assert "anna sees 2 of 3 records." in found
    assert "iban only the last four characters are shown" in found
    other = _plain(text(admin_client, "/permissions/?who=user:anna&on=entity/customer&record=2"))
    assert "anna does not see Customer 1, because: The role Sales is for records that meet" in other
    bert = _plain(text(admin_client, "/permissions/?who=user:bert&on=entity/customer"))
    assert "The role Sales, which comes with the group Europe, permits to see records." in bert
    assert "denies to delete records, whatever other roles permit" in bert
    every = _plain(text(admin_client, "/permissions/?on=entity/customer&record=1"))
    assert "anna sees it" in every
    assert "bert does not see it" in every
    assert "Customers" in _plain(text(admin_client, "/permissions/?who=role:Sales"))
    assert admin_client.get("/permissions/?who=user:nobody").status_code == 404


def test_nothing_is_told_of_records_that_one_does_not_see(app: Flask, house: House, anna: int) -> None:
    """Who may read roles but not a record learns nothing of it from the explanation, not even what it is called."""
    role_editing.save_role(house, Role(None, "Reader", grants=frozenset({("Roles", "read")})), SYSTEM)
    reader = client_of(app, "rita", "Reader")
    for path in (
        "/permissions/?who=user:anna&on=entity/customer&record=1",
        "/permissions/?on=entity/customer&record=1",
    ):
        found = text(reader, path)
        assert "may not see" in found
        assert "Customer 0" not in found


def test_view_as_shows_the_records_of_the_other_one(
    app: Flask, house: House, anna: int, admin_client: FlaskClient
) -> None:
    """An administrator who views as somebody sees their rows and masks; others see only what both may see."""
    admin_client.post(f"/view-as/user/{anna}")
    listed = text(admin_client, "/records/customer/")
    assert "Customer 0" in listed
    assert "Customer 1" not in listed
    assert "DE001234" not in listed
    admin_client.post("/view-as/end")
    assert "DE001234" in text(admin_client, "/records/customer/")
    grants = frozenset({("Roles", "read"), ("Roles", "update"), ("Records", "read")})
    narrow = role_editing.save_role(house, Role(None, "Narrow", grants=grants), SYSTEM)
    services.set_policy(house, narrow, {"data": [{"on": "*", "rows": "record.name == 'Customer 2'"}]}, SYSTEM)
    kim = client_of(app, "kim", "Narrow")
    kim.post(f"/view-as/user/{anna}")
    seen = text(kim, "/records/customer/")
    assert "Customer 2" in seen
    assert "Customer 0" not in seen
    kim.post("/view-as/end")
    with house.db.read() as tx:
        admin = tx.scalar(sa.select(models.role.c.id).where(models.role.c.name == "Admin"))
    kim.post(f"/view-as/role/{admin}")
    assert "Customer 0" not in text(kim, "/records/customer/")


def test_documents_and_copies_of_roles_carry_the_policy(house: House, role_id: int, admin_client: FlaskClient) -> None:
    """A role's document says what it permits to do with records; its copy permits the same; a document sets it."""
    admin_client.post("/roles/new", data={"copy": role_id, "name": "Sales copy", "grants": ["Records:read"]})
    with house.db.read() as tx:
        assert role_documents.read(tx, "Sales")["policy"] == POLICY  # type: ignore[index]
        document = role_documents.read(tx, "Sales copy")
    assert document is not None
    assert document["policy"] == POLICY
    with house.db.begin() as tx:
        role_documents.save(tx, document | {"policy": {"personal": "hide"}}, SYSTEM, house.clock())
        assert role_documents.read(tx, "Sales copy")["policy"] == {"personal": "hide"}  # type: ignore[index]
        role_documents.save(tx, {k: v for k, v in document.items() if k != "policy"}, SYSTEM, house.clock())
        assert "policy" not in (role_documents.read(tx, "Sales copy") or {})


def test_groups_and_attributes_have_pages(house: House, anna: int, admin_client: FlaskClient) -> None:
    """A group is added, changed and deleted, and attributes of a user are set, with mistakes told at their place."""
    new = {"name": "Europe", "members": ["anna"], "roles": ["Viewer"]}
    assert "The group Europe is saved." in admin_client.post("/groups/new", data=new, follow_redirects=True).text
    with house.db.read() as tx:
        group = group_editing.list_groups(tx)[0]
    assert (group.members, group.roles) == (("anna",), ("Viewer",))
    assert "The role Viewer comes with the group Europe." in text(admin_client, f"/users/{anna}")
    assert "There is already a group" in admin_client.post("/groups/new", data=new).text
    assert "Enter a name" in admin_client.post(f"/groups/{group.id}", data={"name": ""}).text
    assert admin_client.get("/groups/99").status_code == 404
    told = admin_client.post(f"/groups/{group.id}/delete", follow_redirects=True).text
    assert "The group Europe is deleted." in told
    assert "No group yet" in told
    sent = {"attribute": ["country", "team", ""], "value": ["FR", "a, b", "lost"]}
    admin_client.post(f"/users/{anna}/attributes", data=sent)
    with house.db.read() as tx:
        assert attributes.attributes_of(tx, anna) == {"country": "FR", "team": "a, b"}
    wrong = admin_client.post(f"/users/{anna}/attributes", data={"attribute": ["Roles!"], "value": ["x"]})
    assert wrong.status_code == 422
    assert "cannot be an attribute" in wrong.text


def test_a_second_person_sees_in_words_what_changes(app: Flask, house: House, role_id: int) -> None:
    """Where roles need a second person, a reviewed policy and a copy of a role wait, told as differences."""
    ann, ben = client_of(app, "ann", "Admin"), client_of(app, "ben", "Admin")
    ask_for(house, "change_role")
    form = _form(text(ann, f"/roles/{role_id}/data"), 'name="on"') | {"cell:entity/customer:read": ["deny"]}
    review = ann.post(f"/roles/{role_id}/data", data=form).text
    waiting = ann.post(f"/roles/{role_id}/data/save", data=_form(review, "/data/save")).location
    assert waiting.startswith("/approvals/")
    assert _policy(house, role_id) == POLICY
    assert "entity/customer: see records allowed denied" in _plain(text(ben, waiting))
    ben.post(f"{waiting}/approve")
    assert _policy(house, role_id)["data"][0]["deny"] == ["read", "delete"]
    copied = ann.post("/roles/new", data={"copy": role_id, "name": "Copy", "grants": ["Records:read"]}).location
    assert "entity/customer: Field iban" in _plain(text(ben, copied))
    ben.post(f"{copied}/approve")
    with house.db.read() as tx:
        found = role_documents.read(tx, "Copy")
    assert found is not None
    assert found["policy"] == _policy(house, role_id)
