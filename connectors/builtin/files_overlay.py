"""The changes that were written but are not in the file yet, folded to what they amount to."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

import polars as pl

from rules.schema import Change, Op, Schema

Values = dict[str, Any]
_UNTOUCHED: Values = {}


@dataclass
class Overlay:
    """Per key what becomes of the file's records, and which are new.

    `edits` maps the key of a record of the file to its new values, or to None if it is deleted; `created` holds new
    records in the order of their creation. Values have Python's types.
    """

    key: str
    schema: Schema
    edits: dict[Any, Values | None] = field(default_factory=dict)
    created: dict[Any, Values] = field(default_factory=dict)

    def __bool__(self) -> bool:
        return bool(self.edits or self.created)

    def snapshot(self) -> Overlay:
        """Return a copy that later changes leave alone."""
        return Overlay(self.key, self.schema, dict(self.edits), dict(self.created))

    def only(self, keys: Sequence[Any]) -> Overlay:
        """Return the part that concerns the records with these keys."""
        created = {key: self.created[key] for key in keys if key in self.created}
        return Overlay(self.key, self.schema, self.edits, created)

    def learn(self, schema: Schema) -> None:
        """Take in fields that are not known yet."""
        new = tuple(field for field in schema.fields if field.name not in self.schema)
        self.schema = Schema((*self.schema.fields, *new), self.schema.key)

    def add(self, change: Change) -> None:
        """Fold in a change whose records are known to be there, or not, as its deed demands."""
        for record in change.records.iter_rows(named=True):
            self.fold(change.op, record)

    def fold(self, op: Op, record: Values) -> None:
        """Fold in what is done to one record."""
        value = record[self.key]
        if op is Op.CREATE:
            self.created[value] = record
        elif op is Op.DELETE:
            if self.created.pop(value, None) is None or value in self.edits:
                self.edits[value] = None
        elif value in self.created:
            self.created[value] = {**self.created[value], **record}
        else:
            self.edits[value] = {**(self.edits.get(value) or {}), **record}

    def exists(self, value: Any, *, in_file: bool) -> bool:
        """Tell whether a record with this key is there, given whether the file has it."""
        return value in self.created or (in_file and self.edits.get(value, _UNTOUCHED) is not None)

    def verdicts(self, keys: Sequence[Any]) -> Iterator[Values | None]:
        """Yield for each key of the file's records the values to set (none for most), or None for deleted ones."""
        for value in keys:
            edit = self.edits.get(value, _UNTOUCHED)
            # A record created here that the file has by now came from elsewhere, or from a merge before a crash.
            yield self.created[value] if edit is not None and value in self.created else edit

    def apply(self, records: pl.DataFrame) -> tuple[pl.DataFrame, pl.Series]:
        """Return records of the file as they will be, and which of the given ones remain."""
        verdicts = list(self.verdicts(records[self.key].to_list()))
        touched = [row for row, values in enumerate(verdicts) if values]
        if touched:
            records = records.with_columns(_set(records[n], touched, verdicts) for n in records.columns)
        kept = pl.Series("kept", [values is not None for values in verdicts], dtype=pl.Boolean)
        return (records if kept.all() else records.filter(kept)), kept

    def new(self, schema: Schema, known: pl.Series) -> pl.DataFrame:
        """Return the created records, without those whose keys the file is known to have."""
        there = set(known.to_list())
        left = [v for k, v in self.created.items() if k not in there or self.edits.get(k, _UNTOUCHED) is None]
        columns = {f.name: pl.Series(f.name, [v.get(f.name) for v in left], f.dtype) for f in schema.fields}
        return pl.DataFrame(columns, schema=schema.dtypes())


def _set(column: pl.Series, rows: list[int], verdicts: Sequence[Values | None]) -> pl.Series:
    name = column.name
    mine = [row for row in rows if name in (verdicts[row] or ())]
    values = [(verdicts[row] or {})[name] for row in mine]
    return column.scatter(mine, pl.Series(name, values, column.dtype)) if mine else column
