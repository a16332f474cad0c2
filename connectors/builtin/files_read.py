"""Reading files as pages of typed records, with what was written to them and is not in place yet."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any

import polars as pl

from connectors.builtin.files_format import RawPage
from connectors.builtin.files_journal import Fingerprint
from connectors.builtin.files_object import FileObject
from connectors.builtin.files_overlay import Overlay
from connectors.casting import Places, typed
from connectors.errors import Fatal, ObjectMissing, Retriable
from connectors.spi import Page, ReadRequest
from rules.schema import Schema
from rules.text import msg


@dataclass(frozen=True)
class Position:
    """Behind which record reading goes on: the file, its version, the place in it, or the number of a new record."""

    file: str = ""
    version: Fingerprint | None = None
    place: int = 0
    first: int = 1
    new: int | None = None

    @classmethod
    def of(cls, data: Mapping[str, Any] | None) -> Position:
        """Return the position that `to_json` gave."""
        if not data:
            return cls()
        return cls(**{**data, "version": Fingerprint(**data["version"]) if data["version"] else None})

    def to_json(self) -> dict[str, Any]:
        """Return the position as JSON values."""
        return asdict(self)


class Reading:
    """One scan of one file or of several files, one after the other."""

    def __init__(self, objects: Sequence[FileObject], request: ReadRequest, settle: int, *, pattern: bool) -> None:
        self.objects = objects
        self.request = request
        self.settle = settle
        self.pattern = pattern

    def pages(self) -> Iterator[Page]:
        """Yield the pages behind the request's position, at least one."""
        position = Position.of(self.request.after)
        first, empty = position.first, True
        for found in self.objects:
            if found.name < position.file:
                continue
            begin = position if found.name == position.file else Position(found.name, first=first)
            for page in self._file(found, begin):
                first, empty = page.position["first"], False
                yield page
        if empty:
            yield Page(self.request.schema.empty(), position.to_json())

    def _file(self, found: FileObject, begin: Position) -> Iterator[Page]:
        """Yield the pages of one file: its own records, then those that are new."""
        self._settled(found)
        version = found.stored.version()
        if begin.version not in (None, version):
            raise changed(found.name)
        overlay = found.overlay()
        position = replace(begin, file=found.name, version=version)
        if position.new is None:
            for page in self._own(found, overlay, position):
                position = Position.of(page.position)
                yield page
        if overlay:
            yield from self._new(found, overlay, replace(position, new=position.new or 0))

    def _own(self, found: FileObject, overlay: Overlay | None, position: Position) -> Iterator[Page]:
        source, schema = found.source(), self._with_key(overlay)
        self._check_columns(found, source.names)
        for raw in source.pages(schema, position.place, position.first, self.request.page_size):
            if not found.stored.is_still(position.version):
                raise changed(found.name)
            position = replace(position, place=raw.end, first=raw.first + raw.columns.height)
            yield self._typed(found, raw, schema, overlay, position)
        if not found.stored.is_still(position.version):
            raise changed(found.name)

    def _typed(
        self, found: FileObject, raw: RawPage, schema: Schema, overlay: Overlay | None, position: Position
    ) -> Page:
        records, rejects, _ = typed(raw.columns, schema, self._places(found, raw))
        if overlay and overlay.key in schema:
            records, _ = overlay.apply(records)
        bad = [replace(reject, place=self._place(found, reject.place)) for reject in raw.rejects]
        return Page(records.select(self.request.schema.names), position.to_json(), (*bad, *rejects), raw.first)

    def _new(self, found: FileObject, overlay: Overlay, position: Position) -> Iterator[Page]:
        key = overlay.schema.select((overlay.key,))
        rows = overlay.new(self.request.schema, found.index(key)[overlay.key])
        number, size = position.new or 0, self.request.page_size
        for start in range(number, rows.height, size):
            records, first = rows.slice(start, size), position.first
            position = replace(position, new=start + records.height, first=first + records.height)
            yield Page(records, position.to_json(), first=first)

    def _with_key(self, overlay: Overlay | None) -> Schema:
        """Return the fields to read: those asked for, and the key by which the changes are known."""
        schema = self.request.schema
        if not overlay or overlay.key in schema:
            return schema
        return Schema((*schema.fields, overlay.schema[overlay.key]), schema.key)

    def _check_columns(self, found: FileObject, names: tuple[str, ...] | None) -> None:
        if not names or self.pattern:
            return
        for name in self.request.schema.names:
            if name not in names:
                raise ObjectMissing(
                    msg("The file '{name}' has no column '{field}' (any more).", name=found.name, field=name),
                    msg("Look at the columns of the file, and read the fields of the object again."),
                    object_name=found.name,
                )

    def _places(self, found: FileObject, raw: RawPage) -> Places:
        template = raw.named or found.source().place
        return Places(lambda row: self._place(found, template.format(raw.places[row])), lambda row: raw.texts[row])

    def _place(self, found: FileObject, place: str) -> str:
        return f"{found.name}, {place}" if self.pattern else place

    def _settled(self, found: FileObject) -> None:
        """Wait a little for a file that was changed just now, unless by us; raises `Retriable` if it moves on."""
        version = found.stored.version()
        rest = self.settle - (time.time() - version.modified / 1e9)
        if rest <= 0 or rest > self.settle or version == found.journal.ours():
            return
        if rest <= _PATIENCE:
            time.sleep(rest)
        if rest > _PATIENCE or found.stored.version() != version:
            raise Retriable(
                msg("The file '{name}' is still being written: it was changed less than {seconds} seconds ago.",
                    name=found.name, seconds=self.settle),
                msg("It is read when it has not changed for a while."),
                object_name=found.name,
            )  # fmt: skip


_PATIENCE = 2.0


def changed(name: str) -> Fatal:
    """Return the error for a file that is not the same any more."""
    return Fatal(
        msg("The file '{name}' was changed while being read.", name=name),
        msg("Start the run again: it reads the file from the beginning. Put files in place by renaming them."),
        object_name=name,
    )


def matching(found: FileObject, schema: Schema, key: str, values: pl.Series) -> pl.DataFrame:
    """Return the records of an object whose key is among the values."""
    overlay = found.overlay()
    records = found.index(schema)
    wanted = records.filter(pl.col(key).is_in(values.cast(records[key].dtype).implode()))
    if not overlay:
        return wanted
    if overlay.key not in schema:
        whole = Schema((*schema.fields, overlay.schema[overlay.key]), schema.key)
        return matching(found, whole, key, values).select(schema.names)
    if key == overlay.key:
        overlay, records = overlay.only(values.cast(records[key].dtype).to_list()), wanted
    changed_records, _ = overlay.apply(records)
    both = pl.concat([changed_records, overlay.new(schema, records[overlay.key])])
    return both.filter(pl.col(key).is_in(values.cast(both[key].dtype).implode()))
