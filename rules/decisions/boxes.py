"""Where no row of a set applies: boxes of the space, found without going through all combinations.

Axis by axis, pieces that leave the same rows over are treated as one, and what was worked out for some rows on the
remaining axes is kept. So tables made of ranges need about as many steps as they have rows times axes. Work is bounded;
what does not end within the bound is said to be incomplete.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from rules.decisions.axes import Axis, Pieces, RowBits

Box = tuple[Pieces, ...]
MAX_STEPS = 150_000
MAX_BOXES = 20_000
SHOWN = 200


class TooMuch(Exception):
    """The search does not end within its bound."""


@dataclass(frozen=True)
class Found:
    """Boxes that no row covers, apart from each other; not `complete` if there may be more."""

    boxes: tuple[Box, ...]
    complete: bool = True


class Search:
    """Searches what is left over by rows in a part of the space: the pieces `within` on each axis."""

    def __init__(self, axes: Sequence[Axis], within: Sequence[Pieces]) -> None:
        self._order = sorted(range(len(axes)), key=lambda n: len(axes[n].classes))
        self._within = [within[n] for n in self._order]
        self._classes = [
            [(rows, pieces & within[n]) for rows, pieces in axes[n].classes.items() if pieces & within[n]]
            for n in self._order
        ]
        self._full = self._covering()
        self._gaps: dict[tuple[int, RowBits], tuple[Box, ...]] = {}
        self._closed: set[tuple[int, RowBits]] = set()
        self.steps = 0

    def _covering(self) -> list[RowBits]:
        """Return for each axis the rows that cover it and all that follow."""
        full = [~0]
        for classes in reversed(self._classes):
            everywhere = full[-1]
            for rows, _ in classes:
                everywhere &= rows
            full.append(everywhere)
        return list(reversed(full))

    def _step(self) -> None:
        self.steps += 1
        if self.steps > MAX_STEPS:
            raise TooMuch

    def gaps(self, rows: RowBits) -> Found:
        """Return what none of the rows covers."""
        try:
            return Found(tuple(sorted(map(self._restored, self._left(0, rows)))))
        except TooMuch:
            return self._some(rows)

    def covered(self, rows: RowBits) -> bool:
        """Tell whether the rows together cover everything; raises `TooMuch`."""
        return not self._open(0, rows)

    def _left(self, axis: int, rows: RowBits) -> tuple[Box, ...]:
        if rows == 0:
            return (tuple(self._within[axis:]),)
        if rows & self._full[axis]:
            return ()
        key = (axis, rows)
        if key not in self._gaps:
            self._gaps[key] = self._split(axis, rows)
        return self._gaps[key]

    def _split(self, axis: int, rows: RowBits) -> tuple[Box, ...]:
        joined: dict[Box, Pieces] = {}
        for left, pieces in self._parts(axis, rows).items():
            self._step()
            for box in self._left(axis + 1, left):
                joined[box] = joined.get(box, 0) | pieces
        if len(joined) > MAX_BOXES:
            raise TooMuch
        return tuple((pieces, *box) for box, pieces in joined.items())

    def _parts(self, axis: int, rows: RowBits) -> dict[RowBits, Pieces]:
        """Return the rows that pieces of an axis leave over, with the pieces that leave the same."""
        parts: dict[RowBits, Pieces] = {}
        for covering, pieces in self._classes[axis]:
            left = rows & covering
            parts[left] = parts.get(left, 0) | pieces
        return parts

    def _open(self, axis: int, rows: RowBits) -> bool:
        if rows == 0:
            return True
        key = (axis, rows)
        if rows & self._full[axis] or key in self._closed:
            return False
        for left in self._parts(axis, rows):
            self._step()
            if self._open(axis + 1, left):
                return True
        self._closed.add(key)
        return False

    def _some(self, rows: RowBits) -> Found:
        """Return the first few boxes, where all of them would be too many."""
        self.steps = 0
        boxes: list[Box] = []
        try:
            for box in self._each(0, rows):
                boxes.append(self._restored(box))
                if len(boxes) == SHOWN:
                    break
        except TooMuch:
            pass
        return Found(tuple(boxes), complete=False)

    def _each(self, axis: int, rows: RowBits) -> Iterator[Box]:
        if rows == 0:
            yield tuple(self._within[axis:])
        elif not rows & self._full[axis]:
            for left, pieces in self._parts(axis, rows).items():
                self._step()
                for box in self._each(axis + 1, left):
                    yield (pieces, *box)

    def _restored(self, box: Box) -> Box:
        """Return a box with its axes in their order."""
        places = sorted(range(len(box)), key=lambda n: self._order[n])
        return tuple(box[n] for n in places)
