"""Rows that are found by a key; of those with one key, the last one added counts.

They lie in runs that are merged as they grow (the logarithmic method of Bentley and Saxe, 1980), so that adding a few
rows to millions costs no more than those few. Each run is found by sorted hashes of its keys; what is added is sorted
when somebody asks for one of its keys.
"""

from __future__ import annotations

from dataclasses import dataclass
from threading import Lock

import polars as pl

from webapp.runs.pipeline.keyset import KeySet

_AT = "__at"


@dataclass(frozen=True)
class _Run:
    """Rows of different keys in the order in which they were added; `order` has the places of the sorted hashes."""

    rows: pl.DataFrame
    hashes: pl.Series
    order: pl.Series

    @classmethod
    def of(cls, rows: pl.DataFrame, key: str) -> _Run:
        hashes = rows[key].hash()
        order = hashes.arg_sort()
        return cls(rows, hashes[order], order)

    def places(self, keys: pl.Series, key: str) -> pl.Series:
        """Return where each key stands, null where it does not."""
        wanted = keys.hash()
        near = wanted.arg_sort()  # neighbours lie near each other, which is what a look-up costs
        at = self.hashes.search_sorted(wanted[near], side="left").clip(0, self.rows.height - 1)[near.arg_sort()]
        place = self.order[at]
        place = place.set(self.rows[key][place] != keys, None)
        twins = place.is_null() & (self.hashes[at] == wanted)
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
        self._all: pl.DataFrame | None = None
        self._open: KeySet | None = None if rows.height else KeySet()
        """The keys of what is not sorted yet; None where it is the rows that were there first, which all ask for."""
        self._lock = Lock()

    def add(self, rows: pl.DataFrame) -> None:
        """Add rows, which take the place of those with the same key."""
        if rows.is_empty():
            return
        with self._lock:
            self._added.append(rows)
            self._all = None
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
            place = run.places(keys[open_], self._key)
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
            if self._all is None:
                self._all = _settled(
                    pl.concat([self._none, *(run.rows for run in self._runs), *self._added]), self._key
                )
            return self._all

    def _sort(self) -> None:
        rows = _settled(pl.concat(self._added), self._key)
        while self._runs and self._runs[-1].rows.height <= rows.height:
            rows = _settled(pl.concat([self._runs.pop().rows, rows]), self._key)
        self._runs.append(_Run.of(rows, self._key))
        self._added, self._open = [], KeySet()


def _settled(rows: pl.DataFrame, key: str) -> pl.DataFrame:
    return rows.unique(key, keep="last", maintain_order=True)
