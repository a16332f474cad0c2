"""Times of calendars: moments in their zones, wall clocks without one, whole days. No I/O."""

from __future__ import annotations

import datetime as dt
import re
import zoneinfo
from dataclasses import dataclass
from functools import lru_cache
from typing import cast

from icalendar import Timezone
from icalendar.timezone import tzp

from connectors.builtin.dav_text import Component, Line, parsed
from connectors.errors import RecordRejected
from rules.text import msg

UTC = "UTC"
_TIME = re.compile(r"(\d{4})(\d\d)(\d\d)T(\d\d)(\d\d)(\d\d)(Z?)")
_DAY = re.compile(r"(\d{4})-?(\d\d)-?(\d\d)")
_SPAN = re.compile(r"([+-]?)P(?:(\d+)W)?(?:(\d+)D)?(?:T(?:(\d+)H)?(?:(\d+)M)?(?:(\d+)S)?)?")


@dataclass(frozen=True)
class When:
    """A time of a calendar: a whole `day`, or a wall clock (`local`) with its zone; no zone means wherever one is."""

    day: dt.date | None = None
    local: dt.datetime | None = None
    zone: str = ""
    moment: dt.datetime | None = None

    def later(self, span: dt.timedelta, calendar: Component) -> When:
        """Return the time a span later: whole days on the wall clock, hours exactly."""
        if self.day is not None:
            return When(day=self.day + dt.timedelta(days=span.days))
        if self.moment is None or self.local is None:
            return When(local=None if self.local is None else self.local + span)
        days, rest = dt.timedelta(days=span.days), span - dt.timedelta(days=span.days)
        if self.zone == UTC:
            return _at(self.local + span, UTC, dt.UTC)
        zone = zone_of(self.zone, calendar)
        moment = (self.local + days).replace(tzinfo=zone).astimezone(dt.UTC) + rest
        return _at(moment.astimezone(zone).replace(tzinfo=None), self.zone, zone, moment)


def when_of(line: Line, calendar: Component) -> When:
    """Return the time that a property holds; raises `RecordRejected` where it is none."""
    value = line.value.strip()
    found = _TIME.fullmatch(value)
    try:
        if found is None:
            return When(day=day_of(value))
        local = dt.datetime(*(int(part) for part in found.groups()[:6]))  # type: ignore[arg-type]  # noqa: DTZ001
    except ValueError as error:
        raise RecordRejected(
            msg("'{name}' holds '{value}', which is no time.", name=line.name, value=value[:60])
        ) from error
    if found[7]:
        return _at(local, UTC, dt.UTC)
    name = line.param("TZID")
    return _at(local, name, zone_of(name, calendar)) if name else When(local=local)


def day_of(value: str) -> dt.date:
    """Return a day; raises `ValueError` where it is none."""
    found = _DAY.fullmatch(value)
    if found is None:
        raise ValueError(value)
    return dt.date(int(found[1]), int(found[2]), int(found[3]))


def span_of(value: str) -> dt.timedelta:
    """Return a duration; raises `RecordRejected` where it is none."""
    found = _SPAN.fullmatch(value.strip())
    if found is None:
        raise RecordRejected(msg("'{name}' holds '{value}', which is no time.", name="DURATION", value=value[:60]))
    weeks, days, hours, minutes, seconds = (int(part or 0) for part in found.groups()[1:])
    span = dt.timedelta(weeks=weeks, days=days, hours=hours, minutes=minutes, seconds=seconds)
    return -span if found[1] == "-" else span


def zone_of(name: str, calendar: Component) -> dt.tzinfo:
    """Return a zone: a well-known one by its name, else as the calendar itself says; raises `RecordRejected`."""
    plain = name.removeprefix("/")
    known = _known(plain) or _known("/".join(plain.split("/")[-2:]))
    if known is not None:
        return known
    for part in calendar.parts("VTIMEZONE"):
        line = part.first("TZID")
        if line is not None and line.text == name:
            return _own(part.written())
    raise RecordRejected(
        msg("The time zone '{name}' is not known, and the entry does not say what it is.", name=name[:60])
    )


def moment_line(name: str, moment: dt.datetime, zone: str, calendar: Component) -> Line:
    """Return a property that holds a moment, written in a zone; a zone that is new to the calendar is added to it."""
    tz = zone_of(zone, calendar) if zone not in ("", UTC) else dt.UTC
    local = moment.astimezone(tz)
    if local.replace(fold=0).utcoffset() != local.utcoffset() or tz is dt.UTC:  # the second of two equal wall clocks
        return Line(name, f"{moment.astimezone(dt.UTC):%Y%m%dT%H%M%SZ}")
    if not any(line.text == zone for part in calendar.parts("VTIMEZONE") for line in part.all("TZID")):
        add_zone(zone, calendar)
    return Line(name, f"{local:%Y%m%dT%H%M%S}", {"TZID": [zone]})


def add_zone(name: str, calendar: Component) -> None:
    """Let a calendar say what a well-known zone is."""
    made = parsed(Timezone.from_tzid(name).to_ical().decode())
    made.set("TZID", name)
    place = next((n for n, item in enumerate(calendar.items) if isinstance(item, Component)), len(calendar.items))
    calendar.items.insert(place, made)


def _at(local: dt.datetime, name: str, zone: dt.tzinfo, moment: dt.datetime | None = None) -> When:
    return When(local=local, zone=name, moment=moment or local.replace(tzinfo=zone).astimezone(dt.UTC))


@lru_cache(256)
def _known(name: str) -> dt.tzinfo | None:
    try:
        return zoneinfo.ZoneInfo(name)
    except (zoneinfo.ZoneInfoNotFoundError, ValueError, OSError):
        return tzp.timezone(name)


@lru_cache(256)
def _own(text: str) -> dt.tzinfo:
    try:
        found = Timezone.from_ical(text)
        return cast("dt.tzinfo", cast("Timezone", found).to_tz())
    except (ValueError, KeyError, AttributeError, IndexError) as error:
        raise RecordRejected(msg("The time zone of the entry cannot be read.")) from error
