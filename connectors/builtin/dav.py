"""The connector `dav`: calendars and address books, over CalDAV and CardDAV."""

from __future__ import annotations

import datetime as dt
import time
from collections.abc import Generator, Iterator, Sequence
from functools import cached_property

import polars as pl

from connectors.builtin.dav_options import SPEC
from connectors.builtin.dav_read import Log, Reading, looked_up
from connectors.builtin.dav_service import Service
from connectors.builtin.dav_write import Writing
from connectors.builtin.web_service import server_of
from connectors.casting import SHOWN, short
from connectors.changes import ChangeLog
from connectors.errors import RecordRejected
from connectors.lookups import whole
from connectors.spi import Capture, Connector, Fence, ObjectInfo, Page, ReadRequest, Step, WriteResult
from connectors.steps import stepwise
from connectors.value_text import PLAIN
from rules.schema import Change, Schema
from rules.text import N_, Message, msg


class Dav(Connector):
    """One calendar and address book server."""

    spec = SPEC

    @cached_property
    def service(self) -> Service:
        """Return the server that the settings name."""
        return Service(self.settings, self.context)

    def check(self) -> Iterator[Step]:
        """Yield the steps of the connection test."""
        return stepwise(
            (
                (N_("Read the settings"), self._described),
                (N_("Find the server"), self._found),
                (N_("Find calendars and address books"), self._offered),
                (N_("Read a list"), self._listed),
            )
        )

    def objects(self) -> list[ObjectInfo]:
        """Return the described objects, or all calendars and address books."""
        found = self.service.subjects.values()
        infos = (ObjectInfo(s.name, s.kind, s.described.label or s.collection.label) for s in found)
        return sorted(infos, key=lambda info: info.name)

    def schema(self, name: str) -> Schema:
        """Return the fields of an object's entries."""
        subject = self.service.subject(name)
        return Schema(tuple(c.field for c in subject.columns.values()), (subject.described.key,))

    def read(self, request: ReadRequest) -> Iterator[Page]:
        """Yield the entries of an object page by page."""
        return Reading(self.service, request).pages()

    def lookup(self, name: str, schema: Schema, key: str, values: pl.Series) -> pl.DataFrame:
        """Return the entries whose key is among the values; the server looks for them where it can."""
        subject = self.service.subject(name)
        texts = sorted({PLAIN.text(value) or "" for value in values.drop_nulls()})
        page = looked_up(self.service, subject, schema, key, texts)
        if page is None:
            return super().lookup(name, schema, key, values)
        found = page.records.filter(pl.col(key).is_in(values.implode()))
        bad = next((RecordRejected(r.message, field=r.field, object_name=name) for r in page.rejects), None)
        alone = schema.select((key,))
        return whole(found, alone, values, bad, lambda: self.lookup(name, alone, key, values))

    def change_log(self, name: str, capture: Capture) -> ChangeLog:
        """Return the server's list of changes of an object."""
        return Log(self.service, self.service.subject(name), capture)

    def changed(self, names: Sequence[str], pause: float) -> Generator[frozenset[str]]:
        """Yield which objects were changed, as their tokens tell; the server is asked every `pause` seconds."""
        subjects = [self.service.subject(name) for name in names]
        before = {s.name: self.service.refreshed(s).token for s in subjects}
        yield frozenset()
        while True:
            time.sleep(pause)
            now = {s.name: self.service.refreshed(s).token for s in subjects}
            yield frozenset(name for name, token in now.items() if token != before[name])
            before = now

    def write(self, name: str, schema: Schema, changes: Sequence[Change], fence: Fence | None = None) -> WriteResult:
        """Write one entry after the other; those that the server refuses are returned."""
        del fence  # a server has no place for it
        writing = Writing(self.service, self.service.subject(name), schema, lambda: dt.datetime.now(dt.UTC))
        return WriteResult(*writing.write(changes))

    def close(self) -> None:
        """Close the connections to the server."""
        if "service" in self.__dict__:
            self.service.close()

    def _described(self) -> Message:
        return msg("Objects described: {count}.", count=len(self.service.options.objects))

    def _found(self) -> Message:
        return server_of(self.service.base, self.context)

    def _offered(self) -> Message:
        names = short(", ".join(self.service.subjects), 2 * SHOWN)
        return msg("Calendars and address books: {names}.", names=names or "-")

    def _listed(self) -> Message:
        first = next(iter(self.service.subjects.values()), None)
        if first is None:
            return msg("There is nothing to be read yet.")
        page = next(self.read(ReadRequest(first.name, self.schema(first.name), page_size=1)))
        return msg("'{name}' answers; the first page has {count} entries.", name=first.name, count=page.records.height)
