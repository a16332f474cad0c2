"""The application as a whole: who gets in where, what every answer carries, what the probes say."""

from __future__ import annotations

import re
import stat

import pytest

from config import SettingError
from tests.webapp.conftest import client_of, events
from webapp import wake
from webapp.access.roles import PERMISSIONS
from webapp.access.session_key import session_key

FREE = {
    "static",
    "SessionView.login",
    "SessionView.language",
    "SessionView.logout",
    "SessionView.second",
    "SessionView.begin",
    "PasskeySignInView.begin",
    "PasskeySignInView.back",
    "CompanyView.begin",
    "CompanyView.back",
    "SamlView.begin",
    "SamlView.back",
    "SamlView.metadata",
    "ProbeView.healthz",
    "ProbeView.readyz",
    "ProbeView.metrics",
    "hooks.take",
}
VALUES = {"int": "1", "path": "x", "float": "1"}


def _addresses(app):
    for rule in app.url_map.iter_rules():
        if rule.endpoint in FREE:
            continue
        path = re.sub(r"<any\(([^,)]+)[^>]*>", r"\1", rule.rule)
        path = re.sub(r"<(?:(\w+)(?:\([^)]*\))?:)?\w+>", lambda m: VALUES.get(m[1] or "", "x"), path)
        for method in sorted(rule.methods - {"HEAD", "OPTIONS"}):
            yield method, path, rule.endpoint


def test_every_address_needs_sign_in(app, client):
    """A stranger gets nothing from any address but a few, whatever rooms there are."""
    for method, path, endpoint in _addresses(app):
        answer = client.open(path, method=method)
        if path.startswith(("/api/v1", "/scim/")):
            assert answer.status_code == 401, (method, path, endpoint, answer.status_code)
        else:
            assert answer.status_code == 302, (method, path, endpoint, answer.status_code)
            assert answer.location.startswith("/login/"), (method, path, endpoint)


def test_every_permission_is_known(app):
    """Each page and operation asks for a permission that the table of roles knows, so that somebody can hold it."""
    own = {"Home", "Session", "Account", "Probe", "Api"}
    for view in app.extensions["appbuilder"].baseviews:
        if view.class_permission_name in own:
            continue
        for name in dir(type(view)):
            method = getattr(type(view), name, None)
            if not hasattr(method, "_urls"):
                continue
            operation = getattr(method, "operation", None)
            action = operation.action if operation else getattr(method, "_permission_name", None)
            room = operation.room if operation else view.class_permission_name
            assert action in PERMISSIONS.get(room, ()), f"{type(view).__name__}.{name} asks for {action} on {room}"


def test_home_needs_sign_in(client):
    """The home page sends a stranger to the sign-in page and remembers where they wanted to go."""
    assert client.get("/").location == "/login/"
    assert client.get("/users/?q=a").location == "/login/?next=/users/?q%3Da"


def test_a_page_of_no_room_is_not_found(admin_client):
    """An unknown address shows our own page with the request's number."""
    answer = admin_client.get("/nothing")
    assert answer.status_code == 404
    assert answer.headers["X-Request-ID"] in answer.text
    assert "Traceback" not in answer.text


def test_menu_shows_what_one_may_read(app, admin_client):
    """The side bar hides what a user may not read."""
    assert 'href="/users/"' in admin_client.get("/").text
    viewer = client_of(app, "vera", "Viewer").get("/").text
    assert 'href="/users/"' not in viewer
    assert 'href="/audit/"' not in viewer


def test_refusal_is_audited(app):
    """Who asks for a page without the permission is refused, and the audit log has it."""
    client = client_of(app, "vera", "Viewer")
    assert client.get("/users/").status_code == 403
    found = events(app.extensions["syncline"], "access:request:denied")
    assert [(event.actor_name, event.subject) for event in found] == [("vera", "/users/")]


def test_unexpected_error_shows_nothing_inside(app, admin_client, monkeypatch):
    """An error of ours shows a number for the log and nothing else."""

    def broken(*_args):
        raise RuntimeError("the secret inside")

    monkeypatch.setattr("webapp.dashboard.services.progress", broken)
    answer = admin_client.get("/", headers={"X-Request-ID": "my-request-1"})
    assert answer.status_code == 500
    assert "the secret inside" not in answer.text
    assert "my-request-1" in answer.text


def test_error_page_needs_nothing_that_may_be_broken(app, admin_client, monkeypatch):
    """When not even the error page can be drawn, there is still a number for the log."""

    def broken(*_args, **_more):
        raise RuntimeError("the secret inside")

    monkeypatch.setattr("webapp.dashboard.services.progress", broken)
    monkeypatch.setattr("webapp.web.problems.render_template", broken)
    answer = admin_client.get("/", headers={"X-Request-ID": "my-request-1"})
    assert (answer.status_code, answer.mimetype) == (500, "text/plain")
    assert "my-request-1" in answer.text
    assert "secret" not in answer.text


def test_session_key_is_private_and_kept(app, settings):
    """The key that signs sessions is readable by its owner only and the same after a restart."""
    path = settings.data / "keys" / "session.key"
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert session_key(settings) == app.config["SECRET_KEY"]
    assert [file.name for file in path.parent.iterdir() if "session" in file.name] == ["session.key"]


def test_session_key_is_never_empty(settings):
    """An empty key file is refused with what to do; sessions signed with nothing could be forged."""
    path = settings.data / "keys" / "session.key"
    path.parent.mkdir()
    path.touch()
    with pytest.raises(SettingError, match=r"session\.key holds no key"):
        session_key(settings)


def test_probes(client, monkeypatch):
    """The probes answer without sign-in; readiness names what is missing."""
    assert client.get("/healthz").json == {"status": "ok"}
    answer = client.get("/readyz")
    assert answer.status_code == 503
    assert answer.json == {"status": "unavailable", "database": "ok", "redis": "unreachable"}
    monkeypatch.setattr(wake, "ping", lambda _settings: True)
    assert client.get("/readyz").status_code == 200


def test_a_load_balancer_keeps_consoles_while_redis_is_away(client):
    """Pages need no Redis, so who asks without it is told of the database alone."""
    answer = client.get("/readyz?without=redis")
    assert (answer.status_code, answer.json) == (200, {"status": "ok", "database": "ok"})


def test_metrics(client):
    """The metrics are Prometheus' text with a line for each state of runs."""
    text = client.get("/metrics").text
    assert 'syncline_runs{state="failed"} 0' in text
    assert "syncline_quarantine_open 0" in text
    for line in text.splitlines():
        assert re.fullmatch(r"# (HELP|TYPE) \w+ .+|\w+(\{[^}]*\})? [0-9.e+]+", line), line


@pytest.mark.parametrize("path", ["/login/", "/healthz", "/nothing", "/api/v1/audit/"])
def test_every_answer_has_the_security_headers(client, path):
    """Every answer carries the strict policy and its number."""
    headers = client.get(path).headers
    policy = headers["Content-Security-Policy"]
    assert "unsafe" not in policy
    assert "default-src 'none'" in policy
    assert all(f"{name} 'none'" in policy for name in ("frame-ancestors", "object-src", "base-uri"))
    assert "style-src 'self';" in policy
    assert headers["X-Content-Type-Options"] == "nosniff"
    assert headers["Referrer-Policy"] == "same-origin"
    assert headers["X-Request-ID"]
    assert headers["Cache-Control"] == "no-store"
