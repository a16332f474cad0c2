"""The SCIM server: an independent checker of the standard, an independent client, and what must never happen."""

from __future__ import annotations

import dataclasses
import re
from typing import Any

import pytest
import sqlalchemy as sa
from flask import Flask
from flask.testing import FlaskClient

from tests.webapp.conftest import PASSWORD, add_user, client_of, events, sign_in
from webapp.access import attributes, keys, models, roles, scim_calls
from webapp.access.keys import NewKey
from webapp.extensions import Actor, House

USER = "urn:ietf:params:scim:schemas:core:2.0:User"
GROUP = "urn:ietf:params:scim:schemas:core:2.0:Group"
PATCH = "urn:ietf:params:scim:api:messages:2.0:PatchOp"
BOTH = ("provisioning:read", "provisioning:update")


def make_key(house: House, *scopes: str, role: str = "Admin", owner: str = "directory") -> str:
    actor = Actor("user", owner, str(add_user(house, owner, role)))
    return keys.create_key(house, NewKey(f"key of {owner}", scopes, 30), actor)


class Scim:
    """Requests with a key."""

    def __init__(self, client: FlaskClient, key: str) -> None:
        self.client, self.headers = client, {"Authorization": f"Bearer {key}"}

    def __call__(self, method: str, path: str, body: Any = None, status: int = 200, **headers: str) -> Any:
        more = {name.replace("_", "-"): value for name, value in headers.items()}
        answer = self.client.open(f"/scim/v2{path}", method=method, json=body, headers={**self.headers, **more})
        assert answer.status_code == status, answer.text
        self.last = answer
        return answer.get_json(force=True) if answer.data else None

    def user(self, name: str, **more: Any) -> Any:
        emails = [] if "@" in name else [{"value": f"{name}@e.com"}]
        given = {"schemas": [USER], "userName": name, "emails": emails, **more}
        return self("POST", "/Users", given, 201)

    def patch(self, path: str, *operations: Any, status: int = 200) -> Any:
        return self("PATCH", path, {"schemas": [PATCH], "Operations": list(operations)}, status)

    def names(self, wanted: str, what: str = "Users", **more: Any) -> list[str]:
        answer = self.client.get(f"/scim/v2/{what}", query_string={"filter": wanted, **more}, headers=self.headers)
        assert answer.status_code == 200, answer.text
        return [found.get("userName") or found["displayName"] for found in answer.get_json(force=True)["Resources"]]


@pytest.fixture
def scim(client: FlaskClient, house: House) -> Scim:
    return Scim(client, make_key(house, *BOTH))


def client_of_the_standard(app: Flask, house: House) -> Any:
    """Return scim2-client with a key, after discovery."""
    # loading it takes seconds, in every process of a suite that only looks for its tests
    from scim2_client.engines.wsgi import WSGISCIMClient  # noqa: PLC0415

    client = WSGISCIMClient(app, "http://localhost/scim/v2", {"Authorization": f"Bearer {make_key(house, *BOTH)}"})
    client.discover()
    return client


def test_the_checker_finds_nothing_wrong(app: Flask, house: House) -> None:
    """scim2-tester, which checks servers against the standard, has nothing to say."""
    from scim2_tester import Status, check_server  # noqa: PLC0415 - see client_of_the_standard

    client = client_of_the_standard(app, house)
    results = check_server(client, raise_exceptions=False)
    wrong = [f"{r.title}: {r.reason}" for r in results if r.status in (Status.ERROR, Status.CRITICAL)]
    assert not wrong, "\n".join(wrong)
    assert len([r for r in results if r.status is Status.SUCCESS]) > 30


