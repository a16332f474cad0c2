"""Calls of a web service: at the allowed pace, repeated where that is safe, and with errors that say what to do."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from dataclasses import replace as replaced
from typing import Any, TypeVar

from connectors.budgets import PATIENCE, OwnBudget
from connectors.builtin.rest_address import address
from connectors.builtin.rest_answers import BrokenAnswer, Told, retry_after, value_of
from connectors.builtin.rest_errors import Meaning
from connectors.builtin.rest_options import RestOptions
from connectors.errors import ConnectorError, RateLimited, Unavailable
from connectors.http_ahead import Ahead
from connectors.http_crew import Crew, Job, Pause, one
from connectors.http_flight import Flights, Sent
from connectors.http_reply import Reply
from connectors.spi import Context
from rules.text import msg

ATTEMPTS = 4
REPEATABLE = frozenset({"GET", "PUT", "DELETE"})
T = TypeVar("T")


@dataclass(frozen=True)
class Answer:
    """What the service answered: its value, and where it came from."""

    value: Any
    response: Reply


@dataclass(frozen=True)
class Request:
    """One call: `url` is a path below the base address or a whole address of the same service."""

    url: str
    method: str = "GET"
    query: Mapping[str, str] = field(default_factory=dict)
    body: bytes | None = None
    headers: Mapping[str, str] = field(default_factory=dict)
    object_name: str | None = None
    repeatable: bool = False
    xml: bool = False

    @property
    def safe(self) -> bool:
        """Tell whether the call may be made twice."""
        return self.method in REPEATABLE or self.repeatable


Read = Callable[[Reply, Request], Any]


class Calls:
    """Makes the calls of one connection."""

    def __init__(self, options: RestOptions, context: Context) -> None:
        self.options = options
        self.credentials = options.credentials(context)
        self._budget = context.budget or OwnBudget(options.base_url)
        self._context = replaced(context, timeout=options.timeout)
        self._flights = self._new_flights()
        self._idle: list[Flights] | None = []

    def close(self) -> None:
        """Close the connections; those that are lent are closed when they are given back."""
        for flights in (self._flights, *(self._idle or ())):
            flights.close()
        self._idle = None
        self._budget.close()

    def ahead(self) -> Ahead[Answer]:
        """Return what asks for the answers of one list, the next one before the last one is worked at."""
        flights = self._idle.pop() if self._idle else self._new_flights()
        return Ahead(flights, self._alone, self._given_back)

    def _given_back(self, flights: Flights) -> None:
        if self._idle is None:
            flights.close()
        else:
            self._idle.append(flights)

    def _new_flights(self) -> Flights:
        return Flights(self._context, certificate=self.options.certificate, verify=self.options.verify)

    def answer(self, request: Request, read: Read = value_of) -> Answer:
        """Return the answer of a call that only reads; raises by what the caller should do.

        Args:
            request: The call.
            read: Makes the value of the response; what it finds broken is asked for again.
        """
        return one(self._flights, self.answering(request, read), self._turn, self._room)

    def response(self, request: Request) -> Reply:
        """Return the response of a call, waiting and repeating where that is safe.

        Raises:
            RateLimited: The service asks to wait longer than is worth waiting here.
            Unavailable: No answer or a server error, also after repeating.
        """
        return one(self._flights, self.responding(request), self._turn, self._room)

    def together(self, jobs: Iterable[Job[T]]) -> Iterator[T]:
        """Yield the results of jobs, done side by side, in their order."""
        crew: Crew[T] = Crew(self._flights, self.options.concurrency, self._turn, self._room)
        return crew.results(jobs)

    def _alone(self, flights: Flights) -> Crew[Answer]:
        return Crew(flights, 1, self._turn, self._room)

    def asked_to_wait(self, seconds: float) -> None:
        """Tell all who work with the connection what the service has asked for in its own words."""
        self._budget.asked_to_wait(seconds)

    def _turn(self) -> float:
        return self._budget.turn(self.options.rate)

    def _room(self, busy: int) -> int:
        return self._budget.room(self.options.concurrency, busy)

    def answering(self, request: Request, read: Read = value_of) -> Job[Answer]:
        """Do what `answer` does as a part of a job."""
        for attempt in range(ATTEMPTS):
            response = yield from self.responding(request)
            told = self.told(response, request)
            if not told.good:
                raise told.error()
            try:
                return Answer(read(response, request), response)
            except BrokenAnswer:
                if attempt == ATTEMPTS - 1:
                    raise
                yield Pause(backoff(attempt))
        raise AssertionError  # pragma: no cover - the loop returns or raises

    def responding(self, request: Request) -> Job[Reply]:
        """Do what `response` does as a part of a job."""
        renewed = False
        attempt = 0
        while True:
            last = attempt == ATTEMPTS - 1
            try:
                response = yield self._sent(request)
            except Unavailable:
                if last or not request.safe:
                    raise
                yield Pause(backoff(attempt))
                attempt += 1
                continue
            told = self.told(response, request)
            if told.expired and not renewed and self.credentials.renew():
                renewed = True
                continue
            wait = self._wait(told, request, attempt, last=last)
            if wait is None:
                return response
            yield Pause(wait)
            attempt += 1

    def told(self, response: Reply, request: Request) -> Told:
        """Return what an answer means."""
        return Told(response, request, self._meaning(response, request.method), self.credentials.hide)

    def _meaning(self, response: Reply, method: str) -> Meaning | None:
        if not self.options.errors:
            return None
        value, text = None, ""
        with suppress(ConnectorError):
            value = value_of(response, Request("", xml="xml" in response.headers.get("content-type", "")))
        if any(meaning.contains for meaning in self.options.errors):
            text = response.text
        return next((m for m in self.options.errors if m.fits(response.status_code, value, text, method)), None)

    def _wait(self, told: Told, request: Request, attempt: int, *, last: bool) -> float | None:
        """Return how long to wait before the call is made again; None: the answer stands."""
        if told.asks_to_wait:
            after = retry_after(told.response.headers.get("Retry-After", ""))
            self._budget.asked_to_wait(after)
            if last or after > PATIENCE:
                raise RateLimited(
                    msg("{url} asks to wait {seconds} seconds.", url=told.url, seconds=round(after)),
                    after=after,
                    object_name=request.object_name,
                )
            return after
        if not told.failed:
            return None
        if last or not request.safe:
            raise told.error()
        return backoff(attempt)

    def _sent(self, request: Request) -> Sent:
        accept = {"Accept": "application/xml, text/xml"} if request.xml else {}
        headers = {**self.options.headers, **accept, **request.headers}
        if request.body is not None:
            headers.setdefault("Content-Type", "application/json")
        query = {**request.query, **self.credentials.query()}
        url = address(self.options.base_url, request.url, query)
        sent = Sent(request.method, url, headers, request.body, once=not request.safe)
        mine = self.credentials.headers(sent)
        return replaced(sent, headers={**headers, **mine}) if mine else sent


def backoff(attempt: int) -> float:
    """Return the seconds to wait behind a failed attempt."""
    return float(0.25 * 2**attempt)
