"""Reading, deciding and writing at the same time: each in a thread of its own, one page or chunk apart.

The work on columns, on sockets and on files leaves the interpreter to the other threads, so two processors are enough
to read the next page and to decide about it while a chunk is written. What a thread logs names the run, as it works in
the context of who has asked for it.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Generator, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from contextvars import copy_context
from functools import partial
from typing import Generic, Self, TypeVar

T = TypeVar("T")
_END = object()


def _begun(pool: ThreadPoolExecutor, work: Callable[[], T]) -> Future[T]:
    return pool.submit(copy_context().run, work)


def ahead(items: Iterator[T]) -> Generator[T]:
    """Yield what an iterator yields; the next item is made in a thread while the caller works on one."""
    with ThreadPoolExecutor(1, "read-ahead") as pool:
        coming = _begun(pool, partial(next, items, _END))
        while (item := coming.result()) is not _END:
            coming = _begun(pool, partial(next, items, _END))
            yield item


class OnCall(Generic[T]):
    """Items of an iterator; the next ones are made in a thread from when the caller says so, else when one is wanted.

    `most` are made before one is taken.
    """

    def __init__(self, items: Iterator[T], most: int = 1) -> None:
        self._items = items
        self._most = most
        self._pool = ThreadPoolExecutor(1, "read-ahead")
        self._coming: deque[Future[T | object]] = deque()

    def __iter__(self) -> Self:
        """Return itself."""
        return self

    def __next__(self) -> T:
        """Return the next item; raises what making it has raised."""
        self.call()
        item = self._coming.popleft().result()
        if item is _END:
            raise StopIteration
        return item  # type: ignore[return-value]

    def call(self) -> None:
        """Begin with the next items, unless that has been done."""
        while len(self._coming) < self._most:
            self._coming.append(_begun(self._pool, partial(next, self._items, _END)))

    def close(self) -> None:
        """Let the item at hand end, and close what makes them."""
        for behind in list(self._coming)[1:]:
            behind.cancel()
        self._pool.shutdown()
        if isinstance(self._items, Generator):
            self._items.close()


@contextmanager
def closed(items: Iterator[T]) -> Generator[Iterator[T]]:
    """Lend items, and close what makes them behind the block, also where that ends early."""
    try:
        yield items
    finally:
        if isinstance(items, Generator):
            items.close()


class Behind(Generic[T]):
    """At most one piece of work that goes on in a thread while the caller prepares the next; with `off` at once."""

    def __init__(self, *, off: bool = False) -> None:
        self._pool = None if off else ThreadPoolExecutor(1, "write-behind")
        self._coming: Future[T] | None = None

    def __enter__(self) -> Self:
        """Return itself."""
        return self

    def __exit__(self, *_: object) -> None:
        """Wait for the work at hand: what it raises comes before what has ended the block."""
        self.wait()

    def start(self, work: Callable[[], T]) -> None:
        """Begin a piece of work; the one before must have been waited for."""
        if self._pool is not None:
            self._coming = _begun(self._pool, work)
            return
        done: Future[T] = Future()
        done.set_result(work())
        self._coming = done

    def wait(self) -> T | None:
        """Return what the work at hand returned, None where there is none; raises what it raised."""
        coming, self._coming = self._coming, None
        return None if coming is None else coming.result()

    def close(self) -> None:
        """Let the work at hand end; what it raises is raised by `wait` only."""
        if self._pool is not None:
            self._pool.shutdown()