def test_an_independent_client_provisions(app: Flask, house: House) -> None:
    """scim2-client finds its way by discovery: adds a user and a group, changes both, and takes them away again."""
    from scim2_models import PatchOp, PatchOperation  # noqa: PLC0415 - see client_of_the_standard

    client = client_of_the_standard(app, house)
    user_model, group_model = client.get_resource_model("User"), client.get_resource_model("Group")
    given = {"userName": "anna", "name": {"givenName": "Anna", "familyName": "Bo"}, "emails": [{"value": "a@e.com"}]}
    anna = client.create(user_model.model_validate({"schemas": [USER], **given, "active": True}))
    group = client.create(group_model.model_validate({"schemas": [GROUP], "displayName": "Sales"}))
    operation = PatchOperation(op="add", path="members", value=[{"value": anna.id}])
    client.modify(group_model, group.id, PatchOp[group_model](operations=[operation]))
    found = client.query(user_model, anna.id)
    assert [held.display for held in found.groups] == ["Sales"]
    found.name.family_name = "Cy"
    assert client.replace(found).name.family_name == "Cy"
    client.delete(user_model, anna.id)
    client.delete(group_model, group.id)
    assert not client.query(group_model).resources or "Sales" not in [
        g.display_name for g in client.query(group_model).resources
    ]


def test_disabling_ends_sessions_and_keys(app: Flask, house: House, scim: Scim) -> None:
    """Who is disabled is out at once: the open session and the key are dead; enabling lets in again."""
    client = client_of(app, "anna", "Designer")
    with house.db.read() as connection:
        number = connection.scalar(sa.select(models.user.c.id).where(models.user.c.username == "anna"))
    key = keys.create_key(house, NewKey("of anna", ("rules:read",), 30), Actor("user", "anna", str(number)))
    other = {"Authorization": f"Bearer {key}"}
    assert client.get("/rules/").status_code == 200
    assert app.test_client().get("/api/v1/rules/", headers=other).status_code == 200
    scim.patch(f"/Users/{number}", {"op": "Replace", "path": "active", "value": "False"})
    assert client.get("/rules/").status_code == 302
    assert app.test_client().get("/api/v1/rules/", headers=other).status_code == 401
    event = events(house, "access:user:updated")[-1]
    assert (event.actor_kind, event.before, event.after) == ("key", {"active": True}, {"active": False})
    assert scim.patch(f"/Users/{number}", {"op": "replace", "value": {"active": True}})["active"] is True
    sign_in(app.test_client(), "anna", PASSWORD)


def test_scopes_are_its_own(client: FlaskClient, house: House, admin_client: FlaskClient) -> None:
    """A key needs the scope, its owner the permission; others and strangers are refused in SCIM's form."""
    reads = Scim(client, make_key(house, "provisioning:read", owner="reader"))
    reads("GET", "/Users")
    assert "lacks the scope" in reads("POST", "/Users", {"schemas": [USER]}, 403)["detail"]
    other = Scim(client, make_key(house, "audit:read", owner="auditor", role="Auditor"))
    assert other("GET", "/Users", status=403)["schemas"] == ["urn:ietf:params:scim:api:messages:2.0:Error"]
    stranger = Scim(client, "syn_nothing")
    assert stranger("GET", "/Users", status=401)["status"] == "401"
    assert stranger.last.headers["WWW-Authenticate"] == "Bearer"
    reads("GET", "/Nothing", status=404)


