"""What a connector remembers of its writes: answers that got lost, and how records were when they were seen last."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import quote

from connectors.builtin.rest_bodies import filled
from connectors.builtin.rest_calls import Calls, Request
from connectors.builtin.rest_listing import Listing
from connectors.builtin.rest_objects import RestObject
from connectors.errors import Misconfigured
from connectors.http_crew import Job
from connectors.json_records import decode, encode, member, text_of
from connectors.spi import Fence
from connectors.value_text import PLAIN
from rules.schema import FieldType
from rules.text import msg

_MOST_SEEN = 10_000


@dataclass(frozen=True)
class Seen:
    """A record as it was when it was seen, and its ETag."""

    tag: str
    record: Mapping[str, Any]


@dataclass
class Memory:
    """What one connector remembers.

    Of the chunk that is being written it knows which creations succeeded: if the chunk is written again because a
    later call failed, they are not sent twice. A chunk that somebody asked about (`applied`) may have been written
    before.
    """

    _seen: OrderedDict[tuple[str, str], Seen] = field(default_factory=OrderedDict)
    _chunk: tuple[Any, ...] | None = None
    _created: dict[bytes, list[Any]] = field(default_factory=dict)
    _repeated: tuple[Any, ...] | None = None

    def see(self, name: str, key: str, seen: Seen) -> None:
        """Remember how a record is."""
        self._seen[name, key] = seen
        self._seen.move_to_end((name, key))
        if len(self._seen) > _MOST_SEEN:
            self._seen.popitem(last=False)

    def last_seen(self, name: str, key: str) -> Seen | None:
        """Return how a record was, once: what is written now changes it."""
        return self._seen.pop((name, key), None)

    def asked_about(self, fence: Fence) -> None:
        """Note that a chunk may have been written before."""
        self._repeated = _chunk(fence)

    def created(self, fence: Fence) -> list[Any]:
        """Return the keys of the creations of a chunk that succeeded."""
        return [key for keys in self._created.values() for key in keys] if _chunk(fence) == self._chunk else []

    def begin(self, fence: Fence | None) -> Repeated:
        """Return what is known of the chunk that is written now."""
        chunk = None if fence is None else _chunk(fence)
        before: dict[bytes, list[Any]] = {}
        if chunk is None or chunk != self._chunk:
            self._chunk, self._created = chunk, {}
        else:
            before = {body: list(keys) for body, keys in self._created.items()}
        return Repeated(chunk is not None and chunk == self._repeated, before, self._created)


@dataclass
class Repeated:
    """What is known of a chunk that is written: may it be a repetition, and which creations succeeded before."""

    possible: bool
    _before: dict[bytes, list[Any]]
    _created: dict[bytes, list[Any]]

    def known(self, body: bytes) -> list[Any]:
        """Return the key of a creation that succeeded before, as the only entry of a list; each is given once."""
        found = self._before.get(body)
        return [found.pop(0)] if found else []

    def note(self, body: bytes, key: Any) -> None:
        """Remember that a creation succeeded."""
        self._created.setdefault(body, []).append(key)


def found_by(calls: Calls, described: RestObject, values: Mapping[str, Any]) -> Job[Mapping[str, Any] | None]:
    """Look for a record by its external key; None if there is none, or no way to look.

    Raises:
        ConnectorError: The service cannot tell, or knows several records by that key.
    """
    find = described.find
    text = None if find is None else PLAIN.text(values.get(find.field))
    if find is None or text in (None, ""):
        return None
    place = {"value": value_of_key(described, find.field, str(text))}
    body = None if find.body is None else encode(filled(find.body, place))
    request = Request(
        find.path.replace("{value}", quote(str(text), safe="")), find.method, filled(find.query, {"value": text}), body,
        object_name=described.name, repeatable=True, xml=described.format == "xml",
    )  # fmt: skip
    response = yield from calls.responding(request)
    told = calls.told(response, request)
    if told.missing:
        return None
    if not told.good:
        raise told.error()
    path = described.paths.get(find.field, find.field)
    same = [r for r in _records(Listing(response, request), find.records) if _is(r, path, str(text))]
    if len(same) > 1:
        raise Misconfigured(
            msg("'{name}' has {count} records whose '{field}' is '{value}'.",
                name=described.name, count=len(same), field=find.field, value=text),
            msg("Choose an external key that only one record can have."),
            object_name=described.name,
        )  # fmt: skip
    return same[0] if same else None


def value_of_key(described: RestObject, name: str, text: str) -> Any:
    """Return the value of a key for a body: a number where the field is one."""
    number = any(f.name == name and f.type is FieldType.INTEGER for f in described.fields)
    return int(text) if number and text.isascii() and text.lstrip("-").isdecimal() else text


def _records(listing: Listing, path: str) -> list[Any]:
    try:
        return [decode(record) for record in listing.records(path)]
    except KeyError:
        pass
    try:
        found = listing.at(path)
    except KeyError:
        return []
    return [found] if isinstance(found, Mapping) else []


def _is(record: Any, name: str, text: str) -> bool:
    """Tell whether a record has the external key: a service that ignores the filter sends others, too."""
    try:
        return text_of(member(record, name)) == text
    except KeyError:
        return False


def _chunk(fence: Fence) -> tuple[Any, ...]:
    return fence.scope, fence.run, fence.chunk
