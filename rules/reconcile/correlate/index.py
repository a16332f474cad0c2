"""Features of one side, sorted, and who shares them."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from rules.reconcile.correlate.features import Features, Rows

CHUNK = 2_000_000
"""So many pairs are held at a time, or those of one record."""


@dataclass(frozen=True)
class Index:
    """Features of asked records, sorted."""

    hashes: NDArray[np.uint64]
    rows: Rows

    @classmethod
    def of(cls, found: Features) -> Index:
        """Return the index of features in any order."""
        order = np.argsort(found.hashes, kind="stable")
        return cls(found.hashes[order], found.rows[order])

    def meet(self, asking: Features) -> Iterator[tuple[Rows, Rows]]:
        """Yield the pairs that share a feature; `asking` is in order of its rows."""
        first = np.searchsorted(self.hashes, asking.hashes, "left")
        counts = np.searchsorted(self.hashes, asking.hashes, "right") - first
        begins = (
            np.flatnonzero(np.r_[True, asking.rows[1:] != asking.rows[:-1]]) if len(asking.rows) else np.empty(0, int)
        )
        total = np.cumsum(counts)
        at = 0
        while at < len(begins):
            start = begins[at]
            before = total[start - 1] if start else 0
            upto = np.searchsorted(total, before + CHUNK, "right")
            to = max(int(np.searchsorted(begins, upto, "right")) - 1, at + 1)
            stop = begins[to] if to < len(begins) and upto < len(total) else len(counts)
            to = to if stop < len(counts) else len(begins)
            yield _expanded(self.rows, asking.rows[start:stop], first[start:stop], counts[start:stop])
            at = to


def _expanded(rows: Rows, asking: Rows, first: NDArray[np.int64], counts: NDArray[np.int64]) -> tuple[Rows, Rows]:
    """Return each asking row with the rows of its run, without repeats."""
    lefts = np.repeat(asking, counts)
    offsets = np.arange(len(lefts)) - np.repeat(np.cumsum(counts) - counts, counts)
    rights = rows[np.repeat(first, counts) + offsets]
    pairs = np.sort(lefts.astype(np.uint64) << np.uint64(32) | rights)
    pairs = pairs[np.r_[True, pairs[1:] != pairs[:-1]]] if len(pairs) else pairs
    return (pairs >> np.uint64(32)).astype(np.uint32), (pairs & np.uint64(0xFFFFFFFF)).astype(np.uint32)
