"""Whether this console is about to stop: it tells load balancers that it is not ready, and serves on for a while."""

from __future__ import annotations

import mmap

_FLAG = mmap.mmap(-1, 1)
"""Memory of the process that imports this first and of all that are forked from it."""


def begin() -> None:
    """Say in this process and its children that the console is about to stop."""
    _FLAG[0] = 1


def begun() -> bool:
    """Tell whether the console is about to stop."""
    return _FLAG[0] == 1
