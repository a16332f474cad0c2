"""Laws of work that overlaps: nothing is lost, nothing waits for what will never come."""

from __future__ import annotations

import threading
from collections.abc import Iterator

import pytest

from webapp.runs.pipeline.overlap import Behind, OnCall, ahead, closed


def broken() -> int:
    """End as a full disk does."""
    raise OSError("The disk is full.")


@pytest.mark.timeout(10)
@pytest.mark.parametrize("off", [True, False])
def test_work_that_fails_ends_the_block_with_its_error(off: bool):
    """What a piece of work raises reaches the caller, at once or when the block ends."""
    behind: Behind[int] = Behind(off=off)
    with pytest.raises(OSError, match="The disk is full"), behind:
        behind.start(broken)
    behind.close()


@pytest.mark.timeout(10)
@pytest.mark.parametrize("off", [True, False])
def test_work_that_succeeds_is_handed_over_once(off: bool):
    """The result of a piece of work is returned by the first wait, and by no other."""
    with Behind[int](off=off) as behind:
        behind.start(lambda: 7)
        assert behind.wait() == 7
        assert behind.wait() is None
    behind.close()


@pytest.mark.timeout(10)
def test_reading_ahead_keeps_order_and_closes_its_source():
    """Items come in their order, an error at its place, and the source is closed where the reader stops early."""
    ended = []

    def source() -> Iterator[int]:
        try:
            yield from range(3)
            raise OSError("The line is cut.")
        finally:
            ended.append(True)

    got: list[int] = []
    with pytest.raises(OSError, match="The line is cut"):
        got.extend(ahead(source()))
    assert (got, ended) == ([0, 1, 2], [True])

    origin = source()
    with closed(origin) as items:
        for item in ahead(items):
            if item == 1:
                break
    assert ended == [True, True]


@pytest.mark.timeout(10)
def test_what_is_called_for_is_made_meanwhile_and_all_else_when_it_is_wanted():
    """Items come in their order called for or not, an error at its place, and the source is closed."""
    made: list[int] = []

    def source() -> Iterator[int]:
        try:
            for number in range(3):
                made.append(number)
                yield number
            raise OSError("The line is cut.")
        finally:
            made.append(-1)

    items = OnCall(source())
    assert (next(items), made) == (0, [0])
    items.call()
    items.call()
    items._pool.submit(int).result()  # the thread has made the item by now
    assert made == [0, 1]
    assert (next(items), next(items)) == (1, 2)
    with pytest.raises(OSError, match="The line is cut"):
        next(items)
    items.close()
    assert made == [0, 1, 2, -1]
    assert list(OnCall(iter(range(2)))) == [0, 1]

    items = OnCall(source())
    next(items)
    items.call()
    items.close()
    assert made[-3:] == [0, 1, -1]


@pytest.mark.timeout(10)
def test_several_items_are_made_before_one_is_taken():
    """As many as were allowed are made ahead, no more, and those that nobody has begun are not made behind the end."""
    made: list[int] = []
    begun, go_on = threading.Event(), threading.Event()

    def source() -> Iterator[int]:
        for number in range(9):
            made.append(number)
            yield number
            if number == 2:
                begun.set()
                go_on.wait()

    items = OnCall(source(), 3)
    items.call()
    items._pool.submit(int).result()
    assert made == [0, 1, 2]
    assert next(items) == 0
    items.call()
    next(items)
    items.call()
    begun.wait()
    threading.Timer(0.1, go_on.set).start()
    items.close()
    assert made == [0, 1, 2, 3]
