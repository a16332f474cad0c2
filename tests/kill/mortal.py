"""Databases that can be killed, and ways through the network that can be cut."""

from __future__ import annotations

import contextlib
import signal
import socket
import subprocess
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import psutil
import psycopg
import pymysql

from tests import servers


class Door:
    """A way through the network to a server, which can be cut for a while."""

    def __init__(self, port: int) -> None:
        self.to = port
        self.open = True
        self.pairs: list[tuple[socket.socket, socket.socket]] = []
        self.listener = socket.create_server((servers.LOOPBACK, 0), backlog=64)
        self.port = int(self.listener.getsockname()[1])
        threading.Thread(target=self._accept, daemon=True).start()

    def cut(self) -> None:
        """Break all connections; new ones are refused."""
        self.open = False
        for pair in self.pairs:
            for end in pair:
                with contextlib.suppress(OSError):
                    end.shutdown(socket.SHUT_RDWR)

    def _accept(self) -> None:
        while True:
            try:
                client, _ = self.listener.accept()
            except OSError:
                return
            try:
                server = socket.create_connection((servers.LOOPBACK, self.to), 5) if self.open else None
            except OSError:
                server = None
            if server is None:
                client.close()
                continue
            server.settimeout(None)
            self.pairs = [*self.pairs[-40:], (client, server)]
            for ends in ((client, server), (server, client)):
                threading.Thread(target=_pump, args=ends, daemon=True).start()


def _pump(source: socket.socket, sink: socket.socket) -> None:
    with contextlib.suppress(OSError):
        while data := source.recv(65536):
            sink.sendall(data)
    for end in (source, sink):
        with contextlib.suppress(OSError):
            end.shutdown(socket.SHUT_RDWR)


@dataclass
class Mortal:
    """A database that can be killed and started again on the same files."""

    server: servers.Server
    knock: Callable[[], Any]
    later: list[subprocess.Popen[bytes]] = field(default_factory=list)

    @property
    def process(self) -> subprocess.Popen[bytes]:
        return self.later[-1] if self.later else self.server.process

    def kill(self) -> None:
        family = [*psutil.Process(self.process.pid).children(recursive=True), psutil.Process(self.process.pid)]
        for one in family:
            with contextlib.suppress(psutil.NoSuchProcess):
                one.kill()
        self.process.wait()
        psutil.wait_procs(family[:-1], timeout=15)

    def revive(self) -> None:
        """Start it again, if it is dead, and wait until it answers."""
        folder, deadline = self.server.socket.parent, time.monotonic() + 60
        while time.monotonic() < deadline:
            if self.process.poll() is not None:
                with (folder / "log").open("ab") as log:
                    again = subprocess.Popen(
                        self.server.process.args, cwd=folder, stdout=log, stderr=log, stdin=subprocess.DEVNULL,
                        start_new_session=True, user=servers._user(), env=servers._environment(folder),
                    )  # fmt: skip
                self.later.append(again)
            with contextlib.suppress(psycopg.Error, pymysql.Error, OSError):
                self.knock()
                return
            time.sleep(0.05)
        raise AssertionError((folder / "log").read_text(errors="replace")[-4000:])

    def stop(self, how: signal.Signals) -> None:
        for process in self.later:
            if process.poll() is None:
                process.send_signal(how)
                process.wait(20)
