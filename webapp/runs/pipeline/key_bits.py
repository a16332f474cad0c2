"""A few bits that tell of most keys that they are not among those of a segment, so that it need not be read.

Each key sets three bits of a table that has at least twelve for each (Bloom, 1970): of 400 keys that are not there, one
seems to be. The hashes are those of one version of polars; bits that another one has set tell nothing.
"""

from __future__ import annotations

import hashlib

import numpy as np
import polars as pl

_EACH, _LEAST, _MOST = 12, 9, 21
"""Bits a key; the table has 2 to the power of 9 to 21 of them, as a hash of 64 bits gives three places in it."""
_SEED = 1_470_091_531
_MARK = 4

Places = np.ndarray[tuple[int], np.dtype[np.int64]]


def key_bits(keys: pl.Series, kind: str) -> bytes:
    """Return the bits of keys of a kind; those that are null are left out."""
    known = keys.drop_nulls()
    power = min(_MOST, max(_LEAST, (_EACH * known.len() - 1).bit_length()))
    table = np.zeros(1 << power, dtype=np.bool_)
    for places in _places(known, power):
        table[places] = True
    return _mark(kind) + np.packbits(table).tobytes()


class Asked:
    """Keys of a kind that are asked of many segments."""

    def __init__(self, keys: pl.Series, kind: str) -> None:
        self._known = keys.drop_nulls()
        self._mark = _mark(kind)
        self._of: dict[int, list[Places]] = {}

    def may_be_in(self, bits: bytes | None) -> bool:
        """Tell whether any of the keys may be among those whose bits these are; of another kind, any may."""
        if bits is None or bits[:_MARK] != self._mark:
            return True
        table = np.frombuffer(bits, dtype=np.uint8, offset=_MARK)
        power = (8 * table.size - 1).bit_length()
        if power not in self._of:
            self._of[power] = _places(self._known, power)
        met = np.ones(self._known.len(), dtype=np.bool_)
        for places in self._of[power]:
            met &= (table[places >> 3] >> (7 - (places & 7)) & 1).astype(np.bool_)
        return bool(met.any())


def _mark(kind: str) -> bytes:
    return hashlib.sha256(f"{pl.__version__}:{kind}".encode()).digest()[:_MARK]


def _places(keys: pl.Series, power: int) -> list[Places]:
    hashes = keys.hash(_SEED).to_numpy()
    shifts = (64 - _MOST, 64 - 2 * _MOST, 64 - 3 * _MOST)
    return [((hashes >> np.uint64(s)) & np.uint64((1 << power) - 1)).astype(np.int64) for s in shifts]
