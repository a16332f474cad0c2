"""The fields of appointments and tasks: times exactly as they are written, and as moments. No I/O."""

from __future__ import annotations

import datetime as dt
from functools import partial
from typing import Any

from connectors.builtin.dav_entry import (
    Entry,
    Put,
    Read,
    address,
    list_property,
    moment_property,
    moment_text,
    objects,
    person,
    person_line,
    plain_property,
    put_moment,
    text_property,
    word_property,
    zone_name,
)
from connectors.builtin.dav_text import Component, Line
from connectors.builtin.dav_times import UTC, When, moment_line, span_of, when_of, zone_of
from connectors.errors import RecordRejected
from connectors.json_records import encode
from rules.schema import FieldType
from rules.text import msg

Given = tuple[str, FieldType, tuple[Read, Put | None]]


def _begins(entry: Entry) -> When | None:
    return entry.when("DTSTART")


def _ends(name: str, entry: Entry) -> When | None:
    """Return when an entry ends: as it says, or its duration after it begins."""
    found, span = entry.when(name), entry.main.first("DURATION")
    begins = _begins(entry)
    if found is not None or span is None or begins is None:
        return found
    return begins.later(span_of(span.value), entry.whole)


def _time(name: str, form: str) -> tuple[Read, Put]:
    """Return how a time is read and put in a form: `moment`, `day` or `local`."""
    find = _begins if name == "DTSTART" else partial(_ends, name)

    def read(entry: Entry) -> str | None:
        when = find(entry)
        if when is None:
            return None
        if form == "day":
            return None if when.day is None else when.day.isoformat()
        if form == "local":
            return None if when.local is None else when.local.isoformat()
        return None if when.moment is None else moment_text(when.moment)

    def put(entry: Entry, value: Any) -> None:
        if value is None:
            _take_time(entry, name, form)
        elif form != "local" or name not in entry.fixed:
            _put_time(entry, name, form, value, same=read(entry) == _plain(value))

    return read, put


def _plain(value: Any) -> str:
    return moment_text(value) if isinstance(value, dt.datetime) and value.tzinfo else str(value.isoformat())


def _take_time(entry: Entry, name: str, form: str) -> None:
    """Take a time away where it is there in a form."""
    line = entry.main.first(name)
    if line is not None and _form(when_of(line, entry.whole)) == form:
        entry.main.set(name, None)


def _put_time(entry: Entry, name: str, form: str, value: Any, *, same: bool) -> None:
    line = entry.main.first(name)
    before = None if line is None else when_of(line, entry.whole)
    if form == "moment":
        entry.fixed.add(name)
    if same and (entry.zone is None or form == "day" or zone_name(before) == entry.zone):
        return
    if name != "DTSTART":
        entry.main.set("DURATION", None)
    if form == "day":
        entry.main.set(name, f"{value:%Y%m%d}", {"VALUE": ["DATE"]})
    elif form == "moment":
        zone = entry.zone if entry.zone is not None else zone_name(before or _begins(entry)) or ""
        entry.main.put(name, [moment_line(name, value, zone, entry.whole)])
    else:
        entry.main.put(name, [_clock_line(name, value, entry)])


def _form(when: When) -> str:
    return "day" if when.day is not None else "local" if when.moment is None else "moment"


def _clock_line(name: str, value: dt.datetime, entry: Entry) -> Line:
    if not entry.zone:
        return Line(name, f"{value:%Y%m%dT%H%M%S}")
    moment = value.replace(tzinfo=dt.UTC if entry.zone == UTC else zone_of(entry.zone, entry.whole))
    return moment_line(name, moment.astimezone(dt.UTC), entry.zone, entry.whole)


def _zone() -> tuple[Read, Put]:
    def read(entry: Entry) -> str | None:
        return zone_name(_begins(entry))

    def put(entry: Entry, value: Any) -> None:
        if value is None:
            return
        entry.zone = str(value)
        if entry.zone != UTC:
            zone_of(entry.zone, entry.whole)
        for name in ("DTSTART", "DTEND", "DUE"):
            _move(entry, name)

    return read, put


def _move(entry: Entry, name: str) -> None:
    """Write a moment that is there in the zone that is wanted."""
    when = entry.when(name)
    if when is not None and when.moment is not None and zone_name(when) != entry.zone:
        entry.main.put(name, [moment_line(name, when.moment, entry.zone or UTC, entry.whole)])


