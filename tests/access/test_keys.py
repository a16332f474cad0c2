"""API keys and their scopes."""

from __future__ import annotations

import dataclasses
import re
from datetime import timedelta

import pytest
import sqlalchemy as sa
from flask import Flask
from flask.testing import FlaskClient

from tests.webapp.conftest import add_user, client_of, events
from webapp.access import company, keys, models, role_editing, users
from webapp.access.errors import Refused
from webapp.access.keys import NewKey
from webapp.access.role_editing import Role
from webapp.extensions import SYSTEM, Actor, House


def _key(house: House, *scopes: str, days: int | None = 30, role: str = "Admin", name: str = "shop") -> str:
    actor = Actor("user", f"owner-{name[-1]}", str(add_user(house, f"owner-{name[-1]}", role)))
    return keys.create_key(house, NewKey(name, scopes, days), actor)


def _get(client: FlaskClient, key: str, path: str = "/api/v1/audit/") -> int:
    return client.get(path, headers={"Authorization": f"Bearer {key}"}).status_code


def test_key_is_shown_once_and_stored_as_digest(app: Flask, house: House, admin_client: FlaskClient):
    """The console shows a key once; the database holds nothing that it could be made from."""
    answer = admin_client.post("/keys/new", data={"name": "Web shop", "days": "90", "grants": ["Audit:read"]})
    assert answer.status_code == 201
    key = re.search(r'<code id="once">(syn_[^<]+)</code>', answer.text)[1]
    assert _get(app.test_client(), key) == 200
    assert key not in admin_client.get("/keys/").text
    with house.db.read() as connection:
        assert key not in str(connection.execute(sa.select(models.access_key)).all())
    made = events(house, "access:key:created")[-1]
    assert made.after["scopes"] == ["audit:read"]
    assert key[:12] not in str(made.after)


def test_scopes_are_enforced(house: House, client: FlaskClient):
    """A key does what its scopes say and nothing else."""
    assert _get(client, _key(house, "rules:read", name="key a")) == 403
    key = _key(house, "audit:read", name="key b")
    assert _get(client, key) == 200
    assert client.post("/api/v1/audit/export", headers={"Authorization": f"Bearer {key}"}).status_code == 403


def test_key_does_no_more_than_its_owner(house: House, client: FlaskClient):
    """When the owner loses a permission, the key loses it too; when the owner is disabled, the key is dead."""
    key = _key(house, "audit:read", role="Auditor")
    assert _get(client, key) == 200
    with house.db.begin() as tx:
        owner = tx.scalar(sa.select(models.user.c.id).where(models.user.c.username == "owner-p"))
        tx.execute(sa.delete(models.user_role).where(models.user_role.c.user_id == owner))
    assert _get(client, key) == 403
    users.set_active(house, owner, False, SYSTEM)
    assert _get(client, key) == 401


def test_key_with_more_than_the_own_rights_is_refused(house: House):
    """Nobody makes a key with permissions that they do not hold."""
    with pytest.raises(Refused, match="do not hold yourself"):
        _key(house, "connections:delete", role="Viewer")


@pytest.mark.parametrize(
    "new",
    [
        NewKey("", ("audit:read",), 30),
        NewKey("a name", (), 30),
        NewKey("a name", ("audit:eat",), 30),
        NewKey("a name", ("users:read",), 30),
        NewKey("a name", ("audit:read",), 0),
    ],
)
def test_wrong_keys_are_refused(house: House, new: NewKey):
    """A key needs a name, known scopes and a time at which it expires, or none."""
    actor = Actor("user", "ann", str(add_user(house, "ann", "Admin")))
    with pytest.raises(Refused):
        keys.create_key(house, new, actor)


def test_revoked_and_expired_keys_are_refused(house: House, client: FlaskClient, admin_client: FlaskClient):
    """A revoked key is refused at once, an expired one when its time has come."""
    key = _key(house, "audit:read", days=30)
    later = dataclasses.replace(house, clock=lambda: house.clock() + timedelta(days=31))
    assert keys.find(house, key) is not None
    assert keys.find(later, key) is None
    with house.db.read() as connection:
        key_id = keys.list_keys(connection, house.clock())[0].id
        assert keys.list_keys(connection, later.clock())[0].state == "expired"
    assert admin_client.post(f"/keys/{key_id}/revoke").status_code == 302
    client.delete_cookie("syncline")
    assert _get(client, key) == 401
    assert events(house, "access:key:revoked")[-1].subject == "shop"


def test_keys_wait_for_whom_the_company_does_not_let_in(house: House):
    """The keys of who comes by the company's provider wait after a month without it, and go on behind the next time."""
    key = _key(house, "audit:read", days=365)
    later = dataclasses.replace(house, clock=lambda: house.clock() + timedelta(days=31))
    assert keys.find(later, key) is not None, "no provider knows this user"
    with house.db.begin() as tx:
        owner = users.get_user(tx, keys.list_keys(tx, house.clock())[0].user_id)
        company.link(tx, owner, ("https://id.example.com", "x"), SYSTEM, house.clock())
    assert keys.find(house, key) is not None
    assert keys.find(later, key) is None
    with house.db.read() as tx:
        assert keys.list_keys(tx, later.clock(), keys.waiting(later))[0].state == "lapsed"
    always = dataclasses.replace(later, settings=dataclasses.replace(house.settings, company_key_days=0))
    assert keys.find(always, key) is not None
    company.admit(later, {"sub": "x"}, owner.roles, "https://id.example.com")
    assert keys.find(later, key) is not None


def test_last_use_is_remembered(house: House, client: FlaskClient):
    """The list tells when a key was used last, written at most once a minute."""
    key = _key(house, "audit:read")
    _get(client, key)
    with house.db.read() as connection:
        first = keys.list_keys(connection, house.clock())[0].last_used_at
    _get(client, key)
    with house.db.read() as connection:
        assert keys.list_keys(connection, house.clock())[0].last_used_at == first
    assert first is not None


@pytest.mark.parametrize("header", ["Bearer syn_wrong", "Bearer ", "bearer syn_x", "Bearer"])
def test_a_wrong_key_is_never_taken_for_the_cookie(admin_client: FlaskClient, header: str):
    """A request with a bad key is refused even where a cookie would let it in."""
    assert admin_client.get("/api/v1/audit/").status_code == 200
    answer = admin_client.get("/api/v1/audit/", headers={"Authorization": header})
    assert answer.status_code == 401
    assert answer.headers["WWW-Authenticate"] == "Bearer"


def test_keys_open_no_pages(house: House, client: FlaskClient):
    """A key works for the API, not for the pages of the console."""
    assert _get(client, _key(house, "audit:read"), "/audit/") == 401


def test_events_name_the_key(house: House, client: FlaskClient):
    """What a program does is told under its key's name."""
    key = _key(house, "audit:read", "audit:export")
    client.post("/api/v1/audit/export", headers={"Authorization": f"Bearer {key}"}).get_data()
    found = events(house, "audit:events:exported")[-1]
    assert (found.actor_kind, found.actor_name) == ("key", "shop")


def test_form_offers_only_what_one_may_do(app: Flask, house: House):
    """The form of a new key shows the permissions of who makes it."""
    role_editing.save_role(
        house, Role(None, "Maker", "", 0, frozenset({("Keys", "read"), ("Keys", "create"), ("Audit", "read")})), SYSTEM
    )
    text = client_of(app, "max", "Maker").get("/keys/new").text
    assert 'value="Audit:read"' in text
    assert 'value="Audit:export"' not in text
    assert 'value="Rules:read"' not in text
