"""Parts of the space in words and in the syntax of cells: "amount >= 1000 and country not in CN, DE"."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from rules.decisions.axes import Axis, Pieces
from rules.decisions.boxes import Box
from rules.decisions.cells import Null, Range, Test, Tests, Value
from rules.decisions.columns import Column
from rules.decisions.lines import Key
from rules.decisions.literals import literal
from rules.decisions.sets import Span
from rules.decisions.writing import write_input, write_test
from rules.schema import FieldType
from rules.text import N_, Message, msg

LISTED = 8
_COUNTED = frozenset({FieldType.INTEGER, FieldType.DATE, FieldType.BOOLEAN})


@dataclass(frozen=True)
class Part:
    """What holds on one axis: `cell` is the cell that covers it; `input` None stands for the day."""

    input: int | None
    name: str
    cell: str
    words: Message


@dataclass(frozen=True)
class Region:
    """A part of the space; inputs that may be anything are left out."""

    parts: tuple[Part, ...]

    @property
    def words(self) -> Message:
        """Return the region in words."""
        if not self.parts:
            return msg("the inputs are whatever they are")
        words = self.parts[0].words
        for part in self.parts[1:]:
            words = msg("{first} and {second}", first=words, second=part.words)
        return words


def region(axes: Sequence[Axis], box: Box) -> Region:
    """Return what a box is called."""
    parts = [_part(axis, pieces) for axis, pieces in zip(axes, box, strict=True) if pieces != axis.viable]
    return Region(tuple(parts))


def _part(axis: Axis, pieces: Pieces) -> Part:
    column = axis.column
    ordinary = (1 << column.null) - 1
    tests = _tests(axis, pieces)
    left = _tests(axis, axis.viable & ordinary & ~pieces)
    points = all(isinstance(test, Range) and test.point for test in left)
    inverse = points and len(left) < len(tests) and bool(pieces & ordinary)
    empty, nan = bool(pieces >> column.null & 1), bool(pieces >> column.nan & 1)
    cell = _cell(axis, tests, left, inverse=inverse, empty=empty)
    words = [_ordinary(axis, tests, left, inverse=inverse)] if tests else []
    words += [msg("{input} is empty", input=axis.name)] if empty else []
    words += [msg("{input} is not a number (NaN)", input=axis.name)] if nan else []
    said = words[0]
    for more in words[1:]:
        said = msg("({first} or {second})", first=said, second=more)
    return Part(axis.input, axis.name, cell, said)


def _cell(axis: Axis, tests: list[Range], left: list[Range], *, inverse: bool, empty: bool) -> str:
    type_ = axis.column.type
    if inverse:
        return write_input(Tests(tuple(left) or (Null(),), negated=True, or_null=empty), type_)
    items: list[Test] = [Null()] if empty else []
    return ", ".join(write_test(test, type_) for test in [*items, *tests])


def _ordinary(axis: Axis, tests: list[Range], left: list[Range], *, inverse: bool) -> Message:
    type_, name = axis.column.type, axis.name
    if axis.input is None:
        return _days(tests)
    if inverse and not left:
        return msg("{input} is not empty", input=name)
    if inverse:
        return msg("{input} not in {values}", input=name, values=_listed(left, type_))
    if all(test.point for test in tests):
        text = N_("{input} in {values}") if len(tests) > 1 else N_("{input} is {values}")
        return msg(text, input=name, values=_listed(tests, type_))
    if len(tests) == 1 and (tests[0].low is None or tests[0].high is None):
        return msg("{input} {test}", input=name, test=write_test(tests[0], type_))
    return msg("{input} in {values}", input=name, values=_listed(tests, type_))


def _listed(tests: list[Range], type_: FieldType) -> Message | str:
    """Return alternatives for people: texts without quotes, long lists cut short."""
    shown = ", ".join(
        str(test.low) if test.point and isinstance(test.low, str) else write_test(test, type_)
        for test in tests[:LISTED]
    )
    more = len(tests) - LISTED
    return msg("{values} and {count} more", values=shown, count=more) if more > 0 else shown


def _days(tests: list[Range]) -> Message:
    said = [_day(test) for test in tests]
    words = said[0]
    for more in said[1:]:
        words = msg("{first} or {second}", first=words, second=more)
    return words


def _day(test: Range) -> Message:
    if test.low is None:
        return msg("the day is before {until}", until=str(test.high))
    if test.high is None:
        return msg("the day is {since} or later", since=str(test.low))
    return msg("the day is from {since} to before {until}", since=str(test.low), until=str(test.high))


def _tests(axis: Axis, pieces: Pieces) -> list[Range]:
    """Return the alternatives that cover pieces of ordinary values."""
    return [_range(axis, span) for span in _spans(axis, pieces)]


def _spans(axis: Axis, pieces: Pieces) -> list[Span]:
    """Return pieces as spans, those side by side joined."""
    ends = [None, *axis.column.cuts, None]
    spans: list[Span] = []
    for piece in range(len(ends) - 1):
        if pieces >> piece & 1:
            follows = bool(spans) and bool(pieces >> (piece - 1) & 1)
            start = spans.pop()[0] if follows else ends[piece]
            spans.append((start, ends[piece + 1]))
    return spans


def _range(axis: Axis, span: Span) -> Range:
    """Return a span as it would be written."""
    line = axis.column.line
    start = line.first if span[0] is None else span[0]
    stop = line.end if span[1] is None else span[1]
    if start is not None and stop is not None and line.next(start) == stop and axis.input is not None:
        value = line.value(start)
        return Range(value, value, low_closed=True, high_closed=True)
    low, low_closed = (None, False) if span[0] is None else _end(axis.column, span[0])
    high, high_open = (None, True) if span[1] is None else _end(axis.column, span[1])
    return Range(low, high, low_closed=low_closed, high_closed=not high_open)


def _end(column: Column, key: Key) -> tuple[Value, bool]:
    """Return the value at a cut, and whether the cut lies before it (else behind it).

    A cut that was written like `> 9.99` is told by that value, not by the one behind it, 9.990000000000000001.
    """
    line, before = column.line, column.line.previous(key)
    if before is None or column.type in _COUNTED:
        return line.value(key), True
    value, other = line.value(key), line.value(before)
    shorter = line.at(other) == before and len(literal(other, column.type)) < len(literal(value, column.type))
    behind = line.at(value) != key or shorter
    return (other, False) if behind else (value, True)
