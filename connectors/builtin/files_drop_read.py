"""Reading the files that arrive: those that are complete, in their order, each from where it was left."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import polars as pl

from connectors.builtin.files_drop_ledger import Account, Ledger, digest_of
from connectors.builtin.files_drop_options import DropOptions
from connectors.builtin.files_journal import Fingerprint
from connectors.builtin.files_object import FileObject
from connectors.builtin.files_options import Options
from connectors.builtin.files_place import Stat
from connectors.builtin.files_read import Position, Reading
from connectors.builtin.files_remote import RemoteFolder
from connectors.builtin.queue_options import DELETED
from connectors.spi import Page, ReadRequest
from rules.schema import Field, Schema

_PATIENCE = 2.0


@dataclass
class Scan:
    """One scan: the files that were complete when it began, in their order."""

    files: list[Stat]
    consume: bool = False
    digests: dict[str, str] = field(default_factory=dict)


class Arrivals:
    """The files of one pattern."""

    def __init__(
        self, folder: RemoteFolder, pattern: str, options: tuple[Options, DropOptions], ledger: Ledger
    ) -> None:
        self.folder, self.pattern, self.ledger = folder, pattern, ledger
        self.options, self.drop = options

    def order(self, found: Stat) -> tuple[Any, ...]:
        """Return what files are sorted by."""
        return (found.modified, found.name) if self.drop.by_time else (found.name,)

    def waiting(self) -> list[Stat]:
        """Return the files that are complete and not done, up to the first that is not complete."""
        present = {found.name: found for found in self.folder.found(self.pattern)}
        archive = self.drop.archive + "/"
        new = [f for f in present.values() if not f.name.startswith(archive) and not self._is_done(f)]
        return list(self._complete(sorted(new, key=self.order)))

    def present(self) -> frozenset[str]:
        """Return the names of all files that match."""
        return frozenset(found.name for found in self.folder.found(self.pattern))

    def object(self, name: str) -> FileObject:
        """Return a file."""
        return FileObject(self.folder.stored(name), self.options)

    def pages(self, scan: Scan, request: ReadRequest) -> Iterator[Page]:
        """Yield the records of a scan's files behind a position, as many files in a page as there is room for."""
        size, gathered = request.page_size, Gathered(request.schema, self.options.key, self.drop.deleted_field)
        for page in self._parts(scan, request):
            if gathered.count and gathered.count + page.records.height > size:
                yield gathered.page()
            gathered.add(page)
            if gathered.count >= size:
                yield gathered.page()
        if gathered.parts or not gathered.given:
            yield gathered.page(request.after)

    def _parts(self, scan: Scan, request: ReadRequest) -> Iterator[Page]:
        after = Position.of({k: v for k, v in (request.after or {}).items() if k != "done"})
        schema, first = gathered_schema(request.schema, self.drop.deleted_field), 1
        for found in scan.files:
            here = found.name == after.file
            if after.file and not here and self.order(found) < self._order_of(after):
                continue
            if here and (request.after or {}).get("done"):
                continue
            begin = after if here else self._begin(found)
            part = replace(request, schema=schema, after=begin.to_json())
            for page in self._one(found, part, scan):
                height = page.records.height
                yield replace(page, first=first)
                first += height

    def _one(self, found: Stat, request: ReadRequest, scan: Scan) -> Iterator[Page]:
        """Yield the pages of one file; the last one says that it is."""
        opened = self.object(found.name)
        last: Page | None = None
        for page in Reading([opened], request, 0, pattern=True).pages():
            if last is not None:
                yield last
            last = replace(page, position={**page.position, "done": False})
        if last is not None:
            position = {**last.position, "file": found.name, "version": vars(version_of(found)), "done": True}
            if scan.consume:
                scan.digests[found.name] = digest_of(opened.stored.copy(version_of(found)))
            yield replace(last, position=position)
        self.folder.discard(found.name)

    def _begin(self, found: Stat) -> Position:
        account = self.ledger.accounts.get(found.name)
        if account is None or account.done or account.version != version_of(found):
            return Position(found.name)
        return Position(found.name, account.version, account.place, account.first)

    def _order_of(self, after: Position) -> tuple[Any, ...]:
        return self.order(Stat(after.file, 0, after.version.modified if after.version else 0))

    def _is_done(self, found: Stat) -> bool:
        """Tell whether a file was processed: as it is, or with the same bytes although it was touched since."""
        account = self.ledger.accounts.get(found.name)
        if account is None or not account.done:
            return False
        now = version_of(found)
        if account.version == now:
            return True
        if account.version.size != now.size or not account.digest:
            return False
        same = digest_of(self.folder.stored(found.name).copy(now)) == account.digest
        if same:
            self.ledger.accounts[found.name] = replace(account, version=now)
        return same

    def _complete(self, found: Sequence[Stat]) -> Iterator[Stat]:
        for one in found:
            if self.drop.marker and not self._is_there(one.name + self.drop.marker):
                if self.drop.by_time:
                    return
                continue
            if not self._is_settled(one):
                return
            yield one

    def _is_there(self, name: str) -> bool:
        try:
            self.folder.place.stat(name)
        except FileNotFoundError:
            return False
        return True

    def _is_settled(self, found: Stat) -> bool:
        """Tell whether a file was left alone for long enough; wait for that if the wait is short."""
        rest = self.drop.settle - (time.time() - found.modified / 1e9)
        rest = min(rest, float(self.drop.settle))
        if rest <= 0:
            return True
        if rest > _PATIENCE:
            return False
        time.sleep(rest)
        return self.folder.place.stat(found.name) == found


