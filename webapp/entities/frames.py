"""Rows of an entity's table as a batch of records, and back to columns of plain values."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import polars as pl

from rules.schema import Schema


def from_rows(schema: Schema, rows: Iterable[Sequence[Any]]) -> pl.DataFrame:
    """Return the batch of rows whose values stand in the schema's order."""
    columns = list(zip(*rows, strict=True))
    if not columns:
        return schema.empty()
    pairs = zip(schema.fields, columns, strict=True)
    return pl.DataFrame([pl.Series(f.name, values, dtype=f.dtype, strict=True) for f, values in pairs])


def from_dicts(schema: Schema, records: Sequence[Mapping[str, Any]], names: Sequence[str]) -> pl.DataFrame:
    """Return the batch of records given as mappings; what a record does not state is null."""
    series = [pl.Series(n, [r.get(n) for r in records], dtype=schema[n].dtype, strict=True) for n in names]
    return pl.DataFrame(series) if series else blank(len(records))


def blank(height: int) -> pl.DataFrame:
    """Return a batch of records without columns."""
    return pl.DataFrame(height=height)


def lists(frame: pl.DataFrame) -> dict[str, list[Any]]:
    """Return column name -> plain values."""
    return {column.name: column.to_list() for column in frame}
