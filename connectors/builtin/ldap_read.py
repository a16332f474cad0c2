"""Reading a directory's entries as pages of typed records."""

from __future__ import annotations

import hashlib
from collections.abc import Generator, Iterable, Iterator, Sequence
from contextlib import closing
from dataclasses import replace
from itertools import islice
from typing import Any

import polars as pl

from connectors.builtin import ldap_filter
from connectors.builtin.ldap_columns import Column, Role
from connectors.builtin.ldap_directory import Directory
from connectors.builtin.ldap_options import filter_of
from connectors.builtin.ldap_problems import problem
from connectors.builtin.ldap_session import Session
from connectors.builtin.ldap_wire import ONE_DOMAIN, Code, Control, Entry, Query, cookie_of, page_control
from connectors.casting import Places, short, typed
from connectors.errors import Fatal, RecordRejected
from connectors.sorted_changes import since_of, sorted_changes
from connectors.spi import Cursor, Page, ReadRequest, Reject
from rules.schema import Schema
from rules.text import msg

NOTHING = "1.1"
"""Asks for no attributes at all."""
_HELD = 1000


class Reading:
    """One scan of an object."""

    def __init__(self, directory: Directory, request: ReadRequest) -> None:
        self.directory = directory
        self.request = request
        self.described = directory.described(request.object)
        self.rows = Rows(directory, request.object, request.schema)

    def pages(self) -> Iterator[Page]:
        """Yield the pages behind the request's position, at least one."""
        cursor = self.request.cursor
        if cursor is None:
            yield from self._numbered()
            return
        wanted = self._since(cursor)
        with closing(self._found(wanted)) as found:
            pages = (self.rows.page(batch) for batch in iter(lambda: list(islice(found, _HELD)), []))
            yield from sorted_changes(pages, self.request, cursor)

    def _since(self, cursor: Cursor) -> bytes:
        """Return the filter for a cursor, as far as the directory compares the field as we do."""
        own, since = filter_of(self.described), since_of(self.request, cursor)
        column = self.rows.columns[cursor.field]
        if since is None or not column.ordered:
            return own
        later = ldap_filter.at_least(column.attribute, column.sought(since))
        absent = ldap_filter.negated(ldap_filter.present(column.attribute))
        return ldap_filter.every((own, ldap_filter.some((later, absent))))

    def _numbered(self) -> Iterator[Page]:
        """Yield the entries in the directory's own order.

        A directory knows no place to go on from, so a position is how many entries were read and a digest of their
        names: a later read takes the same way and sees whether it is still the same.
        """
        after = self.request.after or {}
        count, digest = 0, hashlib.sha256()
        with closing(self._found(filter_of(self.described))) as found:
            for entry in islice(found, int(after.get("count", 0))):
                count += 1
                digest.update(entry.name.encode() + b"\n")
            if after and (count, digest.hexdigest()) != (after["count"], after["way"]):
                raise self._changed()
            empty = True
            while batch := list(islice(found, self.request.page_size)):
                for entry in batch:
                    digest.update(entry.name.encode() + b"\n")
                count, empty = count + len(batch), False
                position = {"count": count, "way": digest.hexdigest()}
                yield replace(self.rows.page(batch), position=position, first=count - len(batch) + 1)
            if empty:
                yield Page(self.request.schema.empty(), {"count": count, "way": digest.hexdigest()})

    def _changed(self) -> Fatal:
        return Fatal(
            msg("'{name}' has changed since the read was interrupted, so it is not known where to go on.",
                name=self.described.name),
            msg("Start the run again."),
            object_name=self.described.name,
        )  # fmt: skip

    def _found(self, wanted: bytes) -> Generator[Entry, None, None]:
        """Yield the entries that meet a filter."""
        query = Query(self.described.base, wanted, self.rows.attributes, self.described.depth)
        session = self.directory.opened()
        try:
            for entry in self._entries(session, query):
                yield self.directory.whole(entry)
        finally:
            session.close()

    def _entries(self, session: Session, query: Query) -> Iterator[Entry]:
        size, cookie = self.directory.options.page_size, b""
        fixed = [Control(ONE_DOMAIN)] if self.directory.active else []
        while True:
            controls = [*fixed, page_control(size, cookie)] if size else fixed
            for item in session.search(query, controls, what=self.described.name):
                if isinstance(item, Entry):
                    yield item
                elif item.code != Code.SUCCESS:
                    raise problem(item, query.base, self.described.name)
                else:
                    cookie = cookie_of(item)
            if not cookie:
                return


class Rows:
    """Makes records of entries."""

    def __init__(self, directory: Directory, name: str, schema: Schema) -> None:
        described = directory.described(name)
        self.schema = schema
        self.columns: dict[str, Column] = {n: directory.column(described, n) for n in schema.names}
        found = [c.attribute for c in self.columns.values() if c.role is not Role.NAME]
        self.attributes: Sequence[str] = list(dict.fromkeys(found)) or [NOTHING]

    def page(self, entries: Iterable[Entry]) -> Page:
        """Return entries as a page of typed records; what cannot be represented exactly becomes a reject."""
        good: list[Entry] = []
        cells: list[list[str | None]] = []
        bad: list[Reject] = []
        for entry in entries:
            try:
                cells.append(self._cells(entry))
                good.append(entry)
            except RecordRejected as error:
                bad.append(Reject(entry.name, shown(entry), error.message, error.field))
        names = list(self.columns)
        raw = pl.DataFrame(cells, schema=dict.fromkeys(names, pl.String()), orient="row")
        places = Places(lambda row: good[row].name, lambda row: shown(good[row]))
        frame, rejects, _ = typed(raw, self.schema, places)
        return Page(frame, {}, (*bad, *rejects))

    def _cells(self, entry: Entry) -> list[str | None]:
        values = {name.lower().removesuffix(";binary"): given for name, given in entry.values.items()}
        return [column.text(entry, values) for column in self.columns.values()]


def shown(entry: Entry) -> str:
    """Return an entry as people see it."""
    lines: list[Any] = [
        f"{name}: {short(v.decode(errors='replace'), 80)}" for name, g in entry.values.items() for v in g
    ]
    return short(f"dn: {entry.name}\n" + "\n".join(lines), 300)
