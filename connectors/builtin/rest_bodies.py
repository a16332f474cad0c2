"""Addresses and bodies of calls that write: the record's values put into paths, members, templates, forms and XML."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any
from urllib.parse import quote, urlencode

import msgspec

from connectors.builtin.rest_objects import Call, RestObject
from connectors.builtin.rest_paging import placed
from connectors.builtin.rest_xml import xml_body
from connectors.json_records import decode, encode, json_values, text_of
from connectors.value_text import PLAIN
from rules.schema import Schema
from rules.text import Message, msg

Record = Mapping[str, Any]
_PLACE = re.compile(r"\{([^{}]+)\}")
_KINDS = {"json": "application/json", "form": "application/x-www-form-urlencoded", "xml": "application/xml"}


class Refused(Exception):
    """The service refuses one record."""

    def __init__(self, message: Message) -> None:
        super().__init__(str(message))
        self.message = message


@dataclass(frozen=True)
class Bodies:
    """Makes what is sent for the records of one object."""

    described: RestObject
    schema: Schema

    @cached_property
    def _written(self) -> dict[str, str]:
        return self.described.written

    def path(self, template: str, key: str, record: Record) -> str:
        """Return a path with the record's values; raises `Refused` if one of them is empty."""

        def fill(found: re.Match[str]) -> str:
            name = key if found[1] == "key" else found[1]
            value = PLAIN.text(record.get(name))
            if value in (None, "", ".", ".."):
                raise Refused(msg("Field '{field}' is empty, so the address of the record is not known.", field=name))
            return quote(str(value), safe="")

        return _PLACE.sub(fill, template)

    def texts(self, templates: Mapping[str, str], key: str, record: Record) -> dict[str, str]:
        """Return parameters or headers with the record's values."""

        def fill(found: re.Match[str]) -> str:
            return PLAIN.text(record.get(key if found[1] == "key" else found[1])) or ""

        return {name: _PLACE.sub(fill, text) for name, text in templates.items()}

    def values(self, record: Record, onto: Mapping[str, Any] | None = None) -> dict[str, Any]:
        """Return a record's members as the service has them, put over those of `onto`."""
        paths = self._written
        plain = json_values(record, self.schema)
        made = {**(onto or {}), **{name: value for name, value in plain.items() if name not in paths}}
        return placed(made, {paths[n]: v for n, v in plain.items() if n in paths})  # type: ignore[no-any-return]

    def body(self, call: Call, values: Mapping[str, Any], key: Any = None) -> tuple[bytes, str]:
        """Return the body of a call for one record, and its Content-Type; raises `Refused`."""
        if call.body is not None:
            return self.written(call, filled(call.body, {**values, "record": values, "key": key}))
        wrapped = values if call.format == "xml" else _wrapped(values, call.wrap)
        return self.written(call, wrapped)

    def body_of_many(self, call: Call, records: Sequence[Mapping[str, Any]], keys: Sequence[Any]) -> tuple[bytes, str]:
        """Return the body of a call for several records, and its Content-Type."""
        if call.body is not None:
            return self.written(call, filled(call.body, {"records": records, "keys": keys}))
        assert call.batch is not None  # noqa: S101 - for the type checker: only batches have many
        each = [_wrapped(record, call.wrap) for record in records]
        if call.format == "xml":
            return self.written(call, {call.batch.records: list(records)})
        return self.written(call, _wrapped(each, call.batch.records))

    def written(self, call: Call, value: Any) -> tuple[bytes, str]:
        """Return a value in the call's format."""
        try:
            return _WRITERS[call.format](value, call.wrap or self.described.name), _KINDS[call.format]
        except ValueError as error:
            raise Refused(msg("The record cannot be written as XML: {problem}", problem=str(error))) from error


def filled(template: Any, values: Mapping[str, Any]) -> Any:
    """Return a template with values: "{name}" alone becomes the value itself, within a text its text."""
    if isinstance(template, dict):
        return {name: filled(part, values) for name, part in template.items()}
    if isinstance(template, list):
        return [filled(part, values) for part in template]
    if not isinstance(template, str):
        return template
    whole = _PLACE.fullmatch(template)
    if whole and whole[1] in values:
        return values[whole[1]]
    return _PLACE.sub(lambda f: _text(values[f[1]]) if f[1] in values else f[0], template)


def _text(value: Any) -> str:
    return text_of(_plain(value)) or ""


def _plain(value: Any) -> Any:
    """Return a value without JSON texts in it."""
    return decode(encode(value)) if isinstance(value, (msgspec.Raw, Mapping, list)) else value


def _wrapped(body: Any, path: str) -> Any:
    for part in reversed([part for part in path.split(".") if part]):
        body = {part: body}
    return body


def _form(value: Any, _name: str) -> bytes:
    """Return form fields; a member of a member is `name[member]`, a part of a list `name[0]`."""
    return urlencode(list(_fields("", _plain(value)))).encode()


def _fields(name: str, value: Any) -> Iterator[tuple[str, str]]:
    if not isinstance(value, (Mapping, list)):
        yield name, _text(value)
        return
    for part, inner in value.items() if isinstance(value, Mapping) else enumerate(value):
        yield from _fields(f"{name}[{part}]" if name else str(part), inner)


def _xml(value: Any, name: str) -> bytes:
    return xml_body(_plain(_texts(value)), name)


def _texts(value: Any) -> Any:
    """Return numbers and yes or no as XML has them."""
    if isinstance(value, msgspec.Raw):
        value = decode(value)
    if isinstance(value, Mapping):
        return {name: _texts(part) for name, part in value.items()}
    if isinstance(value, list):
        return [_texts(part) for part in value]
    return text_of(value) if not isinstance(value, float) else repr(value)


_WRITERS = {"json": lambda value, _: encode(value), "form": _form, "xml": _xml}
