"""One supervisor a data folder: a lock that the kernel gives back however the process ends."""

from __future__ import annotations

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from webapp.supervisor.errors import CannotStart


@contextmanager
def only_instance(data: Path) -> Iterator[None]:
    """Hold the data folder's lock; raises `CannotStart` naming the process that holds it."""
    path = data / "run" / "supervisor.lock"
    path.parent.mkdir(parents=True, exist_ok=True)
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            holder = os.read(descriptor, 32).decode(errors="replace").strip() or "unknown"
            raise CannotStart(
                f"SYNCLINE_DATA: Syncline already runs on {data} (process {holder}). "
                "Stop it first, or set SYNCLINE_DATA to another folder."
            ) from None
        os.ftruncate(descriptor, 0)
        os.write(descriptor, str(os.getpid()).encode())
        yield
    finally:
        os.close(descriptor)


def running(data: Path) -> bool:
    """Tell whether a supervisor runs on this data folder."""
    path = data / "run" / "supervisor.lock"
    if not path.exists():
        return False
    with path.open("rb") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
        except BlockingIOError:
            return True
    return False
