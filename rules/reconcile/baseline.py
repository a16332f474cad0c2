"""What both sides of a linked pair last agreed on, as columns.

For each field pair of a two-way rule a baseline keeps what the left record gave to the right side (`l:<field>`) and
what the right record gave to the left side (`r:<field>`). A side has changed a field if it gives something else now.
Beside them stand hashes of both records: a record whose hash is still the same has not changed.

Most fields are only copied, so that both sides have given the same. Such a pair of columns is kept once (`b:<field>`).
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence

import polars as pl

from rules.documents.sync import FieldMap, SyncRule
from rules.schema import Schema

_SEED = 1_470_091_531
_LEFT, _RIGHT, _BOTH = "l:", "r:", "b:"


def field_ids(rule: SyncRule) -> dict[str, str]:
    """Return for each field pair of a rule, by its number as text, the name under which its baseline is kept.

    A pair whose fields or expressions have changed has another name: what was agreed before says nothing about it.
    """
    return {str(number): _id(pair) for number, pair in enumerate(rule.fields)}


def _id(pair: FieldMap) -> str:
    parts = [pair.left, pair.right, pair.to_right, pair.to_left]
    parts += [] if pair.reference is None else [pair.reference]
    return hashlib.sha256("\x1f".join(part or "" for part in parts).encode()).hexdigest()[:16]


def scheme(parts: Sequence[str], schemas: Mapping[str, Schema]) -> str:
    """Return the name of how records are hashed: it changes with the fields, with what a rule asks and with polars."""
    fields = [f"{side}:{field.name}:{field.dtype}" for side, schema in schemas.items() for field in schema.fields]
    text = "\x1f".join((pl.__version__, *parts, *fields))
    return hashlib.sha256(text.encode()).hexdigest()[:32]


def folded(baselines: pl.DataFrame) -> pl.DataFrame:
    """Return baselines with one column for each field of which both sides have given the same in all records."""
    names = [name.removeprefix(_LEFT) for name in baselines.columns if name.startswith(_LEFT)]
    same = [name for name in names if _alike(baselines, name)]
    kept = baselines.drop(f"{_RIGHT}{name}" for name in same)
    return kept.rename({f"{_LEFT}{name}": f"{_BOTH}{name}" for name in same})


def unfolded(baselines: pl.DataFrame) -> pl.DataFrame:
    """Return baselines with the columns of both sides, also those of several parts put together."""
    names = [name.removeprefix(_BOTH) for name in baselines.columns if name.startswith(_BOTH)]
    columns = {}
    for side in (_LEFT, _RIGHT):
        for name in names:
            own, both = f"{side}{name}", pl.col(f"{_BOTH}{name}")
            columns[own] = pl.coalesce(own, both) if own in baselines.columns else both
    return baselines.with_columns(**columns).drop(f"{_BOTH}{name}" for name in names)


def _alike(baselines: pl.DataFrame, name: str) -> bool:
    left, right = f"{_LEFT}{name}", f"{_RIGHT}{name}"
    if right not in baselines.columns or baselines[left].dtype != baselines[right].dtype:
        return False
    return baselines[left].equals(baselines[right], null_equal=True)


def row_hash(records: pl.DataFrame, names: Sequence[str]) -> pl.Series:
    """Return a 64-bit hash of the named fields of each record."""
    if not names or records.is_empty():
        return pl.repeat(0, records.height, dtype=pl.UInt64, eager=True)
    plain = records.select(pl.col(names)).with_columns(
        pl.col(pl.Decimal).cast(pl.String), pl.col(pl.Time).cast(pl.Int64)
    )
    return plain.hash_rows(_SEED)
