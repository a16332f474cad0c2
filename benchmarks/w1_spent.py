"""What a piece of work costs: wall time, CPU time of all processes below this one, the most memory of one of them.

CPU time is counted by /proc over clients and servers alike, since work that is pushed to a server is still work; the
time of this process itself, which only waits, is left out.
"""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

_TICKS = os.sysconf("SC_CLK_TCK")
_PROC = Path("/proc")
_LOOK = 0.01
"""Seconds between two looks at the memory; the kernel keeps the peak, so only the last moments may be missed."""

_REAPED = 0.5
"""Seconds until servers have noticed that their processes ended: the time of one that is just going may be missed."""


@dataclass(frozen=True)
class Spent:
    """What was spent: seconds of wall and CPU time, and the peak memory in MB where someone looked.

    `cpu` holds the CPU time of the servers, which `servers` tells where their processes are known.
    """

    wall: float
    cpu: float
    peak: float | None = None
    servers: float = 0.0

    @property
    def own(self) -> float:
        """Return the CPU seconds without those of the servers."""
        return self.cpu - self.servers


@dataclass
class Meter:
    """Runs work and tells what it took.

    Attributes:
        watched: Gives the processes whose memory is looked at.
        servers: The processes of servers, whose CPU time is told apart.
    """

    watched: Callable[[], Iterator[int]] = field(default=lambda: iter(()))
    servers: Sequence[int] = ()

    def of(self, work: Callable[[], float | None]) -> Spent:
        """Return what work has spent; it may give its own wall time, where it knows better when it ended."""
        done, peaks = threading.Event(), [0]
        looker = threading.Thread(target=self._look, args=(done, peaks))
        cpu, served, wall = processor_seconds(), processor_seconds(self.servers), time.perf_counter()
        looker.start()
        try:
            own = work()
            wall = time.perf_counter() - wall
        finally:
            done.set()
            looker.join()
        time.sleep(_REAPED)
        cpu, served = processor_seconds() - cpu, processor_seconds(self.servers) - served
        return Spent(own or wall, cpu, peaks[0] / 1024 if peaks[0] else None, served)

    def _look(self, done: threading.Event, peaks: list[int]) -> None:
        while True:
            peaks[0] = max(peaks[0], *(peak(number) for number in self.watched()), 0)
            if done.wait(_LOOK):
                return


def processor_seconds(of: Iterable[int] | None = None) -> float:
    """Return the CPU seconds of processes and of all below them, also of those that have ended.

    Without processes, of all below this one, without this one itself.
    """
    parents: dict[int, list[int]] = {}
    ticks: dict[int, int] = {}
    for path in _PROC.iterdir():
        if path.name.isdigit() and (fields := _stat(path)):
            number = int(path.name)
            parents.setdefault(int(fields[1]), []).append(number)
            ticks[number] = sum(map(int, fields[11:15]))
    own = os.times()
    waiting, found = list(parents.get(os.getpid(), ()) if of is None else of), 0
    while waiting:
        number = waiting.pop()
        found += ticks.get(number, 0)
        waiting += parents.get(number, ())
    return found / _TICKS + (own.children_user + own.children_system if of is None else 0)


def children(number: int) -> Iterator[int]:
    """Yield the processes that a process has started, and those that these have started."""
    try:
        below = [int(word) for task in (_PROC / str(number) / "task").iterdir() for word in _words(task / "children")]
    except OSError:
        return
    for child in below:
        yield child
        yield from children(child)


def peak(number: int) -> int:
    """Return the most memory that a process has had, in kB; 0 where it is gone."""
    try:
        lines = (_PROC / str(number) / "status").read_text().splitlines()
    except OSError:
        return 0
    return next((int(line.split()[1]) for line in lines if line.startswith("VmHWM:")), 0)


def _words(path: Path) -> list[str]:
    try:
        return path.read_text().split()
    except OSError:
        return []


def _stat(path: Path) -> list[str]:
    """Return the fields behind the name, which may hold blanks and brackets."""
    try:
        return (path / "stat").read_text().rpartition(")")[2].split()
    except OSError:
        return []
