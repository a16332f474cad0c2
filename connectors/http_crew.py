"""Work that makes HTTP exchanges, several pieces of it side by side in one thread.

A piece is a generator: it yields a request (`Sent`) and is given the reply, or yields a `Pause`. So a write of a record
that needs three calls and a wait is written like one that does nothing else meanwhile.
"""

from __future__ import annotations

import heapq
import time
from collections.abc import Callable, Generator, Iterable, Iterator
from dataclasses import dataclass
from itertools import count
from typing import Any, Generic, TypeVar

from connectors.errors import ConnectorError
from connectors.http_flight import Flights, Sent
from connectors.http_reply import Reply

T = TypeVar("T")
Room = Callable[[int], int]
_LONGEST_WAIT = 0.5
_SHORTLY = 0.1


@dataclass(frozen=True)
class Pause:
    """A wait of so many seconds, in which others go on."""

    seconds: float


Job = Generator[Sent | Pause, Reply, T]
"""A piece of work; errors of an exchange are raised at its `yield`."""


class Crew(Generic[T]):
    """Does jobs, so many at a time.

    After an error no further job is begun; those under way come to their end, then the first error is raised.
    """

    def __init__(self, flights: Flights, most: int, pace: Callable[[], float], room: Room | None = None) -> None:
        """Begin.

        Args:
            flights: Makes the exchanges.
            most: How many jobs may be under way.
            pace: Called before each request; returns how many seconds it has to wait, or raises what ends its job.
            room: Called with the jobs under way; returns how many may be, where others count, too.
        """
        self._flights = flights
        self._most = most
        self._pace = pace
        self._room = room or (lambda _busy: most)
        self._jobs: dict[int, Job[T]] = {}
        self._waiting: list[tuple[float, int, int, Sent | None]] = []
        self._order = count()
        self._done: dict[int, T] = {}
        self._failed: ConnectorError | None = None
        self._begun = 0
        self._source: Iterator[Job[T]] = iter(())

    def results(self, jobs: Iterable[Job[T]]) -> Iterator[T]:
        """Yield the results of jobs in the jobs' order; raises the first of their errors."""
        given, self._source = 0, iter(jobs)
        try:
            while self._begin(self._source) or self._jobs or given in self._done:
                while given in self._done:
                    yield self._done.pop(given)
                    given += 1
                if self._jobs:
                    self._land()
            if self._failed is not None:
                raise self._failed
        finally:
            for unfinished in self._jobs.values():
                unfinished.close()
            self._flights.drop()

    def begin(self, jobs: Iterable[Job[T]]) -> None:
        """Begin jobs whose results are asked for later, by `results(())`."""
        self._begin(iter(jobs))
        self._flights.push()

    def _begin(self, source: Iterator[Job[T]]) -> bool:
        """Begin as many jobs as may be under way; tell whether any was begun."""
        before = self._begun
        while self._failed is None and self._has_room():
            job = next(source, None)
            if job is None:
                break
            self._jobs[self._begun] = job
            self._begun += 1
            self._go_on(self._begun - 1, lambda: next(job))  # noqa: B023 - called at once
        return self._begun > before

    def _has_room(self) -> bool:
        """Tell whether one more job may be begun; waits where not even one may."""
        while (room := min(self._room(len(self._jobs)), self._most)) < 1 and not self._jobs:
            time.sleep(_SHORTLY)
        return len(self._jobs) < room

    def _land(self) -> None:
        """Wait until something ends, and go on with it."""
        ready = self._waiting[0][0] - time.monotonic() if self._waiting else _LONGEST_WAIT
        if len(self._waiting) == len(self._jobs):
            if ready > 0:
                time.sleep(ready)
            self._wake()
            return
        for number, reply in self._flights.landed(max(ready, 0.0)):
            self._arrived(number, reply)
            self._begin(self._source)  # the next one leaves before the other replies are looked at
        while self._waiting and self._waiting[0][0] <= time.monotonic():
            self._wake()

    def _wake(self) -> None:
        _, _, number, sent = heapq.heappop(self._waiting)
        if sent is None:
            self._go_on(number, lambda: next(self._jobs[number]))
        else:
            self._start(number, sent)

    def _arrived(self, number: int, reply: Reply | ConnectorError) -> None:
        job = self._jobs[number]
        if isinstance(reply, ConnectorError):
            self._go_on(number, lambda: job.throw(reply))
        else:
            self._go_on(number, lambda: job.send(reply))

    def _go_on(self, number: int, step: Callable[[], Sent | Pause]) -> None:
        try:
            wanted = step()
        except StopIteration as end:
            del self._jobs[number]
            self._done[number] = end.value
        except ConnectorError as error:
            del self._jobs[number]
            self._failed = self._failed or error
        else:
            self._serve(number, wanted)

    def _serve(self, number: int, wanted: Sent | Pause) -> None:
        try:
            seconds = wanted.seconds if isinstance(wanted, Pause) else self._pace()
        except ConnectorError as error:
            self._arrived(number, error)
            return
        sent = None if isinstance(wanted, Pause) else wanted
        if sent is None or seconds > 0:
            heapq.heappush(self._waiting, (time.monotonic() + seconds, next(self._order), number, sent))
        else:
            self._start(number, sent)

    def _start(self, number: int, sent: Sent) -> None:
        try:
            self._flights.start(sent, number)
        except ConnectorError as error:
            self._arrived(number, error)


def at_once() -> float:
    """Return that nothing has to wait."""
    return 0.0


def one(flights: Flights, job: Job[T], pace: Callable[[], float] = at_once, room: Room | None = None) -> T:
    """Return the result of one job."""
    crew: Crew[Any] = Crew(flights, 1, pace, room)
    return next(iter([*crew.results([job])]))  # type: ignore[no-any-return]
