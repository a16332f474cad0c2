"""JSON texts of records as columns: fast where every value has its field's own kind, careful where one has not."""

from __future__ import annotations

import datetime as dt
import re
from collections.abc import Mapping, Sequence
from typing import Any

from connectors.builtin.rest_flat import Flat, NotFlat
from connectors.builtin.rest_listing import Raw
from connectors.builtin.rest_objects import RestObject
from connectors.casting import Places, short, typed
from connectors.json_records import columns_of, decode, encode, member, text_of
from connectors.spi import Page, Reject
from rules.schema import FieldType, Schema
from rules.text import msg

_PATIENCE = 3
_VALUE, _KIND = ("value", "$value"), ("type", "@type", "_type", "$type")
_TYPED = ("$numberDecimal", "$numberLong", "$numberInt", "$numberDouble", "$date", "$oid", "$uuid")
_MOMENT = re.compile(r"/Date\((-?\d+)(?:[+-]\d{4})?\)/")


class Columns:
    """Makes pages of typed records from JSON texts."""

    def __init__(self, schema: Schema, described: RestObject | None = None) -> None:
        """Take the fields, and the object that says where the values of some are and how they are written."""
        self.schema = schema
        self._paths = {name: path for name, path in (described.paths if described else {}).items() if name in schema}
        self._joins = described.joins if described else {}
        yes_or_no = (f.name for f in schema.fields if f.type is FieldType.BOOLEAN)
        self._no_false = None if described is None or not described.false_is_null else frozenset(yes_or_no)
        self._as_json = [field.name for field in schema.fields if field.type is FieldType.JSON]
        plainly = not (self._paths or self._joins or self._no_false is not None) and schema.fields
        self._patience = _PATIENCE if plainly else 0
        self._flat = Flat(schema) if self._patience else None

    def page(self, records: Sequence[Raw], first: int = 1) -> Page:
        """Return records as a page; what is no object or does not fit becomes a reject. `first` numbers them."""
        if self._flat is not None and self._patience and records:
            try:
                frame = self._flat.frame(records)
            except NotFlat:
                self._patience -= 1
            else:
                self._patience = _PATIENCE
                return Page(frame, {}, (), first)
        return self._carefully([decode(record) for record in records], first)

    def _carefully(self, records: Sequence[Any], first: int) -> Page:
        good = [(number, r) for number, r in enumerate(records, first) if isinstance(r, dict)]
        bad = [
            Reject(_place(number), _shown(r), msg("This is not a JSON object with fields."))
            for number, r in enumerate(records, first)
            if not isinstance(r, dict)
        ]
        places = Places(lambda row: _place(good[row][0]), lambda row: _shown(good[row][1]))
        flat = [self._plainer(flattened(record, self._paths, self._as_json)) for _, record in good]
        raw = columns_of(flat, self.schema.names, self._as_json)
        frame, rejects, _ = typed(raw, self.schema, places)
        return Page(frame, {}, (*bad, *rejects), first)

    def _plainer(self, record: dict[str, Any]) -> dict[str, Any]:
        """Return a record without `false` in place of no value, and with lists as the texts that they are here."""
        if self._no_false is not None:
            record = {n: None if v is False and n not in self._no_false else v for n, v in record.items()}
        for name, mark in self._joins.items():
            if isinstance(record.get(name), list):
                record[name] = mark.join(text_of(part) or "" for part in record[name])
        return record


def flattened(record: Mapping[str, Any], paths: Mapping[str, str], as_json: Sequence[str] = ()) -> dict[str, Any]:
    """Return a record with the values that its fields' paths lead to, numbers and dates taken out of typed objects."""
    found = dict(record)
    for name, path in paths.items():
        try:
            found[name] = member(record, path)
        except KeyError:
            found[name] = None
    for name, value in found.items():
        if isinstance(value, (dict, str)) and name not in as_json:
            found[name] = unwrapped(value)
    return found


def unwrapped(value: Any) -> Any:
    """Return the value of a typed object such as `{"$numberDecimal": "1.50"}`, and of `/Date(0)/`; others as they are.

    Services write decimals and dates so where their JSON has no kind for them.
    """
    if isinstance(value, str):
        found = _MOMENT.fullmatch(value) if value.startswith("/Date(") else None
        return _moment(int(found[1])) if found else value
    if not isinstance(value, dict):
        return value
    if len(value) == 1:
        ((name, inner),) = value.items()
        return _inner(name, inner) if name in _TYPED else value
    if len(value) == 2:
        named = [name for name in _VALUE if name in value]
        if named and any(kind in value for kind in _KIND) and not isinstance(value[named[0]], (dict, list)):
            return unwrapped(value[named[0]])
    return value


def _inner(name: str, value: Any) -> Any:
    value = unwrapped(value)
    if name == "$date" and (isinstance(value, int) or str(value).lstrip("-").isdecimal()):
        return _moment(int(value))
    return value


def _moment(milliseconds: int) -> str:
    moment = dt.datetime(1970, 1, 1, tzinfo=dt.UTC) + dt.timedelta(milliseconds=milliseconds)
    return moment.isoformat().replace("+00:00", "Z")


def _place(number: int) -> str:
    return f"record {number}"


def _shown(record: Any) -> str:
    return short(encode(record).decode(), 300)
