"""What the connectors' tests share: a real web server in a thread."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest

from connectors.testing import ConnectorConformance
from tests.connectors import evidence


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark the tests that show something about a connector's quality."""
    shown: dict[str, list[tuple[str, str]]] = {}
    for connector, criterion, test in evidence.tests():
        shown.setdefault(test, []).append((connector, criterion))
    declared = [*evidence.declared()]
    for item in items:
        marks = [*shown.get(item.nodeid.partition("[")[0], ()), *evidence.without(item.nodeid)]
        cls = getattr(item, "cls", None)
        if isinstance(cls, type) and issubclass(cls, ConnectorConformance):
            marks += [mark for mark in declared if mark[0] == cls.connector.spec.name]
        for mark in marks:
            item.add_marker(pytest.mark.connector_evidence(*mark))


@dataclass
class Received:
    """A request as the server saw it."""

    method: str
    path: str
    query: dict[str, list[str]]
    headers: dict[str, str]
    body: bytes

    def json(self) -> Any:
        return json.loads(self.body)


@dataclass
class Answer:
    """What the server sends back; `cut` promises more bytes than it sends, `pace` waits between bytes."""

    status: int = 200
    body: bytes | str | dict | list = b""
    headers: dict[str, str] = field(default_factory=dict)
    cut: int = 0
    pace: float = 0.0

    def payload(self) -> bytes:
        if isinstance(self.body, bytes):
            return self.body
        return (self.body if isinstance(self.body, str) else json.dumps(self.body, ensure_ascii=False)).encode()


class WebServer:
    """A web server whose answers a test decides; it keeps what it received."""

    def __init__(self) -> None:
        self.received: list[Received] = []
        self.answer: Callable[[Received], Answer] = lambda _: Answer(404, {"error": "nothing here"})
        self._http = Listener(("127.0.0.1", 0), Handler)
        self._http.owner = self
        self.port = self._http.server_address[1]
        self.url = f"http://127.0.0.1:{self.port}"
        threading.Thread(target=self._http.serve_forever, args=(0.02,), daemon=True).start()

    def close(self) -> None:
        self._http.shutdown()
        self._http.server_close()


class Listener(ThreadingHTTPServer):
    """The server below a `WebServer`."""

    daemon_threads = True

    def handle_error(self, request: Any, client_address: Any) -> None:
        pass  # a client that hangs up is part of the tests

    owner: WebServer


class Handler(BaseHTTPRequestHandler):
    """Notes each request and sends the owner's answer."""

    protocol_version = "HTTP/1.1"
    server: Listener

    def __getattr__(self, name: str) -> Any:
        if name.startswith("do_"):
            return self._serve
        raise AttributeError(name)

    def _serve(self) -> None:
        url = urlsplit(self.path)
        headers = {k.lower(): v for k, v in self.headers.items()}
        body = self.rfile.read(int(headers.get("content-length", 0)))
        request = Received(self.command, url.path, parse_qs(url.query, keep_blank_values=True), headers, body)
        self.server.owner.received.append(request)
        self._send(self.server.owner.answer(request))

    def _send(self, answer: Answer) -> None:
        payload = answer.payload()
        self.send_response(answer.status)
        headers = {"Content-Type": "application/json", "Content-Length": str(len(payload) + answer.cut)}
        for name, value in (headers | answer.headers).items():
            self.send_header(name, value)
        self.end_headers()
        try:
            self._write(payload, answer.pace)
        except OSError:
            self.close_connection = True
        self.close_connection = self.close_connection or bool(answer.cut)

    def _write(self, payload: bytes, pace: float) -> None:
        step = 1 if pace else max(len(payload), 1)
        for start in range(0, len(payload), step):
            self.wfile.write(payload[start : start + step])
            threading.Event().wait(pace)

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 - the base class names it so
        pass


@pytest.fixture
def web() -> Iterator[WebServer]:
    """A web server on a free loopback port."""
    server = WebServer()
    yield server
    server.close()


@pytest.fixture
def second_web() -> Iterator[WebServer]:
    """Another web server, which is another host to a client."""
    server = WebServer()
    yield server
    server.close()


@pytest.fixture
def reply() -> type[Answer]:
    """What a test's web server answers with."""
    return Answer


@pytest.fixture
def waits(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """Note the waits instead of doing them."""
    noted: list[float] = []
    monkeypatch.setattr(time, "sleep", noted.append)
    return noted
