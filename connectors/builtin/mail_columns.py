"""The fields of a folder's mails: where each value stands, what has to be fetched for it. No I/O."""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, replace
from enum import IntEnum
from functools import cached_property
from typing import Any

import polars as pl

from connectors.builtin.described import require_key
from connectors.builtin.mail_message import Mail, utc
from connectors.builtin.mail_options import MailField, MailObject
from connectors.casting import Places, short, typed
from connectors.errors import Misconfigured, ObjectMissing, RecordRejected
from connectors.json_records import encode
from connectors.spi import Page, Reject
from rules.schema import Field, FieldType, Schema
from rules.text import msg

KEY, CHANGED, FOLDER, KEYWORDS, RECEIVED = "key", "changed", "folder", "keywords", "received"
FLAGS: Mapping[str, str] = {"seen": "\\Seen", "flagged": "\\Flagged", "answered": "\\Answered", "draft": "\\Draft"}


class Part(IntEnum):
    """What of a mail a value is made of."""

    OUTSIDE = 0
    HEADERS = 1
    WHOLE = 2


@dataclass(frozen=True)
class Stored:
    """A mail as it lies in a folder; `raw` is what was fetched of its text."""

    folder: str
    validity: int
    number: int
    size: int = 0
    flags: tuple[str, ...] = ()
    received: str = ""
    change: int | None = None
    raw: bytes = field(default=b"", repr=False)
    lacks: str = ""
    """What the server was asked for and has not given, empty where it has given all."""

    def check(self) -> None:
        """Refuse a mail of which only a part was given; raises `RecordRejected`."""
        if self.lacks:
            raise RecordRejected(msg("The mail server gives only a part of the mail: {item} is missing.",
                                     item=self.lacks))  # fmt: skip

    @cached_property
    def mail(self) -> Mail:
        """Return the mail; raises `RecordRejected`."""
        return Mail(self.raw)

    @property
    def key(self) -> str:
        """Return its key: it stays as long as the folder, and sorts by arrival."""
        return key_of(self.validity, self.number)

    @property
    def keywords(self) -> list[str]:
        """Return the flags that people have given names."""
        return sorted({flag for flag in self.flags if not flag.startswith("\\")})


@dataclass(frozen=True)
class Column:
    """A field, what it is made of, and how."""

    field: Field
    part: Part
    value: Callable[[Stored, bool], str | None]
    headers: tuple[str, ...] = ()
    source: str = ""


def key_of(validity: int, number: int) -> str:
    """Return the key of a mail."""
    return f"{validity:010d}-{number:010d}"


def numbers_of(text: str) -> tuple[int, int] | None:
    """Return the validity and the number that a key, or a place among the changes, is made of."""
    validity, mark, number = text.partition("-")
    return (int(validity), int(number)) if mark and validity.isdecimal() and number.isdecimal() else None


def columns_of(described: MailObject) -> dict[str, Column]:
    """Return the fields of an object by name; raises `Misconfigured`."""
    if described.fields:
        made = [_described(described, given) for given in described.fields]
    else:
        made = [*STANDARD.values(), *(_of_header(Field(name), name) for name in described.headers)]
    found = {column.field.name: column for column in made}
    require_key(described.key, found, described.name)
    key = found[described.key]
    return {**found, described.key: replace(key, field=replace(key.field, nullable=False))}


def _described(described: MailObject, given: MailField) -> Column:
    if given.header:
        return _of_header(given.own, given.header)
    standard = STANDARD.get(given.field or given.name)
    if standard is None:
        raise Misconfigured(
            msg("The field '{field}' of the object '{name}' names no header and no part of a mail.",
                field=given.name, name=described.name),
            msg("The parts are: {known}.", known=", ".join(STANDARD)), object_name=described.name,
        )  # fmt: skip
    return replace(standard, field=replace(standard.field, name=given.name, nullable=not given.required))


def _of_header(made: Field, header: str) -> Column:
    return Column(made, Part.HEADERS, lambda stored, _: stored.mail.header(header), (header,), f"header:{header}")


def _outside(name: str, kind: FieldType, value: Callable[[Stored], str | None], **more: Any) -> Column:
    return Column(Field(name, kind, **more), Part.OUTSIDE, lambda stored, _: value(stored), source=name)


def _head(name: str, header: str, value: Callable[[Mail], str | None], kind: FieldType = FieldType.TEXT) -> Column:
    return Column(Field(name, kind), Part.HEADERS, lambda stored, _: value(stored.mail), (header,), name)


