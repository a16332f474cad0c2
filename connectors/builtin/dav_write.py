"""Writing calendar entries and contacts: what we do not know of them stays, and nobody's change is lost."""

from __future__ import annotations

import datetime as dt
import uuid
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import polars as pl

from connectors.builtin.dav_contact import name_whole
from connectors.builtin.dav_entry import Entry
from connectors.builtin.dav_fields import NAME, UID, put_all
from connectors.builtin.dav_read import Entries, Rows
from connectors.builtin.dav_service import Service, Subject
from connectors.builtin.dav_text import escaped
from connectors.builtin.rest_words import said_by
from connectors.casting import cast
from connectors.errors import RecordRejected
from connectors.http_reply import Reply
from connectors.spi import Failure
from connectors.value_text import PLAIN
from rules.schema import Change, Op, Schema
from rules.text import msg

_STALE = 412
_TIMES = 4
_TYPES = {"contacts": "text/vcard; charset=utf-8"}
_STAMPS = frozenset({"DTSTAMP", "LAST-MODIFIED", "REV", "CREATED"})
Clock = Callable[[], dt.datetime]


class Writing:
    """The writes of one call."""

    def __init__(self, service: Service, subject: Subject, schema: Schema, clock: Clock) -> None:
        self.service, self.subject, self.schema, self.clock = service, subject, schema, clock
        self.entries = Entries(service, subject)
        self.failures: list[Failure] = []

    def write(self, changes: Sequence[Change]) -> tuple[tuple[Failure, ...], tuple[pl.Series | None, ...]]:
        """Write the records of the changes in their order; return the refused ones, and the keys of created ones."""
        keys = tuple(self._change(number, change) for number, change in enumerate(changes))
        return tuple(self.failures), keys

    def _change(self, number: int, change: Change) -> pl.Series | None:
        Rows(self.subject, self.schema.select(tuple(n for n in change.records.columns if n in self.schema)))
        made: list[str | None] = []
        known: dict[str, list[Entry]] = {}
        if change.key in change.records.columns:
            known = self._known(change)
        for row, record in enumerate(change.records.iter_rows(named=True)):
            try:
                made.append(self._record(change, record, known))
            except RecordRejected as error:
                self.failures.append(Failure(number, row, error.message, error.field))
                made.append(None)
        if change.op is not Op.CREATE or change.key in change.records.columns:
            return None
        return cast(pl.Series(change.key, made, pl.String), self.schema[change.key])

    def _known(self, change: Change) -> dict[str, list[Entry]]:
        """Return the entries that have one of a change's keys, where they are not found by the key alone."""
        if self.subject.columns[change.key].source in (NAME, UID):
            return {}
        wanted = {PLAIN.text(value) for value in change.records[change.key].drop_nulls()}
        found: dict[str, list[Entry]] = {}
        names, size = self.entries.names(), self.service.options.page_size
        rows = Rows(self.subject, self.schema.select((change.key,)))
        for start in range(0, len(names), size):
            for entry in self.entries.of(names[start : start + size]):
                text = next((PLAIN.text(value) for value in rows.page([entry]).records[change.key]), None)
                if text in wanted:
                    found.setdefault(str(text), []).append(entry)
        return found

    def _with(self, key: str, text: str, known: Mapping[str, list[Entry]]) -> list[Entry]:
        source = self.subject.columns[key].source
        if source == NAME:
            return self.entries.of([text])
        return self.entries.with_uid(text) if source == UID else known.get(text, [])

    def _record(self, change: Change, record: Mapping[str, Any], known: dict[str, list[Entry]]) -> str | None:
        key = PLAIN.text(record.get(change.key))
        if change.op is Op.CREATE:
            entry = self._create(change.key, record, known)
            if key is not None and change.key in record:
                known.setdefault(key, []).append(entry)
            return self.subject.columns[change.key].read(entry)
        if key is None:
            raise RecordRejected(
                msg("Field '{field}' is empty, so it is not known which record is meant.", field=change.key),
                field=change.key,
            )
        found = self._with(change.key, key, known)
        if len(found) != 1:
            raise RecordRejected(
                msg("The server has several entries with this key.") if found
                else msg("The server has no such entry any more."), field=change.key,
            )  # fmt: skip
        if change.op is Op.DELETE:
            self._delete(found[0])
            known.pop(key, None)
        else:
            known[key] = [self._update(found[0], {n: v for n, v in record.items() if n != change.key})]
        return None

    def _create(self, key: str, record: Mapping[str, Any], known: Mapping[str, list[Entry]]) -> Entry:
        self._check(record)
        text = PLAIN.text(record.get(key))
        if text is not None and self.subject.columns[key].source != NAME and self._with(key, text, known):
            raise self._there(key)
        by_source = {self.subject.columns[name].source: PLAIN.text(value) for name, value in record.items()}
        uid = by_source.get(UID) or by_source.get(NAME) or str(uuid.uuid4())
        name = by_source.get(NAME) or uid
        _check_name(name, key)
        entry = Entry(name, "", self._empty(uid), self.subject.component)
        put_all(entry, self.subject.columns, record)
        if self.subject.kind == "contacts" and by_source.get("full_name") is None:
            name_whole(entry)
        reply = self._put(entry, {"If-None-Match": "*"})
        if reply.status_code == _STALE:
            there = self.entries.of([name])
            if not there or not _same(entry, there[0]):  # an answer that got lost: it is ours
                raise self._there(key)
        elif not reply.is_success:
            raise self._refused(reply)
        return entry

    def _there(self, key: str) -> RecordRejected:
        return RecordRejected(msg("The server has an entry with this key already."), field=key)

    def _update(self, seen: Entry, wanted: Mapping[str, Any]) -> Entry:
        """Change an entry in the state in which it was seen; one that somebody changed elsewhere is changed anew."""
        self._check(wanted)
        if any(self.subject.columns[name].source == NAME for name in wanted):
            raise RecordRejected(msg("The name of an entry is where it lies, so it is not changed."), field=NAME)
        before = {name: self.subject.columns[name].read(seen) for name in wanted}
        for _ in range(_TIMES):
            entry = Entry(seen.name, seen.tag, seen.text, seen.kind, seen.path)
            put_all(entry, self.subject.columns, wanted)
            if entry.whole.written() == seen.whole.written():
                return seen
            self._stamp(entry)
            reply = self._put(entry, {"If-Match": seen.tag} if seen.tag else {})
            if reply.is_success:
                return Entry(entry.name, "", entry.whole.written(), entry.kind, seen.path)
            if reply.status_code != _STALE:
                raise self._refused(reply)
            fresh = self.entries.of([seen.name])
            if not fresh:
                raise RecordRejected(msg("The server has no such entry any more."))
            if before != {name: self.subject.columns[name].read(fresh[0]) for name in wanted}:
                raise RecordRejected(
                    msg("Somebody else has changed this record meanwhile. It is compared anew in the next run.")
                )
            seen = fresh[0]
        raise RecordRejected(msg("The record changes again and again while it is written. Try again later."))

    def _delete(self, entry: Entry) -> None:
        headers = {"If-Match": entry.tag} if entry.tag else {}
        reply = self._sent("DELETE", entry, None, headers)
        if reply.status_code == _STALE:
            raise RecordRejected(
                msg("Somebody else has changed this record meanwhile. It is compared anew in the next run.")
            )
        if not reply.is_success:
            raise self._refused(reply)

    def _put(self, entry: Entry, headers: Mapping[str, str]) -> Reply:
        kind = _TYPES.get(self.subject.kind, "text/calendar; charset=utf-8")
        return self._sent("PUT", entry, entry.whole.written().encode(), {"Content-Type": kind, **headers})

    def _sent(self, method: str, entry: Entry, body: bytes | None, headers: Mapping[str, str]) -> Reply:
        url = self.service.place(self.subject.collection.url, entry.path or self.subject.path(entry.name))
        reply = self.service.reply(method, url, body, headers, self.subject.name)
        if reply.status_code == 401:
            raise self.service.refused(reply, method, url, self.subject.name)
        return reply

    def _refused(self, reply: Reply) -> RecordRejected:
        if reply.status_code in (404, 410):
            return RecordRejected(msg("The server has no such entry any more."))
        if b"no-uid-conflict" in reply.content:
            return self._there(UID)
        told = self.service.calls.credentials.hide(said_by(reply) or "-")
        return RecordRejected(
            msg("The server refuses the entry ({status}): {said}", status=reply.status_code, said=told)
        )

    def _check(self, record: Mapping[str, Any]) -> None:
        for name, value in record.items():
            if value is None and name in self.schema and not self.schema[name].nullable:
                raise RecordRejected(msg("Field '{field}' is empty, but it must have a value.", field=name), field=name)

    def _empty(self, uid: str) -> str:
        """Return an entry with nothing but its UID, and when it was made."""
        now, own = f"{self.clock():%Y%m%dT%H%M%SZ}", escaped(uid)
        if self.subject.kind == "contacts":
            return f"BEGIN:VCARD\r\nVERSION:3.0\r\nUID:{own}\r\nFN:{own}\r\nN:;;;;\r\nREV:{now}\r\nEND:VCARD\r\n"
        inner = f"UID:{own}\r\nDTSTAMP:{now}\r\nCREATED:{now}\r\n"
        part = f"BEGIN:{self.subject.component}\r\n{inner}END:{self.subject.component}\r\n"
        return f"BEGIN:VCALENDAR\r\nVERSION:2.0\r\nPRODID:-//Syncline//EN\r\n{part}END:VCALENDAR\r\n"

    def _stamp(self, entry: Entry) -> None:
        now = f"{self.clock():%Y%m%dT%H%M%SZ}"
        for name in ("REV",) if self.subject.kind == "contacts" else ("DTSTAMP", "LAST-MODIFIED"):
            entry.main.set(name, now)


def _same(made: Entry, there: Entry) -> bool:
    """Tell whether an entry that is there is the one that was made: to the second, and with all that was put."""
    ours = {(line.name, line.value) for line in made.main.lines}
    return ours <= {(line.name, line.value) for line in there.main.lines}


def _check_name(name: str, key: str) -> None:
    if "/" in name or name in (".", "..") or any(ord(character) < ord(" ") for character in name):
        raise RecordRejected(
            msg("'{name}' cannot be the name of an entry: it has a slash or a line break.", name=name[:60]), field=key
        )
