"""Which pairs of records are worth comparing, so that a million records can meet a million.

Small sets are compared in full. Else records meet if they share one of the rarest features of one: a whole value, a
run of characters, the beginnings of two words or of two values. A feature of more than `FREQUENT` records is not looked
at; a record that has no other features meets its neighbours when all are sorted by their values. What is held at a
time: the features of the larger side that a part of the smaller one asks for, and one chunk of pairs.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from itertools import combinations

import numpy as np
import polars as pl
from numpy.typing import NDArray

from rules.documents.sync import MatchKind
from rules.reconcile.correlate import features
from rules.reconcile.correlate.features import Features, Rows, joined, mixed
from rules.reconcile.correlate.forms import WORDS, Forms
from rules.reconcile.correlate.index import Index

ALL_PAIRS = 1_000_000
FREQUENT = 150
LONG = 6
NEAR = 10
PORTION = 250_000
_SLICE = 50_000
_GRAMS = 6
_COARSE = 4
_BITS = 24


@dataclass(frozen=True)
class Field:
    """One compared field of one side; `crossing` if some values of either side are written in another way."""

    forms: Forms
    kind: MatchKind
    crossing: bool


@dataclass(frozen=True)
class Side:
    """One side of a tier: its fields and, for each record, the group of its exact values (0: cannot match)."""

    fields: tuple[Field, ...]
    groups: NDArray[np.uint64]

    def slices(self) -> Iterator[tuple[int, Side]]:
        """Yield parts of the side with the row at which each begins."""
        for start in range(0, len(self.groups), _SLICE):
            cut = slice(start, start + _SLICE)
            yield (
                start,
                Side(tuple(Field(_cut(f.forms, start), f.kind, f.crossing) for f in self.fields), self.groups[cut]),
            )


def _cut(forms: Forms, start: int) -> Forms:
    parts = (part.slice(start, _SLICE) for part in (forms.own, forms.other, forms.marked))
    return Forms(*parts)


@dataclass
class Candidates:
    """The pairs worth comparing of an asking and an asked side, and what was too frequent to look at."""

    asking: Side
    asked: Side
    values: int = 0
    blocked: list[Rows] = field(default_factory=list)

    @property
    def records(self) -> int:
        """Return how many asking records have frequent features only, so that they met but their neighbours."""
        return sum(len(rows) for rows in self.blocked)

    def chunks(self) -> Iterator[tuple[Rows, Rows]]:
        """Yield (asking row, asked row) without repeats; all pairs of an asking row are in one chunk."""
        groups, counts = np.unique(self.asked.groups[self.asked.groups > 0], return_counts=True)
        sizes = _sizes(groups, counts, self.asking.groups)
        if int(sizes.sum()) <= ALL_PAIRS:
            yield from self._full(sizes > 0)
            return
        small = (sizes > 0) & (sizes <= FREQUENT)
        yield from self._full(small)
        yield from self._shared((sizes > 0) & ~small)
        if self.records:
            yield neighbours(self.asking, self.asked, np.concatenate(self.blocked))

    def _full(self, mask: NDArray[np.bool_]) -> Iterator[tuple[Rows, Rows]]:
        index = Index.of(Features(self.asked.groups, np.arange(len(self.asked.groups), dtype=np.uint32)))
        rows = np.flatnonzero(mask).astype(np.uint32)
        yield from index.meet(Features(self.asking.groups[rows], rows))

    def _shared(self, mask: NDArray[np.bool_]) -> Iterator[tuple[Rows, Rows]]:
        """Yield pairs that share a rare feature, beside their group."""
        if not mask.any():
            return
        frequency = np.zeros(1 << _BITS, np.uint32)
        for start, part in self.asked.slices():
            for one in _passes(part, start):
                np.add.at(frequency, _bucket(one.hashes), np.uint32(1))
        chosen: list[Features] = []
        for start, part in self.asking.slices():
            chosen.append(self._rare(part, start, mask, frequency))
            if start + _SLICE >= len(mask) or (start + _SLICE) % PORTION == 0:
                yield from self._index(chosen).meet(joined(chosen))
                chosen = []

    def _index(self, chosen: list[Features]) -> Index:
        """Return the features of the asked side that are asked for."""
        wanted = np.zeros(1 << _BITS, np.bool_)
        for one in chosen:
            wanted[_bucket(one.hashes)] = True
        kept = [
            one.where(wanted[_bucket(one.hashes)])
            for start, part in self.asked.slices()
            for one in _passes(part, start)
        ]
        return Index.of(joined(kept))

    def _rare(self, part: Side, start: int, mask: NDArray[np.bool_], frequency: NDArray[np.uint32]) -> Features:
        """Return the rarest features of asking records, by record; counts records that have frequent ones only."""
        most = max(_GRAMS // len(part.fields), 2)
        wanted, met, blocked = [], np.zeros(len(part.groups), np.bool_), np.zeros(len(part.groups), np.bool_)
        for one in _passes(part, start):
            times = frequency[_bucket(one.hashes)]
            fine = (times > 0) & (times <= FREQUENT) & mask[one.rows]
            often = (times > FREQUENT) & mask[one.rows]
            self.values += len(np.unique(one.hashes[often]))
            blocked[one.rows[often] - start] = True
            met[one.rows[fine] - start] = True
            wanted.append(_first(one.where(fine), times[fine], most))
        self.blocked.append((np.flatnonzero(blocked & ~met) + start).astype(np.uint32))
        found = joined(wanted)
        return found.where(np.argsort(found.rows, kind="stable"))


def _sizes(groups: NDArray[np.uint64], counts: NDArray[np.int64], asking: NDArray[np.uint64]) -> NDArray[np.int64]:
    """Return how many records of the other side are in the group of each asking record."""
    if not len(groups):
        return np.zeros(len(asking), np.int64)
    where = np.minimum(np.searchsorted(groups, asking), len(groups) - 1)
    return np.where(groups[where] == asking, counts[where], 0)


def _bucket(hashes: NDArray[np.uint64]) -> NDArray[np.int64]:
    return (hashes >> np.uint64(64 - _BITS)).astype(np.int64)


def _first(found: Features, times: NDArray[np.uint32], most: int) -> Features:
    """Return the rarest features of each record."""
    order = np.lexsort((found.hashes, times, found.rows))
    rows = found.rows[order]
    begins = np.r_[True, rows[1:] != rows[:-1]] if len(rows) else np.empty(0, np.bool_)
    place = np.arange(len(rows)) - np.maximum.accumulate(np.where(begins, np.arange(len(rows)), 0))
    return found.where(order[place < most])


def _passes(part: Side, start: int) -> Iterator[Features]:
    """Yield the features of part of a side, a pass each; every feature is bound to its record's group."""
    for number, one in enumerate(_plain_passes(part)):
        salted = mixed(one.salted(number).hashes, part.groups[one.rows])
        usable = part.groups[one.rows] > 0
        yield Features(salted[usable], one.rows[usable] + np.uint32(start))


