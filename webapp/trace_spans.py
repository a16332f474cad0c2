"""The spans of a process, made with OpenTelemetry's SDK. `webapp.tracing` is the door; nobody else imports this."""

from __future__ import annotations

import os
import socket
from collections.abc import Iterator, Mapping
from contextlib import contextmanager

from opentelemetry import trace
from opentelemetry.context import Context
from opentelemetry.sdk.resources import OTELResourceDetector, Resource
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor
from opentelemetry.sdk.trace.sampling import TraceIdRatioBased
from opentelemetry.trace import Span, SpanKind, Status, StatusCode
from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

from config import Settings
from webapp.trace_sender import Sender

About = Mapping[str, str | int | float | bool]
EVERY = 1_000
"""Milliseconds between two sendings."""
_W3C = TraceContextTextMapPropagator()


class Spans:
    """Makes spans and sends them; nothing waits for that, and what cannot be sent in time is lost.

    Which traces are sent is decided by their ids alone, so that all processes decide alike and nobody who sends us a
    `traceparent` decides for us.
    """

    def __init__(self, settings: Settings, process: str) -> None:
        self.hosts = settings.trace_hosts
        self._sender = Sender(settings)
        self._provider = TracerProvider(
            sampler=TraceIdRatioBased(settings.trace_share), resource=_resource(process), shutdown_on_exit=False
        )
        self._provider.add_span_processor(BatchSpanProcessor(self._sender, schedule_delay_millis=EVERY))
        self._tracer = self._provider.get_tracer("syncline")

    @contextmanager
    def span(
        self, name: str, about: About, *, kind: str = "internal", parent: str | None = None, since: int | None = None
    ) -> Iterator[None]:
        """Make the block a span; what it raises is told by its class."""
        with self._tracer.start_as_current_span(
            name,
            _context(parent),
            SpanKind[kind.upper()],
            about,
            start_time=since,
            record_exception=False,  # its text and its traceback can hold values of records
            set_status_on_exception=False,
        ) as made:
            try:
                yield
            except BaseException as error:
                self.fail(made, type(error).__name__)
                raise

    def begin(self, name: str, about: About) -> Span:
        """Begin a call to another system; who begins it ends it."""
        return self._tracer.start_span(name, None, SpanKind.CLIENT, about)

    def fail(self, span: Span, why: str) -> None:
        """Say of a span that it did not end well."""
        span.set_attribute("error.type", why)
        span.set_status(Status(StatusCode.ERROR))

    def tell(self, about: About) -> None:
        """Tell more of the span at hand."""
        trace.get_current_span().set_attributes(about)

    def current(self, of: Span | None = None) -> str | None:
        """Return the `traceparent` of a span, or of the one at hand; None where there is none."""
        carrier: dict[str, str] = {}
        _W3C.inject(carrier, None if of is None else trace.set_span_in_context(of))
        return carrier.get("traceparent")

    def here(self) -> int:
        """Return the id of the span at hand, 0 where there is none."""
        return trace.get_current_span().get_span_context().span_id

    def ids(self) -> Mapping[str, str]:
        """Return the ids of the span at hand as texts."""
        at = trace.get_current_span().get_span_context()
        if not at.is_valid:
            return {}
        return {"trace_id": trace.format_trace_id(at.trace_id), "span_id": trace.format_span_id(at.span_id)}

    def close(self) -> None:
        """Send what is left, if the receiver is quick."""
        self._sender.hurry()
        self._provider.shutdown()


def _context(parent: str | None) -> Context | None:
    return None if parent is None else _W3C.extract({"traceparent": parent})


def _resource(process: str) -> Resource:
    """Return what is told of this process; OTEL_RESOURCE_ATTRIBUTES and OTEL_SERVICE_NAME add to it and override it."""
    known = {
        "service.name": "syncline",
        "service.instance.id": f"{process}@{socket.gethostname()}:{os.getpid()}",
        "syncline.process": process,
    }
    return Resource(known).merge(OTELResourceDetector().detect())
