"""Keys that a run has met, as hashes: nine bytes a key (with a number of eight bytes, sixteen), however many there are.

They lie in runs that are merged as they grow (`hash_runs`). Before them stands a table of bits that tells at once of
most keys that they are not there (Bloom, 1970). Hashes are those of this process and are never stored.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import polars as pl

from webapp.runs.pipeline.hash_runs import Hashes, HashRun

_BITS = 25
"""The table has 2 to the power of this many bits, 4 MB."""
_SMALL = 100_000
"""With fewer keys no table is needed."""
_LARGEST = 1_000_000
"""Runs of so many keys stay as they are: putting two together takes three times their memory for a moment."""
_PART = 100_000
"""So many keys are looked up at once where there may be millions."""


class MetKeys:
    """Hashes of keys, and a number for each."""

    def __init__(self, dtype: pl.DataType | None = None) -> None:
        self._dtype = dtype or pl.UInt8()
        self._runs: tuple[HashRun, ...] = ()  # replaced as a whole: one thread may add while others look up

    def __len__(self) -> int:
        return sum(map(len, self._runs))

    def add(self, keys: pl.Series, found: pl.Series) -> None:
        """Take note of keys; those that are null are left out."""
        if keys.null_count():
            given = keys.is_not_null()
            keys, found = keys.filter(given), found.filter(given)
        self._append(HashRun.of(keys.hash().to_numpy(), found.cast(self._dtype).to_numpy()))

    def update(self, other: MetKeys) -> None:
        """Take note of the keys of another one."""
        for run in other._runs:
            self._append(run)

    def _append(self, run: HashRun) -> None:
        runs = self._runs
        while runs and len(runs[-1]) <= len(run) < _LARGEST:
            run, runs = runs[-1].merged(run), runs[:-1]
        if len(run):
            self._runs = (*runs, run)

    def find(self, keys: pl.Series) -> pl.Series:
        """Return the number of each key, null for those that have not been added."""
        hashes = keys.hash().to_numpy()
        order = np.argsort(hashes)
        wanted = hashes[order]
        number = np.zeros(len(hashes), pl.Series([], dtype=self._dtype).to_numpy().dtype)
        there = np.zeros(len(hashes), np.bool_)
        for run in self._runs:
            same, numbers = run.find(wanted)
            number[order[same]] = numbers[same]
            there[order[same]] = True
        return pl.Series(number, dtype=self._dtype).set(pl.Series(~there) | keys.is_null(), None)

    def holds(self, hashes: Hashes) -> bool:
        """Tell whether keys with all of these sorted hashes are there."""
        there = np.zeros(len(hashes), np.bool_)
        for run in self._runs:
            there |= run.find(hashes)[0]
        return bool(there.all())

    def hashes(self) -> Iterator[Hashes]:
        """Yield the hashes of all keys, in parts that are sorted."""
        return (run.hashes for run in self._runs)


class KeySet:
    """A growing set of keys."""

    def __init__(self, keys: pl.Series | None = None) -> None:
        self._keys = MetKeys()
        self._table: np.ndarray[tuple[int], np.dtype[np.uint8]] | None = None
        self._made_of: pl.Series | None = None
        if keys is not None:
            self.add(keys)
            self._made_of = keys

    def __len__(self) -> int:
        return len(self._keys)

    def add(self, keys: pl.Series) -> None:
        """Add keys; those that are null are left out."""
        more = MetKeys()
        more.add(keys, pl.repeat(0, keys.len(), dtype=pl.UInt8, eager=True))
        self._take(more)

    def update(self, other: KeySet, keys: pl.Series) -> None:
        """Add keys; where these are what the other set was made of, nothing has to be hashed and sorted again."""
        made_of = other._made_of
        if made_of is not None and made_of.equals(keys, null_equal=True):
            self._take(other._keys)
        else:
            self.add(keys)

    def _take(self, more: MetKeys) -> None:
        self._made_of = None
        self._keys.update(more)
        if self._table is not None:
            for hashes in more.hashes():
                _mark(self._table, hashes)
        elif len(self._keys) >= _SMALL:
            table = np.zeros(1 << (_BITS - 3), dtype=np.uint8)
            for hashes in self._keys.hashes():
                _mark(table, hashes)
            self._table = table

    def within(self, other: KeySet) -> bool:
        """Tell whether all keys are in another set."""
        parts = (hashes[at : at + _PART] for hashes in self._keys.hashes() for at in range(0, len(hashes), _PART))
        return all(other._keys.holds(part) for part in parts)

    def missing(self, keys: pl.Series) -> pl.Series:
        """Return the keys that are not in the set; looked up in parts, as that takes ten times their memory."""
        parts = (keys[at : at + _PART] for at in range(0, keys.len(), _PART))
        return pl.concat([keys.clear(), *(part.filter(~self.has(part)) for part in parts)])

    def has(self, keys: pl.Series) -> pl.Series:
        """Return a mask of the keys that are in the set; false for nulls."""
        table = self._table
        if table is None:
            return self._keys.find(keys).is_not_null()
        place, bit = _places(keys.hash().to_numpy())
        rows = pl.Series(np.flatnonzero(table[place] & bit), dtype=pl.UInt32)
        found = pl.repeat(value=False, n=keys.len(), dtype=pl.Boolean, eager=True)
        return found.scatter(rows, self._keys.find(keys[rows]).is_not_null()) if rows.len() else found


def _mark(table: np.ndarray[tuple[int], np.dtype[np.uint8]], hashes: Hashes) -> None:
    place, bit = _places(hashes)
    np.bitwise_or.at(table, place, bit)


def _places(
    hashes: Hashes,
) -> tuple[np.ndarray[tuple[int], np.dtype[np.int64]], np.ndarray[tuple[int], np.dtype[np.uint8]]]:
    """Return for each hash the byte of the table and the bit in it."""
    upper = hashes >> np.uint64(64 - _BITS)
    return (upper >> np.uint64(3)).astype(np.int64), np.left_shift(
        1, (upper & np.uint64(7)).astype(np.uint8), dtype=np.uint8
    )
