"""Forged requests, request numbers, transport."""

from __future__ import annotations

import dataclasses
import re

import pytest
from flask import Flask, request
from flask.testing import FlaskClient

import config
from tests.webapp.conftest import PASSWORD, sign_in
from webapp.access import keys, users
from webapp.access.keys import NewKey
from webapp.app import create_app
from webapp.extensions import Actor, House
from webapp.web import problems


def _token(client: FlaskClient, path: str = "/login/") -> str:
    return re.search(r'name="csrf-token" content="([^"]+)"', client.get(path).text)[1]


def _admin(house: House) -> Actor:
    with house.db.read() as connection:
        return Actor("user", "admin", str(users.list_users(connection)[0].id))


def test_posts_need_the_token(app: Flask):
    """A form that another site sends is refused, also at sign-in; with the page's token it is taken."""
    app.config["WTF_CSRF_ENABLED"] = True
    client = app.test_client()
    form = {"username": "admin", "password": PASSWORD}
    answer = client.post("/login/", data=form)
    assert answer.status_code == 400
    assert "expired or was opened by another site" in answer.text
    assert client.post("/login/", data={**form, "csrf_token": _token(client)}).status_code == 302
    assert client.post("/logout/").status_code == 400
    assert client.get("/").status_code == 200
    assert client.post("/logout/", headers={"X-CSRFToken": _token(client, "/")}).status_code == 302


def test_api_with_a_cookie_needs_the_token_for_changes(app: Flask, house: House):
    """A cookie works for the API too, but changes need the token; a key needs none."""
    client = sign_in(app.test_client())
    app.config["WTF_CSRF_ENABLED"] = True
    assert client.get("/api/v1/audit/").status_code == 200
    refused = client.post("/api/v1/audit/export")
    assert refused.status_code == 400
    assert refused.mimetype == "application/problem+json"
    token = {"X-CSRFToken": _token(client, "/")}
    assert client.post("/api/v1/audit/export", headers=token, buffered=True).status_code == 200
    key = keys.create_key(house, NewKey("program", ("audit:export",), 1), _admin(house))
    bearer = {"Authorization": f"Bearer {key}"}
    assert app.test_client().post("/api/v1/audit/export", headers=bearer, buffered=True).status_code == 200


def test_strangers_are_told_to_send_a_key(app: Flask):
    """A program without a key is told so for changes too, where a person's form would be called expired."""
    app.config["WTF_CSRF_ENABLED"] = True
    for path in ("/api/v1/runs/", "/api/v1/audit/export", "/scim/v2/Users"):
        answer = app.test_client().post(path, json={})
        assert answer.status_code == 401, path
        assert answer.headers["WWW-Authenticate"] == "Bearer", path


def test_methods_that_an_address_takes(admin_client: FlaskClient):
    """Whoever asks in a way that an address does not take is told which ways it takes (RFC 9110)."""
    for path in ("/api/v1/runs/1", "/audit/", "/login/"):
        answer = admin_client.put(path)
        assert answer.status_code == 405, path
        assert "GET" in answer.headers["Allow"], path


def test_strangers_send_little(app: Flask):
    """Who has not signed in cannot fill the disk with an upload; the answer says that it is too large."""
    app.config["WTF_CSRF_ENABLED"] = True
    answer = app.test_client().post("/login/", data={"username": "x" * 100_000})
    assert answer.status_code == 413
    assert "larger than the console takes" in answer.text


def test_request_number_is_taken_over_if_it_is_harmless(client: FlaskClient):
    """A number that a proxy gave is kept; anything else is replaced."""
    assert (
        client.get("/healthz", headers={"X-Request-ID": "proxy-12345678"}).headers["X-Request-ID"] == "proxy-12345678"
    )
    assert (
        client.get("/healthz", headers={"X-Request-ID": "<script>alert(1)"}).headers["X-Request-ID"]
        != "<script>alert(1)"
    )


