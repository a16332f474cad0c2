"""Sorted hashes with a number for each: what keys are found by, however many there are.

Whoever grows keeps several such runs and merges them as they grow (the logarithmic method of Bentley and Saxe, 1980),
so that a look-up asks only a handful of them, and adding a few to millions costs no more than those few.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

Hashes = np.ndarray[tuple[int], np.dtype[np.uint64]]
Numbers = np.ndarray[tuple[int], Any]
Mask = np.ndarray[tuple[int], np.dtype[np.bool_]]


@dataclass(frozen=True)
class HashRun:
    """Sorted hashes, and a number for each; those of equal hashes stand as they were given."""

    hashes: Hashes
    numbers: Numbers

    @classmethod
    def of(cls, hashes: Hashes, numbers: Numbers) -> HashRun:
        """Sort hashes; what is sorted in parts already is merged in one pass."""
        order = np.argsort(hashes, kind="stable")
        return cls(hashes[order], numbers[order])

    def __len__(self) -> int:
        return len(self.hashes)

    def merged(self, behind: HashRun) -> HashRun:
        """Return one run of this and another, which stands behind it."""
        return self.of(np.append(self.hashes, behind.hashes), np.append(self.numbers, behind.numbers))

    def repeated(self) -> Mask:
        """Tell of each hash whether the same one stands behind it."""
        return np.append(self.hashes[1:] == self.hashes[:-1], values=False) if len(self) else np.zeros(0, np.bool_)

    def find(self, wanted: Hashes) -> tuple[Mask, Numbers]:
        """Return which hashes are there, and the numbers of those (of equal ones the first); the run is not empty.

        Give `wanted` sorted: neighbours lie near each other in the run, which is what a look-up costs.
        """
        at = np.minimum(np.searchsorted(self.hashes, wanted), len(self) - 1)
        return self.hashes[at] == wanted, self.numbers[at]
