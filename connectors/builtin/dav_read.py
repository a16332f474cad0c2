"""Reading the entries of a collection: in the order of their names, or those that changed since a token."""

from __future__ import annotations

from collections.abc import Container, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import polars as pl

from connectors.builtin.dav_entry import Entry
from connectors.builtin.dav_fields import NAME, UID, Column
from connectors.builtin.dav_service import Service, Subject, file_of
from connectors.builtin.dav_xml import (
    CALENDAR,
    CARD,
    DAV,
    Answer,
    multiget,
    propfind,
    query,
    sync,
    told_of,
    writable,
)
from connectors.casting import Places, cast, short, typed
from connectors.changes import ChangeLog, LogState, Mark
from connectors.errors import Fatal, Misconfigured, ObjectMissing, RecordRejected, Unavailable
from connectors.sorted_changes import since_of, sorted_changes
from connectors.spi import Capture, Page, ReadRequest, Reject
from rules.schema import Schema
from rules.text import Message, msg

_GONE, _MORE = (404, 410), 507
_FEW = 20
_ROUNDS = 10_000
_LISTED = propfind("D:getetag", "D:resourcetype")


Files = Mapping[str, set[str]]
"""The last parts of the addresses of entries, by name; several are with and without the usual extension."""


@dataclass(frozen=True)
class Changes:
    """What changed since a token: the names that are there, their files, and up to where it was read."""

    names: Files
    gone: frozenset[str]
    token: str


class Entries:
    """The entries of a collection."""

    def __init__(self, service: Service, subject: Subject) -> None:
        self.service, self.subject = service, subject

    def names(self) -> list[str]:
        """Return the names of all entries, sorted; a list that the server does not finish is an error."""
        return sorted(self.files())

    def files(self) -> Files:
        """Return the names of all entries and their files; a list that the server does not finish is an error."""
        subject = self.subject
        if subject.kind == "contacts":
            answers = self.service.report(subject, _LISTED, "PROPFIND")
        else:
            answers = self.service.report(subject, query(subject.prefix, subject.component))
        if any(answer.status == _MORE for answer in answers):
            raise Fatal(
                msg("The server ends the list of '{name}' before its end.", name=subject.name),
                msg("Ask the operator of the server to allow longer lists."), object_name=subject.name,
            )  # fmt: skip
        return self._by_name(file_of(answer.path) for answer in answers if self._is_entry(answer))

    def of(self, names: Sequence[str], gone: Container[str] = ()) -> list[Entry]:
        """Return entries by their names, in this order; those that the server says are gone are left out.

        Args:
            names: Their names.
            gone: Names that it has said of already.

        Raises:
            Unavailable: It neither gives one of the others nor says that it is gone.
        """
        found, doubts = dict[str, Entry](), dict[str, str]()
        for place in (0, 1):
            paths = {name: self.subject.paths(name)[place:] for name in names if name and name not in found}
            open_ = [(name, path[0]) for name, path in paths.items() if path]
            for start in range(0, len(open_), self.service.options.page_size):
                self._ask(dict(open_[start : start + self.service.options.page_size]), found, doubts)
            if all(name in found for name in names):
                break
        doubt = next((name for name in names if name in doubts and name not in found and name not in gone), None)
        if doubt is not None:
            raise Unavailable(
                msg("The server neither gives the entry '{entry}' of '{name}' nor says that it is gone: {status}.",
                    entry=doubt, name=self.subject.name, status=doubts[doubt]),
                msg("Try again later; if it happens always, ask the operator of the server."),
                object_name=self.subject.name,
            )  # fmt: skip
        return [found[name] for name in names if name in found]

    def with_uid(self, uid: str) -> list[Entry]:
        """Return the entries with a UID."""
        if not uid or not writable(uid):
            return []
        answers = self.service.report(self.subject, query(self.subject.prefix, self.subject.component, uid))
        names = sorted({self.subject.name_of(answer.path) for answer in answers if self._is_entry(answer)})
        return [entry for entry in self.of(names) if _uid_of(entry) == uid]

    def since(self, token: str) -> Changes | Message:
        """Return what changed since a token; why that is not known any more where the server has forgotten it."""
        files, url = dict[str, bool](), self.subject.collection.url
        for _ in range(_ROUNDS):
            reply = self.service.reply("REPORT", url, sync(token), {"Depth": "0"}, self.subject.name)
            if reply.status_code in (400, 403, 409, 410, 412) and b"sync-token" in reply.content:
                return msg("The server has forgotten the changes of '{name}' since then.", name=self.subject.name)
            if not reply.is_success:
                raise self.service.refused(reply, "REPORT", url, self.subject.name)
            before = token
            answers, token = told_of(reply, url)
            files |= {file_of(a.path): a.status in _GONE for a in answers if self._is_entry(a)}
            if not any(answer.status == _MORE for answer in answers):
                there = self._by_name(file for file, is_gone in files.items() if not is_gone)
                return Changes(there, frozenset(self._by_name(files)) - there.keys(), token)
            if token == before:
                break
        raise Fatal(
            msg("The list of changes of '{name}' does not end.", name=self.subject.name),
            msg("Ask the operator of the server."), object_name=self.subject.name,
        )  # fmt: skip

    def _ask(self, paths: Mapping[str, str], found: dict[str, Entry], doubts: dict[str, str]) -> None:
        """Ask for entries by their names; note those that are found, and what is said of others that are not gone."""
        answers = self.service.report(self.subject, multiget(self.subject.prefix, paths.values()))
        told = {file_of(answer.path): answer for answer in answers}
        for name, path in paths.items():
            answer = told.get(file_of(path))
            entry = None if answer is None else self._entry(name, answer)
            if entry is not None:
                found[name] = entry
            elif answer is None or answer.status not in _GONE:
                doubts[name] = "-" if answer is None else str(answer.status)

    def _entry(self, name: str, answer: Answer) -> Entry | None:
        text = answer.raw(f"{CALENDAR}calendar-data") or answer.raw(f"{CARD}address-data")
        if text is None or answer.status != 200:
            return None
        return Entry(name, answer.text(f"{DAV}getetag"), text, self.subject.component, answer.path)

    def _by_name(self, files: Iterable[str]) -> dict[str, set[str]]:
        found: dict[str, set[str]] = {}
        for file in files:
            found.setdefault(self.subject.name_of(file), set()).add(file)
        return found

    def _is_entry(self, answer: Answer) -> bool:
        """Tell whether an answer is about an entry, and not about the collection or one in it."""
        inner = f"{DAV}collection" in answer.inner(f"{DAV}resourcetype")
        path = self.subject.collection.url.join(answer.path).path.rstrip("/")
        return path != self.subject.collection.url.path.rstrip("/") and not inner and not answer.path.endswith("/")


