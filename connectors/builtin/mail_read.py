"""Reading the mails of a folder: in the order of arrival, or those that changed; never more of them than needed."""

from __future__ import annotations

import datetime as dt
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from connectors.builtin.mail_columns import (
    CHANGED,
    KEY,
    RECEIVED,
    STANDARD,
    Column,
    Part,
    Rows,
    Stored,
    numbers_of,
    received_of,
    rejected,
)
from connectors.builtin.mail_folders import Folders, Opened, names_of, number_set
from connectors.builtin.mail_imap import Part as Part_
from connectors.builtin.mail_imap import quoted
from connectors.builtin.mail_options import MEGABYTE
from connectors.errors import Fatal, RecordRejected
from connectors.sorted_changes import since_of, sorted_changes
from connectors.spi import Cursor, Page, ReadRequest, Reject
from connectors.value_text import PLAIN
from rules.schema import FieldType, Schema
from rules.text import Message, msg

_ROOM = 4 * MEGABYTE
_AT_ONCE = 1000
_FEW = 20
_SEARCHED = re.compile(r"[!-~](?:[ -~]{0,300}[!-~])?")
MONTHS = ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")


@dataclass(frozen=True)
class Subject:
    """An object: its folder, its fields, and how much of its mails may be read."""

    name: str
    folder: str
    key: str
    columns: Mapping[str, Column]
    content: bool
    largest: int

    def rows(self, schema: Schema) -> Rows:
        """Return what makes records of its mails."""
        return Rows({**STANDARD, **self.columns}, schema, self.name, content=self.content)


