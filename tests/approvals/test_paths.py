"""Every way to a deed leads through the approvals: pages, API, SCIM, services; what is approved is what was asked."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa
from flask import Flask

from tests.approvals.conftest import ALL, CLI, ask_for, proposed, who
from tests.connections.conftest import notebook  # noqa: F401 - a connector without a system behind it
from tests.rulebook.conftest import add_systems, document
from tests.webapp.conftest import add_user, app, client_of, events, settings, text  # noqa: F401
from webapp.access import company, group_editing, keys, removal, role_editing, service_accounts, users
from webapp.access.group_editing import Group
from webapp.access.role_editing import Role
from webapp.approvals import deciding, proposals, settings_deed, views
from webapp.approvals.deeds import Shown
from webapp.approvals.errors import NotApplicable, Stale
from webapp.approvals.models import approval
from webapp.approvals.proposals import Proposal
from webapp.connections import approving as shared
from webapp.connections import services as connections
from webapp.extensions import SYSTEM, Actor, House
from webapp.policies import services as policies
from webapp.rulebook import services as rulebook
from webapp.vault import references
from webapp.vault import services as vault
from webapp.vault.models import vault_secret
from webapp.vault.services import Owner

SECRET = "canary-4711"
NOTES = {"kind": "connection", "name": "notes", "connector": "notebook", "settings": {"host": "desk"}}
ROLE = Role(None, "Sales", "Sells.", 0, frozenset({("Rules", "read")}))


class Office:
    """A console with a rule, a connection and a role, in which everything needs a second person."""

    def __init__(self, app: Flask, folder: Path) -> None:  # noqa: F811
        self.house: House = app.extensions["syncline"]
        self.ann, self.ben = client_of(app, "ann", "Admin"), client_of(app, "ben", "Admin")
        add_systems(self.house, folder)
        connections.create(self.house, NOTES, CLI)
        rulebook.create(self.house, document(), CLI)
        rulebook.publish(self.house, "customers", CLI)
        rulebook.save_draft(self.house, "customers", document(label="Two"), CLI)
        rulebook.publish(self.house, "customers", CLI)
        rulebook.save_draft(self.house, "customers", document(label="Three"), CLI)
        self.role = role_editing.save_role(self.house, ROLE, CLI)
        self.dora = add_user(self.house, "dora", "Viewer")
        self.robot = service_accounts.create(
            self.house, service_accounts.Wanted("robot", "Deploys.", "dora", ("Viewer",)), CLI
        )
        self.group = group_editing.save_group(self.house, Group(None, "Sellers", "", ("Viewer",), ()), CLI)
        scopes = ("provisioning:update", "provisioning:read")
        self.key = keys.create_key(self.house, keys.NewKey("directory", scopes, 30), who(self.house, "ann"))
        ask_for(self.house, *ALL)

    def scim(self, method: str, path: str, body: Any = None) -> Any:
        headers = {"Authorization": f"Bearer {self.key}"}
        return self.ann.application.test_client().open(f"/scim/v2{path}", method=method, json=body, headers=headers)

    def waiting(self) -> list[Proposal]:
        with self.house.db.read() as tx:
            return proposals.latest(tx, approval.c.state == "waiting")

    def subjects(self) -> Any:
        """Return all that the deeds would change."""
        with self.house.db.read() as tx:
            rule = rulebook.get(tx, "customers")
            rows = connections.list_connections(tx)
            roles = [(role.name, sorted(role.grants)) for role in role_editing.list_roles(tx)]
            people = users.list_users(tx)
            held = [(user.username, user.roles) for user in people]
            let_in = [user.username for user in people if user.active]
            programs = [(one.name, one.active) for one in service_accounts.list_all(tx, self.house.clock())]
            groups = [(group.name, group.members) for group in group_editing.list_groups(tx)]
            return (
                rule.published_version,
                [(row.name, dict(row.settings)) for row in rows],
                roles,
                held,
                let_in,
                programs,
                groups,
            )


@pytest.fixture
def office(app: Flask, tmp_path: Path) -> Office:  # noqa: F811
    return Office(app, tmp_path / "systems")


def scim_name(office: Office) -> Any:
    group = {"schemas": ["urn:ietf:params:scim:schemas:core:2.0:Group"], "displayName": "Sellers", "members": []}
    return office.scim("PUT", f"/Groups/{office.role}", group)


def scim_members(office: Office, *members: int) -> Any:
    group = {
        "schemas": ["urn:ietf:params:scim:schemas:core:2.0:Group"],
        "displayName": "Sales",
        "members": [{"value": str(member)} for member in members],
    }
    return office.scim("PUT", f"/Groups/{office.role}", group)


def form_of_notes(office: Office) -> Any:
    sent = {"name": "notes", "label": "", "setting.host": "elsewhere", "setting.mood": "good", "setting.port": "7"}
    return office.ann.post("/connections/notes/edit", data=sent)


_API = "/api/v1"
Way = Callable[[Office], Any]
RULES: dict[str, tuple[Way, ...]] = {
    "publish": (
        lambda o: o.ann.post("/rules/customers/publish", data={"note": "Why."}),
        lambda o: o.ann.post(f"{_API}/rules/customers/publish", json={"note": "Why."}),
    ),
    "roll back": (
        lambda o: o.ann.post("/rules/customers/versions/1/roll-back"),
        lambda o: o.ann.post(f"{_API}/rules/customers/versions/1/roll-back"),
    ),
}
CONNECTIONS: dict[str, tuple[Way, ...]] = {
    "change": (
        form_of_notes,
        lambda o: o.ann.put(f"{_API}/connections/notes", json={**NOTES, "settings": {"host": "x"}}),
    ),
    "delete": (
        lambda o: o.ann.post("/connections/notes/delete"),
        lambda o: o.ann.delete(f"{_API}/connections/notes"),
    ),
}
ROLES: dict[str, tuple[Way, ...]] = {
    "new": (lambda o: o.ann.post("/roles/new", data={"name": "Buyer", "grants": ["Runs:read"]}),),
    "change": (lambda o: o.ann.post(f"/roles/{o.role}/edit", data={"name": "Sales", "grants": ["Runs:read"]}),),
    "rename": (scim_name,),
    "delete": (
        lambda o: o.ann.post(f"/roles/{o.role}/delete"),
        lambda o: o.scim("DELETE", f"/Groups/{o.role}"),
    ),
}
DORA = {"first_name": "Dora", "last_name": "Test", "email": "dora@example.com"}
DORA_BY_SCIM = {
    "schemas": ["urn:ietf:params:scim:schemas:core:2.0:User"], "userName": "dora",
    "name": {"givenName": "Dora", "familyName": "Test"}, "emails": [{"value": "dora@example.com"}],
}  # fmt: skip
MEMBERSHIPS: dict[str, tuple[Way, ...]] = {
    "give": (
        lambda o: o.ann.post(f"/users/{o.dora}", data={**DORA, "roles": ["Viewer", "Sales"]}),
        lambda o: scim_members(o, o.dora),
    ),
    "take": (lambda o: o.ann.post(f"/users/{o.dora}", data={**DORA, "roles": ["Viewer"]}), scim_members),
    "bring in": (
        lambda o: o.ann.post(f"/groups/{o.group}", data={"name": "Sellers", "roles": ["Viewer"], "members": ["dora"]}),
    ),
}
LEAVING: dict[str, tuple[Way, ...]] = {
    "disable": (
        lambda o: o.ann.post(f"/users/{o.dora}/disable"),
        lambda o: o.scim("PUT", f"/Users/{o.dora}", {**DORA_BY_SCIM, "active": False}),
    ),
    "disable a program": (lambda o: o.ann.post(f"/service-accounts/{o.robot}/disable"),),
    "delete a program": (lambda o: o.ann.post(f"/service-accounts/{o.robot}/delete"),),
    "delete": (
        lambda o: o.ann.post(f"/users/{o.dora}/delete"),
        lambda o: o.scim("DELETE", f"/Users/{o.dora}"),
    ),
}


@pytest.mark.parametrize(
    "deeds",
    [RULES, CONNECTIONS, ROLES, MEMBERSHIPS, LEAVING],
    ids=["rules", "connections", "roles", "memberships", "leaving"],
)
def test_each_way_waits_and_is_then_done(office: Office, deeds: dict[str, tuple[Way, ...]]) -> None:
    """Pages, API and SCIM say that it waits, and nothing changes; approved by another it is done."""
    for name, ways in deeds.items():
        before = office.subjects()
        for way in ways:
            way_told(way(office), office)
            found = office.waiting()[0]
            assert office.subjects() == before, name
            assert "Decide" in text(office.ben, f"/approvals/{found.id}")
            assert "Decide" not in text(office.ann, f"/approvals/{found.id}")
        assert office.ann.post(f"/approvals/{found.id}/approve").status_code == 409
        assert office.ben.post(f"/approvals/{found.id}/approve").status_code == 302
        assert office.subjects() != before, name
        assert office.waiting() == []


def test_leaving_is_proposed_only_where_it_takes_access_away(office: Office) -> None:
    """A user whom a directory adds as disabled, enabling one, and ending all that lets one in wait for nobody."""
    new = {**DORA_BY_SCIM, "userName": "emil", "emails": [{"value": "emil@example.com"}], "active": False}
    assert office.scim("POST", "/Users", new).status_code == 201
    users.set_active(office.house, office.dora, True, who(office.house, "ann"))
    users.end_sessions(office.house, office.dora, who(office.house, "ann"))
    users.reset_password(office.house, office.dora, who(office.house, "ann"))
    assert office.waiting() == []


def test_a_user_of_the_same_name_is_somebody_else(office: Office) -> None:
    """What was proposed of a user who is gone since is not done to the next one of the name."""
    found = proposed(
        office.house,
        who(office.house, "ann"),
        lambda: removal.delete_user(office.house, office.dora, who(office.house, "ann")),
    )
    removal.delete_user(office.house, office.dora, SYSTEM)
    add_user(office.house, "other", "Viewer")
    add_user(office.house, "dora", "Viewer")
    with pytest.raises(Stale):
        deciding.approve(office.house, found.id, who(office.house, "ben"))


def way_told(answer: Any, office: Office) -> None:
    """See that an answer names the proposal, in the words of its way."""
    found = office.waiting()[0]
    if answer.mimetype == "application/scim+json":
        assert answer.status_code == 403
        assert f"proposal {found.id}" in answer.json["detail"]
        assert (found.author, found.author_kind) == ("directory", "key")
        return
    assert (found.author, found.author_kind) == ("ann", "user")
    if answer.is_json:
        assert (answer.status_code, answer.json["proposal"]) == (202, found.id)
    else:
        assert (answer.status_code, answer.headers["Location"]) == (302, f"/approvals/{found.id}")


def test_new_credentials_are_never_shown_and_do_not_outlive_the_proposal(office: Office) -> None:
    """They lie sealed in the vault while they wait, reach the connection when approved, and are gone otherwise."""
    changed = {**NOTES, "settings": {"host": "desk", "password": SECRET}}
    path = f"{_API}/connections/notes"
    first = office.ann.put(path, json=changed).json["proposal"]
    second = office.ann.put(path, json={**changed, "label": "Notes"}).json["proposal"]
    for shown in (f"/approvals/{first}", f"{_API}/approvals/{first}", "/approvals/?filter=open", "/audit/"):
        answer = office.ben.get(shown)
        assert answer.status_code == 200
        assert SECRET not in answer.text
    assert "password" in office.ben.get(f"/approvals/{first}").text
    assert stored_secrets(office) == {("approval", str(first)), ("approval", str(second))}
    assert SECRET not in everything(office)
    assert office.ben.post(f"{_API}/approvals/{first}/reject", json={"text": "No."}).status_code == 200
    assert stored_secrets(office) == {("approval", str(second))}
    assert office.ben.post(f"{_API}/approvals/{second}/approve", json={}).status_code == 200
    assert stored_secrets(office) == {("connection", "notes")}
    with office.house.db.read() as tx:
        keyring = vault.keyring(office.house)
        assert vault.get(tx, keyring, Owner("connection", "notes"), "password") == SECRET


def stored_secrets(office: Office) -> set[tuple[str, str]]:
    with office.house.db.read() as tx:
        ours = vault_secret.c.owner_kind.in_(["approval", "connection"])
        return {(row.owner_kind, row.owner_name) for row in tx.execute(sa.select(vault_secret).where(ours))}


def everything(office: Office) -> str:
    """Return the content of all tables as text."""
    with office.house.db.read() as tx:
        tables = sa.MetaData()
        tables.reflect(tx)
        return repr([tx.execute(sa.select(table)).all() for table in tables.tables.values()])


def test_a_name_is_no_target(office: Office) -> None:
    """What leads nowhere else is saved at once."""
    answer = office.ann.put(f"{_API}/connections/notes", json={**NOTES, "label": "Notes", "note": "Mine."})
    assert answer.status_code == 200
    assert office.waiting() == []


def test_an_edited_draft_is_proposed_again(office: Office) -> None:
    """Who approves has seen what is published: a draft that was edited since is out of date."""
    number = office.ann.post(f"{_API}/rules/customers/publish", json={}).json["proposal"]
    rulebook.save_draft(office.house, "customers", document(label="Four"), who(office.house, "ann"))
    answer = office.ben.post(f"{_API}/approvals/{number}/approve", json={})
    assert answer.status_code == 409
    assert "changed since" in answer.json["detail"]
    assert office.ben.get(f"{_API}/approvals/{number}").json["state"] == "stale"


def test_limits_are_guarded_by_themselves(office: Office) -> None:
    """Where only limits need a second person, other changes are made alone; deleting the rule is no way out."""
    off = proposed(office.house, CLI, lambda: ask_for(office.house, "change_limits"))
    deciding.approve(office.house, off.id, who(office.house, "ben"))
    ann = who(office.house, "ann")
    rulebook.publish(office.house, "customers", ann)
    guarded = document(guards=[{"metric": "deletes", "over": 5}])
    rulebook.save_draft(office.house, "customers", guarded, ann)
    found = proposed(office.house, ann, lambda: rulebook.publish(office.house, "customers", ann))
    deciding.approve(office.house, found.id, who(office.house, "ben"))
    rulebook.delete(office.house, "customers", ann)
    rulebook.create(office.house, document(), ann)
    proposed(office.house, ann, lambda: rulebook.publish(office.house, "customers", ann))


def test_rules_are_meant_by_what_they_write_to(office: Office) -> None:
    """A rule that writes elsewhere is published alone; a table that a meant rule asks is meant as well."""
    house, ann = office.house, who(office.house, "ann")
    limited = {"kind": "approvals", "name": "settings", "deeds": {"publish_rule": {"connections": ["crm"]}}}
    off = proposed(house, CLI, lambda: settings_deed.save(house, limited, CLI))
    deciding.approve(house, off.id, who(house, "ben"))
    rulebook.publish(house, "customers", ann)
    other_way = document(name="back", direction="right_to_left", fields=document()["fields"])
    rulebook.create(house, other_way, ann)
    proposed(house, ann, lambda: rulebook.publish(house, "back", ann))


def test_a_new_user_waits_for_the_roles(office: Office) -> None:
    """Who is new signs in with nothing before a second person has approved the roles; names are saved at once."""
    eve = {"username": "eve", "first_name": "Eve", "last_name": "", "email": "eve@example.com", "roles": ["Admin"]}
    answer = office.ann.post("/users/new", data=eve)
    assert answer.status_code == 201, "the password is shown"
    (found,) = office.waiting()
    assert f"proposal {found.id}" in answer.text
    held = dict(office.subjects()[3])
    assert held["eve"] == ()
    assert office.ben.post(f"/approvals/{found.id}/approve").status_code == 302
    assert dict(office.subjects()[3])["eve"] == ("Admin",)
    office.ann.post(f"/users/{office.dora}", data={**DORA, "first_name": "Theodora", "roles": ["Admin"]})
    with office.house.db.read() as tx:
        dora = users.get_user(tx, office.dora)
    assert (dora.first_name, dora.roles) == ("Theodora", ("Viewer",))
    sent = {"name": "bot", "purpose": "Loads orders", "owner": "ann", "roles": ["Sales"]}
    assert "/approvals/" in office.ann.post("/service-accounts/new", data=sent).headers["Location"]
    with office.house.db.read() as tx:
        (bot,) = (one for one in service_accounts.list_all(tx, office.house.clock()) if one.name != "robot")
    assert bot.roles == ()


def test_whom_the_company_lets_in_gets_the_roles_of_the_groups(office: Office) -> None:
    """What the identity provider says of groups holds at each sign-in; it has approvals of its own."""
    claims = {"sub": "x", "preferred_username": "fay", "email": "fay@example.com"}
    company.admit(office.house, claims, ("Viewer",), "https://id.example.com")
    company.admit(office.house, claims, ("Sales",), "https://id.example.com")
    assert dict(office.subjects()[3])["fay"] == ("Sales",)


def test_groups_policies_and_shared_secrets_wait(office: Office) -> None:
    """The roles of a group, the policy of a role and a secret that connections share need a second person as well."""
    house, ann, ben = office.house, who(office.house, "ann"), who(office.house, "ben")
    group = Group(None, "Traders", "", ("Sales",), ("ben",))
    found = proposed(house, ann, lambda: group_editing.save_group(house, group, ann))
    deciding.approve(house, found.id, ben)
    with house.db.read() as tx:
        stored = group_editing.list_groups(tx)[-1]
    assert (stored.roles, stored.members) == (("Sales",), ("ben",))
    found = proposed(house, ann, lambda: group_editing.delete_group(house, stored.id or 0, ann))
    deciding.approve(house, found.id, ben)
    policy = {"data": [{"on": "entity/customer", "allow": ["read"]}]}
    found = proposed(house, ann, lambda: policies.set_policy(house, office.role, policy, ann))
    deciding.approve(house, found.id, ben)
    with house.db.read() as tx:
        assert policies.document_of(tx, office.role)["data"]

    def put(value: str) -> None:
        with house.db.begin() as tx:
            shared.put_shared(tx, house, "erp", value, ann)

    put("first")
    found = proposed(house, ann, lambda: put(SECRET))
    deciding.approve(house, found.id, ben)
    with house.db.read() as tx:
        assert references.from_vault(house, tx, "erp") == SECRET


def test_a_rule_that_no_longer_fits_waits_on(office: Office) -> None:
    """What would not be publishable now is told to who approves."""
    number = office.ann.post(f"{_API}/rules/customers/publish", json={}).json["proposal"]
    with office.house.db.begin() as tx:
        tx.exec_driver_sql("UPDATE connection SET name = 'crm2' WHERE name = 'crm'")
    with pytest.raises(NotApplicable):
        deciding.approve(office.house, number, who(office.house, "ben"))
    assert [one.id for one in office.waiting()] == [number]


def test_nobody_sees_proposals_of_rooms_that_are_closed_to_them(app: Flask, office: Office) -> None:  # noqa: F811
    """A proposal about a role is not there for who may not read roles; its count neither."""
    number = office.ann.post(f"/roles/{office.role}/delete").headers["Location"].rpartition("/")[2]
    des = client_of(app, "des", "Designer")
    for path in (f"/approvals/{number}", f"{_API}/approvals/{number}"):
        assert des.get(path).status_code == 404
    assert des.get(f"{_API}/approvals/?filter=open").json["items"] == []
    assert des.post(f"/approvals/{number}/comment", data={"text": "Hm."}).status_code == 404
    assert des.post(f"/approvals/{number}/override", data={"reason": "Hm."}).status_code == 403


def test_talking_and_an_emergency_on_the_pages(office: Office) -> None:
    """People comment; an override shows on the home page, and its reason stands there."""
    path = office.ann.post(f"/roles/{office.role}/delete").headers["Location"]
    assert office.ben.post(f"{path}/comment", data={"text": "Why so?"}).status_code == 302
    assert "Why so?" in text(office.ann, path)
    assert office.ben.post(f"{path}/comment", data={"text": " "}).status_code == 422
    assert "1 proposal waits for your approval" in text(office.ben, "/")
    assert office.ann.post(f"{path}/override", data={"reason": ""}).status_code == 409
    assert office.ann.post(f"{path}/override", data={"reason": "Fire in the plant."}).status_code == 302
    for client in (office.ann, office.ben):
        assert "Fire in the plant." in text(client, "/")
    assert "Emergency override" in text(office.ben, "/approvals/?filter=decided")


def test_the_settings_page_proposes_what_it_changes(office: Office) -> None:
    """Once anything needs a second person, the page's change waits and is applied as it was sent."""
    sent = {"publish_rule": "true", "connections-publish_rule": ["erp", "crm"], "only-publish_rule": "", "days": "3"}
    assert office.ann.post("/approvals/settings/", data={**sent, "banner_days": "0"}).status_code == 422
    answer = office.ann.post("/approvals/settings/", data={**sent, "banner_days": "2"})
    assert office.ben.post(f"{answer.headers['Location']}/approve").status_code == 302
    page = text(office.ben, "/approvals/settings/")
    assert '<option value="crm" selected>' in page
    assert '<option value="erp" selected>' in page
    assert '<option value="notes">notes</option>' in page
    (event,) = [one for one in events(office.house, "approvals:settings:changed") if one.actor_name == "ann"]
    assert event.after["days"] == 3


def test_machines_change_nothing_by_themselves(office: Office) -> None:
    """Syncline itself proposes in its own name, and no user passes for it."""
    found = proposed(office.house, SYSTEM, lambda: role_editing.delete_role(office.house, office.role, SYSTEM))
    assert (
        deciding.approve(office.house, found.id, Actor("user", "ben", who(office.house, "ben").id)).state == "applied"
    )


def test_nothing_of_a_difference_is_invisible(app: Flask) -> None:  # noqa: F811
    """Signs that show nothing, or turn a text around, are written out for who approves; others stay as they are."""
    with app.test_request_context():
        old = {"base_url": "https://erp.example", "headers": {"X": ["a\u200b"]}, "days": 7, "note": "Grüße\n你好 🔑"}
        shown = views._in_words(Shown(old, {"base_url": "https://\u202emoc.live@erp.example"}))
    assert shown.after == {"base_url": "https://⟨U+202E⟩moc.live@erp.example"}
    assert shown.before == old | {"headers": {"X": ["a⟨U+200B⟩"]}}
