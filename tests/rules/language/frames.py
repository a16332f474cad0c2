"""One record as a batch, whatever its fields are."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

import polars as pl

from rules.schema import Field, FieldType, Schema


def frame(schema: Schema, record: Mapping[str, Any]) -> pl.DataFrame:
    """Return a batch of one record; JSON fields are given as Python values."""
    columns = {
        field.name: [_stored(field, record.get(field.name))]
        for field in schema.fields
    }
    return pl.DataFrame(columns or {"": [None]}, schema=schema.dtypes() or None)


def _stored(field: Field, value: Any) -> Any:
    return json.dumps(value) if field.type is FieldType.JSON and value is not None else value
