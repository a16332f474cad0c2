"""The watch: starts programs stage by stage, restarts what dies, stops all in order. One thread, woken by signals."""

from __future__ import annotations

import os
import select
import signal
import socket
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from types import FrameType
from typing import Self

import structlog

from webapp.supervisor.errors import UNUSABLE, CannotStart
from webapp.supervisor.programs import Child, Program, adopt_orphans, children_of

log = structlog.get_logger("syncline.supervisor")

HOPELESS = 3
"""A program that fails this often before it was ever ready will not get better by itself."""
POLL = 0.05


@dataclass(frozen=True)
class Stage:
    """Programs that start together; the next stage waits until `ready`, for `timeout` seconds at most."""

    programs: tuple[Program, ...]
    ready: Callable[[], bool] = lambda: True
    timeout: float = 60.0
    trouble: str = ""
    """Says what to look at when the stage does not get ready."""


class Stopped(Exception):
    """Somebody asked to stop."""


class Watch:
    """Runs programs until told to stop; use as a context manager around `start` and `run`."""

    def __init__(self) -> None:
        self.children: dict[str, Child] = {}
        self._wake, self._wakened = socket.socketpair()
        self._strangers = set(children_of(os.getpid()))
        self._asked = 0
        self._stopping = False
        self._previous: dict[int, object] = {}
        self._previous_fd = -1

    def __enter__(self) -> Self:
        """Take over signals."""
        for end in (self._wake, self._wakened):
            end.setblocking(False)
        adopt_orphans(adopt=True)
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGCHLD):
            if number != signal.SIGHUP or signal.getsignal(number) != signal.SIG_IGN:  # nohup stays in force
                self._previous[number] = signal.signal(number, self._on_signal)
        self._previous_fd = signal.set_wakeup_fd(self._wakened.fileno(), warn_on_full_buffer=False)
        return self

    def __exit__(self, *_: object) -> None:
        """Stop everything and give the signals back."""
        self.stop()
        adopt_orphans(adopt=False)
        signal.set_wakeup_fd(self._previous_fd)
        for number, handler in self._previous.items():
            signal.signal(number, handler)  # type: ignore[arg-type]
        self._wake.close()
        self._wakened.close()

    def _on_signal(self, number: int, _frame: FrameType | None) -> None:
        if number != signal.SIGCHLD:
            self._asked += 1

    def start(self, stage: Stage) -> None:
        """Start a stage and return once it is ready; raises `CannotStart`, or `Stopped` when told to stop."""
        for program in stage.programs:
            self.children[program.name] = Child(program)
        deadline = time.monotonic() + stage.timeout
        self._tick(0)
        while not stage.ready():
            self._give_up_if_hopeless(stage)
            if time.monotonic() > deadline:
                raise CannotStart(
                    f"{stage.programs[0].name} did not get ready within {stage.timeout:.0f} s. {stage.trouble}"
                )
            self._tick(POLL)

    def _give_up_if_hopeless(self, stage: Stage) -> None:
        for child in (self.children[program.name] for program in stage.programs):
            if child.exit == UNUSABLE:
                raise SystemExit(UNUSABLE)  # it has said why
            if child.failures >= HOPELESS:
                raise CannotStart(
                    f"The {child.program.name} process ended {HOPELESS} times while starting. {stage.trouble}"
                )

    def launch(self, program: Program) -> None:
        """Start a program that ends by itself; `finish` waits for it."""
        child = self.children[program.name] = Child(program)
        log.info("Process started", process=program.name, pid=child.start(time.monotonic()))

    def finish(self, name: str) -> int:
        """Wait until a launched program has ended and return its exit code; raises `Stopped` when told to stop."""
        child = self.children[name]
        while child.pid is not None:
            self._tick(1.0)
        del self.children[name]
        return child.exit or 0

    def run(self) -> None:
        """Watch until told to stop."""
        try:
            while True:
                self._tick(5.0)
        except Stopped:
            return

    def _tick(self, longest: float) -> None:
        """Reap, restart what is due, then sleep until something happens; raises `Stopped`."""
        reaped = self._reap()
        if self._asked:
            raise Stopped
        now = time.monotonic()
        for child in self.children.values():
            if child.due is not None and child.due <= now:
                log.info("Process started", process=child.program.name, pid=child.start(now))
        waiting = [child.due - now for child in self.children.values() if child.due is not None]
        if not reaped:
            self._sleep(max(0.0, min([longest, *waiting])))

    def _sleep(self, seconds: float) -> None:
        select.select([self._wake], [], [], seconds)
        try:
            while self._wake.recv(512):
                pass
        except BlockingIOError:
            return

    def _reap(self) -> bool:
        """Take the exit codes of all that ended, adopted orphans included; tell whether there were any."""
        reaped = False
        while True:
            try:
                pid, status = os.waitpid(-1, os.WNOHANG)
            except ChildProcessError:
                return reaped
            if pid == 0:
                return reaped
            reaped = True
            child = next((c for c in self.children.values() if c.pid == pid), None)
            if child is not None:
                self._note_end(child, os.waitstatus_to_exitcode(status))

    def _note_end(self, child: Child, code: int) -> None:
        pid, delay = child.pid, child.ended(code, time.monotonic())
        if delay is None or self._stopping:
            log.info("Process ended", process=child.program.name, pid=pid, **_ending(code))
        else:
            log.warning(
                "Process ended and starts again", process=child.program.name, pid=pid, **_ending(code), seconds=delay
            )

    def stop(self) -> None:
        """Stop rank by rank; a second request to stop kills at once."""
        self._stopping, asked = True, self._asked
        for child in self.children.values():
            child.due = None
        for rank in sorted({child.program.rank for child in self.children.values()}):
            self._stop_group([child for child in self.children.values() if child.program.rank == rank], asked)
        for pid in self._left():
            os.kill(pid, signal.SIGKILL)
        while self._left():
            self._reap()
            self._sleep(POLL)
        self._reap()

    def _left(self) -> set[int]:
        return set(children_of(os.getpid())) - self._strangers

    def _stop_group(self, group: Sequence[Child], asked: int) -> None:
        for child in group:
            child.signal(signal.SIGTERM)
        deadline = time.monotonic() + max(child.program.grace for child in group)
        while any(c.pid for c in group) and time.monotonic() < deadline and self._asked <= max(asked, 1):
            self._reap()
            self._sleep(POLL)
        for child in group:
            if child.pid is not None:
                log.warning("Process did not stop and is killed", process=child.program.name, pid=child.pid)
            child.signal(signal.SIGKILL)
        while any(c.pid for c in group):
            self._reap()
            self._sleep(POLL)


def _ending(code: int) -> dict[str, str | int]:
    return {"signal": signal.Signals(-code).name} if code < 0 else {"code": code}
