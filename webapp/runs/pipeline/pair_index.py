"""The rows of a log of pairs that no later one takes the place of, found by the key of either side.

Keys are found by hashes in runs that are merged as they grow (`hash_runs`), so that neither a look-up nor a new row
touches all the others. What a hash names is compared with the key itself; keys whose hash another key has as well are
listed beside.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np
import polars as pl

from webapp.runs.pipeline.chunk import PAIRS
from webapp.runs.pipeline.hash_runs import HashRun

LINK, APART, GONE = "link", "apart", "gone"
_HELD = {**PAIRS, "op": pl.Enum([LINK, APART, GONE])}
_SIDES = ("left", "right")
_GROWS = 2
"""Runs are merged with what comes behind them unless they are more than so many times as large."""
_SPARE = 100_000
"""The log is written anew when so many more than half of its rows count no more."""
_SLICE = 100_000
"""So many rows are looked at together where all are looked at."""

Array = np.ndarray[Any, Any]
_NOWHERE = np.iinfo(np.uint32).max


class PairIndex:
    """Rows of pairs; a row has the number of its place in the log, and that of the segment that holds it."""

    def __init__(self) -> None:
        self._clear()

    def _clear(self) -> None:
        self._blocks: list[pl.DataFrame] = []
        self._frame = pl.DataFrame(schema=_HELD)
        self._live = np.empty(0, dtype=bool)
        self._segments = np.empty(0, dtype=np.int32)
        self._sides = {side: _Keys() for side in _SIDES}

    def add(self, rows: pl.DataFrame) -> None:
        """Add rows with their `segment` behind all others; those that they take the place of count no more."""
        keys = [rows[f"{side}_key"] for side in _SIDES]
        places = {side: self._sides[side].find(named) for side, named in zip(_SIDES, keys, strict=True)}
        for side, named in zip(_SIDES, keys, strict=True):
            self._live[_there(self._compared(side, named, places[side]))] = False
        stays = keys[0].is_null() | keys[0].is_last_distinct()
        stays &= (keys[1].is_null() | keys[1].is_last_distinct()) & (rows["op"] != GONE)
        if not stays.all():
            rows, places = rows.filter(stays), {side: at[stays.to_numpy()] for side, at in places.items()}
        segments = rows["segment"].to_numpy().astype(np.int32)
        self._append(rows.select(pl.col(name).cast(dtype) for name, dtype in _HELD.items()), segments, places)
        if np.count_nonzero(~self._live) > len(self._live) // 2 + _SPARE:
            self._renew()

    def find(self, side: str, keys: pl.Series) -> pl.Series:
        """Return the row of each key of a side, null where there is none."""
        return self._compared(side, keys, self._sides[side].find(keys))

    def _compared(self, side: str, keys: pl.Series, at: Array) -> pl.Series:
        """Return the row of each key of a side, null where there is none; `at` are those that their hashes name."""
        hit = np.flatnonzero(at != _NOWHERE)
        places = pl.Series(at[hit])
        same = (self._frame[f"{side}_key"].gather(places) == keys.gather(hit)).fill_null(value=False).to_numpy()
        hit = hit[same & self._live[at[hit]]]
        found = pl.repeat(None, keys.len(), dtype=pl.UInt32, eager=True).scatter(hit, at[hit])
        odd = self._sides[side].odd
        listed = {row: odd[key] for row, key in enumerate(keys) if key in odd} if odd else {}
        listed = {row: at for row, at in listed.items() if self._live[at] and found[row] is None}
        return found.scatter(list(listed), list(listed.values())) if listed else found

    def rows(self, numbers: pl.Series) -> pl.DataFrame:
        """Return rows by number with their `segment`, nulls where a number is null."""
        there = numbers.is_not_null().arg_true()
        segments = pl.repeat(None, numbers.len(), dtype=pl.Int64, eager=True)
        segments = segments.scatter(there, pl.Series(self._segments[_there(numbers)], dtype=pl.Int64))
        return self._frame.select(pl.all().gather(numbers)).with_columns(pl.col("op").cast(pl.String), segment=segments)

    def slices(self) -> Iterator[pl.DataFrame]:
        """Yield all rows that count, some at a time."""
        for start in range(0, len(self._live), _SLICE):
            yield self.rows(self._living(slice(start, start + _SLICE)))

    def sizes(self) -> dict[int, int]:
        """Return how many rows that count lie in each segment."""
        numbers, rows = np.unique(self._segments[self._live], return_counts=True)
        return dict(zip(numbers.tolist(), rows.tolist(), strict=True))

    def inside(self, segment: int) -> pl.Series:
        """Return the numbers of the rows that count in a segment."""
        return pl.Series(np.flatnonzero(self._live & (self._segments == segment)), dtype=pl.UInt32)

    def move(self, numbers: pl.Series, segment: int) -> None:
        """Note that rows lie in another segment from now on."""
        self._segments[numbers.to_numpy()] = segment

    def __len__(self) -> int:
        """Return how many pairs are linked."""
        return int(np.count_nonzero((self._frame["op"] == LINK).to_numpy() & self._live))

    def _living(self, part: slice) -> pl.Series:
        return pl.Series(np.flatnonzero(self._live[part]) + part.start, dtype=pl.UInt32)

    def _append(self, rows: pl.DataFrame, segments: Array, places: Mapping[str, Array]) -> None:
        """Add rows; `places` are the rows that the hashes of their keys name, by side."""
        first = self._frame.height
        for side, index in self._sides.items():
            index.set_aside(rows[f"{side}_key"], places[side], self._frame[f"{side}_key"])
            index.add(rows[f"{side}_key"], first)
        while self._blocks and self._blocks[-1].height <= _GROWS * rows.height:
            rows = pl.concat([self._blocks.pop(), rows], rechunk=True)
        self._blocks.append(rows)
        self._frame = pl.concat(self._blocks)
        more = self._frame.height - first
        self._live = np.concatenate([self._live, np.ones(more, dtype=bool)])
        self._segments = np.concatenate([self._segments, segments])

    def _renew(self) -> None:
        """Write the log anew without the rows that count no more."""
        frame, segments = self._frame.filter(self._live), self._segments[self._live]
        self._clear()
        self._append(frame, segments, dict.fromkeys(_SIDES, np.full(frame.height, _NOWHERE, dtype=np.uint32)))


class _Keys:
    """Numbers of rows by hash of a key; in `odd` by key, where the hash names the row of another key."""

    def __init__(self) -> None:
        self._runs: list[HashRun] = []
        self.odd: dict[str, int] = {}

    def find(self, keys: pl.Series) -> Array:
        """Return the number that the hash of each key names, `_NOWHERE` if none."""
        hashes = _hashes(keys)
        order, found = np.argsort(hashes), np.full(len(hashes), _NOWHERE, dtype=np.uint32)
        wanted = hashes[order]
        for run in self._runs:
            same, numbers = run.find(wanted)
            found[order[same]] = numbers[same]
        return found

    def add(self, keys: pl.Series, first: int) -> None:
        """Add keys, each only once, that the rows from number `first` on have; see `set_aside`."""
        there = np.flatnonzero(keys.is_not_null().to_numpy())
        mine = keys.gather(there)
        run = HashRun.of(_hashes(mine), (there + first).astype(np.uint32))
        self.odd |= {str(keys[int(at - first)]): int(at) for at in run.numbers[run.repeated()]}
        while self._runs and len(self._runs[-1]) <= _GROWS * len(run):
            run = _last_of_each(self._runs.pop().merged(run))
        if len(run):
            self._runs.append(_last_of_each(run))

    def set_aside(self, keys: pl.Series, at: Array, known: pl.Series) -> None:
        """List the keys beside whose place others are about to take.

        `at` are the numbers that the hashes of these name, and `known` has the keys of all rows before.
        """
        hit = np.flatnonzero((at != _NOWHERE) & keys.is_not_null().to_numpy())
        others = known.gather(pl.Series(at[hit]))
        taken = (others != keys.gather(hit)).to_numpy()
        self.odd |= dict(zip(others.filter(taken), at[hit][taken].tolist(), strict=True))


def _hashes(keys: pl.Series) -> Array:
    return keys.hash().to_numpy()


def _last_of_each(run: HashRun) -> HashRun:
    last = ~run.repeated()
    return run if last.all() else HashRun(run.hashes[last], run.numbers[last])


def _there(numbers: pl.Series) -> Array:
    return numbers.drop_nulls().to_numpy()