def _attendees() -> tuple[Read, Put]:
    def read(entry: Entry) -> str | None:
        found = [person(line) for line in entry.main.all("ATTENDEE")]
        return encode(found).decode() if found else None

    def put(entry: Entry, value: Any) -> None:
        before = entry.main.all("ATTENDEE")
        entry.main.put("ATTENDEE", [person_line("ATTENDEE", told, before) for told in objects(value, "attendees")])

    return read, put


def _organizer() -> tuple[Read, Put]:
    def read(entry: Entry) -> str | None:
        line = entry.main.first("ORGANIZER")
        return None if line is None else address(line) or None

    def put(entry: Entry, value: Any) -> None:
        before = entry.main.all("ORGANIZER")
        lines = [] if value is None else [person_line("ORGANIZER", {"address": value}, before)]
        entry.main.put("ORGANIZER", lines)

    return read, put


def _number(name: str, least: int, most: int) -> tuple[Read, Put]:
    def read(entry: Entry) -> str | None:
        line = entry.main.first(name)
        return None if line is None else line.value.strip() or None

    def put(entry: Entry, value: Any) -> None:
        if value is not None and not least <= value <= most:
            raise RecordRejected(
                msg("'{name}' has to be a number from {least} to {most}.", name=name, least=least, most=most)
            )
        entry.main.set(name, None if value is None else str(value))

    return read, put


def _exceptions() -> tuple[Read, None]:
    def read(entry: Entry) -> str | None:
        found = [_exception(part, entry.whole) for part in entry.exceptions]
        return encode(found).decode() if found else None

    return read, None


def _exception(part: Component, whole: Component) -> dict[str, Any]:
    told: dict[str, Any] = {}
    for name, member in (("RECURRENCE-ID", "instead_of"), ("DTSTART", "start"), ("DTEND", "end")):
        line = part.first(name)
        if line is not None:
            when = when_of(line, whole)
            told[member] = _plain(when.moment or when.day or when.local)
    for name in ("SUMMARY", "STATUS", "LOCATION"):
        line = part.first(name)
        if line is not None:
            told[name.lower()] = line.text
    return told


_TEXT, _MOMENT, _DAY = FieldType.TEXT, FieldType.DATETIME, FieldType.DATE
_LOCAL, _JSON = FieldType.LOCAL_DATETIME, FieldType.JSON
_FIRST: tuple[Given, ...] = (
    ("summary", _TEXT, text_property("SUMMARY")),
    ("description", _TEXT, text_property("DESCRIPTION")),
    ("location", _TEXT, text_property("LOCATION")),
    ("time_zone", _TEXT, _zone()),
    ("start", _MOMENT, _time("DTSTART", "moment")),
    ("start_date", _DAY, _time("DTSTART", "day")),
    ("start_local", _LOCAL, _time("DTSTART", "local")),
)
_LAST: tuple[Given, ...] = (
    ("rrule", _TEXT, plain_property("RRULE")),
    ("status", _TEXT, word_property("STATUS")),
    ("categories", _JSON, list_property("CATEGORIES")),
    ("organizer", _TEXT, _organizer()),
    ("attendees", _JSON, _attendees()),
    ("url", _TEXT, plain_property("URL")),
    ("class", _TEXT, word_property("CLASS")),
    ("exceptions", _JSON, _exceptions()),
    ("created", _MOMENT, (moment_property("CREATED")[0], None)),
    ("modified", _MOMENT, (moment_property("LAST-MODIFIED")[0], None)),
)
EVENT: tuple[Given, ...] = (
    *_FIRST,
    ("end", _MOMENT, _time("DTEND", "moment")),
    ("end_date", _DAY, _time("DTEND", "day")),
    ("end_local", _LOCAL, _time("DTEND", "local")),
    ("transparency", _TEXT, word_property("TRANSP")),
    *_LAST,
)
TASK: tuple[Given, ...] = (
    *_FIRST,
    ("due", _MOMENT, _time("DUE", "moment")),
    ("due_date", _DAY, _time("DUE", "day")),
    ("due_local", _LOCAL, _time("DUE", "local")),
    ("completed", _MOMENT, moment_property("COMPLETED", put_moment("COMPLETED"))),
    ("percent", FieldType.INTEGER, _number("PERCENT-COMPLETE", 0, 100)),
    ("priority", FieldType.INTEGER, _number("PRIORITY", 0, 9)),
    *_LAST,
)
