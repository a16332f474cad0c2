"""How long the console waits for slow clients, so that a few of them cannot take all of its threads.

The server's own worker gives a thread to each connection, and waits without end for the rest of a request, or for a
client that takes no answer; and while it says goodbye to one client it hears no other. Here one loop collects each
request's head and a small body; threads read and write the rest no slower than `RATE`, and never wait for clients all
of them at a time.
"""

from __future__ import annotations

import errno
import re
import select
import socket
import threading
import time
from functools import partial
from selectors import EVENT_READ
from typing import Any

from gunicorn.workers.gthread import _DEFER, TConn, ThreadWorker

PATIENCE = 10.0
"""Seconds that a request's head and small body may take, and that a thread waits for the rest without getting on."""
QUICK = 0.02
"""Seconds that a request may wait for its client while as many wait as may."""
RATE = 16 * 1024
"""Bytes a second that a client has to send or take on average, once its patience is used up."""
COLLECTED = 64 * 1024
"""Bytes of a request that are collected before a thread gets it."""
ENDING = 1024 * 1024
"""Bytes that are thrown away of a client that goes on sending behind the last answer."""

_LENGTH = re.compile(rb"(?im)^content-length:[ \t]*(\d+)[ \t]*\r?$")
_AT_ONCE = re.compile(rb"(?im)^(?:transfer-encoding|expect):")


def is_whole(request: bytes | bytearray) -> bool:
    """Return whether a thread should have this beginning of a request: it is all there, or more than is collected."""
    end = request.find(b"\r\n\r\n")
    if end < 0 or len(request) >= COLLECTED:
        return len(request) >= COLLECTED or b"\n\n" in request
    head = bytes(request[: end + 2])
    length = _LENGTH.search(head)
    if length is None or _AT_ONCE.search(head):
        return True
    size = int(length[1]) if len(length[1]) < len(str(COLLECTED)) + 1 else COLLECTED
    return end + 4 + size >= COLLECTED or len(request) >= end + 4 + size


class Wire(socket.socket):
    """A client's connection that loses patience with whoever neither sends nor takes enough."""

    places: threading.Semaphore | None = None
    _left = PATIENCE
    _quick = QUICK

    def begin(self, places: threading.Semaphore) -> None:
        """Start a request: its patience is whole, and it waits in one of these `places`."""
        self.setblocking(True)
        self.places, self._left, self._quick = places, PATIENCE, QUICK

    def end(self) -> None:
        """End the request: the loop reads from now on, and never waits."""
        self.places = None

    def recv(self, size: int, flags: int = 0, /) -> bytes:
        """Receive at most `size` bytes, as long as the client has not been too slow."""
        if self.places is None:
            return super().recv(size, flags)
        self._await(select.POLLIN, self.places)
        data = super().recv(size, flags | socket.MSG_DONTWAIT)
        self._credit(len(data))
        return data

    def sendall(self, data: Any, flags: int = 0, /) -> None:
        """Send all of it, as long as the client has not been too slow."""
        rest = memoryview(data).cast("B")
        while rest and self.places is not None:
            try:
                sent = super().send(rest, flags | socket.MSG_DONTWAIT)
            except BlockingIOError:
                self._await(select.POLLOUT, self.places)
                continue
            self._credit(sent)
            rest = rest[sent:]
        if rest:
            super().sendall(rest, flags)

    def _await(self, event: int, places: threading.Semaphore) -> None:
        has_place = places.acquire(blocking=False)
        began = time.monotonic()
        try:
            ready = self._poll(event, self._left if has_place else min(self._quick, self._left))
        finally:
            waited = time.monotonic() - began
            if has_place:
                places.release()
        self._left -= waited
        self._quick -= 0 if has_place else waited
        if not ready or self._left < 0:
            raise ConnectionResetError(errno.ECONNRESET, "the client is too slow")

    def _credit(self, size: int) -> None:
        self._left = min(PATIENCE, self._left + size / RATE)

    def _poll(self, event: int, seconds: float) -> bool:
        poll = select.poll()
        poll.register(self, event)
        return bool(poll.poll(max(0.0, seconds) * 1000))


class Line(TConn):  # type: ignore[misc]
    """A connection, and what has been collected of its next request."""

    def __init__(self, worker: PatientWorker, wire: Wire, client: Any, server: Any) -> None:
        super().__init__(worker.cfg, wire, client, server)
        self.collected = bytearray()
        self.data_ready = True
        self.ending = False
        self._places = worker.places

    def init(self) -> None:
        """Let the request be parsed from what has been collected, and the rest be read with patience."""
        super().init()
        if self.collected:
            self.parser.unreader.unread(bytes(self.collected))
            self.collected.clear()
        self.sock.begin(self._places)

    def collect(self) -> bool:
        """Read what is there; return whether there is no more to wait for; an ended connection waits for its close."""
        try:
            piece = self.sock.recv(COLLECTED)
        except BlockingIOError:
            return False
        except OSError:
            piece = b""
        self.collected += piece
        if self.ending:
            return not piece or len(self.collected) > ENDING
        return not piece or is_whole(self.collected)


class PatientWorker(ThreadWorker):  # type: ignore[misc]
    """The server's worker with threads, which gives a thread to whole requests only."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.places = threading.Semaphore(max(1, self.cfg.threads * 3 // 4))

    def accept(self, listener: Any) -> None:
        """Take a connection; where there are as many as there may be, end the one that has waited longest."""
        try:
            accepted, client = listener.accept()
        except OSError as error:
            if error.errno in {errno.EAGAIN, errno.ECONNABORTED, errno.EWOULDBLOCK}:
                return
            raise
        self.nr_conns += 1
        self._wait_for(Line(self, Wire(fileno=accepted.detach()), client, listener.getsockname()))
        if self.nr_conns >= self.worker_connections:
            self._end_oldest()

    def handle(self, conn: Any) -> Any:
        """Answer a request in a thread; leave the goodbye, for which the client may take its time, to the loop."""
        try:
            result = super().handle(conn)
        finally:
            conn.sock.end()
        if result or not self.alive:
            return result
        try:
            conn.sock.shutdown(socket.SHUT_WR)
        except OSError:
            return False
        conn.ending = True
        return _DEFER

    def on_client_socket_readable(self, conn: Any, client: Any) -> None:
        """Collect the next request of a connection that was kept."""
        self.poller.unregister(client)
        self.keepalived_conns.remove(conn)
        self._wait_for(conn)
        self.on_pending_socket_readable(conn, client)

    def on_pending_socket_readable(self, conn: Any, client: Any) -> None:
        """Collect more of a request; once it is whole, give it to a thread."""
        if not conn.collect():
            return
        self.poller.unregister(client)
        self.pending_conns.remove(conn)
        if conn.ending or not is_whole(conn.collected):
            self._end(conn)
        else:
            self.enqueue_req(conn)

    def _wait_for(self, conn: Any) -> None:
        conn.sock.setblocking(False)
        conn.timeout = time.monotonic() + PATIENCE
        self.pending_conns.append(conn)
        self.poller.register(conn.sock, EVENT_READ, partial(self.on_pending_socket_readable, conn))

    def _end_oldest(self) -> None:
        waiting = self.pending_conns or self.keepalived_conns
        if waiting:
            conn = waiting.popleft()
            self.poller.unregister(conn.sock)
            self._end(conn)

    def _end(self, conn: Any) -> None:
        self.nr_conns -= 1
        conn.close()
