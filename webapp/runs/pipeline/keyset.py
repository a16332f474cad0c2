"""Keys that a run has met, as hashes: nine bytes a key (with a number of eight bytes, sixteen).

They lie in sorted runs that are merged as they grow (the logarithmic method of Bentley and Saxe, 1980), so that a
look-up asks only a handful of them. Hashes are those of this process and are never stored.
"""

from __future__ import annotations

import polars as pl


class MetKeys:
    """Hashes of keys, and a number for each."""

    def __init__(self, dtype: pl.DataType | None = None) -> None:
        self._dtype = dtype or pl.UInt8()
        self._runs: tuple[pl.DataFrame, ...] = ()  # replaced as a whole: one thread may add while others look up

    def __len__(self) -> int:
        return sum(run.height for run in self._runs)

    def add(self, keys: pl.Series, found: pl.Series) -> None:
        """Take note of keys; those that are null are left out."""
        run = pl.DataFrame({"hash": keys.hash(), "found": found.cast(self._dtype)})
        run = run.filter(keys.is_not_null()).sort("hash")
        runs = self._runs
        while runs and runs[-1].height <= run.height:
            run = pl.concat([runs[-1], run]).sort("hash", maintain_order=True)
            runs = runs[:-1]
        if run.height:
            self._runs = (*runs, run)

    def find(self, keys: pl.Series) -> pl.Series:
        """Return the number of each key, null for those that have not been added."""
        hashes = keys.hash()
        number = pl.repeat(None, keys.len(), dtype=self._dtype, eager=True)
        for run in self._runs:
            at = run["hash"].search_sorted(hashes, side="left").clip(0, run.height - 1)
            same = (run["hash"].gather(at) == hashes) & keys.is_not_null()
            number = number.zip_with(~same, run["found"].gather(at))
        return number


class KeySet:
    """A growing set of keys."""

    def __init__(self, keys: pl.Series | None = None) -> None:
        self._keys = MetKeys()
        if keys is not None:
            self.add(keys)

    def __len__(self) -> int:
        return len(self._keys)

    def add(self, keys: pl.Series) -> None:
        """Add keys; those that are null are left out."""
        self._keys.add(keys, pl.repeat(0, keys.len(), dtype=pl.UInt8, eager=True))

    def has(self, keys: pl.Series) -> pl.Series:
        """Return a mask of the keys that are in the set; false for nulls."""
        return self._keys.find(keys).is_not_null()
