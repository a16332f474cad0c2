"""The only way out to the network for a Singer program: a proxy on this machine that obeys the egress rules.

It takes `CONNECT` and plain HTTP from who knows its password, resolves names by itself, and connects only to checked
addresses (`connectors.egress`). What goes through it is not looked into.
"""

from __future__ import annotations

import base64
import hmac
import re
import secrets
import select
import socket
import socketserver
import threading
from collections import deque
from contextlib import suppress
from types import TracebackType
from typing import Any, Self

import httpx

from connectors.egress import addresses
from connectors.errors import ConnectorError

_HEAD = 64 * 1024
_SILENT = 300.0
_TOLD = 20
_FIRST = re.compile(rb"([A-Z]+) (\S+) (HTTP/1\.[01])\r\n")
_OWN = re.compile(rb"^(?:proxy-[\w-]+|connection|keep-alive):.*\r\n", re.I | re.M)


class Gate:
    """A proxy for one run of a program; a context manager."""

    def __init__(self, allow: tuple[str, ...], timeout: float) -> None:
        self.allow = allow
        self.timeout = timeout
        self.refused: deque[str] = deque(maxlen=_TOLD)
        """What was refused last, in words."""
        self.password = secrets.token_urlsafe(24)
        self.key = b"Basic " + base64.b64encode(f"syncline:{self.password}".encode())

    def __enter__(self) -> Self:
        self._server = _Server(("127.0.0.1", 0), _Visit)
        self._server.gate = self
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.05,), daemon=True)
        self._thread.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, tb: TracebackType | None) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()

    @property
    def port(self) -> int:
        """Return the port it listens at."""
        return int(self._server.server_address[1])

    @property
    def url(self) -> str:
        """Return its address with the password."""
        return f"http://syncline:{self.password}@127.0.0.1:{self.port}"


class _Server(socketserver.ThreadingTCPServer):
    daemon_threads = True
    block_on_close = False
    gate: Gate

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Say nothing: the program has gone away."""


class _Visit(socketserver.BaseRequestHandler):
    """One connection of the program."""

    server: _Server
    request: socket.socket

    def handle(self) -> None:
        """Do what the program asks, or say why not."""
        self.request.settimeout(self.server.gate.timeout)
        head, rest = self._head()
        first = _FIRST.match(head)
        if first is None:
            self._answer("400 This is no request for a proxy")
        elif not hmac.compare_digest(_told(head), self.server.gate.key):
            self._answer("407 Say who you are", 'Proxy-Authenticate: Basic realm="syncline"\r\n')
        else:
            self._forward(first, head, rest)

    def _head(self) -> tuple[bytes, bytes]:
        data = b""
        while b"\r\n\r\n" not in data and len(data) < _HEAD:
            part = self.request.recv(_HEAD)
            if not part:
                break
            data += part
        head, mark, rest = data.partition(b"\r\n\r\n")
        return head + mark, rest

    def _forward(self, first: re.Match[bytes], head: bytes, rest: bytes) -> None:
        tunnel = first[1] == b"CONNECT"
        target = first[2].decode("latin-1")
        try:
            url = httpx.URL(f"https://{target}/" if tunnel else target)
            port = url.port or (443 if tunnel else 80)
            far = self._connected(url.host if url.scheme in ("http", "https") else "", port)
        except (ConnectorError, httpx.InvalidURL, OSError) as error:
            self.server.gate.refused.append(str(error))
            self._answer("403 " + re.sub(r"[^ -~]", "?", str(error)))
            return
        with far:
            if tunnel:
                self._answer("200 Connected")
                far.sendall(rest)
            else:
                path = url.raw_path.decode("ascii")
                lines = _OWN.sub(b"", head[first.end() :]).removesuffix(b"\r\n")
                far.sendall(b"%s %s %s\r\n" % (first[1], path.encode(), first[3]) + lines)
                far.sendall(b"Connection: close\r\n\r\n" + rest)
            self._relay(far)

    def _connected(self, host: str, port: int) -> socket.socket:
        gate, refused = self.server.gate, OSError("no address")
        for address in addresses(host, port, gate.allow):
            try:
                return socket.create_connection((address, port), gate.timeout)
            except OSError as error:
                refused = error
        raise refused

    def _relay(self, far: socket.socket) -> None:
        """Pass on what comes until one side has ended and the other has nothing more."""
        to = {self.request: far, far: self.request}
        while to:
            ready = select.select([*to], [], [], _SILENT)[0]
            if not ready:
                return
            for side in ready:
                data = side.recv(65536)
                if data:
                    to[side].sendall(data)
                else:
                    with suppress(OSError):
                        to.pop(side).shutdown(socket.SHUT_WR)

    def _answer(self, status: str, headers: str = "") -> None:
        end = headers + ("" if status.startswith("200") else "Content-Length: 0\r\nConnection: close\r\n")
        self.request.sendall(f"HTTP/1.1 {status}\r\n{end}\r\n".encode("latin-1"))


def _told(head: bytes) -> bytes:
    found = re.search(rb"^proxy-authorization: *(.*?)\r$", head, re.I | re.M)
    return found[1] if found else b""
