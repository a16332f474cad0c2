"""The address of inbound web hooks: what it answers, to whom, and what it does not read."""

from __future__ import annotations

import io
import json
import socket
import time
from typing import Any

import pytest
from flask import Flask
from flask.testing import FlaskClient
from werkzeug.test import TestResponse

from tests.events.conftest import ADMIN
from tests.events.test_hooks import BODY, KEY, SHOP, headers
from tests.webapp.conftest import admin_client, app, client, client_of, events, settings, text  # noqa: F401 - fixtures
from webapp.events import hook_door, hook_tally, hooks, reading
from webapp.events.hook_tally import refusals


@pytest.fixture
def door(app: Flask) -> FlaskClient:  # noqa: F811
    """Return a stranger's client of a console with a hook, in which other sites cannot send forms."""
    app.config["WTF_CSRF_ENABLED"] = True
    hooks.create(app.extensions["syncline"], SHOP, KEY, ADMIN)
    return app.test_client()


def now() -> int:
    return int(time.time())


def post(client: FlaskClient, name: str = "shop", body: bytes = BODY, **given: Any) -> TestResponse:  # noqa: F811
    sent = headers(body, given.pop("key", KEY), given.pop("at", now()))
    return client.post(f"/hooks/{name}", data=body, headers=sent, content_type=given.pop("kind", "application/json"))


def test_a_delivery_is_answered(door: FlaskClient, app: Flask) -> None:  # noqa: F811
    """202 with the id of the event for what is new, 200 with the same id for what is known."""
    at = now()
    first, again = post(door, at=at), post(door, at=at)
    assert (first.status_code, again.status_code) == (202, 200)
    assert first.json == again.json
    with app.extensions["syncline"].db.read() as tx:
        [row] = reading.events(tx)
    assert (row.uid, row.source) == (first.json["event"], "hook:shop")
    assert post(door, body=b"{", at=at).status_code == 422
    assert post(door, kind="image/png").status_code == 415
    assert door.get("/hooks/shop").status_code == 405


def test_strangers_learn_nothing(door: FlaskClient, app: Flask) -> None:  # noqa: F811
    """An unknown hook, a wrong key, an old time and no proof at all are one answer; our own list tells them apart."""
    bare = door.post("/hooks/shop", data=BODY, content_type="application/json")
    answers = [bare, post(door, "other"), post(door, key="x" * 20), post(door, at=now() - 900)]
    seen = {(one.status_code, one.data, frozenset(one.headers.keys())) for one in answers}
    assert len(seen) == 1
    assert answers[0].status_code == 401
    house = app.extensions["syncline"]
    with app.app_context():
        hook_door.tally().flush(now=True)
    with house.db.read() as tx:
        hook = hooks.get(tx, "shop")
        found = {one.reason: (one.count, one.last_address) for one in refusals(tx, hook.id)}
        assert [one.reason for one in refusals(tx, hook_tally.UNKNOWN)] == ["unknown"]
    assert found == dict.fromkeys(("unsigned", "signature", "time"), (1, "127.0.0.1"))
    assert not [one for one in events(house) if one.actor_kind == "hook"], "they are counted only"


def raw(client: FlaskClient, stream: Any, **environ: Any) -> TestResponse:  # noqa: F811
    """Send a body without a length, as the web server hands chunks on."""
    given = {"wsgi.input": stream, "wsgi.input_terminated": True, "CONTENT_LENGTH": "", **environ}
    return client.post("/hooks/shop", headers=headers(), content_type="application/json", environ_overrides=given)


def test_what_is_too_long_is_not_read(door: FlaskClient, app: Flask) -> None:  # noqa: F811
    """A body over the limit is refused by what it says of itself, and one without a length when it gets there."""
    limit = app.extensions["syncline"].settings.hook_bytes
    long = json.dumps({"a": "x" * (limit - 9)}).encode()
    assert len(long) == limit
    assert post(door, body=long).status_code == 202
    assert post(door, body=long + b" ").status_code == 413

    class Endless:
        taken = 0

        def read(self, size: int = -1) -> bytes:
            self.taken += size
            return b"x" * size

    stream = Endless()
    answer = raw(door, stream)
    assert answer.status_code == 413
    assert stream.taken <= limit + 1
    assert door.post("/hooks/other", data=long + b" ", content_type="text/plain").status_code == 413


def test_a_hook_has_a_pace(door: FlaskClient, app: Flask, monkeypatch: pytest.MonkeyPatch) -> None:  # noqa: F811
    """What is proven is counted for its hook, so that strangers hold nobody up."""
    asked: list[str] = []
    monkeypatch.setattr(hook_door.pace, "seconds_to_wait", lambda _house, who: asked.append(who) or 7 * ("hook" in who))
    assert post(door, key="x" * 20).status_code == 401
    answer = post(door)
    assert (answer.status_code, answer.headers["Retry-After"]) == (429, "7")
    assert [who for who in asked if who.startswith("hook")] == ["hook:shop"]
    assert {who for who in asked if not who.startswith("hook")} == {"address:127.0.0.1"}


def test_a_slow_body_is_given_up(door: FlaskClient, monkeypatch: pytest.MonkeyPatch) -> None:
    """Who sends a byte now and then keeps a thread only for a while, and is told so."""
    monkeypatch.setattr(hook_door, "PATIENCE", 0.3)
    ours, theirs = socket.socketpair()
    with ours, theirs, ours.makefile("rb") as stream:
        theirs.sendall(BODY[:5])
        started = time.monotonic()
        answer = raw(door, stream, **{"gunicorn.socket": ours})
        assert (answer.status_code, answer.headers["Connection"]) == (408, "close")
        assert 0.3 <= time.monotonic() - started < 5
    cut = io.BytesIO(BODY[:5])
    assert raw(door, cut, CONTENT_LENGTH=str(len(BODY))).status_code == 400
