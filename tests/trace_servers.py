"""A receiver of traces: OTLP over HTTP on loopback, which decodes what arrives with the protocol's own messages."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

KINDS = ("", "internal", "server", "client", "producer", "consumer")


@dataclass(frozen=True)
class Seen:
    """A span as it arrived."""

    name: str
    kind: str
    trace: str
    id: str
    parent: str
    process: str
    failed: bool
    about: dict[str, Any]
    begun: int
    ended: int


@dataclass
class Receiver:
    """What has arrived, and how it answers: with a status, after so many seconds."""

    port: int = 0
    spans: list[Seen] = field(default_factory=list)
    headers: list[dict[str, str]] = field(default_factory=list)
    bodies: list[bytes] = field(default_factory=list)
    status: int = 200
    delay: float = 0.0

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def wait(self, there: Callable[[list[Seen]], bool], seconds: float = 60.0) -> list[Seen]:
        """Return the spans as soon as they are as wanted."""
        until = time.monotonic() + seconds
        while not there(self.spans):
            assert time.monotonic() < until, sorted(f"{s.process} {s.name}" for s in self.spans)
            time.sleep(0.02)
        return list(self.spans)

    def take(self, path: str, headers: dict[str, str], body: bytes) -> None:
        assert path == "/v1/traces"
        request = ExportTraceServiceRequest()
        request.ParseFromString(body)
        self.headers.append(headers)
        self.bodies.append(body)
        for resource in request.resource_spans:
            process = _values(resource.resource.attributes).get("syncline.process", "")
            for scope in resource.scope_spans:
                self.spans.extend(_seen(span, process) for span in scope.spans)


def _seen(span: Any, process: str) -> Seen:
    return Seen(
        span.name, KINDS[span.kind], span.trace_id.hex(), span.span_id.hex(), span.parent_span_id.hex(), process,
        span.status.code == 2, _values(span.attributes), span.start_time_unix_nano, span.end_time_unix_nano,
    )  # fmt: skip


def _values(attributes: Any) -> dict[str, Any]:
    return {one.key: getattr(one.value, one.value.WhichOneof("value")) for one in attributes}


@contextmanager
def receiver() -> Iterator[Receiver]:
    """Receive traces on a free port."""
    found = Receiver()

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            time.sleep(found.delay)
            if found.status == 200:
                found.take(self.path, {k.lower(): v for k, v in self.headers.items()}, body)
            self.send_response(found.status)
            self.send_header("Content-Length", "0")
            self.end_headers()

        def log_message(self, *_args: Any) -> None:
            return

        def handle(self) -> None:
            try:
                super().handle()
            except OSError:  # whoever sent it has given up
                return

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    found.port = server.server_address[1]
    thread = threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True)
    thread.start()
    try:
        yield found
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
