"""Field by field: whether linked records agree, what differs, and a sum over both sides that tells them apart.

A field pair that flows both ways agrees if it does so in one of its directions: where a mapping loses something (a
trimmed text, a rounded number) the other direction can never give back what was there, and a run leaves it alone too.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import polars as pl

from rules.documents.sync import Strength
from rules.reconcile.merge import MergeField
from rules.reconcile.policies import empty

_SEED = 7_301_447
_HALF = 0xFFFF_FFFF


@dataclass(frozen=True)
class Way:
    """One direction of a field, a value a pair: what its source gives, what its target holds, where it is written."""

    gives: pl.Series
    holds: pl.Series
    applies: pl.Series


@dataclass(frozen=True)
class FieldResult:
    """One field of many pairs: where it differs, where only one direction agrees, and hashes of what was compared."""

    differs: pl.Series
    one_way_only: pl.Series
    first: pl.Series
    second: pl.Series


@dataclass(frozen=True)
class _Compared:
    """A direction as far as it counts."""

    counts: pl.Series
    same: pl.Series
    gives: pl.Series
    holds: pl.Series


def compare(field: MergeField, forward: Way | None, backward: Way | None, height: int) -> FieldResult:
    """Compare one field; `forward` is written on the second side, `backward` on the first, None where none is."""
    none = pl.repeat(value=False, n=height, dtype=pl.Boolean, eager=True)
    ways = {name: _way(field, way) for name, way in (("to", forward), ("back", backward)) if way is not None}
    agrees, counts, differs = none, none, none
    for way in ways.values():
        counts = counts | way.counts
        agrees = agrees | (way.counts & way.same)
        differs = differs | (way.counts & ~way.same)
    nothing = pl.repeat(None, height, dtype=pl.UInt64, eager=True)
    first, second = nothing, nothing
    for name in ("back", "to"):  # the direction that agrees is taken, else the first one
        if name in ways:
            way = ways[name]
            taken = way.counts & (way.same | ~agrees)
            own, other = (way.gives, way.holds) if name == "to" else (way.holds, way.gives)
            first, second = own.zip_with(taken, first), other.zip_with(taken, second)
    return FieldResult(differs & ~agrees, differs & agrees, first, second)


def _way(field: MergeField, way: Way) -> _Compared:
    holds = way.holds if way.holds.dtype == way.gives.dtype else way.holds.cast(way.gives.dtype, strict=False)
    same = way.gives.eq_missing(holds)
    counts = way.applies
    if field.strength is Strength.WEAK:  # a weak field is only ever written into an empty one
        counts = counts & empty(holds) & ~empty(way.gives)
    return _Compared(counts, same, hashed([way.gives]), hashed([holds]))


def hashed(columns: Sequence[pl.Series]) -> pl.Series:
    """Return a 64-bit hash of each row of some columns of the same height; equal values of equal types hash equally."""
    frame = pl.DataFrame([column.alias(str(number)) for number, column in enumerate(columns)])
    plain = frame.with_columns(pl.col(pl.Decimal).cast(pl.String), pl.col(pl.Time).cast(pl.Int64))
    return plain.hash_rows(_SEED)


class Sum:
    """A sum of hashes modulo 2**64: the order of the records does not matter."""

    def __init__(self) -> None:
        self.value = 0

    def add(self, hashes: pl.Series) -> None:
        """Add hashes; the halves are summed apart, since a sum of 64-bit numbers would overflow."""
        low = int((hashes & _HALF).sum() or 0)
        high = int((hashes // (_HALF + 1)).sum() or 0)
        self.value = (self.value + low + (high << 32)) % (1 << 64)

    def __str__(self) -> str:
        return f"{self.value:016x}"


def any_of(masks: Iterable[pl.Series], height: int) -> pl.Series:
    """Return where at least one mask is true."""
    found = pl.repeat(value=False, n=height, dtype=pl.Boolean, eager=True)
    for mask in masks:
        found = found | mask
    return found
