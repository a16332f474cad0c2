"""The connector `file_drop`: files that arrive in a folder, each read once, and changes that leave as new files.

Its objects hold messages: what is read stays where it is until its run has made it durable. Then it is noted in the
folder, and the file is left, moved to an archive or deleted.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterator, Mapping, Sequence
from functools import cached_property
from pathlib import Path
from typing import Any

import polars as pl

from connectors.builtin.files import opened_schema, told
from connectors.builtin.files_drop_ledger import Ledger
from connectors.builtin.files_drop_options import LEAVE, SPEC, DropOptions
from connectors.builtin.files_drop_read import Arrivals, Scan, accounts
from connectors.builtin.files_drop_template import TemplateWriter
from connectors.builtin.files_drop_write import NewFile, Writes, name_for
from connectors.builtin.files_object import source_of
from connectors.builtin.files_options import Options
from connectors.builtin.files_remote import RemoteFolder, Unwritten, place_of
from connectors.errors import Misconfigured, ObjectMissing
from connectors.spi import Connector, Context, Fence, ObjectInfo, Page, Position, ReadRequest, Step, WriteResult
from connectors.steps import stepwise
from rules.schema import Change, Schema
from rules.text import N_, Message, msg

_SAMPLED = 20


class FileDrop(Connector):
    """A folder in which files arrive."""

    spec = SPEC

    def __init__(self, settings: Mapping[str, Any], context: Context) -> None:
        super().__init__(settings, context)
        self.options = Options.of(settings)
        self._arrivals: dict[str, Arrivals] = {}
        self._scans: dict[str, Scan] = {}

    @cached_property
    def drop(self) -> DropOptions:
        """Return what is done with files; raises `Misconfigured`."""
        return DropOptions.of(self.settings)

    @cached_property
    def folder(self) -> RemoteFolder:
        """Return the folder, which is connected to when it is first asked for something."""
        return RemoteFolder(place_of(self.options, self.context), self.options, Unwritten)

    def check(self) -> Iterator[Step]:
        """Yield the steps of the connection test."""
        steps = (
            (N_("Find the folder"), self._found),
            (N_("List the files"), self._listed),
            (N_("Write"), self._writable),
        )
        return stepwise((name, told()(do)) for name, do in steps)

    def objects(self) -> list[ObjectInfo]:
        """Return the patterns."""
        with told():
            for pattern in self.drop.patterns:
                self.folder.names(pattern)
            writable = [pattern.count("*") == 1 for pattern in self.drop.patterns]
            found = zip(self.drop.patterns, writable, strict=True)
            return sorted((ObjectInfo(p, "files", writable=w) for p, w in found), key=lambda info: info.name)

    def schema(self, name: str) -> Schema:
        """Return the fields of the files that wait, judged by the first ones; of others if none wait."""
        with told(name):
            arrivals = self._object(name)
            names = [found.name for found in arrivals.waiting()[:_SAMPLED]] or self.folder.names(name)[-1:]
            if not names:
                return Schema(())
            schema = opened_schema([arrivals.object(found) for found in names], self.options, name)
            fields = tuple(field for field in schema.fields if field.name != self.drop.deleted_field)
            return Schema(fields, schema.key)

    def read(self, request: ReadRequest) -> Iterator[Page]:
        """Yield the records of the files that are complete and not processed yet."""
        if request.cursor is not None:
            raise Misconfigured(
                msg("Files that arrive are not searched by a field: each is read once."),
                msg("Let the rule read all there is."),
                object_name=request.object,
            )
        with told(request.object):
            arrivals = self._object(request.object)
            scan = self._scan(arrivals, request)
            yield from arrivals.pages(scan, request)

    def acknowledge(self, name: str, position: Position) -> None:
        """Note that what was read up to a position is durable, and see to the files that are done."""
        scan = self._scans.get(name)
        if scan is None or not scan.consume:
            return
        with told(name):
            arrivals = self._object(name)
            found = accounts(scan, dict(position), arrivals.order)
            if found:
                arrivals.ledger.note(found)
                arrivals.ledger.tidy(_now)

    def lookup(self, name: str, schema: Schema, key: str, values: pl.Series) -> pl.DataFrame:  # noqa: ARG002
        """Refuse: files that were processed may be gone."""
        raise Misconfigured(
            msg("The records of '{name}' cannot be looked up: files are only read when they arrive.", name=name),
            msg("Use a rule that flows from it or to it, without asking for single records."),
            object_name=name,
        )

    def write(self, name: str, schema: Schema, changes: Sequence[Change], fence: Fence | None = None) -> WriteResult:
        """Write the changes as one new file."""
        with told(name):
            self._object(name)
            own = name_for(name, fence, _now())
            room = self.folder.room()
            empty, target = room / own.rpartition("/")[2], room / "out"
            empty.touch()
            new = NewFile(self._writer(own, empty), schema, self.drop.deleted_field)
            new.add(changes)
            if new.save(target):
                self.folder.place.store(own, target)
            return new.result(changes)

    def applied(self, fence: Fence) -> bool:  # noqa: ARG002 - whoever takes files away may have taken it
        """Say no: a file that is written again has the same name."""
        return False

    def close(self) -> None:
        """Give up the connection; what is not acknowledged is read again."""
        self._arrivals.clear()
        self._scans.clear()
        if "folder" in self.__dict__:
            self.folder.close()
            del self.__dict__["folder"]

    def _writer(self, name: str, empty: Path) -> Writes:
        drop = self.drop
        if drop.template_record:
            return TemplateWriter(name, (drop.template_header, drop.template_record, drop.template_footer))
        return source_of(name, empty, self.options)

    def _object(self, name: str) -> Arrivals:
        if name not in self.drop.patterns:
            raise ObjectMissing(
                msg("There is no '{name}' among the names of this connection's files.", name=name),
                msg("Add it to the connection's settings, or choose another one."),
                object_name=name,
            )
        if name not in self._arrivals:
            ledger = Ledger(self.folder.place, name, self.drop, self.folder.room())
            self._arrivals[name] = Arrivals(self.folder, name, (self.options, self.drop), ledger)
        return self._arrivals[name]

    def _scan(self, arrivals: Arrivals, request: ReadRequest) -> Scan:
        """Return the scan that a position belongs to, else a new one."""
        going = self._scans.get(request.object)
        if going is not None and request.after and going.consume == request.consume:
            return going
        arrivals.ledger.forget()
        if request.consume:
            arrivals.ledger.tidy(_now)
            if self.drop.processed == LEAVE:
                arrivals.ledger.strike(arrivals.present())
        self._scans[request.object] = scan = Scan(arrivals.waiting(), request.consume)
        return scan

    def _found(self) -> Message:
        self.objects()
        return msg("The folder {path} is there.", path=self.folder.shown)

    def _listed(self) -> Message:
        count = sum(len(self._object(pattern).waiting()) for pattern in self.drop.patterns)
        return msg("Files that wait: {count}.", count=count)

    def _writable(self) -> Message:
        if not self.folder.probe():
            raise Misconfigured(
                msg("Nothing can be written into the folder, so it cannot be noted there which files were processed."),
                msg("Give the user of the connection the right to write into the folder."),
            )
        return msg("Files in the folder can be changed.")


def _now() -> dt.datetime:
    return dt.datetime.now(dt.UTC)
