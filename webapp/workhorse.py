"""The process in which a worker carries out runs: forked before there is work, and kept for the runs that follow.

Most of what a small run costs is paid by the first one of a process: threads, statements, connectors. A child that has
grown, that has seen something unexpected, or in which something still waits for a system that does not answer, leaves,
and the next one is forked while the worker has nothing to do.
"""

from __future__ import annotations

import contextlib
import gc
import json
import logging
import os
import resource
import select
import socket
import threading
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import NamedTuple

GROWN = 192 * 1024
"""A child whose peak memory has grown by more than this (in kB) since its birth leaves behind its run."""
MOST = 1_000
"""So many runs at the most, whatever they leave behind."""
STAYS, LEAVES = b"+", b"-"

log = logging.getLogger(__name__)


class Order(NamedTuple):
    """What the child is to do: a function by its full name, and what it is given."""

    function: str
    arguments: Sequence[object]


@dataclass
class Horse:
    """The child as its parent sees it."""

    pid: int
    channel: socket.socket

    @classmethod
    def born(cls, live: Callable[[socket.socket], None]) -> Horse:
        """Fork a child that lives by `live`, which is given its end of the channel.

        What its parent holds stays for good: the child's collector of garbage need not look at it, nor copy its pages.
        """
        ours, theirs = socket.socketpair()
        pid = os.fork()
        if pid == 0:  # pragma: no cover - the child
            try:
                gc.freeze()
                ours.close()
                os.setpgrp()
                live(theirs)
            except Exception:
                log.exception("the process of runs ends")
            finally:
                os._exit(1)
        theirs.close()
        return cls(pid, ours)

    def send(self, order: Order) -> None:
        """Give the child something to do; one that has died is noticed by whoever waits for it."""
        try:
            self.channel.sendall(json.dumps(order).encode() + b"\n")
        except OSError:  # it has died
            return

    def answered(self, seconds: float) -> bool:
        """Wait for so long at the most; tell whether the child has carried out its order or has died.

        The answer stays where it is until `settle` takes it, so that a wait may be broken off at any moment.
        """
        return bool(select.select([self.channel], [], [], seconds)[0])

    def settle(self) -> bool:
        """Take the answer; return whether the child stays for another order."""
        try:
            stays = self.channel.recv(1) == STAYS
        except ConnectionResetError:
            stays = False
        if not stays:
            self.close()
            with contextlib.suppress(ChildProcessError):  # it has been waited for
                if status := os.waitpid(self.pid, 0)[1]:
                    log.warning("the process of a run ended by %s", os.waitstatus_to_exitcode(status))
        return stays

    def alive(self) -> bool:
        """Tell whether the child, which has nothing to do, is still there."""
        try:
            return os.waitpid(self.pid, os.WNOHANG)[0] == 0
        except ChildProcessError:
            return False

    def close(self) -> None:
        """Let the child go: it ends when it finds that no order can come any more."""
        self.channel.close()


def orders(channel: socket.socket, at_rest: Callable[[bool], None]) -> Iterator[Order]:
    """Yield what a child is to do, and answer behind each order; ends when the child is to leave.

    `at_rest` is told whenever the child begins (True) and ceases to have nothing to do.
    """
    born, threads = peak(), threading.active_count()
    at_rest(True)
    for number, line in enumerate(channel.makefile("rb"), 1):
        at_rest(False)
        yield Order(*json.loads(line))
        at_rest(True)
        leaves = number >= MOST or peak() - born > GROWN or threading.active_count() > threads
        channel.sendall(LEAVES if leaves else STAYS)
        if leaves:
            return


def peak() -> int:
    """Return the most memory that this process has had, in kB."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
