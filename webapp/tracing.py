"""Traces: what happened behind one click, over console, scheduler, worker and the calls to systems (OpenTelemetry).

Where the settings name nobody to send them to, nothing of this is loaded: `span` is a block that does nothing.

A span names rules, runs, connections, objects and counts. It never holds a value of a record, a person or a secret: of
an error it tells the class only.
"""

from __future__ import annotations

import atexit
from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager, nullcontext
from functools import wraps
from typing import TYPE_CHECKING, ParamSpec, TypeVar

from config import Settings

if TYPE_CHECKING:
    from webapp.trace_spans import Spans

P = ParamSpec("P")
T = TypeVar("T")
About = Mapping[str, str | int | float | bool]
"""What a span tells: plain words and numbers by their names."""
_NOTHING: AbstractContextManager[None] = nullcontext()
_NONE: About = {}


class _Process:
    """The traces of this process."""

    spans: Spans | None = None


def begin(settings: Settings, process: str) -> None:
    """Trace what this process does from now on, where the settings say whom to tell; not to be called before a fork."""
    if not settings.otlp_endpoint or _Process.spans is not None:
        return
    from webapp.trace_spans import Spans  # noqa: PLC0415 - only where traces are sent

    _Process.spans = Spans(settings, process)
    atexit.register(end)


def end() -> None:
    """Send what is left, for a second or two at the most, and trace nothing any more."""
    spans, _Process.spans = _Process.spans, None
    if spans is not None:
        atexit.unregister(end)
        spans.close()


def spans() -> Spans | None:
    """Return what makes the spans of this process, None where there are no traces."""
    return _Process.spans


def span(
    name: str, about: About = _NONE, *, kind: str = "internal", parent: str | None = None, since: int | None = None
) -> AbstractContextManager[None]:
    """Return a block that is a span of the trace at hand.

    Args:
        name: What is done.
        about: What more is told of it.
        kind: `internal`, `server`, `client`, `producer` or `consumer`.
        parent: The `traceparent` that it belongs to, if not to the block around it.
        since: When it began (nanoseconds of `time.time_ns`), if not now.
    """
    made = _Process.spans
    return _NOTHING if made is None else made.span(name, about, kind=kind, parent=parent, since=since)


def step(name: str, about: Callable[..., About] | None = None) -> Callable[[Callable[P, T]], Callable[P, T]]:
    """Return what makes each call of a function a span; `about` tells of a call by its arguments."""

    def around(work: Callable[P, T]) -> Callable[P, T]:
        @wraps(work)
        def traced(*args: P.args, **named: P.kwargs) -> T:
            made = _Process.spans
            if made is None:
                return work(*args, **named)
            with made.span(name, about(*args, **named) if about else _NONE):
                return work(*args, **named)

        return traced

    return around


def tell(about: About) -> None:
    """Tell more of the span at hand."""
    if _Process.spans is not None:
        _Process.spans.tell(about)


def stamp(name: str) -> str | None:
    """Return the `traceparent` to keep with work that others will do; where no trace is at hand, one called `name`."""
    made = _Process.spans
    if made is None:
        return None
    if (here := made.current()) is not None:
        return here
    with made.span(name, _NONE):
        return made.current()


def ids() -> Mapping[str, str]:
    """Return the ids of the trace and the span at hand, for a line in the log."""
    return {} if _Process.spans is None else _Process.spans.ids()
