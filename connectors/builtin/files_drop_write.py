"""Changes as new files: one a write, whose name a repeated write has again, so that it is there once."""

from __future__ import annotations

import datetime as dt
import secrets
import zlib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Protocol

import polars as pl

from connectors.builtin.files_overlay import Overlay
from connectors.errors import Misconfigured
from connectors.spi import Failure, Fence, WriteResult
from rules.schema import Change, Field, Op, Schema
from rules.text import Message, msg


def name_for(pattern: str, fence: Fence | None, now: dt.datetime) -> str:
    """Return the name of a new file; raises `Misconfigured` for a pattern with more than one star."""
    if pattern.count("*") != 1 or any(sign in pattern for sign in "?["):
        raise Misconfigured(
            msg("'{name}' does not say how new files are called.", name=pattern),
            msg("Use a pattern with one star, such as orders-*.csv."),
        )
    if fence is None:
        return pattern.replace("*", f"{now:%Y%m%dT%H%M%S%f}-{secrets.token_hex(2)}")
    scope = zlib.crc32(fence.scope.encode()) & 0xFFFF
    return pattern.replace("*", f"{fence.run:08d}-{fence.chunk:06d}-{scope:04x}")


class Writes(Protocol):
    """What writes the records of a new file."""

    def unstorable(self, records: pl.DataFrame) -> Mapping[int, tuple[str, Message]]:
        """Return the rows with a value that the file cannot hold: field and reason."""

    def merge(self, overlay: Overlay, target: Path) -> None:
        """Write the created records."""


class NewFile:
    """The records of one call of `write`, on their way to a new file."""

    def __init__(self, source: Writes, schema: Schema, deleted_field: str) -> None:
        self.source, self.deleted_field = source, deleted_field
        self.schema = schema
        if deleted_field and deleted_field not in schema:
            self.schema = Schema((*schema.fields, Field(deleted_field)), schema.key)
        self.failures: list[Failure] = []
        self._overlay: Overlay | None = None

    def add(self, changes: Sequence[Change]) -> None:
        """Take in changes; records that no file can hold are failures."""
        for number, change in enumerate(changes):
            if self._overlay is None:
                self._overlay = Overlay(change.key, self.schema)
            self._add(number, change, self._overlay)

    def save(self, target: Path) -> bool:
        """Write the file; tell whether there is anything in it."""
        if self._overlay is None or not self._overlay.created:
            return False
        self.source.merge(self._overlay, target)
        return True

    def result(self, changes: Sequence[Change]) -> WriteResult:
        """Return what became of the changes."""
        return WriteResult(tuple(self.failures), tuple(None for _ in changes))

    def _add(self, number: int, change: Change, overlay: Overlay) -> None:
        if change.op is Op.DELETE and not self.deleted_field:
            raise Misconfigured(
                msg("A file cannot say that a record is gone: there is no field for that."),
                msg("Name the field that says 'deleted' in the connection's settings."),
            )
        bad = {} if change.op is Op.DELETE else self._bad(change.records)
        self.failures += [Failure(number, row, text, name) for row, (name, text) in sorted(bad.items())]
        for row, record in enumerate(change.records.iter_rows(named=True)):
            if row not in bad:
                mark = {self.deleted_field: "true"} if change.op is Op.DELETE else {}
                overlay.created.pop(record[change.key], None)  # the last word stands last
                overlay.created[record[change.key]] = {**record, **mark}

    def _bad(self, records: pl.DataFrame) -> dict[int, tuple[str, Message]]:
        found = dict(self.source.unstorable(records))
        for name in records.columns:
            if not self.schema[name].nullable:
                empty = msg("Field '{field}' is empty, but it must have a value.", field=name)
                found |= dict.fromkeys(records[name].is_null().arg_true().to_list(), (name, empty))
        return found
