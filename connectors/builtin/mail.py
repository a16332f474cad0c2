"""The connector `mail`: the folders of a mailbox, read and changed over IMAP."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterator, Sequence
from functools import cached_property

import polars as pl

from connectors.builtin.mail_columns import CHANGED, columns_of
from connectors.builtin.mail_folders import Folders
from connectors.builtin.mail_options import SPEC, MailObject, MailOptions
from connectors.builtin.mail_read import Reading, Scan, Subject, numbers_with
from connectors.builtin.mail_server import MailServer
from connectors.builtin.mail_write import Writing
from connectors.casting import SHOWN, short
from connectors.errors import ObjectMissing, RecordRejected
from connectors.lookups import whole
from connectors.spi import Connector, Fence, ObjectInfo, Page, ReadRequest, Step, WriteResult
from connectors.steps import stepwise
from connectors.value_text import PLAIN
from rules.schema import Change, Schema
from rules.text import N_, Message, msg

_COUNTED = 100
"""Of more folders than these it is not said how many mails they hold."""
_MORE = 1024 * 1024


class Mailbox(Connector):
    """One mailbox."""

    spec = SPEC

    @cached_property
    def options(self) -> MailOptions:
        """Return what is read and written; raises `Misconfigured`."""
        return MailOptions.of(self.settings)

    @cached_property
    def server(self) -> MailServer:
        """Return the server that the settings name."""
        return MailServer(self.settings, self.context, "IMAP")

    @property
    def folders(self) -> Folders:
        """Return the connection, which is made when it is first needed and anew when it was lost."""
        if "_folders" not in self.__dict__:
            self.server.check()
            self.__dict__["_folders"] = Folders(self.server, self.options.largest + _MORE)
        return self.__dict__["_folders"]  # type: ignore[no-any-return]

    def check(self) -> Iterator[Step]:
        """Yield the steps of the connection test."""
        return stepwise(
            (
                (N_("Read the settings"), self._described),
                (N_("Find the server"), self._host),
                (N_("Reach the port"), self._port),
                (N_("Sign in"), self._signed_in),
                (N_("Find the folders"), self._found),
            )
        )

    def objects(self) -> list[ObjectInfo]:
        """Return the described objects, or all folders."""
        self._described()
        self._found()
        given = self.options.objects or [MailObject(name=name) for name in self.folders.names()]
        few = len(given) <= _COUNTED
        counts = [self.folders.count(one.folder or one.name) if few else None for one in given]
        found = (ObjectInfo(o.name, "folder", o.label, n) for o, n in zip(given, counts, strict=True))
        return sorted(found, key=lambda info: info.name)

    def schema(self, name: str) -> Schema:
        """Return the fields of a folder's mails."""
        subject = self._subject(name)
        with _Lost(self):
            knows = self.folders.open(subject.folder).changes
        fields = (c.field for c in subject.columns.values() if knows or c.source != CHANGED)
        return Schema(tuple(fields), (subject.key,))

    def read(self, request: ReadRequest) -> Iterator[Page]:
        """Yield the mails of a folder page by page."""
        with _Lost(self):
            yield from Reading(self.folders, self._subject(request.object), request).pages()

    def lookup(self, name: str, schema: Schema, key: str, values: pl.Series) -> pl.DataFrame:
        """Return the mails whose key is among the values; the server searches for them where it can."""
        subject = self._subject(name)
        texts = sorted({PLAIN.text(value) or "" for value in values.drop_nulls()})
        with _Lost(self):
            scan = Scan(self.folders, subject, self.folders.open(subject.folder), schema)
            pages = list(scan.found(numbers_with(scan, scan.rows.columns[schema.names.index(key)], texts)))
        found = pl.concat([schema.empty(), *(p.records.filter(pl.col(key).is_in(values.implode())) for p in pages)])
        bad = next((RecordRejected(r.message, field=r.field, object_name=name) for p in pages for r in p.rejects), None)
        alone = schema.select((key,))
        return whole(found, alone, values, bad, lambda: self.lookup(name, alone, key, values))

    def write(self, name: str, schema: Schema, changes: Sequence[Change], fence: Fence | None = None) -> WriteResult:
        """Write one mail after the other; those that cannot be written are returned."""
        del fence  # a mailbox has no place for it
        with _Lost(self):
            writing = Writing(self.folders, self._subject(name), schema, lambda: dt.datetime.now(dt.UTC))
            return WriteResult(*writing.write(changes))

    def close(self) -> None:
        """Close the connection to the server."""
        folders = self.__dict__.pop("_folders", None)
        if folders is not None:
            folders.close()

    def _subject(self, name: str) -> Subject:
        described = self._object(name)
        return Subject(
            name, described.folder or name, described.key, columns_of(described), self.options.content,
            self.options.largest,
        )  # fmt: skip

    def _object(self, name: str) -> MailObject:
        if not self.options.objects:
            return MailObject(name=name)
        found = next((described for described in self.options.objects if described.name == name), None)
        if found is None:
            raise ObjectMissing(
                msg("The connection describes no object '{name}'.", name=name),
                msg("Add it to the objects in the connection's settings."), object_name=name,
            )  # fmt: skip
        return found

    def _described(self) -> Message:
        for described in self.options.objects:
            columns_of(described)
        self.server.check()
        return msg("Objects described: {count}.", count=len(self.options.objects))

    def _host(self) -> Message:
        return self.server.place.find()

    def _port(self) -> Message:
        return self.server.place.reach()

    def _signed_in(self) -> Message:
        return msg("The mail server lets '{user}' in.", user=self.folders.server.user)

    def _found(self) -> Message:
        names = self.folders.names()
        for described in self.options.objects:
            self.folders.open(described.folder or described.name)
        return msg("Folders of the mailbox: {names}.", names=short(", ".join(names), 2 * SHOWN) or "-")


class _Lost:
    """Gives a connection up on which something went wrong: it may be in the middle of an answer."""

    def __init__(self, mailbox: Mailbox) -> None:
        self.mailbox = mailbox

    def __enter__(self) -> None:
        return None

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: object) -> None:
        if error is not None and not isinstance(error, GeneratorExit):
            self.mailbox.close()
