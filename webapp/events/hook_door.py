"""Where deliveries of web hooks come in: POST /hooks/NAME, outside of sign-in, as each carries its own proof."""

from __future__ import annotations

import json
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Any

from flask import Flask, Response, current_app, g, request
from werkzeug.exceptions import BadRequest

from webapp.access import pace
from webapp.events.hook_intake import Delivery, Intake, Refused, accepts
from webapp.events.hook_tally import Reason, Tally
from webapp.web.protection import HOOK
from webapp.web.request import house

ROOT = "/hooks"
PATIENCE = 10.0
"""Seconds that a body may take to come in: who sends it slowly keeps a thread of the console waiting."""
_KEY = "syncline_hooks"


def register(app: Flask) -> None:
    """Open the address."""
    with app.app_context():
        tally = Tally(house())
        app.extensions[_KEY] = (Intake(house(), tally), tally)
    app.add_url_rule(f"{ROOT}/<name>", HOOK, take, methods=["POST"])


def tally() -> Tally:
    """Return the counters of this console."""
    found: Tally = current_app.extensions[_KEY][1]
    return found


def take(name: str) -> Response:
    """Take a delivery."""
    kind = request.mimetype
    if not accepts(kind):
        return _answer(415, "Send JSON, a form, XML or plain text, and say which in Content-Type.")
    try:
        body = _body()
    except _Unread as unread:
        return unread.answer
    headers = {key.lower(): value for key, value in request.headers.items()}
    intake: Intake = current_app.extensions[_KEY][0]
    delivery = Delivery(name, headers, body, kind, request.remote_addr or "", g.get("request_id", ""))
    try:
        return _taken(intake, delivery)
    finally:
        tally().flush()


def _taken(intake: Intake, delivery: Delivery) -> Response:
    try:
        shown = intake.prove(delivery)
    except Refused:
        return _answer(401, "There is no such web hook, or the signature or its time is not right.")
    wait = pace.seconds_to_wait(house(), f"hook:{shown.hook.name}")
    if wait:
        tally().add(shown.hook.id, Reason.TOO_MANY, delivery.address)
        return _answer(429, "Too many deliveries. Send this one again later.", {"Retry-After": str(wait)})
    try:
        taken = intake.take(delivery, shown)
    except Refused:
        return _answer(422, "The body cannot be read as what its Content-Type says.")
    return _said(200 if taken.known else 202, {"event": taken.uid})


class _Unread(Exception):
    """A body is too long, too slow or cut off; `answer` says so, and the connection is of no use any more."""

    def __init__(self, status: int, detail: str) -> None:
        super().__init__(detail)
        self.answer = _answer(status, detail, {"Connection": "close"})


def _body() -> bytes:
    """Return the raw body; raises `_Unread`."""
    limit, said = house().settings.hook_bytes, request.content_length
    if said is not None and said > limit:
        raise _Unread(413, f"The body is longer than {limit} bytes.")
    with _deadline() as passed:
        try:
            body = request.get_data(cache=False)
        except (BadRequest, OSError):
            body = None
    if passed.is_set():
        raise _Unread(408, f"The body did not come in within {PATIENCE:.0f} seconds.")
    if body is None or len(body) < (said or 0):
        raise _Unread(400, "The body was cut off.")
    if len(body) > limit:
        raise _Unread(413, f"The body is longer than {limit} bytes.")
    return body


@contextmanager
def _deadline() -> Iterator[threading.Event]:
    """Stop reading from the network when the time is up; the event tells that it was."""
    passed = threading.Event()
    wire: socket.socket | None = request.environ.get("gunicorn.socket")

    def stop() -> None:
        passed.set()
        with suppress(OSError):
            if wire is not None:
                wire.shutdown(socket.SHUT_RD)

    timer = threading.Timer(PATIENCE, stop)
    timer.daemon = True
    timer.start()
    try:
        yield passed
    finally:
        timer.cancel()


def _answer(status: int, detail: str, headers: dict[str, str] | None = None) -> Response:
    return _said(status, {"detail": detail}, headers)


def _said(status: int, value: Any, headers: dict[str, str] | None = None) -> Response:
    answer = Response(json.dumps(value), status, headers, mimetype="application/json")
    if status == 401:
        answer.headers["WWW-Authenticate"] = "Signature"
    return answer
