"""Writing into a folder of a mailbox: new mails, marks, moves, deletions, and headers that are fields of an object."""

from __future__ import annotations

import datetime as dt
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from email.utils import format_datetime, make_msgid
from typing import Any

import polars as pl

from connectors.builtin.mail_columns import FLAGS, FOLDER, KEY, KEYWORDS, RECEIVED, STANDARD, Column, key_of, numbers_of
from connectors.builtin.mail_compose import Draft, files_of, people_of, with_headers
from connectors.builtin.mail_folders import Folders
from connectors.builtin.mail_read import MONTHS, Scan, Subject, numbers_with
from connectors.errors import RecordRejected, Unavailable
from connectors.json_records import decode
from connectors.spi import Failure
from connectors.value_text import PLAIN
from rules.schema import Change, Op, Schema
from rules.text import msg

_PEOPLE = {"from": "From", "to": "To", "cc": "Cc", "reply_to": "Reply-To"}
_TEXTS = {"message_id": "Message-ID", "subject": "Subject", "in_reply_to": "In-Reply-To", "references": "References"}
_MARKS = frozenset({*FLAGS, KEYWORDS, FOLDER})
_KEYWORD = re.compile(r"[A-Za-z0-9$_.:-]+")


@dataclass(frozen=True)
class Target:
    """A mail that is there: its number, and its key as it is looked for."""

    number: int
    key: str


class Writing:
    """The writes of one call."""

    def __init__(self, folders: Folders, subject: Subject, schema: Schema, clock: Callable[[], dt.datetime]) -> None:
        self.folders, self.subject, self.schema, self.clock = folders, subject, schema, clock
        self.opened = folders.open(subject.folder, writing=True)
        self.failures: list[Failure] = []

    def write(self, changes: Sequence[Change]) -> tuple[tuple[Failure, ...], tuple[pl.Series | None, ...]]:
        """Write the records of the changes in their order; return the refused ones, and the keys of created ones."""
        keys = tuple(self._change(number, change) for number, change in enumerate(changes))
        return tuple(self.failures), keys

    def _change(self, number: int, change: Change) -> pl.Series | None:
        self.subject.rows(self.schema.select(tuple(n for n in change.records.columns if n in self.schema)))
        there = self._there(change)
        keys: list[Any] = []
        for row, record in enumerate(change.records.iter_rows(named=True)):
            try:
                keys.append(self._record(change, record, there))
            except RecordRejected as error:
                self.failures.append(Failure(number, row, error.message, error.field))
                keys.append(None)
        if change.op is not Op.CREATE or not self._is_own(change.key):
            return None
        return pl.Series(change.key, keys, pl.String)

    def _record(self, change: Change, record: Mapping[str, Any], there: dict[str, list[int]]) -> str | None:
        if change.op is Op.CREATE:
            return self._create(change, record, there)
        key = PLAIN.text(record[change.key])
        if key is None:
            raise RecordRejected(
                msg("Field '{field}' is empty, so it is not known which record is meant.", field=change.key),
                field=change.key,
            )
        found = there.get(key, [])
        if len(found) != 1:
            raise RecordRejected(
                msg("The folder has several mails with this key.") if found
                else msg("The folder has no such mail any more."), field=change.key,
            )  # fmt: skip
        if change.op is Op.DELETE:
            self.folders.remove(found[0], self.subject.name)
            there[key] = []
        else:
            there[key] = [self._update(Target(found[0], key), change.key, record)]
        return None

    def _is_own(self, name: str) -> bool:
        return name not in self.subject.columns or self.subject.columns[name].source == KEY

    def _there(self, change: Change) -> dict[str, list[int]]:
        """Return the numbers of the mails that have one of a change's keys, by the text of the key."""
        name = change.key
        if name not in change.records.columns or (change.op is Op.CREATE and self._is_own(name)):
            return {}
        column = self.subject.columns.get(name, STANDARD[KEY])
        own = () if name == KEY else (STANDARD[KEY].field,)
        scan = Scan(self.folders, self.subject, self.opened, Schema((self.schema[name], *own)))
        return numbers_by_key(scan, column, change.records[name])

    def _create(self, change: Change, record: Mapping[str, Any], there: dict[str, list[int]]) -> str | None:
        self._check(record)
        key = None if self._is_own(change.key) else PLAIN.text(record.get(change.key))
        if key is not None and there.get(key):
            raise RecordRejected(msg("The folder has a mail with this key already."), field=change.key)
        by_source = {self.subject.columns[n].source: v for n, v in record.items() if n in self.subject.columns}
        raw = self._draft(by_source).raw()
        if len(raw) > self.subject.largest:
            raise RecordRejected(msg("The mail is larger than the connection's settings allow."))
        folder = str(by_source.get(FOLDER) or self.subject.folder)
        number = self.folders.append(folder, raw, _flags(by_source), _received(by_source.get(RECEIVED)))
        if key is not None:
            there[key] = [0 if number is None else number]
        return key_of(self.opened.validity, number) if number and folder == self.subject.folder else None

    def _draft(self, values: Mapping[str, Any]) -> Draft:
        headers = {header: str(values[name]) for name, header in _TEXTS.items() if values.get(name) is not None}
        headers.setdefault("Message-ID", make_msgid(domain="syncline.invalid"))
        headers["Date"] = format_datetime(values.get("date") or self.clock())
        own = {n.removeprefix("header:"): PLAIN.text(v) for n, v in values.items() if n.startswith("header:")}
        headers |= {name: text for name, text in own.items() if text is not None}
        people = {header: people_of(values.get(name), name) for name, header in _PEOPLE.items()}
        if values.get("from_name") and people["From"]:
            people["From"] = [(str(values["from_name"]), people["From"][0][1])]
        return Draft(headers, people, values.get("text"), values.get("html"),
                     files_of(values.get("attachments"), "attachments"))  # fmt: skip

    def _update(self, target: Target, key: str, record: Mapping[str, Any]) -> int:
        self._check(record)
        wanted = {name: value for name, value in record.items() if name != key}
        columns = {name: self.subject.columns[name] for name in wanted}
        fixed = next(
            (n for n, c in columns.items() if c.source not in _MARKS and not c.source.startswith("header:")), None
        )
        if fixed is not None:
            raise RecordRejected(
                msg("Field '{field}' is a part of the mail as it was sent, which is never changed.", field=fixed),
                field=fixed,
            )
        number = target.number
        headers = {c.source.removeprefix("header:"): PLAIN.text(wanted[n]) for n, c in columns.items()
                   if c.source.startswith("header:")}  # fmt: skip
        if headers:
            number = self._replaced(target, key, headers)
        self._mark(number, {c.source: wanted[n] for n, c in columns.items() if c.source in _MARKS})
        return number

    def _replaced(self, target: Target, key: str, headers: Mapping[str, str | None]) -> int:
        """Put a mail with other headers in the place of one; it has another number then."""
        if self._is_own(key):
            raise RecordRejected(
                msg("A mail with another header is a new one, so it would not keep its key '{key}'.", key=target.key),
                field=key,
            )
        self.folders.check_removal(self.subject.name)  # else each repetition would leave another copy
        scan = Scan(self.folders, self.subject, self.opened, Schema((self.subject.columns[key].field,)))
        stored = next(iter(scan.whole([target.number])), None)
        if stored is None:
            raise RecordRejected(msg("The folder has no such mail any more."), field=key)
        stored.check()
        raw = with_headers(stored.raw, headers)
        flags = [flag for flag in stored.flags if flag.lower() != "\\recent"]
        received = _received(dt.datetime.fromisoformat(stored.received)) if stored.received else None
        number = self.folders.append(self.subject.folder, raw, flags, received)
        self.folders.remove(target.number, self.subject.name)
        return target.number if number is None else number

    def _mark(self, number: int, marks: Mapping[str, Any]) -> None:
        for name, flag in FLAGS.items():
            if name in marks:
                self.folders.store(number, "+" if marks[name] else "-", [flag], self.subject.name)
        if KEYWORDS in marks:
            self._name(number, _keywords(marks[KEYWORDS]))
        target = marks.get(FOLDER)
        if target and target != self.subject.folder:
            self.folders.move(number, self.subject.name, str(target))

    def _name(self, number: int, wanted: list[str]) -> None:
        told = next(iter([*self.folders.fetch([number], b"FLAGS")]), {})
        held = {flag.decode("latin-1") for flag in told.get("FLAGS") or () if not flag.startswith(b"\\")}
        self.folders.store(number, "-", sorted(held - {*wanted}), self.subject.name)
        self.folders.store(number, "+", sorted({*wanted} - held), self.subject.name)

    def _check(self, record: Mapping[str, Any]) -> None:
        for name, value in record.items():
            if value is None and name in self.schema and not self.schema[name].nullable and not self._is_own(name):
                raise RecordRejected(msg("Field '{field}' is empty, but it must have a value.", field=name), field=name)