class Reading:
    """One scan of a folder."""

    def __init__(self, folders: Folders, subject: Subject, request: ReadRequest) -> None:
        self.folders, self.subject, self.request = folders, subject, request
        self.rows = subject.rows(request.schema)
        self.opened = folders.open(subject.folder)

    def pages(self) -> Iterator[Page]:
        """Yield the pages behind the request's position, at least one."""
        return self._arrived() if self.request.cursor is None else self._changed(self.request.cursor)

    def _arrived(self) -> Iterator[Page]:
        after = self.request.after or {"validity": self.opened.validity, "number": 0}
        self._check_validity(int(after["validity"]))
        last = int(after["number"])
        empty = True
        for stored, rejects in self.batches(self._behind(last)):
            empty, last = False, max([last, *(s.number for s in stored), *(n for n, _ in rejects)])
            page = self.rows.page(stored)
            bad = (*(reject for _, reject in rejects), *page.rejects)
            yield replace(page, rejects=bad, position={"validity": self.opened.validity, "number": last})
        if empty:
            yield Page(self.request.schema.empty(), {"validity": self.opened.validity, "number": last})

    def _behind(self, number: int) -> list[int]:
        # the range `n:*` names the last mail even where its number is smaller
        return [found for found in self.folders.search(b"UID", b"%d:*" % (number + 1)) if found > number]

    def _changed(self, cursor: Cursor) -> Iterator[Page]:
        """Yield what a cursor selects: what is sorted by is read of all mails, then the rest in this order."""
        names = tuple(dict.fromkeys((cursor.field, cursor.tie)))
        since_of(self.request, cursor)
        small = self.request.schema.select(names)
        if KEY not in names:
            small = Schema((*small.fields, STANDARD[KEY].field))
        elif self.subject.rows(small).columns[names.index(KEY)].source != KEY:
            raise self._own_key()
        wanted = replace(self.request, schema=small)
        scanned = Scan(self.folders, self.subject, self.opened, small)
        told = self._told(cursor)
        for page in sorted_changes(scanned.pages(self._criteria(cursor)), wanted, cursor):
            yield from self._filled(
                replace(page, rejects=(*(told if page.records.height else ()), *page.rejects)), cursor
            )
            told = ()

    def _own_key(self) -> Fatal:
        return Fatal(
            msg("The field '{field}' of '{name}' is another one than the mails' own.", field=KEY,
                name=self.subject.name),
            msg("Give it another name in the connection's settings."), object_name=self.subject.name,
        )  # fmt: skip

    def _filled(self, page: Page, cursor: Cursor) -> Iterator[Page]:
        """Yield the records that a page of the scan names, in its order; the page may have to be parted."""
        order = {key: row for row, key in enumerate(page.records[KEY])}
        numbers = [(numbers_of(key) or (0, 0))[1] for key in order]
        rejects, empty = list(page.rejects), True
        for stored, bad in self.batches(numbers):
            made = self.rows.page(stored)
            rejects += [*(reject for _, reject in bad), *made.rejects]
            given = [order[key] for key in (*(s.key for s in stored), *(self._key(n) for n, _ in bad))]
            if not given:  # all of them are gone meanwhile
                continue
            ends = {
                n: PLAIN.text(page.records[f][max(given)]) for n, f in (("value", cursor.field), ("tie", cursor.tie))
            }
            yield replace(made, position=ends, rejects=tuple(rejects))
            empty, rejects = False, []
        if empty:
            yield Page(self.request.schema.empty(), page.position, tuple(rejects))

    def _key(self, number: int) -> str:
        return Stored(self.opened.name, self.opened.validity, number).key

    def batches(self, numbers: Sequence[int]) -> Iterator[tuple[list[Stored], list[tuple[int, Reject]]]]:
        """Yield the mails with these numbers, as many at a time as a page and the memory have room for."""
        scan = Scan(self.folders, self.subject, self.opened, self.request.schema)
        size = min(self.request.page_size, _AT_ONCE) if self.rows.part is Part.WHOLE else self.request.page_size
        for start in range(0, len(numbers), size):
            yield from scan.mails(numbers[start : start + size])

    def _criteria(self, cursor: Cursor) -> list[bytes]:
        """Return what the server is asked for, at least what the cursor selects."""
        since, column = cursor.since, self.subject.columns[cursor.field]
        if since is None:
            return [b"ALL"]
        if column.source in (KEY, CHANGED):
            validity, number = numbers_of(str(since)) or (0, 0)
            if validity < self.opened.validity:
                return [b"ALL"]
            self._check_validity(validity)
            return [b"UID", b"%d:*" % number] if column.source == KEY else [b"MODSEQ", b"%d" % number]
        if column.source == RECEIVED:
            day = dt.datetime.fromisoformat(str(since)).date() - dt.timedelta(days=1)
            return [b"SINCE", f"{day.day:02d}-{MONTHS[day.month - 1]}-{day.year:04d}".encode()]
        return [b"ALL"]

    def _check_validity(self, validity: int) -> None:
        """Refuse to go on in a folder whose mails have got lower numbers than before: their order is not known."""
        if validity == self.opened.validity:
            return
        raise Fatal(
            msg("{problem} It is not known where to go on.", problem=self._renumbered(validity)),
            msg("Start the run again; a rule that finds changes by a field needs another field, such as 'received'."),
            object_name=self.subject.name,
        )

    def _renumbered(self, validity: int) -> Message:
        return msg(
            "The mail server has given all mails of '{name}' new numbers (UIDVALIDITY {new} instead of {old}).",
            name=self.subject.name, new=self.opened.validity, old=validity,
        )  # fmt: skip

    def _told(self, cursor: Cursor) -> tuple[Reject, ...]:
        """Return what has to be told of a folder that is read as a whole, since its mails have got new numbers."""
        since, column = cursor.since, self.subject.columns[cursor.field]
        found = numbers_of(str(since)) if column.source in (KEY, CHANGED) and since is not None else None
        if found is None or self.request.after or found[0] == self.opened.validity:
            return ()
        text = msg("{problem} All of them were read again.", problem=self._renumbered(found[0]))
        return (Reject(self.opened.name, f"UIDVALIDITY {found[0]}, {self.opened.validity}", text),)


def narrowed(column: Column, values: Sequence[str]) -> list[Part_]:
    """Return what to search for to find mails by the texts of a field: at least those, all where there is no way."""
    header = {"message_id": "Message-ID"}.get(column.source) or column.source.partition("header:")[2]
    plain = all(_SEARCHED.fullmatch(value) for value in values)
    if not header or not plain or len(values) > _FEW or column.field.type is not FieldType.TEXT:
        return [b"ALL"]
    parts: list[Part_] = [b"OR"] * (len(values) - 1)
    for value in values:
        parts += [b"HEADER", header.encode(), quoted(value)]
    return parts


