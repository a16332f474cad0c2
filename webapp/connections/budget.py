"""A time budget for what a page waits for: a slow or dead system never holds up the console.

The work goes on in a thread of its own. When the budget is spent, the page gets an answer and the thread ends by itself
at the connector's own time-out; how many may be under way at a time is limited.
"""

from __future__ import annotations

import contextvars
import threading
from collections.abc import Callable
from typing import Any, Generic, TypeVar

from connectors.errors import Unavailable
from rules.text import msg

SECONDS = 20.0
"""What a person waits for at most."""

STEP_SECONDS = 10.0
"""What one connect or request may take while a person waits."""

AT_A_TIME = 16

T = TypeVar("T")
_slots = threading.BoundedSemaphore(AT_A_TIME)


class OutOfTime(Unavailable):
    """The budget is spent."""


class _Task(Generic[T]):
    def __init__(self, work: Callable[[], T]) -> None:
        self._work = work
        self.result: T
        self.error: BaseException | None = None
        self.done = threading.Event()

    def run(self) -> None:
        try:
            self.result = self._work()
        except BaseException as error:  # noqa: BLE001 - handed to whoever waits
            self.error = error
        finally:
            _slots.release()
            self.done.set()


def within(seconds: float, title: str, work: Callable[[], T]) -> T:
    """Return what `work` returns, or raise what it raises.

    Raises:
        OutOfTime: It took longer than `seconds`, or too much of the kind is under way already.
    """
    if not _slots.acquire(timeout=seconds):
        raise OutOfTime(
            msg("Too many systems are being asked at the moment."),
            msg("Wait a minute, then try again."),
        )
    task: _Task[Any] = _Task(work)
    context = contextvars.copy_context()
    threading.Thread(target=context.run, args=(task.run,), name=f"ask {title}", daemon=True).start()
    if not task.done.wait(seconds):
        raise OutOfTime(
            msg("{connection} did not answer within {seconds} seconds.", connection=title, seconds=round(seconds)),
            msg("Check that the system runs and is not overloaded, then try again."),
        )
    if task.error is not None:
        raise task.error
    return task.result  # type: ignore[no-any-return]
