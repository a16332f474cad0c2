"""Signing in and out."""

from __future__ import annotations

import dataclasses
from datetime import timedelta

import pytest
from flask import Flask
from flask.testing import FlaskClient

from tests.webapp.conftest import PASSWORD, add_user, events, sign_in
from webapp.access import sessions, throttle
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


def cookie(client: FlaskClient) -> str:
    found = client.get_cookie("syncline")
    assert found is not None
    return found.value


def stays_in(app: Flask, value: str) -> bool:
    """Tell whether a cookie lets one in, in another browser."""
    other = app.test_client()
    other.set_cookie("syncline", value)
    return other.get("/account/").status_code == 200


def test_signing_out_ends_copies_of_the_cookie(app: Flask, client: FlaskClient):
    """Who has copied the cookie is out as well; before, the copy lets in, and a new sign-in has another one."""
    copied = cookie(sign_in(client))
    assert stays_in(app, copied)
    with client.session_transaction() as kept:
        assert len(kept["_user_id"]) == 43, "256 bits"
    assert 'action="/logout/"' in client.get("/account/").text
    assert client.post("/logout/").headers["Clear-Site-Data"] == '"cache"'
    assert not stays_in(app, copied)
    assert cookie(sign_in(client)) != copied
    assert not stays_in(app, copied)


def test_new_password_ends_all_other_sessions(app: Flask, client: FlaskClient, house: House):
    """After a change of the password only the session that changed it goes on, with a cookie of its own."""
    sign_in(client)
    mine, other = cookie(client), cookie(sign_in(app.test_client()))
    new = "another-horse-battery-staple"
    client.post("/account/password", data={"current": PASSWORD, "password": new, "again": new})
    assert not stays_in(app, other)
    assert not stays_in(app, mine)
    assert client.get("/account/").status_code == 200


def test_sessions_are_listed_and_ended(app: Flask, client: FlaskClient, house: House):
    """One sees where one is signed in, and ends one session, or all others; each is in the log."""
    sign_in(client)
    others = [app.test_client() for _number in range(3)]
    agent = "Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 Chrome/140.0.0.0 Safari/537.36 Edg/140.0"
    for other in others:
        other.post("/login/", data={"username": "admin", "password": PASSWORD}, headers={"User-Agent": agent})
    page = client.get("/account/").text
    assert page.count("Edge, Windows") == 3
    assert page.count("this one") == 1
    with house.db.read() as tx:
        known = sessions.of_user(house, tx, 1)
    client.post(f"/account/sessions/{known[0].id}/end")
    assert sum(other.get("/account/").status_code == 200 for other in others) == 2
    client.post("/account/sessions/end")
    assert all(other.get("/account/").status_code == 302 for other in others)
    assert client.get("/account/").status_code == 200
    found = [event.after for event in events(house, "access:session:ended")]
    assert found == [{"sessions": 1}, {"sessions": 2}]


def test_sessions_of_others(app: Flask, admin_client: FlaskClient, house: House):
    """Nobody ends a session that is not one's own; who manages users ends all of a user's."""
    ann = add_user(house, "ann", "Viewer")
    client = sign_in(app.test_client(), "ann")
    with house.db.read() as tx:
        (of_admin,), (of_ann,) = (sessions.of_user(house, tx, user) for user in (1, ann))
    client.post(f"/account/sessions/{of_admin.id}/end")
    assert client.post("/users/1/sessions/end").status_code == 403
    assert admin_client.get("/account/").status_code == 200
    admin_client.post(f"/account/sessions/{of_ann.id}/end")
    assert client.get("/account/").status_code == 200
    assert "Where this user is signed in" in admin_client.get(f"/users/{ann}").text
    admin_client.post(f"/users/{ann}/sessions/end")
    assert client.get("/account/").status_code == 302


@pytest.mark.parametrize(("pause", "times", "stays"), [(119, 5, True), (121, 1, False), (119, 7, False)])
def test_sessions_end_by_themselves(app: Flask, client: FlaskClient, house: House, pause: int, times: int, stays: bool):
    """Who does nothing for two hours is out, and everybody after twelve."""
    sign_in(client)
    clock = house.clock
    try:
        for number in range(1, times + 1):
            later = timedelta(minutes=pause * number)
            app.extensions["syncline"] = dataclasses.replace(house, clock=lambda at=later: clock() + at)
            answer = client.get("/account/")
    finally:
        app.extensions["syncline"] = house
    assert (answer.status_code == 200) is stays


def test_pages_that_ask_by_themselves_keep_nobody_in(app: Flask, client: FlaskClient, house: House):
    """An open page that looks for news every second does not count as somebody who is there."""
    sign_in(client)
    clock = house.clock
    try:
        for number in range(1, 4):
            later = timedelta(minutes=50 * number)
            app.extensions["syncline"] = dataclasses.replace(house, clock=lambda at=later: clock() + at)
            answer = client.get("/account/", headers={"X-Poll": "1"})
    finally:
        app.extensions["syncline"] = house
    assert answer.status_code == 302


@pytest.mark.parametrize(
    ("agent", "told"),
    [
        ("Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0", "Firefox, Linux"),
        ("Mozilla/5.0 (iPhone; CPU iPhone OS 18_0 like Mac OS X) Version/18.0 Mobile/15E148 Safari/604.1",
         "Safari, iPhone"),
        ("curl/8.5.0", "curl/8.5.0"),
        ("", ""),
    ],
)  # fmt: skip
def test_devices(agent: str, told: str):
    """A browser is called by its name and its system."""
    assert sessions.device(agent) == told


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
