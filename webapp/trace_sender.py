"""Sending spans by OTLP over HTTP, under the same egress rules as all that leaves this machine.

OpenTelemetry encodes them; its own exporter is not used, since it connects to wherever a name leads.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Sequence
from urllib.parse import unquote

from opentelemetry.exporter.otlp.proto.common.trace_encoder import encode_spans
from opentelemetry.sdk.trace import ReadableSpan
from opentelemetry.sdk.trace.export import SpanExporter, SpanExportResult

import config
from connectors.errors import ConnectorError, Retriable
from connectors.http_client import Limits, client, shown
from connectors.spi import Context

TIMEOUT = 3.0
"""Seconds that one sending may take in all."""
WAITS = (1.0, 2.0, 4.0)
"""Seconds between attempts; new spans wait meanwhile, as many as the queue has room for."""
_AGAIN = frozenset({429, 502, 503, 504})

log = logging.getLogger(__name__)


class Sender(SpanExporter):
    """Sends spans to one receiver, from one thread."""

    def __init__(self, settings: config.Settings) -> None:
        address = settings.otlp_endpoint.rstrip("/")
        self._address = address if address.endswith("/v1/traces") else f"{address}/v1/traces"
        headers = {"Content-Type": "application/x-protobuf", **headers_of(config.otlp_headers())}
        self._client = client(
            Context(egress_allow=settings.egress_allow, timeout=TIMEOUT),
            headers=headers,
            limits=Limits(size=1024 * 1024, seconds=TIMEOUT, redirects=0),
        )
        self._hurry = threading.Event()
        self._last = False
        self._well = True

    def export(self, spans: Sequence[ReadableSpan]) -> SpanExportResult:
        """Send spans; those that the receiver does not take, or not in time, are lost."""
        body = encode_spans(spans).SerializeToString()
        for wait in (*WAITS, 0.0):
            problem, again = self._sent(body)
            if not again or not wait or self._hurry.wait(wait):
                break
        self._note(problem, len(spans))
        return SpanExportResult.FAILURE if problem else SpanExportResult.SUCCESS

    def hurry(self) -> None:
        """Try once more and wait for nothing: the process ends."""
        self._hurry.set()

    def shutdown(self) -> None:
        """Close the connection."""
        self._client.close()

    def _sent(self, body: bytes) -> tuple[str, bool]:
        """Return why spans were not taken, nothing if they were, and whether to try again."""
        if self._last:
            return "the process ends", False
        self._last = self._hurry.is_set()
        try:
            answer = self._client.post(self._address, content=body)
        except ConnectorError as error:
            return str(error.advice), isinstance(error, Retriable)
        self._last = False
        if answer.is_success:
            return "", False
        return f"the answer has the status {answer.status_code}", answer.status_code in _AGAIN

    def _note(self, problem: str, lost: int) -> None:
        """Tell the log when spans begin to get lost, and when they arrive again."""
        if problem and self._well:
            where = shown(self._client.build_request("POST", self._address).url)
            log.warning(
                "Traces do not reach %s, %s spans are lost, and more until it answers: %s", where, lost, problem
            )
        if not problem and not self._well:
            log.warning("Traces are sent again.")
        self._well = not problem


def headers_of(text: str) -> dict[str, str]:
    """Return headers from their form in OpenTelemetry's variables: `name=value,name=value`, values percent-encoded."""
    parts = (part.partition("=") for part in text.split(",") if part.strip())
    return {name.strip(): unquote(value.strip()) for name, _, value in parts}
