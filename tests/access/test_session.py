"""Signing in and out."""

from __future__ import annotations

import dataclasses

import pytest
from flask import Flask
from flask.testing import FlaskClient

from tests.webapp.conftest import PASSWORD, add_user, events, sign_in
from webapp.access import throttle
from webapp.access.session_views import safe_target
from webapp.access.users import set_active
from webapp.extensions import SYSTEM, House


def test_signing_in_and_out_is_audited(client: FlaskClient, house: House):
    """Sign-in, failure and sign-out are in the log, with the address and never the password."""
    client.post("/login/", data={"username": "admin", "password": "wrong secret"})
    client.post("/login/", data={"username": "nobody", "password": "wrong secret"})
    sign_in(client)
    client.post("/logout/")
    found = [(event.tag.rpartition(":")[2], event.subject, event.reason) for event in events(house, "access:session")]
    assert found == [
        ("sign_in_failed", "admin", "wrong password"),
        ("sign_in_failed", "nobody", "unknown user"),
        ("signed_in", "admin", None),
        ("signed_out", "admin", None),
    ]
    assert events(house, "access:session")[0].address == "127.0.0.1"
    assert "wrong secret" not in str(events(house))


def test_answer_does_not_tell_whether_the_user_exists(client: FlaskClient):
    """A wrong password and an unknown user look the same."""
    answers = [client.post("/login/", data={"username": name, "password": "x"}) for name in ("admin", "nobody")]
    assert {answer.status_code for answer in answers} == {401}
    assert all("The user name or the password is wrong." in answer.text for answer in answers)


def test_disabled_user_stays_out(app: Flask, house: House):
    """A disabled user cannot sign in."""
    set_active(house, add_user(house, "ann", "Viewer"), False, SYSTEM)
    assert app.test_client().post("/login/", data={"username": "ann", "password": PASSWORD}).status_code == 401


def test_signing_in_starts_a_new_session(client: FlaskClient):
    """What lay in the session before sign-in is gone, so that nobody can plant one."""
    with client.session_transaction() as session:
        session["planted"] = "x"
    sign_in(client)
    with client.session_transaction() as session:
        assert "planted" not in session


def test_session_cookie_is_closed(client: FlaskClient):
    """The cookie is not readable by scripts and not sent along from other sites."""
    answer = client.post("/login/", data={"username": "admin", "password": PASSWORD})
    cookie = answer.headers["Set-Cookie"]
    assert "HttpOnly" in cookie
    assert "SameSite=Lax" in cookie


def test_signing_out_needs_a_post(admin_client: FlaskClient):
    """A link or an image of another site cannot sign anybody out."""
    assert admin_client.get("/logout/").status_code == 405
    assert admin_client.get("/").status_code == 200


@pytest.mark.parametrize(
    "target", ["https://evil.example", "//evil.example", "/\\evil", "\\\\evil", "javascript:x", "", None, "/a\nb"]
)
def test_sign_in_leads_to_no_other_host(target: str | None):
    """The address to go on to is a path of ours, else the home page."""
    assert safe_target(target) == "/"


def test_sign_in_leads_on(client: FlaskClient):
    """After sign-in one comes to the page that was asked for."""
    answer = client.post("/login/?next=/users/%3Fq%3Da", data={"username": "admin", "password": PASSWORD})
    assert answer.location == "/users/?q=a"


def test_failures_are_slowed_down(app: Flask, house: House, monkeypatch: pytest.MonkeyPatch):
    """After some failures even the right password has to wait; the wait ends, and other users are not held up."""
    throttle._local.clear()
    add_user(house, "ann", "Viewer")
    client = app.test_client()
    for _attempt in range(throttle.PER_USER):
        assert client.post("/login/", data={"username": "admin", "password": "x"}).status_code == 401
    answer = client.post("/login/", data={"username": "admin", "password": PASSWORD})
    assert answer.status_code == 429
    assert "Try again in" in answer.text
    sign_in(app.test_client(), "ann")
    now = throttle.time.monotonic()
    monkeypatch.setattr(throttle.time, "monotonic", lambda: now + throttle.WINDOW + 1)
    sign_in(client)


def test_failures_are_shared_through_redis(app: Flask, house: House, valkey_server):
    """With Redis all processes count together."""
    shared = dataclasses.replace(
        house,
        settings=dataclasses.replace(house.settings, redis_url=f"redis://{valkey_server.host}:{valkey_server.port}/0"),
    )
    for _attempt in range(throttle.PER_USER):
        throttle.failed(shared, "zoe", "10.0.0.9")
    throttle._local.clear()
    assert 0 < throttle.seconds_to_wait(shared, "ZOE", "10.0.0.9") <= throttle.WINDOW
    assert throttle.seconds_to_wait(shared, "zoe", "10.0.0.8") == 0
    throttle.succeeded(shared, "zoe", "10.0.0.9")
    assert throttle.seconds_to_wait(shared, "zoe", "10.0.0.9") == 0
