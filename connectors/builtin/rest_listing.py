"""Answers that hold a list: what is asked for is decoded, the records stay as they came until they become columns."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import msgspec

from connectors.builtin.rest_answers import broken, value_of
from connectors.builtin.rest_calls import Request
from connectors.builtin.rest_xml import xml_list
from connectors.http_reply import Reply
from connectors.json_records import decode, encode, member

Raw = msgspec.Raw | bytes
"""The JSON text of a record."""

_MEMBERS = msgspec.json.Decoder(dict[str, msgspec.Raw])
_ITEMS = msgspec.json.Decoder(list[msgspec.Raw])
_HEADER = "header:"


class Listing:
    """One answer with a list."""

    def __init__(self, response: Reply, request: Request) -> None:
        """Take an answer apart; raises `BrokenAnswer` or `Misconfigured` for what is no JSON or XML."""
        self.response = response
        self._request = request
        self._tree = value_of(response, request) if request.xml else None
        self._top = b"null" if request.xml else self._checked(response.content.strip() or b"null")

    def records(self, path: str) -> list[Raw]:
        """Return the JSON texts of the records at a path; raises `KeyError` where there is no list."""
        if self._request.xml:
            found = self._elements(path)
            return list(map(encode, found)) if isinstance(found, list) else _no_list(path)
        raw = self._raw(path)
        if bytes(memoryview(raw)[:1]) != b"[":
            return _no_list(path)
        try:
            return list(_ITEMS.decode(raw))
        except (msgspec.DecodeError, RecursionError) as error:
            raise broken(self.response, self._request, str(error)) from error

    def at(self, path: str) -> Any:
        """Return what a path leads to, or the header of a path such as `header:X-Total`; raises `KeyError`."""
        if path.startswith(_HEADER):
            return self.response.headers[path.removeprefix(_HEADER)]
        if self._request.xml:
            return member(self._tree, path)
        return decode(self._raw(path))

    def _elements(self, path: str) -> Any:
        """Return the elements at a path. XML has no empty lists, so the last part of it may be missing."""
        above, _, last = path.rpartition(".")
        inside = member(self._tree, above)
        if isinstance(inside, list):
            raise KeyError(above)
        return xml_list(inside.get(last) if isinstance(inside, Mapping) and last else inside)

    def _checked(self, content: bytes) -> Any:
        """Return the members of an object unread, anything else as its text."""
        try:
            return (
                _MEMBERS.decode(content)
                if content[:1] == b"{"
                else bytes(msgspec.json.decode(content, type=msgspec.Raw))
            )
        except (msgspec.DecodeError, UnicodeError, RecursionError) as error:
            raise broken(self.response, self._request, str(error)) from error

    def _raw(self, path: str) -> Any:
        if not path:
            return self._top if isinstance(self._top, bytes) else b"{}"
        if not isinstance(self._top, dict):
            return encode(member(decode(self._top), path))
        if path in self._top:
            return self._top[path]
        part, _, rest = path.partition(".")
        found = self._top[part]
        while rest:
            if bytes(memoryview(found)[:1]) != b"{":
                return encode(member(decode(found), rest))
            below = _MEMBERS.decode(found)
            if rest in below:
                return below[rest]
            part, _, rest = rest.partition(".")
            found = below[part]
        return found


def values_of_raws(records: Sequence[Raw]) -> list[Any]:
    """Return the values of records."""
    return [decode(record) for record in records]


def _no_list(path: str) -> list[Raw]:
    raise KeyError(path)
