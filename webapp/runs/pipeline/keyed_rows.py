"""Rows that are found by a key; of those with one key, the last one added counts.

They lie in runs that are merged as they grow, each found by the sorted hashes of its keys (`hash_runs`); what is added
is sorted when somebody asks for one of its keys.
"""

from __future__ import annotations

from dataclasses import dataclass
from threading import Lock

import numpy as np
import polars as pl

from webapp.runs.pipeline.hash_runs import HashRun
from webapp.runs.pipeline.keyset import KeySet

_AT = "__at"


@dataclass(frozen=True)
class _Run:
    """Rows of different keys in the order in which they were added; `places` has where the key of each hash stands."""

    rows: pl.DataFrame
    places: HashRun

    @classmethod
    def of(cls, rows: pl.DataFrame, key: str) -> _Run:
        """Return a run of the last row of each key."""
        places = HashRun.of(rows[key].hash().to_numpy(), np.arange(rows.height, dtype=np.uint32))
        again = places.repeated()
        if not again.any():
            return cls(rows, places)
        one, other = (rows[key].gather(places.numbers[np.flatnonzero(again) + step]) for step in (0, 1))
        if (one != other).any():  # two keys with one hash: only comparing them tells
            last = rows.unique(key, keep="last", maintain_order=True)
            return cls(rows, places) if last.height == rows.height else cls.of(last, key)
        counts = np.ones(rows.height, np.bool_)
        counts[places.numbers[again]] = False
        moved = np.cumsum(counts, dtype=np.uint32) - np.uint32(1)
        return cls(rows.filter(pl.Series(counts)), HashRun(places.hashes[~again], moved[places.numbers[~again]]))

    def find(self, keys: pl.Series, key: str) -> pl.Series:
        """Return where each key stands, null where it does not."""
        hashes = keys.hash().to_numpy()
        order = np.argsort(hashes)
        same, numbers = np.empty(len(hashes), np.bool_), np.empty(len(hashes), np.uint32)
        same[order], numbers[order] = self.places.find(hashes[order])
        place = pl.Series(numbers)
        place = place.set(self.rows[key][place] != keys, None)
        twins = place.is_null() & pl.Series(same)
        if twins.any():  # two keys with one hash: only comparing them tells
            place = place.zip_with(~twins, self._compared(keys, key))
        return place

    def _compared(self, keys: pl.Series, key: str) -> pl.Series:
        all_rows = self.rows.select(pl.col(key).alias("key")).with_row_index(_AT)
        asked = pl.DataFrame({"key": keys})
        return asked.join(all_rows, on="key", how="left", maintain_order="left")[_AT]


class KeyedRows:
    """A growing table with one row a key; one thread may add while another one looks up."""

    def __init__(self, rows: pl.DataFrame, key: str) -> None:
        self._key = key
        self._none = rows.clear()
        self._runs: list[_Run] = []
        self._added = [rows] if rows.height else []
        self._open: KeySet | None = None if rows.height else KeySet()
        """The keys of what is not sorted yet; None where it is the rows that were there first, which all ask for."""
        self._lock = Lock()

    def add(self, rows: pl.DataFrame) -> None:
        """Add rows, which take the place of those with the same key."""
        if rows.is_empty():
            return
        with self._lock:
            self._added.append(rows)
            if self._open is not None:
                self._open.add(rows[self._key])

    def find(self, keys: pl.Series) -> pl.DataFrame:
        """Return the row of each key without the key itself, nulls where there is none."""
        nothing = self._none.drop(self._key)
        with self._lock:
            if self._added and (self._open is None or self._open.has(keys).any()):
                self._sort()
            runs = tuple(reversed(self._runs))
        open_ = keys.is_not_null().arg_true()
        found, places = [nothing], [pl.Series(_AT, [], pl.UInt32)]
        for run in runs:
            place = run.find(keys[open_], self._key)
            there = place.is_not_null()
            if there.any():
                found.append(run.rows.drop(self._key)[place.filter(there)])
                places.append(open_.filter(there))
                open_ = open_.filter(~there)
            if open_.is_empty():
                break
        at = pl.concat(places)
        if at.len() == keys.len() and len(found) == 2:
            return found[1]
        table = pl.concat(found).with_columns(at.alias(_AT))
        asked = pl.DataFrame({_AT: pl.int_range(keys.len(), dtype=pl.UInt32, eager=True)})
        return asked.join(table, on=_AT, how="left", maintain_order="left").drop(_AT)

    def all(self) -> pl.DataFrame:
        """Return all rows, of each key the last one, in the order in which the keys' last rows were added."""
        with self._lock:
            if self._added or len(self._runs) > 1:
                self._sort(whole=True)
            return self._runs[0].rows if self._runs else self._none

    def count(self) -> int:
        """Return how many keys there are, as their hashes tell."""
        with self._lock:
            parts = [*(run.rows for run in self._runs), *self._added]
        return pl.concat([part[self._key].hash() for part in parts]).n_unique() if parts else 0

    def _sort(self, *, whole: bool = False) -> None:
        """Make a run of what was added, together with those that are no larger, or with all."""
        parts, height = self._added, sum(part.height for part in self._added)
        while self._runs and (whole or self._runs[-1].rows.height <= height):
            parts = [self._runs.pop().rows, *parts]
            height += parts[0].height
        self._runs.append(_Run.of(pl.concat(parts), self._key))
        self._added, self._open = [], KeySet()