def test_a_directory_cannot_take_more_than_it_has(client: FlaskClient, house: House) -> None:
    """A key of an owner without all permissions makes no administrator, disables none, and nobody the last one."""
    with house.db.begin() as tx:
        pair = {"can_read", "can_update"}
        role = roles.add_role(tx, "Sync", "")
        ids = roles.permission_ids(tx)
        roles.grant(tx, role, {ids[(action.removeprefix("can_"), "Provisioning")] for action in pair})
    small = Scim(client, make_key(house, *BOTH, role="Sync", owner="small"))
    admin = small.names('displayName eq "Admin"', "Groups")
    assert admin == ["Admin"]
    number = small("GET", '/Groups?filter=displayName eq "Admin"')["Resources"][0]["id"]
    user = small.user("eve")
    told = small.patch(
        f"/Groups/{number}", {"op": "add", "path": "members", "value": [{"value": user["id"]}]}, status=400
    )
    assert "do not hold yourself" in told["detail"]
    root = small("GET", '/Users?filter=userName eq "ADMIN"')["Resources"][0]["id"]
    for refused in (
        {"op": "replace", "path": "active", "value": False},
        {"op": "replace", "path": "name.givenName", "value": "x"},
    ):
        assert "do not hold yourself" in small.patch(f"/Users/{root}", refused, status=400)["detail"]
    small("DELETE", f"/Users/{root}", status=400)
    assert small.patch(f"/Groups/{number}", {"op": "remove", "path": f'members[value eq "{root}"]'}, status=400)
    whole = Scim(client, make_key(house, *BOTH, owner="whole"))
    own = whole("GET", '/Users?filter=userName eq "whole"')["Resources"][0]["id"]
    assert (
        "disable yourself"
        in whole.patch(f"/Users/{own}", {"op": "replace", "path": "active", "value": False}, status=400)["detail"]
    )
    assert (
        "built in"
        in whole.patch(f"/Groups/{number}", {"op": "replace", "path": "displayName", "value": "x"}, status=400)[
            "detail"
        ]
    )
    whole.patch(f"/Users/{root}", {"op": "replace", "path": "active", "value": False})
    last = whole.patch(f"/Groups/{number}", {"op": "replace", "path": "members", "value": []}, status=400)
    assert "last active administrator" in last["detail"]


def test_changes_in_the_ways_of_the_directories(scim: Scim) -> None:
    """Entra, Okta and others write changes in different ways; what is not kept is passed over."""
    user = scim.user("bo@e.com", externalId="x-1", active=False, displayName="Bo Lee", title="Dr")
    path = f"/Users/{user['id']}"
    assert (user["active"], user["name"], user["externalId"]) == (False, {"givenName": "Bo Lee"}, "x-1")
    enterprise = "urn:ietf:params:scim:schemas:extension:enterprise:2.0:User"
    made = scim.patch(
        path,
        {"op": "Add", "path": 'emails[type eq "work"].value', "value": "new@e.com"},
        {"op": "Replace", "value": {"name.familyName": "Lee", "active": "True", enterprise: {"department": "d"}}},
        {"op": "replace", "path": f"{enterprise}:manager", "value": "7"},
        {"op": "replace", "path": f"{USER}:name.givenName", "value": "Bo"},
        {"op": "remove", "path": "externalId"},
    )
    assert made["name"] == {"givenName": "Bo", "familyName": "Lee"}
    assert made["emails"] == [{"value": "new@e.com"}]
    assert "externalId" not in made
    replaced = {
        "schemas": [USER],
        "username": "BO@e.com",
        "emails": [{"value": "o@e.com"}, {"value": "p@e.com", "primary": True}],
    }
    assert scim("PUT", path, replaced)["emails"] == [{"value": "p@e.com"}]
    assert scim("GET", path)["active"] is True
    group = scim(
        "POST", "/Groups", {"schemas": [GROUP], "displayName": "Team", "members": [{"value": user["id"]}]}, 201
    )
    there = f"/Groups/{group['id']}"
    assert scim.patch(there, {"op": "remove", "path": "members", "value": [{"value": user["id"]}]})["members"] == []
    scim.patch(there, {"op": "add", "value": {"members": [{"value": user["id"]}], "displayName": "Squad"}})
    assert scim.names(f'members.value eq "{user["id"]}" and displayName sw "squ"', "Groups") == ["Squad"]
    scim("DELETE", there, status=204)
    assert scim("GET", path)["groups"] == []


