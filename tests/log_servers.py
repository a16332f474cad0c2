"""Log servers for tests: syslog over UDP, TCP and TLS, and a web service over HTTPS, each a real socket."""

from __future__ import annotations

import socket
import socketserver
import ssl
import struct
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any


@dataclass
class Heard:
    """What a server has heard, and how it is to behave."""

    port: int = 0
    messages: list[str] = field(default_factory=list)
    requests: list[tuple[dict[str, str], bytes]] = field(default_factory=list)
    answers: list[int] = field(default_factory=list)
    """What the next requests are answered; 200 behind that."""
    cuts: int = 0
    """So many of the next connections are ended in the middle."""


def _counted(data: bytes) -> Iterator[str]:
    """Yield messages that are counted by their length (RFC 6587)."""
    while data:
        length, _, rest = data.partition(b" ")
        yield rest[: int(length)].decode()
        data = rest[int(length) :]


@contextmanager
def syslog(kind: str = "tcp", certificate: tuple[Path, Path] | None = None) -> Iterator[Heard]:
    """Run a syslog server; `kind` is udp, tcp or tls."""
    heard = Heard()

    class Stream(socketserver.BaseRequestHandler):
        def handle(self) -> None:
            if heard.cuts:
                heard.cuts -= 1
                self.request.recv(10)
                self.request.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
                self.request.close()  # resets the connection: much of it was not read
                return
            data = b""
            while part := self.request.recv(65536):
                data += part
            heard.messages += _counted(data)

    class Datagram(socketserver.BaseRequestHandler):
        def handle(self) -> None:
            heard.messages.append(self.request[0].decode())

    class Secure(socketserver.ThreadingTCPServer):
        def get_request(self) -> Any:
            wire, address = super().get_request()
            context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            assert certificate is not None
            context.load_cert_chain(*certificate)
            return context.wrap_socket(wire, server_side=True), address

        def handle_error(self, request: Any, client_address: Any) -> None:
            """A client that does not trust us hangs up."""

    kinds: dict[str, Any] = {
        "udp": socketserver.UDPServer,
        "tcp": socketserver.ThreadingTCPServer,
        "tls": Secure,
    }
    server = kinds[kind](("127.0.0.1", 0), Datagram if kind == "udp" else Stream)
    if kind == "udp":
        server.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1 << 20)
    server.daemon_threads = True
    heard.port = server.server_address[1]
    with _serving(server):
        yield heard


@contextmanager
def https(certificate: tuple[Path, Path]) -> Iterator[Heard]:
    """Run a web service that takes what is posted to it."""
    heard = Heard()

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            status = heard.answers.pop(0) if heard.answers else 200
            if status == 200:
                heard.requests.append((dict(self.headers), body))
            self.send_response(status)
            self.send_header("Content-Length", "0")
            self.end_headers()

        def log_message(self, *_args: Any) -> None:
            """Say nothing."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(*certificate)
    server.socket = context.wrap_socket(server.socket, server_side=True)
    heard.port = server.server_address[1]
    with _serving(server):
        yield heard


@contextmanager
def _serving(server: Any) -> Iterator[None]:
    thread = threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True)
    thread.start()
    try:
        yield
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
