"""A worker that is asked to stop gives its run back behind the current chunk; another one goes on."""

from __future__ import annotations

import threading

_requested = threading.Event()


class Stopped(Exception):
    """This worker is to stop; the run is to go on elsewhere."""


def request_stop() -> None:
    """Ask this process's run to stop behind its current chunk."""
    _requested.set()


def requested() -> bool:
    """Tell whether this process is to stop."""
    return _requested.is_set()


def check() -> None:
    """Raise `Stopped` if this process is to stop."""
    if requested():
        raise Stopped