def _plain_passes(part: Side) -> Iterator[Features]:
    for one in part.fields:
        own, size = one.forms.own, features.gram_size(one.kind)
        yield features.whole(features.turned(own) if one.kind is MatchKind.DATE else own)
        if one.kind not in (MatchKind.DATE, MatchKind.NUMBER):
            yield features.grams(own, size)
        if one.kind in WORDS:
            yield features.grams(own, LONG)
            yield features.word_pairs(own)
        if one.crossing:
            yield features.grams(one.forms.other, size)
            yield features.word_pairs(one.forms.other)
    for first, second in combinations(part.fields[:_COARSE], 2):
        for a in _coarse(first):
            for b in _coarse(second):
                yield features.whole(a + "\n" + b)


def _coarse(one: Field) -> list[pl.Series]:
    return features.coarse(_readable(one), one.kind)


def neighbours(asking: Side, asked: Side, rows: Rows) -> tuple[Rows, Rows]:
    """Return asking rows with those that are next to them when all are sorted by group and values."""
    there = _sortable(asked, np.arange(len(asked.groups), dtype=np.uint32), asks=False).sort("group", "text", "row")
    here = _sortable(asking, rows, asks=True)
    placed = pl.concat([there, here]).sort("group", "text", "asks", "row")
    placed = placed.with_columns(at=(~pl.col("asks")).cum_sum().cast(pl.Int64)).filter("asks")
    steps = pl.DataFrame({"step": range(-NEAR, NEAR)}, schema={"step": pl.Int64})
    found = placed.join(steps, how="cross").with_columns(at=pl.col("at") + pl.col("step"))
    pairs = found.join(there.with_row_index("at").cast({"at": pl.Int64}), on=["at", "group"]).sort("row", "row_right")
    return pairs["row"].to_numpy(), pairs["row_right"].to_numpy()


def _sortable(side: Side, rows: Rows, *, asks: bool) -> pl.DataFrame:
    text = [_readable(one).gather(rows) for one in side.fields]
    whole = pl.DataFrame(text).select(pl.concat_str(pl.all(), separator=" ", ignore_nulls=True)).to_series()
    return pl.DataFrame({"group": side.groups[rows], "text": whole, "row": rows}).with_columns(asks=pl.lit(asks))


def _readable(one: Field) -> pl.Series:
    return one.forms.other if one.crossing else one.forms.own
