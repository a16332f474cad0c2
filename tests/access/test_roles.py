"""Roles and what they permit."""

from __future__ import annotations

import pytest
import sqlalchemy as sa
from flask import Flask
from flask.testing import FlaskClient

from tests.webapp.conftest import add_user, client_of, events
from webapp.access import models, role_editing, roles, services
from webapp.access.errors import Missing, Refused
from webapp.access.role_editing import Role
from webapp.extensions import SYSTEM, Actor, House


def _role(house: House, name: str) -> Role:
    with house.db.read() as connection:
        return next(role for role in role_editing.list_roles(connection) if role.name == name)


def test_built_in_roles_hold_what_the_table_says(house: House):
    """Each built-in role has exactly the permissions of the table; a second sync changes nothing."""
    with house.db.begin() as tx:
        roles.sync(tx)
    for seed in roles.ROLES:
        wanted = {(room, action) for room, actions in seed.grants.items() for action in actions}
        assert _role(house, seed.name).grants == wanted


def test_sync_takes_and_gives_back(house: House):
    """A built-in role that was changed behind our back is set right; a role of one's own is left alone."""
    own = role_editing.save_role(house, Role(None, "Own", "", 0, frozenset({("Rules", "read")})), SYSTEM)
    with house.db.begin() as tx:
        viewer = tx.scalar(sa.select(models.role.c.id).where(models.role.c.name == "Viewer"))
        roles.grant(tx, viewer, {next(iter(roles.permission_ids(tx).values()))})
        roles.sync(tx)
    assert ("Rules", "read") in _role(house, "Viewer").grants
    with house.db.read() as connection:
        assert role_editing.get_role(connection, own).grants == {("Rules", "read")}


def test_auditor_and_viewer_change_nothing():
    """The reading roles hold no permission but to read, and the auditor to export the log."""
    grants = {
        seed.name: {(room, action) for room, actions in seed.grants.items() for action in actions}
        for seed in roles.ROLES
    }
    assert {action for _room, action in grants["Viewer"]} == {"read"}
    assert {pair for pair in grants["Auditor"] if pair[1] != "read"} == {("Audit", "export")}


def test_permissions_add_up(house: House):
    """A user with two roles has the permissions of both, at once and without a new sign-in."""
    user_id = add_user(house, "ann", "Viewer", "Auditor")
    with house.db.read() as connection:
        held = services.permissions_of(connection, user_id)
    assert ("can_export", "Audit") in held
    assert ("can_read", "Connections") in held


def test_role_is_made_in_the_console(app: Flask, house: House, admin_client: FlaskClient):
    """A role of one's own gives what was ticked, and the log has it with before and after."""
    form = {"name": "Watcher", "description": "Looks at the log", "grants": ["Rules:read", "Audit:read"]}
    assert admin_client.post("/roles/new", data=form).status_code == 302
    watcher = client_of(app, "wanda", "Watcher")
    assert watcher.get("/audit/").status_code == 200
    assert watcher.get("/users/").status_code == 403
    role = _role(house, "Watcher")
    admin_client.post(f"/roles/{role.id}/edit", data={**form, "grants": ["Rules:read"]})
    assert watcher.get("/audit/").status_code == 403
    changed = events(house, "access:role:updated")[-1]
    assert changed.before["Audit"] == ["read"]
    assert "Audit" not in changed.after


def test_copy_starts_with_the_same_permissions(admin_client: FlaskClient, house: House):
    """The form of a copy is ticked like the role it is made from."""
    text = admin_client.get(f"/roles/new?copy={_role(house, 'Viewer').id}").text
    assert 'value="Rules:read" aria-label="Rules: Read" checked' in text
    assert 'value="Rules:publish" aria-label="Rules: Publish">' in text


def test_built_in_roles_do_not_change(house: House, admin_client: FlaskClient):
    """A built-in role is neither changed nor deleted."""
    viewer = _role(house, "Viewer")
    with pytest.raises(Refused, match="built in"):
        role_editing.save_role(house, Role(viewer.id, "Mine", "", 0, viewer.grants), SYSTEM)
    with pytest.raises(Refused, match="built in"):
        role_editing.delete_role(house, viewer.id, SYSTEM)
    assert admin_client.get(f"/roles/{viewer.id}/edit").location == f"/roles/{viewer.id}"


@pytest.mark.parametrize(
    ("role", "text"),
    [
        (Role(None, "x", "", 0, frozenset({("Rules", "read")})), "2 to 64"),
        (Role(None, "viewer", "", 0, frozenset({("Rules", "read")})), "already a role"),
        (Role(None, "Public", "", 0, frozenset({("Rules", "read")})), "already a role"),
        (Role(None, "Empty", "", 0, frozenset()), "at least one"),
        (Role(None, "Odd", "", 0, frozenset({("Audit", "run")})), "no such permission"),
        (Role(None, "Long", "x" * 501, 0, frozenset({("Rules", "read")})), "at most 500"),
    ],
)
def test_wrong_roles_are_refused(house: House, role: Role, text: str):
    """A role needs a name of its own and permissions that exist."""
    with pytest.raises(Refused, match=text):
        role_editing.save_role(house, role, SYSTEM)


def test_role_in_use_is_not_deleted(house: House):
    """A role is deleted only when nobody holds it."""
    role_id = role_editing.save_role(house, Role(None, "Own", "", 0, frozenset({("Rules", "read")})), SYSTEM)
    user_id = add_user(house, "ann", "Own")
    with pytest.raises(Refused, match="1 users hold"):
        role_editing.delete_role(house, role_id, SYSTEM)
    with house.db.begin() as tx:
        tx.execute(sa.delete(models.user_role).where(models.user_role.c.user_id == user_id))
    assert role_editing.delete_role(house, role_id, SYSTEM) == "Own"
    with house.db.read() as connection, pytest.raises(Missing):
        role_editing.get_role(connection, role_id)


def test_nobody_makes_a_role_that_holds_more_than_they_do(house: House):
    """Who may edit roles cannot reach permissions beyond their own that way."""
    role_editing.save_role(
        house,
        Role(None, "Keeper", "", 0, frozenset({("Roles", "read"), ("Roles", "create"), ("Roles", "update")})),
        SYSTEM,
    )
    actor = Actor("user", "kim", str(add_user(house, "kim", "Keeper")))
    with pytest.raises(Refused, match="do not hold yourself"):
        role_editing.save_role(house, Role(None, "Big", "", 0, frozenset({("Users", "update")})), actor)
    role_editing.save_role(house, Role(None, "Small", "", 0, frozenset({("Roles", "read")})), actor)
