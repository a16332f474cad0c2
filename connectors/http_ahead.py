"""Asking for the next answer of a list before the one at hand is worked at, so that both are done at a time."""

from __future__ import annotations

from collections.abc import Callable
from types import TracebackType
from typing import Generic, Self, TypeVar

from connectors.http_crew import Crew, Job
from connectors.http_flight import Flights

T = TypeVar("T")


class Ahead(Generic[T]):
    """Answers one after the other over connections of its own; a context manager."""

    def __init__(self, flights: Flights, crew: Callable[[Flights], Crew[T]], done: Callable[[Flights], None]) -> None:
        """Begin; `crew` makes who does a job, and `done` is given the connections back."""
        self._flights = flights
        self._crew = crew
        self._done = done
        self._coming: Crew[T] | None = None

    def __enter__(self) -> Self:
        """Return itself."""
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, tb: TracebackType | None) -> None:
        """Give up what is under way."""
        self._flights.drop()
        self._done(self._flights)

    def begin(self, job: Job[T]) -> None:
        """Begin a job whose result will be asked for; an error is raised then."""
        self._coming = self._crew(self._flights)
        self._coming.begin([job])

    def result(self) -> T:
        """Return the result of the job that was begun last."""
        assert self._coming is not None  # noqa: S101 - it was begun
        crew, self._coming = self._coming, None
        return next(iter([*crew.results(())]))