class Rows:
    """Makes records of entries."""

    def __init__(self, subject: Subject, schema: Schema) -> None:
        self.subject, self.schema = subject, schema
        missing = next((name for name in schema.names if name not in subject.columns), None)
        if missing is not None:
            raise ObjectMissing(
                msg("The object '{name}' has no field '{field}'.", name=subject.name, field=missing),
                msg("Read the fields of the connection again."), object_name=subject.name,
            )  # fmt: skip
        self.columns: dict[str, Column] = {name: subject.columns[name] for name in schema.names}

    def page(self, entries: Iterable[Entry], files: Files | None = None) -> Page:
        """Return entries as a page of typed records; what cannot be represented exactly becomes a reject.

        Args:
            entries: The entries.
            files: The files that are known by name; a name of several does not say which entry is meant.
        """
        good, cells, bad = list[Entry](), list[list[str | None]](), list[Reject]()
        for entry in entries:
            try:
                self._check(entry, files or {})
                if not entry.holds_kind:
                    continue
                cells.append([_read(column, entry) for column in self.columns.values()])
                good.append(entry)
            except RecordRejected as error:
                bad.append(Reject(entry.name, short(entry.text, 300), error.message, error.field))
        raw = pl.DataFrame(cells, schema=dict.fromkeys(self.columns, pl.String()), orient="row")
        places = Places(lambda row: good[row].name, lambda row: short(good[row].text, 300))
        frame, rejects, _ = typed(raw, self.schema, places)
        return Page(frame, {}, (*bad, *rejects))

    def _check(self, entry: Entry, files: Files) -> None:
        others = files.get(entry.name, set()) - {file_of(entry.path)}
        if others:
            raise RecordRejected(
                msg("The server has several entries of this name: {files}. Rename one of them.",
                    files=", ".join(sorted({*others, file_of(entry.path)}))), field=NAME,
            )  # fmt: skip

    def gone(self, names: Sequence[str], key: str) -> pl.DataFrame:
        """Return records that are gone: only their key is known."""
        keys = cast(pl.Series(key, list(names), pl.String), self.schema[key])
        rows = {f.name: keys if f.name == key else pl.Series(f.name, [None] * len(names), f.dtype)
                for f in self.schema.fields}  # fmt: skip
        return pl.DataFrame(rows, schema=self.schema.dtypes()).filter(pl.col(key).is_not_null())


