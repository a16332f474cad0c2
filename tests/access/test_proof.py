"""Showing anew who one is before dangerous deeds."""

from __future__ import annotations

import dataclasses
import html
import re
from datetime import timedelta
from typing import Any

import pyotp
import pytest
import sqlalchemy as sa
from flask import Flask
from flask.testing import FlaskClient

from tests.webapp.conftest import PASSWORD, add_user, client_of, events, sign_in
from webapp.access import factors, keys, models, sessions, throttle
from webapp.access.keys import NewKey
from webapp.connections.forms import PREFIX
from webapp.extensions import SYSTEM, Actor, House
from webapp.web.proof import fresh

ASKED = "Show that it is you"
USER = {"username": "bo", "first_name": "Bo", "last_name": "<Li>", "email": "bo@example.com"}


@pytest.fixture(autouse=True)
def _unhurried() -> None:
    throttle._local.clear()


@pytest.fixture
def stale(house: House, admin_client: FlaskClient) -> FlaskClient:
    """Return a client of somebody who has shown who they are eleven minutes ago."""
    age(house, 11)
    return admin_client


def age(house: House, minutes: int) -> None:
    with house.db.begin() as tx:
        then = house.clock() - timedelta(minutes=minutes)
        tx.execute(sa.update(models.access_session).values(proven_at=then))


def change(app: Flask, **settings: Any) -> House:
    house: House = app.extensions["syncline"]
    changed = dataclasses.replace(house, settings=dataclasses.replace(house.settings, **settings))
    app.extensions["syncline"] = changed
    return changed


def sent_again(page: str) -> list[tuple[str, str]]:
    """Return the hidden fields of the form that asks for the password."""
    form = next(part for part in page.split("<form") if "proof_password" in part)
    found = re.findall(r'<input type="hidden" name="([^"]*)" value="([^"]*)">', form)
    return [(name, html.unescape(value)) for name, value in found if name != "csrf_token"]


def names(house: House) -> set[str]:
    with house.db.read() as tx:
        return set(tx.scalars(sa.select(models.user.c.username)))


def test_what_was_sent_is_not_lost(stale: FlaskClient, house: House):
    """A dangerous form is held up by a page that asks for the password, and goes on with it, whole and once."""
    form = {**USER, "roles": ["Viewer", "Auditor"]}
    page = stale.post("/users/new", data=form)
    assert page.status_code == 401
    assert ASKED in page.text
    assert "bo" not in names(house)
    kept = sent_again(page.text)
    assert sorted(kept) == sorted([*USER.items(), ("roles", "Viewer"), ("roles", "Auditor")])
    wrong = stale.post("/users/new", data={**form, "proof_password": "wrong"})
    assert wrong.status_code == 401
    assert sent_again(wrong.text) == kept
    done = stale.post("/users/new", data={**form, "proof_password": PASSWORD})
    assert done.status_code == 201
    assert "bo" in names(house)
    assert stale.post("/users/new", data={**form, "username": "cy", "email": "c@example.com"}).status_code == 201
    assert events(house, "access:session:proven")[-1].after == {"by": "password"}
    assert events(house, "access:session:sign_in_failed")[-1].reason == "wrong proof, signed in"
    assert events(house, "access:request:denied") == []


def test_a_proof_ends_the_token_of_before(app: Flask, stale: FlaskClient, house: House):
    """Behind a proof the session has a new token; whoever holds the old one is out when requests under way are over."""
    with stale.session_transaction() as kept:
        old = kept["_user_id"]
    wrong = {**USER, "roles": "Viewer", "proof_password": "wrong"}
    assert stale.post("/users/new", data=wrong).status_code == 401
    with stale.session_transaction() as kept:
        assert kept["_user_id"] == old
    assert stale.post("/users/new", data={**wrong, "proof_password": PASSWORD}).status_code == 201
    with stale.session_transaction() as kept:
        assert kept["_user_id"] != old
    assert sessions.user_of(house, old) is not None, "a request was under way"
    app.extensions["syncline"] = later = dataclasses.replace(house, clock=lambda: house.clock() + timedelta(seconds=11))
    assert sessions.user_of(later, old) is None
    assert stale.get("/account/").status_code == 200


