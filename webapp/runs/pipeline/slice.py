"""A slice: the records of a run whose keys lie in one range, worked on under a lease of its own."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import polars as pl
import sqlalchemy as sa

from connectors.ranges import KeyRange


@dataclass(frozen=True)
class Slice:
    """One of the `of` slices of a run, counted from 1."""

    no: int
    of: int
    within: KeyRange

    @classmethod
    def of_row(cls, row: sa.Row[Any], key: str, of: int) -> Slice:
        """Return the slice of a row of `run_slice`."""
        return cls(row.no, of, KeyRange(key, row.start, row.end))

    @property
    def of_numbers(self) -> bool:
        """Tell whether the keys are whole numbers; how the system sorts others is not known here."""
        return all(isinstance(end, int) for end in (self.within.start, self.within.end) if end is not None)

    def holds(self, keys: pl.Series) -> pl.Series:
        """Return a mask of the keys (texts of whole numbers) that lie in the slice."""
        numbers = keys.cast(pl.Int64, strict=False)
        mask = numbers.is_not_null()
        mask &= numbers >= self.within.start if self.within.start is not None else True
        mask &= numbers < self.within.end if self.within.end is not None else True
        return mask.fill_null(value=False)


def scope_of(scope: str, part: Slice | None) -> str:
    """Return the scope in which a run, or a slice of one, keeps fences: several slices write at a time."""
    return scope if part is None else f"{scope}:slice:{part.no}"
