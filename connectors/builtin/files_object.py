"""One file as an object: opened in its format, read with what was written to it, and put in place at the end."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import polars as pl

from connectors.builtin.files_archive import ArchiveFile
from connectors.builtin.files_csv import CsvFile
from connectors.builtin.files_format import Source
from connectors.builtin.files_journal import Entry, Fingerprint
from connectors.builtin.files_json import JsonFile, JsonLinesFile
from connectors.builtin.files_options import ARCHIVE, Options
from connectors.builtin.files_overlay import Overlay
from connectors.builtin.files_parquet import ParquetFile
from connectors.builtin.files_refusal import refusal
from connectors.builtin.files_stored import Stored
from connectors.builtin.files_xlsx import XlsxFile
from connectors.builtin.files_xml import XmlFile
from connectors.casting import numbered, typed
from connectors.errors import Fenced, Misconfigured, ObjectMissing, RecordRejected, Unavailable
from connectors.spi import Failure, Fence, WriteResult
from rules.schema import Change, Schema
from rules.text import msg

FORMATS: Mapping[str, Callable[[Path, Options], Source]] = {
    "csv": CsvFile,
    "json": JsonFile,
    "jsonl": JsonLinesFile,
    "xml": XmlFile,
    "xlsx": XlsxFile,
    "parquet": ParquetFile,
}


@dataclass
class _Known:
    """What this process knows of the journal: how far it was read, and what it amounts to."""

    generation: int = 0
    end: int = 0
    entries: int = 0
    overlay: Overlay | None = None
    fences: dict[str, Fence] = field(default_factory=dict)


class FileObject:
    """One file of a connection."""

    def __init__(self, stored: Stored, options: Options) -> None:
        self.name = stored.name
        self.stored = stored
        self.journal = stored.journal
        self._options = options
        self._known = _Known()
        self._source: tuple[Fingerprint, Source] | None = None
        self._index: dict[object, pl.DataFrame] = {}
        self.unread: dict[object, RecordRejected] = {}
        """What is wrong with a record of the file that an index with these fields leaves out."""

    def source(self) -> Source:
        """Return the file, opened in its format."""
        now = self.stored.version()
        if self._source is None or self._source[0] != now:
            self._index.clear()
            self._source = now, self._open(now)
        return self._source[1]

    def overlay(self) -> Overlay | None:
        """Return what is written and not yet in the file, as it is now; later writes do not change it."""
        if self.journal.size() or self._known.end:
            with self.journal.locked():
                self._refresh()
        return self._known.overlay.snapshot() if self._known.overlay else None

    def fences(self) -> dict[str, Fence]:
        """Return who wrote last in each scope."""
        with self.journal.locked():
            self._refresh()
            return dict(self._known.fences)

    def index(self, schema: Schema) -> pl.DataFrame:
        """Return the readable records of the file itself, kept until the file changes."""
        source = self.source()
        if schema.fields not in self._index:
            pages = source.pages(schema, 0, 1, 50_000)
            parts = [typed(p.columns, schema, numbered(p.places, p.named or source.place, p.texts)) for p in pages]
            self._index[schema.fields] = pl.concat([schema.empty(), *(part[0] for part in parts)], rechunk=True)
            bad = [reject for part in parts for reject in part[1][:1]]
            self.unread.pop(schema.fields, None)
            for reject in bad[:1]:
                self.unread[schema.fields] = RecordRejected(reject.message, field=reject.field, object_name=self.name)
        return self._index[schema.fields]

    def write(self, schema: Schema, changes: Sequence[Change], fence: Fence | None) -> WriteResult:
        """Make the good records of the changes durable, in the journal, and return the others."""
        with self.journal.locked():
            self._refresh()
            if fence and fence.scope in self._known.fences and self._known.fences[fence.scope].token > fence.token:
                raise Fenced
            self._one_key({change.key for change in changes})
            try:
                return self._write(schema, changes, fence)
            except BaseException:
                self._known = _Known()  # the folded changes may not be in the journal
                raise

    def place(self) -> None:
        """Put what was written into the file."""
        if self.journal.size():
            with self.journal.locked():
                self._refresh()
                self._place()

    def _open(self, version: Fingerprint) -> Source:
        return source_of(self.name, self.stored.copy(version), self._options)

    def _refresh(self) -> None:
        """Read the entries that are new in the journal, and tidy up behind a replacement that was interrupted."""
        now = self.journal.generation()
        if now != self._known.generation or self.journal.size() < self._known.end or not now:
            self._known = _Known(generation=now, fences=self.journal.fences())
        placed: Fingerprint | None = None
        for end, entry in self.journal.entries(self._known.end):
            self._known.end = end
            self._known.entries += 1
            placed = entry.placed
            self._fold(entry)
        if placed and placed == self.stored.version():
            self._tidy(placed)

    def _fold(self, entry: Entry) -> None:
        if entry.fence:
            self._known.fences[entry.fence.scope] = entry.fence
        for change in entry.changes:
            self._overlay_for(change.key, entry.schema).add(change)

    def _overlay_for(self, key: str, schema: Schema) -> Overlay:
        if self._known.overlay is None:
            self._known.overlay = Overlay(key, schema)
        self._known.overlay.learn(schema)
        return self._known.overlay

    def _write(self, schema: Schema, changes: Sequence[Change], fence: Fence | None) -> WriteResult:
        failures: list[Failure] = []
        good: list[Change] = []
        for number, change in enumerate(changes):
            refused = self._sort_out(number, change, schema)
            failures += refused
            rows = {failure.row for failure in refused}
            kept = pl.Series([row not in rows for row in range(change.records.height)], dtype=pl.Boolean)
            good.append(Change(change.op, change.key, change.records.filter(kept)))
        written = tuple(change for change in good if change.records.height)
        if written or fence:
            named = {name for change in written for name in change.records.columns}
            kept_schema = schema.select(tuple(name for name in schema.names if name in named))
            self._known.end = self.journal.append(Entry(fence, kept_schema, written), self._known.end)
            self._known.generation = self.journal.generation()
            self._known.entries += 1
        if fence:
            self._known.fences[fence.scope] = fence
        return WriteResult(tuple(failures), tuple(None for _ in changes))

    def _sort_out(self, number: int, change: Change, schema: Schema) -> list[Failure]:
        """Fold in the good records of a change and return the failures of the others."""
        source = self.source()
        self._check_fields(change.records.columns, source)
        overlay = self._overlay_for(change.key, schema)
        known = self.index(schema.select((change.key,)))[change.key]
        keys = change.records[change.key].cast(known.dtype)
        in_file = keys.is_in(known.implode()).fill_null(value=False).to_list()
        unstorable = source.unstorable(change.records)
        failures: list[Failure] = []
        for row, record in enumerate(change.records.iter_rows(named=True)):
            problem = unstorable.get(row) or refusal(change, record, schema, overlay, in_file=in_file[row])
            if problem:
                failures.append(Failure(number, row, problem[1], problem[0]))
            else:
                overlay.fold(change.op, record)
        return failures

    def _one_key(self, keys: set[str]) -> None:
        """Make room for changes by another key than the journal's: the journal knows records by one key only."""
        if len(keys) > 1:
            raise Misconfigured(msg("The records of one file cannot be written by several keys at a time."))
        overlay = self._known.overlay
        if overlay is not None and keys - {overlay.key}:
            self._place()
            self._known.overlay = None

    def _check_fields(self, names: Sequence[str], source: Source) -> None:
        for name in names:
            if source.names and name not in source.names:
                raise ObjectMissing(
                    msg("The file '{name}' has no column '{field}' (any more).", name=self.name, field=name),
                    msg("Add the column to the file, or take the field out of the rule."),
                    object_name=self.name,
                )

    def _place(self) -> None:
        overlay = self._known.overlay
        if overlay:
            before = self.stored.version()
            self._index.clear()
            source = self.source()
            self._check_fields(overlay.schema.names, source)
            source.merge(overlay, self.journal.next)
            self._like_the_old()
            if self.stored.version() != before:
                raise self._meddled()
            placed = self.stored.announced()
            if placed is not None:
                self._known.end = self.journal.append(Entry(placed=placed), self._known.end)
            try:
                placed = self.stored.replace(before)
            except FileExistsError as error:
                raise self._meddled() from error
            self._tidy(placed)
        elif self._known.entries:
            self._tidy(None)

    def _meddled(self) -> Unavailable:
        return Unavailable(
            msg("The file '{name}' was changed by someone else while it was being rewritten.", name=self.name),
            msg("Nothing is lost: what was written is added to the changed file next time."),
            object_name=self.name,
        )

    def _like_the_old(self) -> None:
        """Give the new version the old one's owner and rights, and make it durable."""
        self.stored.prepare()

    def _tidy(self, placed: Fingerprint | None) -> None:
        self.journal.note(self._known.fences, placed)
        self.journal.drop()
        self._known = _Known(fences=self._known.fences)


def source_of(name: str, path: Path, options: Options) -> Source:
    """Return a file, opened in the format that the settings or its name tell; raises `Misconfigured`."""
    kind = options.format_of(name)
    if kind is None:
        raise Misconfigured(
            msg("The ending of '{name}' does not tell its format.", name=name),
            msg("Choose the format in the connection's settings."),
            object_name=name,
        )
    return ArchiveFile(path, options, source_of) if kind == ARCHIVE else FORMATS[kind](path, options)
