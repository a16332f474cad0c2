"""Places in the tree, told as ranges of the first and the last one. Pure."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterable, Iterator, Sequence
from operator import itemgetter


def ranges(places: Iterable[int]) -> list[list[int]]:
    """Return sorted places as [first, last] pairs of those that follow each other."""
    found: list[list[int]] = []
    for place in places:
        extend(found, place)
    return found


def extend(found: list[list[int]], place: int) -> None:
    """Add a place: to the last range where it follows it, else as one of its own."""
    if found and found[-1][1] == place - 1:
        found[-1][1] = place
    else:
        found.append([place, place])


def merged(found: Iterable[tuple[int, int]]) -> list[tuple[int, int]]:
    """Return ranges by their places, those that overlap or follow each other as one."""
    joined: list[tuple[int, int]] = []
    for first, last in sorted(found):
        if joined and first <= joined[-1][1] + 1:
            joined[-1] = (joined[-1][0], max(last, joined[-1][1]))
        else:
            joined.append((first, last))
    return joined


def without(first: int, last: int, covered: Sequence[tuple[int, int]]) -> Iterator[tuple[int, int]]:
    """Yield the parts of a range that lie in none of some merged ranges."""
    at = first
    for number in range(bisect_left(covered, first, key=itemgetter(1)), len(covered)):
        start, end = covered[number]
        if start > last:
            break
        if start > at:
            yield at, start - 1
        at = end + 1
    if at <= last:
        yield at, last