@pytest.mark.parametrize(
    ("operation", "kind"),
    [
        ({"op": "eat", "path": "active"}, "invalidSyntax"),
        ({"op": "remove"}, "noTarget"),
        ({"op": "add", "value": 7}, "invalidValue"),
        ({"op": "add", "path": "nothing", "value": 7}, "invalidPath"),
        ({"op": "add", "path": "active.part", "value": True}, "invalidPath"),
        ({"op": "add", "path": "emails[", "value": 7}, "invalidPath"),
        ({"op": "replace", "path": "active", "value": "perhaps"}, "invalidValue"),
        ({"op": "replace", "path": "userName", "value": "other"}, "mutability"),
        ({"op": "replace", "path": "externalId", "value": 7}, "invalidValue"),
        ({"op": "replace", "path": "emails", "value": "no address"}, "invalidValue"),
        (7, "invalidSyntax"),
    ],
)
def test_wrong_changes_are_refused_and_change_nothing(scim: Scim, operation: Any, kind: str) -> None:
    """Each kind of mistake has SCIM's word for it; of a request with one mistake nothing is kept."""
    user = scim.user("anna")
    good = {"op": "replace", "path": "name.givenName", "value": "Changed"}
    assert scim.patch(f"/Users/{user['id']}", good, operation, status=400)["scimType"] == kind
    assert scim("GET", f"/Users/{user['id']}")["name"] == {"givenName": "anna"}


def test_wrong_requests_are_refused(scim: Scim) -> None:
    """What is no resource, a name that is taken, a user that is not there."""
    user = scim.user("anna")
    path = f"/Users/{user['id']}"
    assert (
        scim("POST", "/Users", {"schemas": [USER], "userName": "ANNA", "emails": [{"value": "x@e.com"}]}, 409)[
            "scimType"
        ]
        == "uniqueness"
    )
    for body in ({"schemas": []}, {"schemas": [USER]}, {"schemas": [USER], "userName": "x y", "emails": []}, []):
        scim("POST", "/Users", body, 400)
    for body in ({"schemas": [PATCH]}, {"schemas": [USER], "Operations": []}, {"schemas": [PATCH], "Operations": []}):
        scim("PATCH", path, body, 400)
    group = {"schemas": [GROUP], "displayName": "Team"}
    for more in (
        {"displayName": " "},
        {"members": [{"value": "9999"}]},
        {"members": [{"value": "x"}]},
        {"members": "x"},
        {"displayName": "Admin"},
    ):
        scim("POST", "/Groups", {**group, **more}, 409 if more.get("displayName") == "Admin" else 400)
    assert "Team" not in scim.names("", "Groups")
    for number in ("0", "x", "9" * 30, "²"):
        scim("GET", f"/Users/{number}", status=404)
    made = scim("POST", "/Groups", group, 201)
    scim.patch(
        f"/Groups/{made['id']}", {"op": "replace", "path": 'members[value eq "1"].value', "value": "2"}, status=400
    )


def test_versions(scim: Scim) -> None:
    """A change for another version than the present one is refused; what has not changed is not sent again."""
    user = scim.user("anna")
    path, version = f"/Users/{user['id']}", user["meta"]["version"]
    scim("GET", path, status=304, If_None_Match=version)
    change = {"schemas": [PATCH], "Operations": [{"op": "replace", "path": "name.givenName", "value": "A"}]}
    newer = scim("PATCH", path, change, If_Match=version)["meta"]["version"]
    assert newer != version
    scim("PATCH", path, change, 412, If_Match=version)
    scim("DELETE", path, status=412, If_Match=version)
    scim("DELETE", path, status=204, If_Match=newer)