def test_production_asks_for_https(settings: config.Settings, app: Flask):
    """With secure cookies the browser is told to stay with HTTPS; without them it is not."""
    assert "Strict-Transport-Security" not in app.test_client().get("/healthz").headers
    secure = create_app(dataclasses.replace(settings, secure_cookies=True))
    answer = secure.test_client().get("/login/")
    assert answer.headers["Strict-Transport-Security"] == "max-age=31536000; includeSubDomains"
    cookie = answer.headers["Set-Cookie"]
    assert cookie.startswith("__Host-syncline=")
    assert {"Secure", "HttpOnly", "Path=/", "SameSite=Lax"} <= set(cookie.split("; "))
    assert "Domain" not in cookie
    secure.extensions["syncline"].db.engine.dispose()


def test_only_https_where_the_settings_say_so(settings: config.Settings, app: Flask):
    """What did not come by HTTPS, as the proxy tells, is refused before anything is read; probes are answered."""
    strict = create_app(dataclasses.replace(settings, require_https=True, trusted_proxies=1))
    client, secure = strict.test_client(), {"X-Forwarded-Proto": "https"}
    assert client.get("/login/").status_code == 403
    assert client.post("/login/", data={"username": "admin"}).status_code == 403
    assert client.get("/api/v1/rules/", headers={"Authorization": "Bearer syn_x"}).status_code == 403
    assert client.get("/healthz").status_code == 200
    assert client.get("/login/", headers=secure).status_code == 200
    strict.extensions["syncline"].db.engine.dispose()


def test_nonce_changes_with_every_page(client: FlaskClient):
    """Each page has a word of its own for its scripts, the same in page and policy."""
    words = set()
    for _page in range(2):
        answer = client.get("/login/")
        word = re.search(r"'nonce-([^']+)'", answer.headers["Content-Security-Policy"])[1]
        assert f'nonce="{word}"' in answer.text
        words.add(word)
    assert len(words) == 2


def test_built_files_are_kept_by_browsers(admin_client: FlaskClient):
    """A file with a hash in its name may be kept for long and carries no cookie; a page may not."""
    client = admin_client
    name = re.search(r'href="(/static/app\.[0-9a-f]+\.css)"', client.get("/").text)
    assert name, "run make assets first"
    with client.get(name[1]) as answer:
        assert "max-age=31536000" in answer.headers["Cache-Control"]
        assert "Set-Cookie" not in answer.headers
    page = client.get("/")
    assert page.headers["Cache-Control"] == "no-store"


def test_only_known_hosts(settings: config.Settings):
    """A request for another name is refused, so that no link of ours leads elsewhere; probes ask by address."""
    console = create_app(dataclasses.replace(settings, trusted_hosts=("crm.example.com", "::1")))
    client = console.test_client()
    for name, status in (
        ("crm.example.com", 200), ("crm.example.com:8443", 200), ("[::1]:8080", 200), ("evil.example", 400),
        ("10.1.2.3", 400), ("", 400),
    ):  # fmt: skip
        assert client.get("/login/", headers={"Host": name}).status_code == status, name
    assert client.get("/healthz", headers={"Host": "10.1.2.3:8080"}).status_code == 200
    assert "evil" not in client.get("/login/", headers={"Host": "evil.example"}).text
    console.extensions["syncline"].db.engine.dispose()


def test_behind_proxies(settings: config.Settings):
    """What our own proxy says of where a request comes from is believed, and nothing else that is sent along."""
    for hops, told in ((0, "127.0.0.1"), (1, "10.0.0.3"), (2, "10.0.0.2")):
        console = create_app(dataclasses.replace(settings, trusted_proxies=hops))
        client = console.test_client()
        headers = {"X-Forwarded-For": "10.0.0.1, 10.0.0.2, 10.0.0.3", "X-Forwarded-Host": "evil.example"}
        with client:
            client.get("/login/", headers=headers)
            assert request.remote_addr == told
            assert request.host == "localhost"
        console.extensions["syncline"].db.engine.dispose()


def test_known_hosts_by_default():
    """Production knows the console's name and the machine's own; evaluation takes any."""
    told = {"SYNCLINE_PROFILE": "production", "SYNCLINE_CONSOLE_URL": "https://crm.example.com"}
    assert config.from_environment(told).trusted_hosts == ("crm.example.com", "localhost", "127.0.0.1")
    assert config.from_environment({}).trusted_hosts == ()
    assert config.from_environment({**told, "SYNCLINE_TRUSTED_HOSTS": "a.example, b"}).trusted_hosts == (
        "a.example",
        "b",
    )