class Reading:
    """One scan of an object."""

    def __init__(self, service: Service, request: ReadRequest) -> None:
        self.service, self.request = service, request
        self.subject = service.subject(request.object)
        self.rows = Rows(self.subject, request.schema)
        self.entries = Entries(service, self.subject)

    def pages(self) -> Iterator[Page]:
        """Yield the pages behind the request's position, at least one."""
        cursor, capture = self.request.cursor, self.request.capture
        if cursor is not None:
            since_of(self.request, cursor)
            return sorted_changes(
                self._parts(self.entries.files(), self.service.options.page_size), self.request, cursor
            )
        if capture is None:
            return self._all(None)
        missing = Log(self.service, self.subject, capture).missing()
        if missing:
            raise Misconfigured(missing[0], object_name=self.subject.name)
        after = self.request.after or {}
        if capture.since is None:
            token = str(after.get("token") or self.service.refreshed(self.subject).token)
            return self._all(token)
        return self._since(str(capture.since["token"]), capture.key)

    def _all(self, token: str | None) -> Iterator[Page]:
        """Yield all entries by name; with a token that was taken before, as the beginning of a read of changes."""
        more: dict[str, Any] = {} if token is None else {"token": token}
        last = str((self.request.after or {}).get("name") or "")
        files = {name: found for name, found in self.entries.files().items() if name > last}
        names = sorted(files)
        size = min(self.request.page_size, self.service.options.page_size)
        empty = True
        for start, page in zip(range(0, len(names), size), self._parts(files, size), strict=True):
            empty, last = False, names[min(start + size, len(names)) - 1]
            yield replace(page, position={"name": last, **more}, captured=more or None)
        if empty:
            yield Page(self.request.schema.empty(), {"name": last, **more}, captured=more or None)

    def _parts(self, files: Files, size: int) -> Iterator[Page]:
        names = sorted(files)
        for start in range(0, len(names), size):
            yield self.rows.page(self.entries.of(names[start : start + size]), files)

    def _since(self, since: str, key: str) -> Iterator[Page]:
        """Yield what changed; the place that is told is the one of the first page, also for a read that goes on."""
        changes = self.entries.since(since)
        if isinstance(changes, Message):
            raise Fatal(changes, msg("Start the run again: it compares all records."), object_name=self.subject.name)
        after = self.request.after or {}
        last, token = str(after.get("name") or ""), str(after.get("token") or changes.token)
        names = [name for name in sorted({*changes.names, *changes.gone}) if name > last]
        size = min(self.request.page_size, self.service.options.page_size)
        for start in range(0, max(len(names), 1), size):
            part = names[start : start + size]
            # of two entries that differ by their extension only one may be gone, so that is asked for, too
            found = self.entries.of(part, changes.gone)
            there = {entry.name for entry in found}
            page = self.rows.page(found, changes.names)
            deleted = self.rows.gone([name for name in part if name not in there], key)
            last = part[-1] if part else last
            yield replace(
                page, position={"name": last, "token": token}, captured={"token": token},
                deleted=deleted if deleted.height else None,
            )  # fmt: skip


class Log(ChangeLog):
    """The server's own list of changes (RFC 6578); a place in it is a token."""

    def __init__(self, service: Service, subject: Subject, capture: Capture) -> None:
        self.service, self.subject, self.capture = service, subject, capture

    def missing(self) -> list[Message]:
        """Say where the server keeps no such list, and where it could not name what was deleted."""
        found = []
        if not self.subject.collection.syncs:
            found.append(
                msg("The server does not tell what changed in '{name}'. Find changes by a field, such as 'modified', or"
                    " read all.", name=self.subject.name)
            )  # fmt: skip
        column = self.subject.columns.get(self.capture.key)
        if column is None or column.source != NAME:
            found.append(
                msg("The server names what was deleted by '{name}' only. Let it be the rule's key, find changes by a"
                    " field, or read all.", name=NAME)
            )  # fmt: skip
        return found

    def keep(self) -> Message | None:
        """Do nothing: the server keeps its list by its own rules."""
        return None

    def state(self, since: Mark) -> LogState:
        """Say whether the server still knows the changes since a token."""
        found = Entries(self.service, self.subject).since(str(since["token"]))
        return LogState(lost=found) if isinstance(found, Message) else LogState(place=str(since["token"]))

    def pending(self, since: Mark) -> bool:
        """Tell whether anything changed since a token."""
        return self.service.refreshed(self.subject).token != str(since["token"])

    def drop(self) -> Message | None:
        """Do nothing: nothing was made."""
        return None


def looked_up(service: Service, subject: Subject, schema: Schema, key: str, texts: Sequence[str]) -> Page | None:
    """Return the entries that may have one of the texts in their key; None where all have to be read for that."""
    entries, rows, source = Entries(service, subject), Rows(subject, schema), subject.columns[key].source
    if source == NAME:
        return rows.page(entries.of(texts))
    if source == UID and len(texts) <= _FEW:
        return rows.page([entry for text in texts for entry in entries.with_uid(text)])
    return None


def _read(column: Column, entry: Entry) -> str | None:
    try:
        return column.read(entry)
    except RecordRejected as error:
        raise RecordRejected(error.message, field=error.field or column.field.name) from error


def _uid_of(entry: Entry) -> str | None:
    try:
        line = entry.main.first("UID")
    except RecordRejected:
        return None
    return None if line is None else line.text
