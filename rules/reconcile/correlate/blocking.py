"""Which pairs of records are worth comparing, so that a million records can meet a million.

Small sets are compared in full. Else two records meet if they share one of a record's rarest features: a whole value, a
run of characters, the beginnings of two values; or if they are neighbours when all are sorted by a value. A feature of
more than `FREQUENT` records is not looked at. What is held at a time: the features of the larger side that the smaller
one asks for, and one chunk of pairs.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import combinations

import numpy as np
import polars as pl
from numpy.typing import NDArray

from rules.documents.sync import MatchKind
from rules.reconcile.correlate import features
from rules.reconcile.correlate.features import Features, Rows, joined, mixed
from rules.reconcile.correlate.forms import WORDS, Forms

ALL_PAIRS = 1_000_000
FREQUENT = 150
LONG = 6
CHUNK = 2_000_000
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
    records: int = 0
    values: int = 0

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
        self.records += int((blocked & ~met).sum())
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
    for field in part.fields:
        values = features.turned(field.forms.own) if field.kind is MatchKind.DATE else field.forms.own
        yield features.whole(values)
        if field.kind not in (MatchKind.DATE, MatchKind.NUMBER):
            yield features.grams(field.forms.own, features.gram_size(field.kind))
        if field.kind in WORDS:
            yield features.grams(field.forms.own, LONG)
            yield features.word_pairs(field.forms.own)
        if field.crossing:
            yield features.grams(field.forms.other, features.gram_size(field.kind))
            yield features.word_pairs(field.forms.other)
    for first, second in combinations(part.fields[:_COARSE], 2):
        for a in _coarse(first):
            for b in _coarse(second):
                yield features.whole(a + "\n" + b)


def _coarse(field: Field) -> list[pl.Series]:
    return features.coarse(field.forms.other if field.crossing else field.forms.own, field.kind)


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
    pairs = np.unique(lefts.astype(np.uint64) << np.uint64(32) | rights)
    return (pairs >> np.uint64(32)).astype(np.uint32), (pairs & np.uint64(0xFFFFFFFF)).astype(np.uint32)
