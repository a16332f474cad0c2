"""The connector `ldap`: directories such as OpenLDAP and Active Directory."""

from __future__ import annotations

from collections.abc import Generator, Iterator, Sequence
from functools import cached_property

import polars as pl

from connectors.builtin.delta_links import listened
from connectors.builtin.ldap_changes import DirectoryLog
from connectors.builtin.ldap_directory import Directory
from connectors.builtin.ldap_filter import present
from connectors.builtin.ldap_options import SPEC
from connectors.builtin.ldap_read import Reading, Rows
from connectors.builtin.ldap_wire import Query
from connectors.builtin.ldap_write import Writing
from connectors.errors import Misconfigured, RecordRejected
from connectors.spi import Capture, Connector, Fence, ObjectInfo, Page, ReadRequest, Step, WriteResult
from connectors.steps import stepwise
from connectors.told_changes import ToldLog, captured
from rules.schema import Change, Schema
from rules.text import N_, Message, msg


class Ldap(Connector):
    """One directory."""

    spec = SPEC

    @cached_property
    def directory(self) -> Directory:
        """Return the directory that the settings name."""
        return Directory(self.settings, self.context)

    def check(self) -> Iterator[Step]:
        """Yield the steps of the connection test."""
        return stepwise(
            (
                (N_("Read the settings"), self._described),
                (N_("Find the server"), self._found),
                (N_("Reach the port"), self._reached),
                (N_("Sign in"), self._signed_in),
                (N_("Find the base"), self._base),
            )
        )

    def objects(self) -> list[ObjectInfo]:
        """Return the standard and the described objects."""
        self._base()
        found = self.directory.objects.values()
        return sorted((ObjectInfo(o.name, "entries", o.label) for o in found), key=lambda info: info.name)

    def schema(self, name: str) -> Schema:
        """Return the fields of an object: the described ones, or the attributes of its classes."""
        described = self.directory.described(name)
        found = self.directory.columns.schema(described)
        if len(found.fields) < 3 and not described.fields:
            raise Misconfigured(
                msg("The directory does not tell which attributes '{name}' has.", name=name),
                msg("Give the user the right to read the schema, or describe the fields of the object."),
                object_name=name,
            )
        return found

    def read(self, request: ReadRequest) -> Iterator[Page]:
        """Yield the entries of an object page by page: all, or what was changed, or what the directory tells of."""
        capture = request.capture
        if capture is None:
            return self._listed(request)
        return captured(self, self.change_log(request.object, capture), request, capture, self._listed)

    def change_log(self, name: str, capture: Capture) -> ToldLog:
        """Return what the directory tells of the changes of an object."""
        return DirectoryLog(self.directory, name, capture)

    def changed(self, names: Sequence[str], pause: float) -> Generator[frozenset[str]]:
        """Yield which of the objects were changed: the directory is asked from time to time."""
        return listened({name: self.change_log(name, Capture("", "")) for name in names}, pause)

    def _listed(self, request: ReadRequest) -> Iterator[Page]:
        return Reading(self.directory, request).pages()

    def lookup(self, name: str, schema: Schema, key: str, values: pl.Series) -> pl.DataFrame:
        """Return the entries whose key is among the values."""
        column = self.directory.column(self.directory.described(name), key)
        if not column.comparable:
            return super().lookup(name, schema, key, values)
        wanted = values.drop_nulls().unique(maintain_order=True)
        rows = Rows(self.directory, name, schema)
        described = self.directory.described(name)
        page = rows.page(self.directory.with_key(described, column, wanted.to_list(), rows.attributes))
        found = page.records.filter(pl.col(key).is_in(wanted.cast(schema[key].dtype).implode()))
        missing = wanted.filter(~wanted.is_in(found[key].cast(wanted.dtype).implode()))
        if page.rejects and not missing.is_empty():
            first = page.rejects[0]
            raise RecordRejected(first.message, field=first.field, object_name=name)
        return found

    def write(self, name: str, schema: Schema, changes: Sequence[Change], fence: Fence | None = None) -> WriteResult:
        """Write one entry after the other; those that the directory refuses are returned."""
        del fence  # a directory has no place for it
        writing = Writing(self.directory, name, schema)
        done = [writing.change(number, change) for number, change in enumerate(changes)]
        return WriteResult(tuple(f for failures, _ in done for f in failures), tuple(keys for _, keys in done))

    def close(self) -> None:
        """Close the connections to the directory."""
        if "directory" in self.__dict__:
            self.directory.close()

    def _described(self) -> Message:
        count = len(self.directory.options.objects)
        self.directory.place.encryption()
        return msg("Objects described: {count}.", count=count)

    def _found(self) -> Message:
        return self.directory.place.find()

    def _reached(self) -> Message:
        return self.directory.place.reach()

    def _signed_in(self) -> Message:
        user = self.directory.session.options.user
        kind = (
            "Active Directory"
            if self.directory.active
            else next(iter(self.directory.root.get("vendorname", ())), "LDAP")
        )
        return msg("The directory ({kind}) lets '{user}' in.", kind=kind, user=user or "-")

    def _base(self) -> Message:
        base = self.directory.options.base
        self.directory.session.found(Query(base, present("objectClass"), ("1.1",), 0))
        for described in self.directory.objects.values():
            if described.base != base:
                self.directory.session.found(
                    Query(described.base, present("objectClass"), ("1.1",), 0), what=described.name
                )
        return msg("The entry '{base}' is there.", base=base)
