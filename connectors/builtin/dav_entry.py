"""One entry of a calendar or address book, and the kinds of values that its properties hold. No I/O."""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

from connectors.builtin.dav_text import Component, Line, escaped, parsed, parts_of, unescaped
from connectors.builtin.dav_times import UTC, When, when_of
from connectors.errors import RecordRejected
from connectors.json_records import decode, encode
from connectors.value_text import PLAIN
from rules.text import msg

Read = Callable[["Entry"], str | None]
Put = Callable[["Entry", Any], None]
_PERSON = "mailto:"


@dataclass
class Entry:
    """An entry: its name on the server, its version, its text; `kind` is the component that is meant."""

    name: str
    tag: str
    text: str
    kind: str
    path: str = ""
    zone: str | None = None
    """The time zone that times are to be written in; None leaves it as it is."""
    fixed: set[str] = field(default_factory=set)
    """Times that a moment was put to; a wall clock that is put, too, does not count."""

    @cached_property
    def whole(self) -> Component:
        """Return all that the text holds; raises `RecordRejected`."""
        return parsed(self.text)

    @cached_property
    def main(self) -> Component:
        """Return the component that is the record: of a series the series itself; raises `RecordRejected`."""
        if self.whole.name == self.kind:
            return self.whole
        found = self.whole.parts(self.kind)
        main = next((part for part in found if part.first("RECURRENCE-ID") is None), found[0] if found else None)
        if main is None:
            raise RecordRejected(msg("The entry holds nothing of its kind ({kind}).", kind=self.kind))
        return main

    @property
    def holds_kind(self) -> bool:
        """Tell whether the entry is of the kind that is meant."""
        return self.whole.name == self.kind or bool(self.whole.parts(self.kind))

    @property
    def exceptions(self) -> list[Component]:
        """Return the occurrences of a series that are not like the others."""
        return [part for part in self.whole.parts(self.kind) if part is not self.main]

    def when(self, name: str) -> When | None:
        """Return the time that a property holds, None where it has none."""
        line = self.main.first(name)
        return None if line is None else when_of(line, self.whole)


def own_property(name: str) -> tuple[Read, Put]:
    """Return how a property of one's own is read and put."""
    return text_property(name.upper())


def text_property(name: str) -> tuple[Read, Put]:
    """Return how a property that holds text is read and put."""

    def read(entry: Entry) -> str | None:
        line = entry.main.first(name)
        return None if line is None else line.text

    def put(entry: Entry, value: Any) -> None:
        text = PLAIN.text(value)
        line = entry.main.first(name)
        if line is None or text is None or line.text != text:
            entry.main.set(name, None if text is None else escaped(text), None if line is None else line.params)

    return read, put


def word_property(name: str) -> tuple[Read, Put]:
    """Return how a property that holds a word in capitals is read and put."""

    def read(entry: Entry) -> str | None:
        line = entry.main.first(name)
        return None if line is None else line.text.strip().upper() or None

    def put(entry: Entry, value: Any) -> None:
        entry.main.set(name, None if value is None else single(value, name))

    return read, put


def plain_property(name: str) -> tuple[Read, Put]:
    """Return how a property that is written as it is (a rule, an address) is read and put."""

    def read(entry: Entry) -> str | None:
        line = entry.main.first(name)
        return None if line is None else line.value.strip() or None

    def put(entry: Entry, value: Any) -> None:
        entry.main.set(name, None if value is None else single(PLAIN.text(value) or "", name))

    return read, put


def list_property(name: str) -> tuple[Read, Put]:
    """Return how a property that holds several texts is read and put, as a JSON list."""

    def read(entry: Entry) -> str | None:
        found = [unescaped(part) for line in entry.main.all(name) for part in parts_of(line.value, ",") if part]
        return encode(found).decode() if found else None

    def put(entry: Entry, value: Any) -> None:
        given = texts(value, name)
        entry.main.set(name, ",".join(map(escaped, given)) if given else None)

    return read, put


def moment_property(name: str, put: Put | None = None) -> tuple[Read, Put | None]:
    """Return how a property that holds a moment is read."""

    def read(entry: Entry) -> str | None:
        when = entry.when(name)
        return None if when is None or when.moment is None else moment_text(when.moment)

    return read, put


def put_moment(name: str) -> Put:
    """Return how a moment in UTC is put."""

    def put(entry: Entry, value: dt.datetime | None) -> None:
        entry.main.set(name, None if value is None else f"{value.astimezone(dt.UTC):%Y%m%dT%H%M%SZ}")

    return put


def single(text: str, name: str) -> str:
    """Return a text that is one line; raises `RecordRejected`."""
    if any(ord(character) < ord(" ") for character in text):
        raise RecordRejected(msg("'{name}' cannot hold a line break.", name=name))
    return text


def texts(value: str | None, name: str) -> list[str]:
    """Return the texts of a JSON list; raises `RecordRejected`."""
    found = [] if value is None else decode(value)
    if not isinstance(found, list) or not all(isinstance(each, str) for each in found):
        raise RecordRejected(msg("'{name}' has to be a JSON list of texts.", name=name))
    return found


def objects(value: str | None, name: str) -> list[dict[str, Any]]:
    """Return the objects of a JSON list; raises `RecordRejected`."""
    found = [] if value is None else decode(value)
    if not isinstance(found, list) or not all(isinstance(each, dict) for each in found):
        raise RecordRejected(msg("'{name}' has to be a JSON list of objects.", name=name))
    return found


def moment_text(moment: dt.datetime) -> str:
    """Return a moment as `connectors.casting` reads it."""
    return f"{moment.astimezone(dt.UTC).replace(tzinfo=None).isoformat()}Z"


def zone_name(when: When | None) -> str | None:
    """Return the zone of a time, None for a whole day and for a wall clock without one."""
    return None if when is None or when.moment is None else when.zone or UTC


def person(line: Line) -> dict[str, Any]:
    """Return an attendee or organizer as plain data."""
    told = {"address": address(line), "name": line.param("CN"), "role": line.param("ROLE").upper(),
            "status": line.param("PARTSTAT").upper()}  # fmt: skip
    return {name: value for name, value in told.items() if value}


def address(line: Line) -> str:
    """Return the mail address of a person, else what stands for it."""
    value = line.value.strip()
    return value[len(_PERSON) :] if value.lower().startswith(_PERSON) else value


def person_line(name: str, told: dict[str, Any], before: list[Line]) -> Line:
    """Return the property of a person; what else is known of one who was there before stays."""
    where = single(str(told.get("address") or ""), name)
    if not where:
        raise RecordRejected(msg("Each of '{name}' needs an address.", name=name))
    known = next((line for line in before if address(line).lower() == where.lower()), None)
    if known is not None and person(known) == {**person(known), **told}:
        return known
    params = dict(known.params) if known is not None else {}
    for member, param in (("name", "CN"), ("role", "ROLE"), ("status", "PARTSTAT")):
        if told.get(member):
            params[param] = [single(str(told[member]), name)]
    return Line(name, where if ":" in where else f"{_PERSON}{where}", params)