@pytest.mark.parametrize(
    ("wanted", "expected"),
    [
        ('userName eq "U1@E.com"', ["u1@e.com"]),
        ('id eq "x"', []),
        ('externalId eq "ext-2"', ["u2@e.com"]),
        ('externalId eq "EXT-2"', []),
        ('userName co "@e" and not (userName sw "u1")', ["u2@e.com", "u3@e.com"]),
        ('userName ew "e.com" and (active eq false or externalId pr)', ["u2@e.com", "u3@e.com"]),
        ('emails[value sw "u3"]', ["u3@e.com"]),
        ('emails.value eq "u3@e.com" and externalId eq null', ["u3@e.com"]),
        (f'{USER}:userName eq "u1@e.com" or emails eq "u2@e.com"', ["u1@e.com", "u2@e.com"]),
        ('userName gt "u2@e.com" and userName le "u3@e.com"', ["u3@e.com"]),
        ('userName sw "u" and externalId ne "ext-2"', ["u1@e.com", "u3@e.com"]),
        ('userName sw "u" and meta.lastModified gt "2001-01-01T00:00:00Z"', ["u1@e.com", "u2@e.com", "u3@e.com"]),
        ('userName sw "u" and meta.lastModified lt "2001-99-99T"', []),
        ('userName sw "u" and active gt 5', []),
    ],
)
def test_filters(scim: Scim, wanted: str, expected: list[str]) -> None:
    """Filters mean what the standard says, in any case of letters but for ids."""
    scim.user("u1@e.com")
    scim.user("u2@e.com", externalId="ext-2")
    scim.user("u3@e.com", active=False)
    assert scim.names(wanted) == expected


@pytest.mark.parametrize(
    "wanted",
    [
        "userName",
        "userName xx 1",
        'userName eq "a',
        "(a pr",
        "a[b pr",
        "a pr b",
        "1 eq 2",
        "a eq nothing",
        "not " * 3 + "(" * 60,
        "a eq (",
    ],
)
def test_broken_filters(scim: Scim, wanted: str) -> None:
    """A filter that cannot be read is refused with SCIM's word for it."""
    answer = scim.client.get("/scim/v2/Users", query_string={"filter": wanted}, headers=scim.headers)
    assert (answer.status_code, answer.get_json(force=True)["scimType"]) == (400, "invalidFilter")


def test_pages_and_parts(scim: Scim) -> None:
    """Lists come in pages by number, with the attributes asked for; by POST as well."""
    for number in range(5):
        scim.user(f"u{number}")
    found = scim("GET", '/Users?filter=userName sw "u"&startIndex=2&count=2&attributes=userName')
    assert (found["totalResults"], found["startIndex"], found["itemsPerPage"]) == (5, 2, 2)
    assert [set(user) for user in found["Resources"]] == [{"schemas", "id", "meta", "userName"}] * 2
    assert scim("GET", "/Users?count=0")["Resources"] == []
    assert scim("GET", "/Users?startIndex=-3&count=-1")["startIndex"] == 1
    scim("GET", "/Users?count=many", status=400)
    asked = {"filter": 'userName eq "u3"', "attributes": ["name.givenName"], "count": 0}
    assert scim("POST", "/.search", asked)["totalResults"] == 1
    (one,) = scim("POST", "/Users/.search", {**asked, "count": 5})["Resources"]
    assert one["name"] == {"givenName": "u3"}
    assert "emails" not in scim("GET", f"/Users/{one['id']}?excludedAttributes=emails,{USER}:name")
    assert [g["display"] for g in scim("GET", f"/Users/{one['id']}?attributes=groups.display")["groups"]] == []
    assert scim("GET", "/Schemas/" + GROUP)["name"] == "Group"
    scim("GET", "/ResourceTypes/Nothing", status=404)
    scim("GET", "/Schemas?filter=x", status=403)


