"""Loading code: most of what a process loads stays for good; and where it takes memory from."""

from __future__ import annotations

import contextlib
import ctypes
import gc
from collections.abc import Iterator
from contextlib import contextmanager

_ARENAS, _MOST = -8, 2
"""glibc's parameter `M_ARENA_MAX` (malloc.h)."""


def sparing() -> None:
    """Share memory among the threads of this process and of those that it forks: each keeps what it gave back else.

    A run works in half a dozen threads; it takes a twelfth less memory then, and no more CPU time.
    """
    import pyarrow as pa  # noqa: PLC0415 - only workers use it

    pa.set_memory_pool(pa.system_memory_pool())
    with contextlib.suppress(AttributeError):  # another C library has no such parameter
        ctypes.CDLL(None).mallopt(_ARENAS, _MOST)


@contextmanager
def for_good() -> Iterator[None]:
    """Load what stays: looking for garbage among it, then and later, takes a fifth of the time of a start."""
    looked_for = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        gc.freeze()
        if looked_for:
            gc.enable()