def numbers_by_key(scan: Scan, column: Column, values: pl.Series) -> dict[str, list[int]]:
    """Return the numbers of the mails whose key field has one of the values, by the text of the key.

    Raises:
        Unavailable: The server gives only a part of a mail that may have one of them.
    """
    wanted = {PLAIN.text(value) or "" for value in values.drop_nulls()}
    found: dict[str, list[int]] = {}
    for page in scan.found(numbers_with(scan, column, sorted(wanted))):
        partly = next((reject for reject in page.rejects if reject.field is None), None)
        if partly is not None:
            raise Unavailable(partly.message, msg("It is tried again."))
        for value, own in zip(page.records[scan.rows.schema.names[0]], page.records[KEY], strict=True):
            text, number = PLAIN.text(value), numbers_of(own)
            if text in wanted and number is not None:
                found.setdefault(str(text), []).append(number[1])
    return found


def _flags(values: Mapping[str, Any]) -> list[str]:
    """Return the flags of a new mail."""
    return [*(flag for name, flag in FLAGS.items() if values.get(name)), *_keywords(values.get(KEYWORDS))]


def _keywords(text: str | None) -> list[str]:
    given = [] if text is None else decode(text)
    if not isinstance(given, list) or not all(isinstance(word, str) and _KEYWORD.fullmatch(word) for word in given):
        raise RecordRejected(
            msg("Field '{field}' holds no list of keywords: a keyword has letters, digits and no blanks.",
                field=KEYWORDS),
            field=KEYWORDS,
        )  # fmt: skip
    return given


def _received(when: dt.datetime | None) -> str | None:
    """Return a moment as IMAP writes it."""
    return None if when is None else f"{when.day:02d}-{MONTHS[when.month - 1]}-{when.year:04d} {when:%H:%M:%S} +0000"