def test_the_token_of_before_has_proven_nothing(app: Flask, stale: FlaskClient, house: House):
    """Whoever has the cookie of before may finish what was under way, but does nothing that wants a fresh proof."""
    thief = app.test_client()
    with stale.session_transaction() as kept, thief.session_transaction() as stolen:
        stolen.update(kept)
    user = {**USER, "roles": "Viewer"}
    assert stale.post("/users/new", data={**user, "proof_password": PASSWORD}).status_code == 201
    assert thief.get("/account/").status_code == 200
    answer = thief.post("/users/new", data={**user, "username": "eve", "email": "eve@example.com"})
    assert answer.status_code == 401
    assert "eve" not in names(house)


def test_a_code_is_a_proof(app: Flask, stale: FlaskClient, house: House):
    """The second factor proves it as well as the password; a code counts once."""
    key = factors.new_key()
    factors.set_up(house, 1, (PASSWORD, key, pyotp.TOTP(key).at(house.clock())), SYSTEM)
    now = house.clock() + timedelta(seconds=60)
    app.extensions["syncline"] = dataclasses.replace(house, clock=lambda: now)
    code = pyotp.TOTP(key).at(now)
    assert stale.post("/users/new", data={**USER, "roles": "Viewer", "proof_code": code}).status_code == 201
    age(house, 11)
    assert stale.post("/users/new", data={**USER, "roles": "Viewer", "proof_code": code}).status_code == 401


def test_guessing_is_slowed_down(stale: FlaskClient):
    """Whoever sits at the open desk cannot try passwords."""
    for _ in range(throttle.PER_USER):
        stale.post("/users/new", data={**USER, "proof_password": "wrong"})
    answer = stale.post("/users/new", data={**USER, "roles": "Viewer", "proof_password": PASSWORD})
    assert answer.status_code == 401
    assert "Too many failed attempts." in answer.text


@pytest.mark.parametrize(
    ("path", "form"),
    [
        ("/users/1", {}),
        ("/users/1/disable", {}),
        ("/users/1/password", {}),
        ("/users/1/second-factor/remove", {}),
        ("/users/1/delete", {}),
        ("/roles/new", {"name": "All"}),
        ("/keys/new", {"name": "All"}),
        ("/account/second-factor/", {"code": "1"}),
        ("/account/second-factor/recovery", {}),
        ("/account/passkeys/begin", {}),
        ("/account/sessions/1/end", {}),
        ("/account/sessions/end", {}),
        ("/connections/new/postgresql", {"name": "erp", f"{PREFIX}password": "s"}),
    ],
)
def test_dangerous_deeds(stale: FlaskClient, house: House, path: str, form: dict[str, str]):
    """Users, roles, keys, ways in and secrets of connections are changed only behind a fresh proof."""
    before = len(events(house))
    answer = stale.post(path, data=form)
    assert answer.status_code == 401
    assert ASKED in answer.text
    assert len(events(house)) == before


def test_other_pages_ask_nothing(stale: FlaskClient):
    """Reading, and what is not dangerous, goes on without a proof; so does a connection without a secret."""
    assert stale.get("/users/new").status_code == 200
    assert stale.post("/account/language", data={"language": "en"}).status_code == 302
    sent = {"name": "erp", "action": "test", f"{PREFIX}password": "s"}
    assert ASKED not in stale.post("/connections/new/postgresql", data=sent).text


