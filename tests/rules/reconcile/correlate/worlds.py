"""Two small sides to find partners between."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import polars as pl

from rules.documents import parse_sync
from rules.reconcile.correlate import Correlator, Matches
from rules.schema import Field, FieldType, Schema

Rows = Sequence[Mapping[str, Any]]
SIDE = {"connection": "c", "object": "o"}
HEAD = {
    "kind": "sync",
    "name": "world",
    "left": SIDE,
    "right": SIDE,
    "key": {"left": "id", "right": "no"},
    "fields": [{"left": "id", "right": "no"}],
}


def correlator(tiers: Rows, left: Schema, right: Schema, **more: Any) -> Correlator:
    """Return the correlator of a rule with some tiers."""
    return Correlator(parse_sync({**HEAD, "correlate": list(tiers), **more}), left, right)


def schema(key: str, names: Sequence[str], **types: FieldType) -> Schema:
    """Return a schema of text fields, but for those that have a type."""
    return Schema(tuple(Field(name, types.get(name, FieldType.TEXT)) for name in (key, *names)), (key,))


def tier(*comparisons: Mapping[str, Any], confidence: float = 1.0, **more: Any) -> dict[str, Any]:
    """Return a tier of comparisons."""
    return {"match": list(comparisons), "confidence": confidence, **more}


def same(name: str, how: str = "exact", **more: Any) -> dict[str, Any]:
    """Return a comparison of the fields of the same name."""
    return {"left": name, "right": name, "how": how, **more}


def alike(name: str, threshold: float = 0.8, **more: Any) -> dict[str, Any]:
    """Return a similarity of the fields of the same name."""
    return same(name, "similarity", threshold=threshold, **more)


def match(tiers: Rows, left: Rows, right: Rows, *, from_side: str = "left", **more: Any) -> Matches:
    """Return what is found between two lists of records; fields are texts."""
    names = sorted({name for row in (*left, *right) for name in row} - {"id", "no"} | _named(tiers))
    schemas = schema("id", names), schema("no", names)
    frames = [pl.DataFrame(list(rows), schema=s.dtypes()) for rows, s in zip((left, right), schemas, strict=True)]
    return correlator(tiers, *schemas, **more).match(*frames, from_side=from_side)


def _named(tiers: Rows) -> set[str]:
    return {comparison[side] for one in tiers for comparison in one["match"] for side in ("left", "right")}


def pairs(found: pl.DataFrame) -> set[tuple[str, str]]:
    """Return the pairs of keys."""
    return set(zip(found["left_key"], found["right_key"], strict=True))