def test_who_asks_too_often_waits(settings: config.Settings, valkey_server):
    """Behind so many requests a minute one waits, and is told how long; others are answered, and without Redis all."""
    url = f"redis://{valkey_server.host}:{valkey_server.port}/0"
    console = create_app(dataclasses.replace(settings, redis_url=url, requests_per_minute=5))
    console.config["WTF_CSRF_ENABLED"] = False
    client = console.test_client()
    place = {"REMOTE_ADDR": "10.9.8.7"}
    statuses = [client.get("/login/", environ_overrides=place).status_code for _number in range(7)]
    assert statuses == [200] * 5 + [429] * 2
    answer = client.get("/api/v1/rules/", environ_overrides=place)
    assert answer.status_code == 429
    assert 1 <= int(answer.headers["Retry-After"]) <= 72, (
        "in the first seconds of a minute, until a fifth of the next one"
    )
    assert client.get("/static/app.css", environ_overrides=place).status_code != 429
    assert client.get("/login/", environ_overrides={"REMOTE_ADDR": "10.9.8.6"}).status_code == 200
    assert client.get("/healthz", environ_overrides=place).status_code == 200
    unknown = {"Authorization": "Bearer x"}
    tried = [client.get("/api/v1/rules/", headers=unknown, environ_overrides={"REMOTE_ADDR": "10.9.8.5"}).status_code
             for _number in range(6)]  # fmt: skip
    assert tried == [401] * 5 + [429]
    gone = dataclasses.replace(settings, redis_url="redis://127.0.0.1:1/0", requests_per_minute=1)
    console.extensions["syncline"] = dataclasses.replace(console.extensions["syncline"], settings=gone)
    assert [client.get("/login/").status_code for _number in range(3)] == [200] * 3
    console.extensions["syncline"].db.engine.dispose()


def test_what_was_kept_out_is_in_the_log(app: Flask, caplog: pytest.LogCaptureFixture):
    """Forged and too large requests are told to the log with who sent them, but nobody fills it; lines stay lines."""
    problems._noted.clear()
    app.config["WTF_CSRF_ENABLED"] = True
    client = app.test_client()
    for _number in range(problems.NOTED + 5):
        client.post("/login/%0Aforged", data={"username": "admin"})
    told = [line.getMessage() for line in caplog.records if line.name == problems.__name__]
    assert len(told) == problems.NOTED
    assert "'/login/\\nforged' from 127.0.0.1 refused: forged or expired" in told[0]
    client.post("/login/", data={"username": "x" * 100_000})
    assert caplog.records[-1].getMessage().endswith("refused: request entity too large")


def test_methods_and_folders_that_are_not_served(client: FlaskClient):
    """Nothing answers TRACE, and no folder lists its files, not even that of the front end."""
    for path in ("/", "/login/", "/api/v1/rules/"):
        assert client.open(path, method="TRACE").status_code in (404, 405), path
    for path in ("/static/", "/static/..%2f", "/.git/config", "/static/%2e%2e/%2e%2e/config.py"):
        assert client.get(path).status_code == 404, path


def test_no_other_origin_reads_answers(admin_client: FlaskClient):
    """No answer lets a page of another origin read it, whatever that asks for."""
    asked = {"Origin": "https://evil.example", "Access-Control-Request-Method": "PUT"}
    for method in ("GET", "OPTIONS"):
        answer = admin_client.open("/api/v1/rules/", method=method, headers=asked)
        assert not [name for name, _ in answer.headers if name.startswith("Access-Control-")]


@pytest.mark.parametrize(
    ("path", "kind"),
    [
        ("/", "text/html; charset=utf-8"),
        ("/nothing", "text/html; charset=utf-8"),
        ("/metrics", "text/plain; version=0.0.4; charset=utf-8"),
        ("/api/v1/rules/", "application/json"),
        ("/api/v1/nothing", "application/problem+json"),
    ],
)
def test_answers_say_what_they_are(admin_client: FlaskClient, path: str, kind: str):
    """Texts name their encoding; JSON has only one."""
    assert admin_client.get(path).headers["Content-Type"] == kind