class Gathered:
    """Parts of files that become one page."""

    def __init__(self, schema: Schema, key: Sequence[str], deleted_field: str) -> None:
        self.schema, self.deleted_field = schema, deleted_field
        self.key = key or schema.key
        self.parts: list[Page] = []
        self.count = 0
        self.given = False

    def add(self, page: Page) -> None:
        """Add the records of a part of a file."""
        self.parts.append(page)
        self.count += page.records.height

    def page(self, after: Any = None) -> Page:
        """Return all that was gathered: the last word of each key."""
        parts, self.parts, self.count, self.given = self.parts, [], 0, True
        if not parts:
            return Page(self.schema.empty(), after or {})
        records = pl.concat([part.records for part in parts])
        kept = records.unique(self.key, keep="last", maintain_order=True) if self.key else records
        gone = self._gone(kept)
        return Page(
            kept.filter(~gone).select(self.schema.names),
            parts[-1].position,
            tuple(reject for part in parts for reject in part.rejects),
            parts[0].first,
            left_out=records.height - kept.height,
            deleted=kept.filter(gone).select(self.schema.names) if gone.any() else None,
        )

    def _gone(self, records: pl.DataFrame) -> pl.Series:
        if not self.deleted_field:
            return pl.repeat(value=False, n=records.height, eager=True)
        said = records[self.deleted_field].cast(pl.String).str.strip_chars().str.to_lowercase()
        return said.is_in(list(DELETED)).fill_null(value=False)


def gathered_schema(schema: Schema, deleted_field: str) -> Schema:
    """Return the fields to read: those that are asked for, and the one that says that a record is gone."""
    if not deleted_field or deleted_field in schema:
        return schema
    fields = tuple(replace(f, nullable=True) if f.name not in schema.key else f for f in schema.fields)
    return Schema((*fields, Field(deleted_field)), schema.key)


def version_of(found: Stat) -> Fingerprint:
    """Return the version of a file as it was listed."""
    return Fingerprint(0, found.size, found.modified, found.etag)


def accounts(scan: Scan, position: dict[str, Any], order: Any) -> dict[str, Account]:
    """Return what is known of the files of a scan once all up to a position is durable."""
    name, found = position.get("file"), {}
    here = next((one for one in scan.files if one.name == name), None)
    if here is None:
        return {}
    for one in scan.files:
        if order(one) < order(here) or (one is here and position.get("done")):
            found[one.name] = Account(version_of(one), done=True, digest=scan.digests.get(one.name, ""))
    if here.name not in found:
        found[here.name] = Account(version_of(here), position["place"], position["first"])
    return found