def test_the_page_shows_what_a_directory_needs_and_did(admin_client: FlaskClient, scim: Scim, house: House) -> None:
    """Address, keys, counts and the last calls with their refusals are on one page; a wrong token leaves no trace."""
    page = admin_client.get("/provisioning/").text
    assert "No call yet" in page
    assert house.settings.console_url + "/scim/v2" in page
    assert "key of directory" in page
    scim.user("anna@e.com", externalId="x-1")
    scim("DELETE", "/Users/999999", status=404)
    scim("GET", '/Users?filter=userName eq "secret@e.com"')
    Scim(scim.client, "syn_wrong")("GET", "/Users", status=401)
    narrow = make_key(house, "provisioning:read", owner="reader")
    Scim(scim.client, narrow)("DELETE", "/Users/1", status=403)
    with house.db.read() as connection:
        calls = [(c.method, c.path, c.status, c.key) for c in scim_calls.recent(connection)]
        assert scim_calls.brought(connection) == scim_calls.Brought(1, 1, 0)
    directory = "key of directory"
    assert calls == [
        ("DELETE", "/Users/1", 403, "key of reader"),
        ("GET", "/Users", 200, directory),
        ("DELETE", "/Users/999999", 404, directory),
        ("POST", "/Users", 201, directory),
    ]
    page = admin_client.get("/provisioning/").text
    assert "There is no user &#39;999999&#39;." in page
    assert "lacks the scope" in page
    assert "secret@e.com" not in page
    assert "key of reader" in page
    assert client_of(admin_client.application, "vera", "Viewer").get("/provisioning/").status_code == 403


def test_only_the_last_calls_are_kept(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    """The list does not grow without end, and a long path or reason is cut."""
    monkeypatch.setattr(scim_calls, "KEPT", 3)
    for number in range(5):
        scim_calls.note(house, "k", ("GET", f"/{number}" + "x" * 400), 400, "y" * 400)
    with house.db.read() as connection:
        calls = scim_calls.recent(connection)
    assert [call.path[1] for call in calls] == ["4", "3", "2"]
    assert {(len(call.path), len(call.said)) for call in calls} == {(300, 300)}


def test_a_key_for_a_directory_is_made_with_its_scopes_ticked(admin_client: FlaskClient) -> None:
    """The button leads to the form of a key with name and scopes filled in; what is no scope is left out."""
    page = admin_client.get("/provisioning/").text
    link = re.search(r'href="(/keys/new[^"]*)"', page)
    assert link
    form = admin_client.get(link[1].replace("&amp;", "&") + "&scope=all:all").text
    ticked = re.findall(r'value="(Provisioning:\w+)"[^>]* checked', form)
    assert ticked == ["Provisioning:read", "Provisioning:update"]
    assert form.count(" checked") == 2
    assert 'value="Directory"' in form
    assert '<option value="365" selected>' in form
    assert '<option value="90" selected>' in admin_client.get("/keys/new").text


def test_attributes_of_users(app: Flask, scim: Scim, house: House) -> None:
    """What a directory tells of the chosen attributes is kept, however it tells it; what it leaves out stays."""
    wanted = (("department", "department"), ("country", "co"), ("kind", "userType"))
    app.extensions["syncline"] = dataclasses.replace(
        house, settings=dataclasses.replace(house.settings, user_attributes=wanted)
    )
    extension = "urn:ietf:params:scim:schemas:extension:enterprise:2.0:User"
    made = scim.user("li", userType="Employee", **{extension: {"department": "Sales", "costCenter": "7"}})
    path = f"/Users/{made['id']}"

    def known() -> dict[str, str]:
        with house.db.read() as tx:
            return attributes.attributes_of(tx, int(made["id"]))

    assert known() == {"department": "Sales", "kind": "Employee"}
    scim.patch(path, {"op": "replace", "path": "active", "value": True})
    assert known() == {"department": "Sales", "kind": "Employee"}
    scim.patch(path, {"op": "add", "path": f"{extension}:department", "value": "Service"})
    assert known()["department"] == "Service"
    answer = scim.patch(path, {"op": "replace", "value": {"userType": None, extension: {"department": "Stock"}}})
    assert known() == {"department": "Stock"}
    assert "told" not in str(answer)
    scim.patch(path, {"op": "remove", "path": f"{extension}:department"})
    assert known() == {}
