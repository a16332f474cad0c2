"""One record as a batch, whatever its fields are, and an expression on the runtime for it."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

import polars as pl

from rules.language.bindings import bind
from rules.language.check import check
from rules.language.checked import Checked
from rules.language.lower import lower
from rules.language.nodes import Node
from rules.language.parse import parse
from rules.language.runtime import Runner
from rules.language.types import Kind, Type
from rules.schema import Field, FieldType, Schema


def frame(schema: Schema, record: Mapping[str, Any]) -> pl.DataFrame:
    """Return a batch of one record; JSON fields are given as Python values."""
    columns = {field.name: [_stored(field, record.get(field.name))] for field in schema.fields}
    return pl.DataFrame(columns or {"": [None]}, schema=schema.dtypes() or None)


def _stored(field: Field, value: Any) -> Any:
    return json.dumps(value) if field.type is FieldType.JSON and value is not None else value


def lowered(text: str, schema: Schema) -> Node:
    """Return the tree that the runtime gets for an expression without errors."""
    return _tree(check(parse(text), text, schema), schema)


def _tree(checked: Checked, schema: Schema) -> Node:
    # wanted as "null": a result whose type is open must not promote whole numbers here
    return lower(checked, schema, Type(Kind.NULL)).tree


def on_runtime(source: str | Checked, schema: Schema, records: list[dict[str, Any]]) -> list[Any]:
    """Return what an expression gives on the runtime for each record, `Failed` for an error."""
    runner = Runner(lowered(source, schema) if isinstance(source, str) else _tree(source, schema))
    frames = pl.concat([frame(schema, record) for record in records])
    columns = [bind(variable, frames, schema) for variable in runner.variables]
    names = [variable.name for variable in runner.variables]
    rows = (dict(zip(names, values, strict=True)) for values in zip(*columns, strict=True))
    return [runner.one(row) for row in rows] if names else [runner.one({}) for _ in records]
