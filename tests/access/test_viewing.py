"""View as a role or a user: what is seen then, that nothing is changed, and what the audit log says."""

from __future__ import annotations

import pytest
from flask import Flask
from flask.testing import FlaskClient

from tests.webapp.conftest import add_user, client_of, events, sign_in, text
from webapp.access import keys, role_editing, users
from webapp.access.role_editing import Role
from webapp.extensions import SYSTEM, Actor, House

BANNER = 'class="viewing"'


def _role(house: House, name: str) -> int:
    with house.db.read() as tx:
        return next(role.id for role in role_editing.list_roles(tx) if role.name == name) or 0


def _as_role(client: FlaskClient, house: House, name: str) -> None:
    assert client.post(f"/view-as/role/{_role(house, name)}").status_code == 302


def _menu(client: FlaskClient) -> list[str]:
    page = text(client, "/")
    return [path for path in ("/users/", "/roles/", "/audit/", "/rules/", "/keys/") if f'href="{path}"' in page]


@pytest.mark.parametrize("name", ["Admin", "Auditor", "Viewer"])
def test_an_administrator_sees_what_the_role_sees(app: Flask, house: House, admin_client: FlaskClient, name: str):
    """Who views as a role sees the menu that somebody with it sees, below a banner, until they are themselves again."""
    own = _menu(admin_client)
    _as_role(admin_client, house, name)
    assert _menu(admin_client) == _menu(client_of(app, "ann", name))
    assert BANNER in text(admin_client, "/")
    assert admin_client.post("/view-as/end").location == f"/roles/{_role(house, name)}"
    assert _menu(admin_client) == own
    assert BANNER not in text(admin_client, "/")


def test_nothing_is_changed_meanwhile(app: Flask, house: House, admin_client: FlaskClient):
    """Whatever could change something is refused with a sentence, on pages and in the API, also with the permission."""
    user_id = add_user(house, "ann", "Admin")
    assert admin_client.post(f"/view-as/user/{user_id}").status_code == 302
    for path in (
        "/keys/new",
        f"/users/{user_id}/disable",
        "/account/password",
        "/api/v1/rules/check",
        "/view-as/role/1",
    ):
        answer = admin_client.post(path)
        assert answer.status_code == 403, path
        assert "You view the console as ann, and nothing can be changed meanwhile." in answer.text, path
    assert admin_client.get("/connections/oauth/callback").status_code == 403
    assert admin_client.put("/scim/v2/Users/1").status_code in {401, 403}
    assert admin_client.post("/language/zh").status_code == 302


def test_begin_and_end_are_audited(app: Flask, house: House, admin_client: FlaskClient):
    """The log says who viewed as whom, and until when: also who signed out meanwhile."""
    user_id = add_user(house, "ann", "Viewer")
    admin_client.post(f"/view-as/user/{user_id}")
    admin_client.post("/view-as/end")
    admin_client.post("/view-as/end")
    _as_role(admin_client, house, "Viewer")
    admin_client.post("/logout/")
    for tag in ("access:viewing:began", "access:viewing:ended"):
        found = [(event.actor_name, event.subject_kind, event.subject) for event in events(house, tag)]
        assert found == [("admin", "user", "ann"), ("admin", "role", "Viewer")], tag
    assert BANNER not in text(sign_in(admin_client), "/")


def test_who_is_no_administrator_sees_no_more_than_before(app: Flask, house: House):
    """Somebody who may change roles without holding them all sees as Admin only what they may see themselves."""
    grants = frozenset({("Roles", "read"), ("Roles", "update"), ("Rules", "read")})
    role_editing.save_role(house, Role(None, "Keeper", "", 0, grants), SYSTEM)
    keeper = client_of(app, "kim", "Keeper")
    _as_role(keeper, house, "Admin")
    assert keeper.get("/rules/").status_code == 200
    assert keeper.get("/users/").status_code == 403
    assert "What you may not see yourself is left out." in text(keeper, "/")


def test_only_who_may_change_roles_views_as_others(app: Flask, house: House):
    """Others are refused; who loses the permission, or whose target is gone, is nobody but themselves at once."""
    auditor = client_of(app, "otto", "Auditor")
    assert auditor.post(f"/view-as/role/{_role(house, 'Admin')}").status_code == 403
    target = add_user(house, "ann", "Viewer")
    other = client_of(app, "olga", "Admin")
    assert other.post("/view-as/user/999").status_code == 404
    with house.db.read() as tx:
        olga = users.list_users(tx, "olga")[0]
    assert other.post(f"/view-as/user/{olga.id}", follow_redirects=True).status_code == 200
    assert BANNER not in text(other, "/")
    other.post(f"/view-as/user/{target}")
    assert other.get("/users/").status_code == 403
    users.set_active(house, target, False, SYSTEM)
    assert other.get("/users/").status_code == 200
    assert BANNER not in text(other, "/")
    _as_role(other, house, "Admin")
    users.update_user(house, olga.id, users.NewUser("olga", "O", "", "olga@example.com", ("Viewer",)), SYSTEM)
    assert BANNER not in text(other, "/")
    assert other.get("/users/").status_code == 403


def test_api_keys_and_other_sessions_know_nothing_of_it(app: Flask, house: House, admin_client: FlaskClient):
    """A key of the viewer does what it always does, and so does another session."""
    with house.db.read() as tx:
        admin = users.list_users(tx, "admin")[0]
    new = keys.NewKey("mine", ("connections:create",), None)
    token = keys.create_key(house, new, Actor("user", "admin", str(admin.id)))
    _as_role(admin_client, house, "Viewer")
    answer = app.test_client().post("/api/v1/connections/", headers={"Authorization": f"Bearer {token}"}, json={})
    assert answer.status_code == 422
    assert sign_in(app.test_client()).get("/users/").status_code == 200
