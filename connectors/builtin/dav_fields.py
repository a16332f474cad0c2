"""The fields of calendar entries and contacts: where each value stands, and how it is written there. No I/O."""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any

from connectors.builtin import dav_contact, dav_event
from connectors.builtin.dav_entry import Entry, Put, Read, own_property, text_property
from connectors.builtin.dav_options import DavObject
from connectors.builtin.described import require_key
from connectors.errors import Misconfigured
from rules.schema import Field, FieldType
from rules.text import msg

NAME, UID, ETAG = "name", "uid", "etag"


@dataclass(frozen=True)
class Column:
    """A field, how it is read from an entry, and how it is put there (None: it cannot be)."""

    field: Field
    read: Read
    put: Put | None = None
    source: str = ""


def columns_of(described: DavObject, kind: str) -> dict[str, Column]:
    """Return the fields of an object by name; raises `Misconfigured`."""
    standard = STANDARD[kind]
    if described.fields:
        made = [_described(described, standard, n) for n in range(len(described.fields))]
    else:
        own = (Column(Field(name), *own_property(name), f"property:{name}") for name in described.properties)
        made = [*standard.values(), *own]
    found = {column.field.name: column for column in made}
    require_key(described.key, found, described.name)
    key = found[described.key]
    return {**found, described.key: replace(key, field=replace(key.field, nullable=False))}


def _described(described: DavObject, standard: Mapping[str, Column], number: int) -> Column:
    given = described.fields[number]
    if given.property:
        return Column(given.own, *own_property(given.property), f"property:{given.property.upper()}")
    found = standard.get(given.field or given.name)
    if found is None:
        raise Misconfigured(
            msg("The field '{field}' of the object '{name}' names no property and no part of an entry.",
                field=given.name, name=described.name),
            msg("The parts are: {known}.", known=", ".join(standard)), object_name=described.name,
        )  # fmt: skip
    kind = given.type or found.field.type
    return replace(found, field=replace(found.field, name=given.name, type=kind, nullable=not given.required))


def _columns(*more: tuple[str, FieldType, tuple[Read, Put | None]]) -> dict[str, Column]:
    outside = (
        Column(Field(NAME, nullable=False), lambda entry: entry.name, source=NAME),
        Column(Field(UID), *text_property("UID"), source=UID),
    )
    inside = (Column(Field(name, kind, generated=put is None), read, put, name) for name, kind, (read, put) in more)
    last = Column(Field(ETAG, generated=True), lambda entry: entry.tag or None, source=ETAG)
    return {column.field.name: column for column in (*outside, *inside, last)}


STANDARD: Mapping[str, Mapping[str, Column]] = {
    "events": _columns(*dav_event.EVENT),
    "tasks": _columns(*dav_event.TASK),
    "contacts": _columns(*dav_contact.CONTACT),
}
COMPONENTS: Mapping[str, str] = {"events": "VEVENT", "tasks": "VTODO", "contacts": "VCARD"}
EXTENSIONS: Mapping[str, str] = {"events": ".ics", "tasks": ".ics", "contacts": ".vcf"}

Clock = Callable[[], dt.datetime]


def put_all(entry: Entry, columns: Mapping[str, Column], values: Mapping[str, Any]) -> None:
    """Put values into an entry, in the order of the fields, so that a time zone is known before its times."""
    ordered = sorted(values, key=lambda name: (columns[name].source != "time_zone", list(columns).index(name)))
    for name in ordered:
        put = columns[name].put
        if put is not None:
            put(entry, values[name])
