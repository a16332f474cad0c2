"""Rewriting a Parquet file: untouched values stay Arrow values of their own type all the way."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

import polars as pl
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from connectors.builtin.files_overlay import Overlay
from connectors.builtin.files_parquet_types import column_of, exact
from connectors.casting import SHOWN, short
from rules.schema import Field
from rules.text import Message, msg

_DEFAULT = "zstd"


class ParquetWriter(AbstractContextManager["ParquetWriter"]):
    """Writes a file with the columns, notes and compression of another one."""

    def __init__(self, target: Path, schema: pa.Schema, old: pq.FileMetaData | None) -> None:
        self.schema = schema
        used = old.row_group(0).column(0).compression if old and old.num_row_groups and old.num_columns else ""
        compression = {"uncompressed": "none", "": _DEFAULT}.get(used.lower(), used.lower())
        self._writer = pq.ParquetWriter(target, schema, compression=compression)
        self._there: list[Any] = []

    def __exit__(self, *_: object) -> None:
        self._writer.close()

    def copy(self, table: pa.Table, overlay: Overlay, key: Field) -> None:
        """Write records of the file with their changes."""
        keys = exact(column_of(table.column(overlay.key), overlay.key), key)
        keys = keys.cast(overlay.schema[overlay.key].dtype, strict=False)
        found = keys.to_list()
        self._there += [value for value in found if value in overlay.created]
        verdicts = list(overlay.verdicts(found))
        touched = [row for row, values in enumerate(verdicts) if values]
        for name in dict.fromkeys(name for row in touched for name in verdicts[row] or ()):
            table = self._changed(table, name, {row: v[name] for row in touched if name in (v := verdicts[row] or {})})
        gone = pa.array([values is not None for values in verdicts], pa.bool_())
        self._write(table if None not in verdicts else table.filter(gone))

    def append(self, overlay: Overlay) -> None:
        """Write the new records."""
        known = pl.Series(self._there, dtype=overlay.schema[overlay.key].dtype)
        new = overlay.new(overlay.schema, known)
        columns = [
            array_of(new[c.name].to_list() if c.name in new.columns else [None] * new.height, c.type)
            for c in self.schema
        ]
        if new.height:
            self._write(pa.Table.from_arrays(columns, schema=self.schema))

    def _changed(self, table: pa.Table, name: str, values: Mapping[int, Any]) -> pa.Table:
        place, column = table.schema.get_field_index(name), self.schema.field(name)
        plain = table.column(name).combine_chunks()
        mask = pa.array([row in values for row in range(table.num_rows)], pa.bool_())
        new = array_of([values[row] for row in sorted(values)], column.type)
        if pa.types.is_dictionary(column.type) or isinstance(column.type, pa.BaseExtensionType):
            kept = plain.to_pylist()
            for row, value in values.items():
                kept[row] = value
            return table.set_column(place, column, array_of(kept, column.type))
        return table.set_column(place, column, pc.replace_with_mask(plain, mask, new))

    def _write(self, table: pa.Table) -> None:
        self._writer.write_table(table.cast(self.schema))


def unstorable(records: pl.DataFrame, schema: pa.Schema) -> dict[int, tuple[str, Message]]:
    """Return the rows with a value that a column cannot hold: field and reason."""
    found: dict[int, tuple[str, Message]] = {}
    for name in records.columns:
        if name in schema.names:
            bad = _misfits(records[name].to_list(), schema.field(name))
            found |= {row: (name, _refusal(name, value)) for row, value in bad}
    return found


def array_of(values: Iterable[Any], kind: pa.DataType) -> pa.Array:
    """Return Python values as a column of a type; raises `pa.ArrowException` or `ValueError` if one does not fit."""
    if isinstance(kind, pa.BaseExtensionType):
        return pa.ExtensionArray.from_storage(kind, pa.array(list(values), kind.storage_type))
    if pa.types.is_dictionary(kind):
        return pa.array(list(values), kind.value_type).cast(kind)
    return pa.array(list(values), kind)


def _misfits(values: list[Any], column: pa.Field) -> list[tuple[int, Any]]:
    if _fits(values, column):
        return []
    return [(row, value) for row, value in enumerate(values) if not _fits([value], column)]


def _fits(values: list[Any], column: pa.Field) -> bool:
    if not column.nullable and None in values:
        return False
    try:
        made = array_of(values, column.type)
    except (pa.ArrowException, ValueError, TypeError, OverflowError):
        return False
    return not _loses(made, values, column)


def _loses(made: pa.Array, values: list[Any], column: pa.Field) -> bool:
    """Tell whether a column keeps less of a value than it has, as times of few digits and short floats do."""
    if pa.types.is_time(column.type) or pa.types.is_timestamp(column.type) or pa.types.is_floating(column.type):
        return any(a != b for a, b in zip(made.to_pylist(), values, strict=True) if b == b)  # noqa: PLR0124 - not NaN
    return False


def _refusal(name: str, value: Any) -> Message:
    if value is None:
        return msg("Field '{field}' is empty, but it must have a value.", field=name)
    return msg("Field '{field}': the file's column cannot hold '{value}'.", field=name, value=short(str(value), SHOWN))
