"""What a cell covers, as half-open ranges of keys on the line of its column, with empty values and NaN apart."""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Iterable
from dataclasses import dataclass

from rules.decisions.cells import InputCell, Null, Test, Tests
from rules.decisions.lines import Key, Line

Span = tuple[Key | None, Key | None]
"""From a key on (None: from the beginning) to below a key (None: to the end)."""


@dataclass(frozen=True)
class Cover:
    """The values that a cell applies to; spans are sorted, apart from each other and not empty."""

    spans: tuple[Span, ...]
    null: bool = False
    nan: bool = False


EVERYTHING = Cover(((None, None),), null=True, nan=True)


def cover(cell: InputCell, line: Line) -> Cover:
    """Return what a cell covers; an expression, which is asked for itself, covers everything here.

    Empty values meet only `null` and `-`, NaN meets only `-`.
    """
    return alternatives([cell], line) if isinstance(cell, Tests) else EVERYTHING


def alternatives(cells: Iterable[Tests], line: Line) -> Cover:
    """Return what at least one of several cells covers."""
    spans: list[Span] = []
    null = False
    for cell in cells:
        inside = [span for test in cell.items for span in _spans(test, line)]
        spans += outside(merged(inside, line), line) if cell.negated else inside
        null = null or cell.or_null or (not cell.negated and any(isinstance(test, Null) for test in cell.items))
    return Cover(merged(spans, line), null)


def _spans(test: Test, line: Line) -> list[Span]:
    if isinstance(test, Null):
        return []
    start = None if test.low is None else line.at(test.low) if test.low_closed else line.after(test.low)
    stop = None if test.high is None else line.after(test.high) if test.high_closed else line.at(test.high)
    return [(start, stop)]


def clipped(span: Span, line: Line) -> Span | None:
    """Return a span without what lies off the line, its ends None where the line's are; None if nothing is left."""
    start, stop = span
    if start is not None and line.first is not None and start <= line.first:
        start = None
    if stop is not None and line.end is not None and stop >= line.end:
        stop = None
    low = line.first if start is None else start
    high = line.end if stop is None else stop
    return None if low is not None and high is not None and low >= high else (start, stop)


def merged(spans: Iterable[Span], line: Line) -> tuple[Span, ...]:
    """Return spans sorted, joined where they touch, without empty ones."""
    kept = [span for span in (clipped(span, line) for span in spans) if span is not None]
    by_start: list[Span] = sorted((span for span in kept if span[0] is not None), key=_start)
    result: list[Span] = []
    for start, stop in [*(span for span in kept if span[0] is None), *by_start]:
        last = result[-1] if result else None
        if last is not None and (last[1] is None or start is None or start <= last[1]):
            result[-1] = (last[0], None if last[1] is None or stop is None else max(last[1], stop))
        else:
            result.append((start, stop))
    return tuple(result)


def _start(span: Span) -> Key:
    return span[0]


def outside(spans: tuple[Span, ...], line: Line) -> list[Span]:
    """Return what merged spans leave over."""
    left: list[Span] = []
    start: Key | None = None
    for low, high in spans:
        if low is not None:
            left.append((start, low))
        if high is None:
            return left
        start = high
    return [*left, *merged([(start, None)], line)]


def edges(covers: Iterable[Cover]) -> list[Key]:
    """Return where what is covered begins or ends, sorted."""
    return sorted({end for found in covers for span in found.spans for end in span if end is not None})


def bin_range(span: Span, cuts: list[Key]) -> range:
    """Return the pieces of a line, cut at the edges, that a span consists of."""
    start = 0 if span[0] is None else bisect_right(cuts, span[0])
    stop = len(cuts) + 1 if span[1] is None else bisect_left(cuts, span[1]) + 1
    return range(start, stop)
