"""Connectors whose calls are told in traces: by connection, object and number of records, never by what these hold.

A connector is made of a class below its own, so that it stays what it is for all who ask. Where there are no traces it
is the class itself.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from functools import lru_cache, wraps
from typing import TYPE_CHECKING, Any

import polars as pl

from connectors.calls import Call, Calls
from connectors.spi import Connector, Page, ReadRequest
from rules.schema import Change
from webapp import tracing

if TYPE_CHECKING:
    from opentelemetry.trace import Span

    from webapp.trace_spans import Spans

TOLD = 100
"""So many exchanges within one call of a connector have a span of their own; the others are counted."""
_CALLS = {
    "lookup": "look up",
    "left_out": "look up",
    "write": "write",
    "write_prepared": "write",
    "write_within": "write",
    "commit_prepared": "commit",
    "rollback_prepared": "roll back",
    "in_doubt": "list open transactions",
    "applied": "ask for a fence",
    "finish": "finish",
    "acknowledge": "acknowledge",
    "objects": "list objects",
    "schema": "ask for fields",
    "change_log": "look at the log of changes",
}
_WITHOUT_OBJECT = {"objects", "commit_prepared", "rollback_prepared", "in_doubt", "applied"}


def traced(cls: type[Connector], connection: str) -> type[Connector]:
    """Return the class to make a connection's connector of."""
    return cls if tracing.spans() is None else _traced(cls, connection)


@lru_cache(maxsize=256)
def _traced(cls: type[Connector], connection: str) -> type[Connector]:
    body = {name: _call(getattr(cls, name), (connection, name)) for name in _CALLS if hasattr(cls, name)}
    body["read"] = _pages(cls.read, connection)
    return type(cls.__name__, (cls,), {"__module__": cls.__module__, "__doc__": cls.__doc__, **body})


def _call(work: Callable[..., Any], what: tuple[str, str]) -> Callable[..., Any]:
    connection, name = what

    @wraps(work)
    def done(self: Connector, *args: Any, **named: Any) -> Any:
        about = _about(self, connection, "" if name in _WITHOUT_OBJECT else _object(args, named), _records(args))
        with tracing.span(f"{_CALLS[name]} {_place(about)}", about, kind="client"):
            return work(self, *args, **named)

    return done


def _pages(read: Callable[[Connector, ReadRequest], Iterator[Page]], connection: str) -> Callable[..., Iterator[Page]]:
    @wraps(read)
    def done(self: Connector, request: ReadRequest) -> Iterator[Page]:
        about = _about(self, connection, request.object, None)
        pages: Iterator[Page] = iter(read(self, request))
        try:
            while True:
                with tracing.span(f"read {_place(about)}", about, kind="client"):
                    page = next(pages, None)
                    tracing.tell({"syncline.records": page.records.height if page else 0})
                if page is None:
                    return
                yield page
        finally:
            getattr(pages, "close", lambda: None)()

    return done


def _about(connector: Connector, connection: str, thing: str, records: int | None) -> dict[str, str | int]:
    about: dict[str, str | int] = {"syncline.connection": connection, "syncline.connector": connector.spec.name}
    if thing:
        about["syncline.object"] = thing
    if records is not None:
        about["syncline.records"] = records
    return about


def _place(about: Mapping[str, Any]) -> str:
    return ".".join(about[part] for part in ("syncline.connection", "syncline.object") if part in about)


def _object(args: tuple[Any, ...], named: Mapping[str, Any]) -> str:
    first = args[0] if args else named.get("name", "")
    return first.object if isinstance(first, ReadRequest) else str(first)


def _records(args: tuple[Any, ...]) -> int | None:
    """Return how many records a call is about, where its arguments tell."""
    if not args:
        return None
    for given in args:
        if isinstance(given, (list, tuple)) and given and isinstance(given[0], Change):
            return sum(int(change.records.height) for change in given)
    values = args[-1]
    return values.len() if isinstance(values, pl.Series) else None


class Outgoing:
    """Makes a span of each exchange of one opened connection, and tells hosts of ours which trace it belongs to."""

    def __init__(self, spans: Spans) -> None:
        self._spans = spans
        self._within = 0
        self._begun = 0

    def begin(self, method: str, host: str, port: int) -> Call:
        """Begin an exchange."""
        within = self._spans.here()
        self._begun = self._begun + 1 if within == self._within else 1
        self._within = within
        mine = _is_one_of(host, self._spans.hosts)
        if self._begun > TOLD:
            self._spans.tell({"syncline.exchanges": self._begun})
            return Exchange(self._spans, None, self._spans.current() if mine else None)
        about: tracing.About = {"http.request.method": method, "server.address": host, "server.port": port}
        span = self._spans.begin(f"{method} {host}", about)
        return Exchange(self._spans, span, self._spans.current(span) if mine else None)


class Exchange:
    """One exchange under way."""

    def __init__(self, spans: Spans, span: Span | None, parent: str | None) -> None:
        self._spans = spans
        self._span = span
        self.headers: Mapping[str, str] = {"traceparent": parent} if parent else {}

    def end(self, status: int | None) -> None:
        """End its span; the class of the status tells whether it went well."""
        if self._span is None:
            return
        if status is not None:
            self._span.set_attribute("http.response.status_code", status)
        if status is None or status >= 400:
            self._spans.fail(self._span, str(status or "no answer"))
        self._span.end()


def calls() -> Calls | None:
    """Return who is told of the exchanges of a connection that is opened now."""
    spans = tracing.spans()
    return None if spans is None else Outgoing(spans)


def _is_one_of(host: str, known: tuple[str, ...]) -> bool:
    """Tell whether a host is one of those, or below one that begins with a dot."""
    name = host.lower().rstrip(".")
    return any(name == one.lower() or (one.startswith(".") and name.endswith(one.lower())) for one in known)