def _whole(name: str, value: Callable[[Mail, bool], str | None], kind: FieldType = FieldType.TEXT) -> Column:
    return Column(Field(name, kind), Part.WHOLE, lambda stored, content: value(stored.mail, content), source=name)


def _flag(name: str, flag: str) -> Column:
    return _outside(
        name, FieldType.BOOLEAN, lambda s: "true" if flag.lower() in map(str.lower, s.flags) else "false"
    )  # fmt: skip


def _people(name: str, header: str) -> Column:
    return _head(name, header, lambda mail: mail.people_text(header))


def _first(place: int) -> Callable[[Mail], str | None]:
    return lambda mail: next((person[place] for person in mail.people("From")), None) or None


def _attached(mail: Mail, content: bool) -> str:
    return encode([a.described(content=content) for a in mail.attachments]).decode()


def _changed(stored: Stored) -> str | None:
    return None if stored.change is None else f"{stored.validity:010d}-{stored.change:019d}"


STANDARD: Mapping[str, Column] = {
    column.field.name: column
    for column in (
        _outside(KEY, FieldType.TEXT, lambda s: s.key, nullable=False, generated=True),
        _head("message_id", "Message-ID", lambda m: m.header("Message-ID")),
        _head("from", "From", _first(1)),
        _head("from_name", "From", _first(0)),
        _people("to", "To"),
        _people("cc", "Cc"),
        _people("reply_to", "Reply-To"),
        _head("subject", "Subject", lambda m: m.header("Subject")),
        _head("date", "Date", lambda m: m.sent, FieldType.DATETIME),
        _outside(RECEIVED, FieldType.DATETIME, lambda s: s.received or None),
        _head("in_reply_to", "In-Reply-To", lambda m: m.header("In-Reply-To")),
        _head("references", "References", lambda m: m.header("References")),
        _whole("text", lambda m, _: m.text("text/plain")),
        _whole("html", lambda m, _: m.text("text/html")),
        _whole("attachments", _attached, FieldType.JSON),
        _outside("size", FieldType.INTEGER, lambda s: str(s.size), generated=True),
        *(_flag(name, flag) for name, flag in FLAGS.items()),
        _outside(KEYWORDS, FieldType.JSON, lambda s: encode(s.keywords).decode()),
        _outside(FOLDER, FieldType.TEXT, lambda s: s.folder),
        _outside(CHANGED, FieldType.TEXT, _changed, generated=True),
    )
}


class Rows:
    """Makes records of mails."""

    def __init__(self, columns: Mapping[str, Column], schema: Schema, name: str, *, content: bool) -> None:
        missing = next((n for n in schema.names if n not in columns), None)
        if missing is not None:
            raise ObjectMissing(
                msg("The object '{name}' has no field '{field}'.", name=name, field=missing),
                msg("Read the fields of the connection again."), object_name=name,
            )  # fmt: skip
        self.columns, self.schema, self.content = [columns[n] for n in schema.names], schema, content
        self.part = max((column.part for column in self.columns), default=Part.OUTSIDE)
        self.headers = sorted({header for column in self.columns for header in column.headers})

    def page(self, mails: Iterable[Stored]) -> Page:
        """Return mails as a page of typed records; what cannot be represented exactly becomes a reject."""
        good, cells, bad = list[Stored](), list[list[str | None]](), list[Reject]()
        for stored in mails:
            try:
                stored.check()
                cells.append([column.value(stored, self.content) for column in self.columns])
                good.append(stored)
            except RecordRejected as error:
                bad.append(rejected(stored, error))
        raw = pl.DataFrame(cells, schema=dict.fromkeys(self.schema.names, pl.String()), orient="row")
        places = Places(lambda row: place(good[row]), lambda row: shown(good[row]))
        frame, rejects, _ = typed(raw, self.schema, places)
        return Page(frame, {}, (*bad, *rejects))


def rejected(stored: Stored, error: RecordRejected) -> Reject:
    """Return a mail that cannot be read."""
    return Reject(place(stored), shown(stored), error.message, error.field)


def place(stored: Stored) -> str:
    """Return where a mail is, for people."""
    return f"{stored.folder}: {stored.key}"


def shown(stored: Stored) -> str:
    """Return a mail as people see it: its headers as far as they were fetched."""
    head = stored.raw.partition(b"\r\n\r\n")[0].decode("utf-8", "replace")
    return short(head or place(stored), 300)


def received_of(text: bytes | None) -> str:
    """Return when a mail arrived as `connectors.casting` reads it, empty where the server does not tell."""
    try:
        return utc(dt.datetime.strptime((text or b"").decode("ascii").strip(), "%d-%b-%Y %H:%M:%S %z"))
    except ValueError:
        return ""