def test_scripts_and_parts_of_pages_are_told(stale: FlaskClient):
    """A part of a page leads to the page that asks; a script is told in words."""
    headers = {"HX-Request": "true", "HX-Current-URL": "http://localhost/users/1"}
    answer = stale.post("/users/1", headers=headers)
    assert answer.headers["HX-Redirect"] == "/account/proof/?next=/users/1"
    assert stale.post("/users/1", headers={"Accept": "application/json"}).status_code == 401
    page = stale.get("/account/proof/?next=/users/1")
    assert ASKED in page.text
    assert stale.post("/account/proof/?next=/users/1", data={"proof_password": "no"}).status_code == 401
    assert stale.post("/account/proof/?next=//evil.example", data={"proof_password": PASSWORD}).location == "/"
    assert stale.post("/users/1/password").location == "/users/1", "it is for others, and nothing more is asked"


def test_settings(app: Flask, stale: FlaskClient, house: House):
    """The setting says for how long a proof counts, that none is asked for, and whether exports need one."""
    assert stale.post("/audit/export/csv").status_code == 200
    change(app, proof_for_exports=True)
    assert ASKED in stale.post("/audit/export/csv").text
    change(app, proof_minutes=12)
    assert stale.post("/audit/export/csv").status_code == 200
    age(house, 9999)
    change(app, proof_minutes=0)
    assert stale.post("/users/new", data={**USER, "roles": "Viewer"}).status_code == 201


def test_another_session_has_a_proof_of_its_own(app: Flask, stale: FlaskClient, house: House):
    """What is shown in one session counts in that one only."""
    other = sign_in(app.test_client())
    assert other.post("/users/new", data={**USER, "roles": "Viewer"}).status_code == 201
    assert stale.post("/users/1/disable").status_code == 401
    viewer = client_of(app, "vera", "Viewer")
    age(house, 11)
    assert viewer.post("/users/1/disable").status_code == 403, "who may not do it is not asked"


def test_keys_have_a_scope_instead(app: Flask, house: House, admin_client: FlaskClient):
    """A key sets secrets of connections with a scope of its own only; a person by the API with a fresh proof."""
    document = {"name": "erp", "connector": "postgresql", "label": "ERP"}
    plain = {"host": "db", "database": "erp", "user": "u"}
    owner = Actor("user", "ann", str(add_user(house, "ann", "Admin")))
    scopes = ("connections:create", "connections:update")
    weak = {"Authorization": f"Bearer {keys.create_key(house, NewKey('weak', scopes, 1), owner)}"}
    able = (*scopes, keys.SECRETS)
    strong = {"Authorization": f"Bearer {keys.create_key(house, NewKey('strong', able, 1), owner)}"}
    client, secret = app.test_client(), {**document, "settings": {**plain, "password": "s3cret"}}
    refused = client.post("/api/v1/connections/", json=secret, headers=weak)
    assert refused.status_code == 403
    assert "connections:secrets" in refused.text
    assert client.post("/api/v1/connections/", json=secret, headers=strong).status_code == 201
    kept = {**document, "settings": {**plain, "password": "vault:connection/erp/password"}}
    assert client.put("/api/v1/connections/erp", json=kept, headers=weak).status_code == 200
    assert admin_client.put("/api/v1/connections/erp", json=secret).status_code == 200
    age(house, 11)
    assert admin_client.put("/api/v1/connections/erp", json=secret).status_code == 403
    assert admin_client.put("/api/v1/connections/erp", json=kept).status_code == 200
    assert keys.SECRETS in admin_client.get("/keys/new").text


def test_pages_are_marked_by_what_they_do(app: Flask):
    """Each page that sends something in the rooms of users, roles and keys asks for a fresh proof."""
    for view in app.extensions["appbuilder"].baseviews:
        if view.class_permission_name not in ("Users", "Roles", "Keys") or type(view).__name__ in FREE:
            continue
        for name in dir(type(view)):
            if name.startswith("review"):  # which shows what a change comes to
                continue
            method = getattr(type(view), name)
            urls = getattr(method, "_urls", ())
            if any("POST" in methods for _, methods in urls):
                assert getattr(method, "needs_proof", False), f"{type(view).__name__}.{name}"
    assert fresh(lambda _view: None).needs_proof


FREE = {"ViewingView"}
"""What changes nothing: looking as somebody else."""