class Scan:
    """Fetches mails of an open folder, as much of each as the fields of a schema need."""

    def __init__(self, folders: Folders, subject: Subject, opened: Opened, schema: Schema) -> None:
        self.folders, self.subject, self.opened = folders, subject, opened
        self.rows = subject.rows(schema)

    def pages(self, criteria: Sequence[Any]) -> Iterator[Page]:
        """Yield the mails that meet criteria as pages without a position, in the order of arrival."""
        self.folders.use(self.opened)
        return self.found(self.folders.search(*criteria))

    def found(self, numbers: Sequence[int]) -> Iterator[Page]:
        """Yield mails by their numbers as pages without a position."""
        for start in range(0, len(numbers), _AT_ONCE):
            for stored, bad in self.mails(numbers[start : start + _AT_ONCE]):
                page = self.rows.page(stored)
                yield replace(page, rejects=(*(reject for _, reject in bad), *page.rejects))

    def mails(self, numbers: Sequence[int]) -> Iterator[tuple[list[Stored], list[tuple[int, Reject]]]]:
        """Yield mails in the order of the numbers, and those that are too large; in parts that memory has room for."""
        if self.rows.part is not Part.WHOLE:
            yield self._sorted(numbers, self._text()), []
            return
        small, large = list[int](), list[tuple[int, Reject]]()
        room = _ROOM
        for stored in self._sorted(numbers, ()):
            problem = self._problem(stored)
            if problem is not None:
                large.append((stored.number, rejected(stored, problem)))
                continue
            if small and stored.size > room:
                yield self.whole(small), large
                small, large, room = [], [], _ROOM
            small.append(stored.number)
            room -= stored.size
        if small or large:
            yield self.whole(small), large

    def whole(self, numbers: Sequence[int]) -> list[Stored]:
        """Return mails with all of their text, in the order of the numbers."""
        return self._sorted(numbers, (b"BODY.PEEK[]",))

    def _sorted(self, numbers: Sequence[int], text: Iterable[bytes]) -> list[Stored]:
        # the server gives them in an order of its own; a position must not run ahead of what was given
        order = {number: place for place, number in enumerate(numbers)}
        return sorted(self._fetched(numbers, text), key=lambda stored: order[stored.number])

    def _text(self) -> tuple[bytes, ...]:
        if self.rows.part is Part.OUTSIDE:
            return ()
        return (b"BODY.PEEK[HEADER.FIELDS (%s)]" % " ".join(self.rows.headers).encode(),)

    def _fetched(self, numbers: Sequence[int], text: Iterable[bytes]) -> Iterator[Stored]:
        items = [b"FLAGS", b"INTERNALDATE", b"RFC822.SIZE", *([b"MODSEQ"] if self.opened.changes else []), *text]
        names = names_of(items)
        self.folders.use(self.opened)
        for told in self.folders.fetch(numbers, *items):
            change = told.get("MODSEQ")
            yield Stored(
                self.opened.name, self.opened.validity, int(told["UID"]), int(told.get("RFC822.SIZE") or 0),
                tuple(flag.decode("latin-1") for flag in told.get("FLAGS") or ()),
                received_of(told.get("INTERNALDATE")), int(change[0]) if change else None, told.get("BODY") or b"",
                ", ".join(sorted(names - told.keys())),
            )  # fmt: skip

    def _problem(self, stored: Stored) -> RecordRejected | None:
        """Return why a mail cannot be read, as far as that is known without its text."""
        try:
            stored.check()
        except RecordRejected as error:
            return error
        if stored.size <= self.subject.largest:
            return None
        return RecordRejected(
            msg("The mail has {size} MB, which is more than the {most} MB of the connection's settings.",
                size=-(-stored.size // MEGABYTE), most=self.subject.largest // MEGABYTE)
        )  # fmt: skip


def numbers_with(scan: Scan, column: Column, texts: Sequence[str]) -> list[int]:
    """Return the numbers of the mails that may have one of the texts in a field."""
    if not texts:
        return []
    if column.source != KEY:
        return scan.folders.search(*narrowed(column, texts))
    found = [numbers_of(text) for text in texts]
    mine = sorted({number for validity, number in filter(None, found) if validity == scan.opened.validity})
    return [n for start in range(0, len(mine), _AT_ONCE)
            for n in scan.folders.search(b"UID", number_set(mine[start : start + _AT_ONCE]))]  # fmt: skip
