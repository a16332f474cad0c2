"""Clients that are slow on purpose do not take the console's threads from the others."""

from __future__ import annotations

import contextlib
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator

import pytest

from tests.servers import free_port
from tests.supervisor.conftest import ROOT, wait_for
from webapp.supervisor.patience import COLLECTED, is_whole

SERVER = """
import sys
import config
from webapp.supervisor import patience
from webapp.supervisor.console import Console

def answer(environ, start):
    size = len(environ["wsgi.input"].read()) if environ["REQUEST_METHOD"] == "POST" else 0
    body = bytes(64_000_000) if environ["PATH_INFO"] == "/big" else b"had %d" % size
    start("200 OK", [("Content-Length", str(len(body)))])
    return [body]

class Small(Console):
    def load(self):
        return answer

patience.PATIENCE = float(sys.argv[2])
Small(config.from_environment({"SYNCLINE_PORT": sys.argv[1], "SYNCLINE_WEB_THREADS": "4"})).run()
"""
MANY = 24
GONE = (b"", None)


@contextlib.contextmanager
def console(patience: float) -> Iterator[int]:
    """Run the console's web server with an application that says how long the body was; yield its port."""
    port = free_port()
    server = subprocess.Popen([sys.executable, "-c", SERVER, str(port), str(patience)], cwd=ROOT)
    try:
        wait_for(lambda: _listens(port), what="the server")
        yield port
    finally:
        server.terminate()
        server.wait()


def _listens(port: int) -> bool:
    with contextlib.suppress(OSError):
        socket.create_connection(("127.0.0.1", port)).close()
        return True
    return False


@pytest.fixture(scope="module")
def patient() -> Iterator[int]:
    """A server that never loses patience before a test ends."""
    with console(300) as port:
        yield port


def opened(port: int, request: bytes, room: int = 0) -> socket.socket:
    client = socket.socket()
    if room:
        client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, room)
    client.settimeout(60)
    client.connect(("127.0.0.1", port))
    client.sendall(request)
    return client


def answered(client: socket.socket) -> bytes | None:
    """Return all that the server says until it ends the connection; None if it broke it off."""
    said = b""
    try:
        while piece := client.recv(65536):
            said += piece
    except ConnectionResetError:
        return None
    return said


def is_open(client: socket.socket) -> bool:
    """Return whether the server still has the connection."""
    client.setblocking(False)
    try:
        return bool(client.recv(1, socket.MSG_PEEK))
    except BlockingIOError:
        return True
    except ConnectionResetError:
        return False


def ask(port: int) -> bytes | None:
    with opened(port, b"GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n") as client:
        return answered(client)


@pytest.mark.parametrize(
    ("request_", "left"),
    [
        (b"", MANY),
        (b"GET / HTTP/1.1\r\nHost: a\r\n", MANY),
        (b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 1000\r\n\r\nabc", MANY),
        (b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 100000\r\n\r\nabc", 3),
        (b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nabc", 3),
        (b"GET /big HTTP/1.1\r\nHost: a\r\n\r\n", 3),
    ],
    ids=["nothing", "half a head", "half a body", "half a large body", "half a chunk", "reads no answer"],
)
def test_slow_clients_leave_threads_to_others(patient: int, request_: bytes, left: int) -> None:
    """Others are answered while many that are slow still wait; of those that need a thread some are sent away."""
    slow = [opened(patient, request_, room=4096) for _ in range(MANY)]
    said = ask(patient)
    assert said is not None
    assert said.endswith(b"had 0")
    assert sum(is_open(client) for client in slow) >= left
    for client in slow:
        client.close()


def test_whoever_does_not_close_holds_nobody_up(patient: int) -> None:
    """Who goes on sending behind the last answer is read and forgotten, not reset, and others are answered."""
    client = opened(patient, b"GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n")
    assert (answered(client) or b"").endswith(b"had 0")
    for _ in range(8):
        client.sendall(bytes(32 * 1024))
        assert (ask(patient) or b"").endswith(b"had 0")
    client.close()


@pytest.mark.parametrize("pieces", [1, 3, 50])
@pytest.mark.parametrize("size", [0, 7, COLLECTED - 30, COLLECTED, 300_000])
def test_requests_that_come_in_pieces_are_read_whole(patient: int, pieces: int, size: int) -> None:
    """Where a request is cut changes nothing, nor does how long it is; the next one on the connection is read too."""
    request = b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: %d\r\n\r\n" % size + bytes(size)
    client = opened(patient, b"")
    for _ in range(2):
        step = -(-len(request) // pieces)
        for start in range(0, len(request), step):
            client.sendall(request[start : start + step])
        said = b""
        while not said.endswith(b"had %d" % size):
            said += client.recv(65536)
    client.close()


@pytest.mark.parametrize(
    "request_",
    [
        b"",
        b"GET / HTTP/1.1\r\nHost: a\r\n",
        b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 100000\r\n\r\nabc",
        b"GET /big HTTP/1.1\r\nHost: a\r\n\r\n",
    ],
    ids=["nothing", "half a head", "half a large body", "reads no answer"],
)
def test_patience_ends(request_: bytes) -> None:
    """Who neither sends nor takes for as long as there is patience is sent away."""
    with console(0.3) as port, opened(port, request_, room=4096) as client:
        if b"big" in request_:
            wait_for(lambda: ask(port) is not None)
        said = answered(client)
    assert said in GONE or len(said or b"") < 64_000_000


def _thrice(text: bytes, test: Callable[[bytes], bool]) -> list[bool]:
    return [test(text[:-1]), test(text), test(text + b"x")]


@pytest.mark.parametrize(
    "text",
    [
        b"GET / HTTP/1.1\r\nHost: a\r\n\r\n",
        b"POST / HTTP/1.1\r\nContent-Length: 3\r\n\r\nabc",
        b"POST / HTTP/1.1\r\ncontent-length:3\r\nA: b\r\n\r\nabc",
        b"POST / HTTP/1.1\r\nX: Content-Length: 9\r\nContent-Length: 3\r\n\r\nabc",
        b"GET / HTTP/1.1\nHost: a\n\n",
        b"A" * COLLECTED,
    ],
)
def test_a_request_is_whole_at_its_end(text: bytes) -> None:
    """A request is whole with its last byte and not before; what is refused or too long to collect is passed on."""
    assert _thrice(text, is_whole) == [False, True, True]


@pytest.mark.parametrize(
    "line", [b"Transfer-Encoding: chunked", b"Expect: 100-continue", b"Content-Length: 9999999999"]
)
def test_what_is_read_by_threads_begins_at_once(line: bytes) -> None:
    """Bodies in chunks, of clients that wait to be asked for them, and large ones are not waited for."""
    assert is_whole(
        b"POST / HTTP/1.1\r\nContent-Length: 30\r\n".replace(b"Content-Length: 30\r\n", line + b"\r\n") + b"\r\n"
    )
