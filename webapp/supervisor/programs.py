"""A program to be watched, and the process that runs it."""

from __future__ import annotations

import ctypes
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from webapp.lifeline import die_with_parent

FIRST_DELAY = 0.25
LONGEST_DELAY = 30.0
STEADY = 20.0
"""Seconds after which a process counts as started well, so that its next restart comes quickly again."""
PR_SET_CHILD_SUBREAPER = 36
_libc = ctypes.CDLL(None, use_errno=True) if sys.platform == "linux" else None


@dataclass(frozen=True)
class Program:
    """What to run under which name.

    Programs of a lower `rank` stop first, those of one rank together; `grace` seconds pass between SIGTERM and SIGKILL.
    """

    name: str
    argv: tuple[str, ...]
    env: Mapping[str, str]
    grace: float
    rank: int = 0
    cwd: str | None = None
    restart: bool = True
    stdout: int | None = None
    before_start: Callable[[int], None] = field(default=lambda _failures: None, compare=False)
    """Called with the number of failures in a row before each start."""


class Child:
    """A program's current process, with what its restarts need to know."""

    def __init__(self, program: Program) -> None:
        self.program = program
        self.failures = 0
        self.due: float | None = 0.0
        """When to start next; None while it runs."""
        self.exit: int | None = None
        self._process: subprocess.Popen[bytes] | None = None
        self._started = 0.0

    @property
    def pid(self) -> int | None:
        """Return the process id, None while it does not run."""
        return self._process.pid if self._process else None

    def start(self, now: float) -> int:
        """Start the process in a group of its own, so that Ctrl-C on the terminal reaches the supervisor only."""
        self.program.before_start(self.failures)
        self._process = subprocess.Popen(  # noqa: S603 - our own commands
            self.program.argv,
            env=dict(self.program.env),
            cwd=self.program.cwd,
            stdin=subprocess.DEVNULL,
            stdout=self.program.stdout,
            process_group=0,
            preexec_fn=die_with_parent(os.getpid()),  # noqa: PLW1509 - the supervisor has one thread
        )
        self._started, self.due = now, None
        return self._process.pid

    def ended(self, code: int, now: float) -> float | None:
        """Note that the process has ended and return the seconds until its restart, None without one."""
        if self._process is not None:
            self._process.returncode = code
        self._process, self.exit = None, code
        self.failures = 1 if now - self._started >= STEADY else self.failures + 1
        if not self.program.restart:
            return None
        delay: float = min(FIRST_DELAY * 2 ** (self.failures - 1), LONGEST_DELAY)
        self.due = now + delay
        return delay

    def signal(self, number: int) -> None:
        """Send a signal to the process and, with SIGKILL, to all of its group."""
        if self._process is None:
            return
        try:
            if number == signal.SIGKILL:
                os.killpg(self._process.pid, number)
            else:
                os.kill(self._process.pid, number)
        except ProcessLookupError:
            return


def adopt_orphans(*, adopt: bool) -> None:
    """Make this process the parent of its children's orphans, so that it can end and reap them too; or no longer."""
    if _libc is not None:
        _libc.prctl(PR_SET_CHILD_SUBREAPER, int(adopt))


def children_of(pid: int) -> list[int]:
    """Return the ids of the child processes of `pid` as the kernel knows them; empty where it does not say."""
    try:
        with open(f"/proc/{pid}/task/{pid}/children", encoding="ascii") as file:
            return [int(word) for word in file.read().split()]
    except OSError:
        return []
