"""Which rows apply to which records: one look-up a group of columns, joined by AND, in chunks of bounded size.

Columns with few pieces are combined beforehand, so that a table of six inputs needs two or three look-ups. The rows are
bits in the order in which they win.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from rules.decisions.columns import WORD, Column, Words, words_of
from rules.decisions.lines import Bins
from rules.decisions.plan import Rows

CHUNK = 4096
MAX_BYTES = 1 << 21
Flags = np.ndarray[Any, np.dtype[np.bool_]]
Edit = Callable[[Words, slice], Words]


@dataclass(frozen=True)
class Group:
    """Some columns with the rows that apply to each combination of their pieces."""

    columns: tuple[int, ...]
    sizes: tuple[int, ...]
    masks: Words

    def codes(self, bins: Sequence[Bins]) -> Bins:
        """Return the combination that each record has."""
        found = bins[self.columns[0]]
        for column, size in zip(self.columns[1:], self.sizes[1:], strict=True):
            found = found * size + bins[column]
        return found


def build_groups(columns: Sequence[Column], order: Rows) -> tuple[Group, ...]:
    """Return the columns in groups whose tables stay small."""
    width = words_of(len(order))
    ordered = sorted(range(len(columns)), key=lambda n: len(columns[n].covered))
    groups: list[Group] = []
    for number in ordered:
        single = Group((number,), (len(columns[number].covered),), _packed(columns[number], order, width))
        last = groups[-1] if groups else None
        if last is not None and len(last.masks) * single.sizes[0] * width * 8 <= MAX_BYTES:
            joined = (last.masks[:, None, :] & single.masks[None, :, :]).reshape(-1, width)
            groups[-1] = Group(last.columns + single.columns, last.sizes + single.sizes, joined)
        else:
            groups.append(single)
    return tuple(groups)


def _packed(column: Column, order: Rows, width: int) -> Words:
    flags = np.zeros((len(column.covered), width * WORD), np.uint8)
    flags[:, : len(order)] = column.covered[:, order]
    return np.packbits(flags, axis=1, bitorder="little").view("<u8").astype(np.uint64)


def each_chunk(
    groups: Sequence[Group], bins: Sequence[Bins], active: Words, edit: Edit | None
) -> Iterator[tuple[slice, Words]]:
    """Yield the part of the records and the rows that apply to each of them, chunk by chunk."""
    codes = [group.codes(bins) for group in groups]
    first = groups[0].masks & active
    for start in range(0, len(codes[0]), CHUNK):
        part = slice(start, start + CHUNK)
        masks = first.take(codes[0][part], axis=0)
        for group, code in zip(groups[1:], codes[1:], strict=True):
            masks &= group.masks.take(code[part], axis=0)
        yield part, masks if edit is None else edit(masks, part)


def first_bits(masks: Words) -> Rows:
    """Return the lowest bit that is set in each mask, -1 where there is none."""
    word = (masks != 0).argmax(axis=1)
    values = masks[np.arange(len(masks)), word]
    lowest = np.bitwise_count((values & (~values + np.uint64(1))) - np.uint64(1))
    return np.where(values == 0, -1, word * WORD + lowest)


def without(masks: Words, found: Rows) -> Words:
    """Return masks without one bit each; -1 takes none away."""
    left = masks.copy()
    places = np.flatnonzero(found >= 0)
    taken = found[places]
    left[places, taken // WORD] &= ~(np.uint64(1) << (taken % WORD).astype(np.uint64))
    return left
