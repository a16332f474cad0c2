"""One input column, compiled: its line cut into pieces, and for each piece the rows whose cells cover it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import polars as pl

from rules.decisions.lines import Bins, Key, Line
from rules.decisions.sets import Cover, bin_range, edges
from rules.schema import FieldType

Words = np.ndarray[Any, np.dtype[np.uint64]]
"""Rows as bits: row n is bit n % 64 of word n // 64."""
WORD = 64


def words_of(count: int) -> int:
    """Return how many words hold so many bits."""
    return max(1, -(-count // WORD))


def bits(rows: Sequence[int], count: int) -> Words:
    """Return the words in which the bits of some of `count` rows are set."""
    flags = np.zeros(words_of(count) * WORD, np.uint8)
    flags[list(rows)] = 1
    return np.packbits(flags, bitorder="little").view("<u8").astype(np.uint64)


def unpacked(masks: Words, count: int) -> np.ndarray[Any, np.dtype[np.uint8]]:
    """Return one 0 or 1 a row for each mask."""
    return np.unpackbits(masks.astype("<u8").view(np.uint8), axis=-1, bitorder="little")[..., :count]


@dataclass(frozen=True)
class Column:
    """The pieces of a column: those between its edges, then one for empty values, then one for NaN.

    `covered[piece, row]` tells whether the row's cell covers the piece; `allowed[piece]` whether its values may occur.
    """

    line: Line
    type: FieldType
    cuts: list[Key]
    covered: np.ndarray[Any, np.dtype[np.bool_]]
    allowed: np.ndarray[Any, np.dtype[np.bool_]] | None

    @property
    def null(self) -> int:
        """Return the piece of empty values."""
        return len(self.cuts) + 1

    @property
    def nan(self) -> int:
        """Return the piece of NaN."""
        return len(self.cuts) + 2

    def bins(self, values: pl.Series) -> Bins:
        """Return the piece that each value lies in."""
        empty = values.is_null() if values.null_count() else None
        found = self._filled(values, empty)
        if values.dtype.is_float():
            found = np.where(np.isnan(values.fill_null(0.0).to_numpy()), self.nan, found)
        return found if empty is None else np.where(empty.to_numpy(), self.null, found)

    def _filled(self, values: pl.Series, empty: pl.Series | None) -> Bins:
        if not self.cuts:
            return np.zeros(len(values), np.int64)
        filler = "" if values.dtype == pl.String else 0
        filled = values if empty is None else _filled(values, filler)
        return self.line.bins(filled, self.cuts)


def _filled(values: pl.Series, filler: object) -> pl.Series:
    return values.to_physical().fill_null(filler) if values.dtype != pl.Boolean else values.fill_null(value=False)


def build_column(line: Line, type_: FieldType, covers: Sequence[Cover], allowed: Cover | None) -> Column:
    """Return the column of the rows' covers, in the order of the rows."""
    known = [*covers, allowed] if allowed is not None else list(covers)
    cuts = edges(known)
    pieces = {found: _pieces(found, cuts) for found in set(known)}
    covered = np.stack([pieces[found] for found in covers], axis=1) if covers else np.zeros((len(cuts) + 3, 0), bool)
    return Column(line, type_, cuts, covered, None if allowed is None else pieces[allowed])


def _pieces(found: Cover, cuts: list[Key]) -> np.ndarray[Any, np.dtype[np.bool_]]:
    flags = np.zeros(len(cuts) + 3, bool)
    for span in found.spans:
        inside = bin_range(span, cuts)
        flags[inside.start : inside.stop] = True
    flags[len(cuts) + 1 :] = (found.null, found.nan)
    return flags
