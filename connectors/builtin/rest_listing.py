"""Answers that hold a list: what is asked for is decoded, the records stay as they came until they become columns."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import lru_cache
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

    def __init__(self, response: Reply, request: Request, path: str = "", others: Sequence[str] = ()) -> None:
        """Take an answer apart; raises `BrokenAnswer` or `Misconfigured` for what is no JSON or XML.

        Args:
            response: The answer.
            request: What was asked.
            path: Where the records will be looked for, if that is known. Then the answer is gone through only once.
            others: The other paths that will be asked for then.
        """
        self.response = response
        self._request = request
        self._tree = value_of(response, request) if request.xml else None
        content = b"null" if request.xml else response.content.strip() or b"null"
        found = _at_once(content, path, others) if path and content[:1] == b"{" else None
        self._path = path
        self._found = None if found is None else found[0]
        self._top: Any = self._checked(content) if found is None else found[1]

    def records(self, path: str) -> list[Raw]:
        """Return the JSON texts of the records at a path; raises `KeyError` where there is no list."""
        if self._request.xml:
            found = self._elements(path)
            return list(map(encode, found)) if isinstance(found, list) else _no_list(path)
        if self._found is not None and path == self._path:
            return self._found
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


def _at_once(content: bytes, path: str, others: Sequence[str]) -> tuple[list[Raw], dict[str, Any]] | None:
    """Return the records and the members that other paths lead to, or None if that needs a closer look."""
    names = frozenset(name for other in others for name in (other, other.partition(".")[0]) if name)
    if path in names:
        return None
    try:
        first, *more = msgspec.structs.astuple(_answer(path, names).decode(content))
    except (msgspec.DecodeError, UnicodeError, RecursionError):
        return None
    if first is msgspec.UNSET:
        return None
    return first, {name: raw for name, raw in zip(sorted(names), more, strict=True) if raw is not None}


@lru_cache(1024)
def _answer(path: str, names: frozenset[str]) -> Any:
    """Return what reads an answer: its records at a path, and other members unread."""
    wanted = [("records", list[msgspec.Raw] | msgspec.UnsetType, msgspec.field(default=msgspec.UNSET, name=path))]
    others = [(f"f{n}", msgspec.Raw, msgspec.field(default=None, name=name)) for n, name in enumerate(sorted(names))]
    return msgspec.json.Decoder(msgspec.defstruct("Answer", [*wanted, *others], gc=False))


def values_of_raws(records: Sequence[Raw]) -> list[Any]:
    """Return the values of records."""
    return [decode(record) for record in records]


def _no_list(path: str) -> list[Raw]:
    raise KeyError(path)
