"""Who is told of the calls that a connection makes over HTTP; nobody where the house does not want to know.

What is told is the method, the host and the status: no path, no header and no body, which can hold values.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Protocol


class Call(Protocol):
    """One call under way."""

    @property
    def headers(self) -> Mapping[str, str]:
        """Return what to send with it, so that the other system can tell where it belongs."""

    def end(self, status: int | None) -> None:
        """Say that it has ended, with which status; None: there was no answer."""


class Calls(Protocol):
    """Is told of each call of one opened connection."""

    def begin(self, method: str, host: str, port: int) -> Call:
        """Say that a call begins."""


HEADERS = ("traceparent", "tracestate")
"""What `Call.headers` may hold: never sent on to another host."""
