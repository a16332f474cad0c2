"""The one text of an event that its seal is made of, however its database writes numbers and orders keys. Pure.

It is JSON in UTF-8 with sorted keys and without blanks; whole numbers have no fraction, since PostgreSQL keeps none.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, datetime
from operator import itemgetter
from typing import Any

from webapp.audit.merkle import leaf_hash

VERSION = 1
FIELDS = (
    "id",
    "at",
    "tag",
    "actor_kind",
    "actor_id",
    "actor_name",
    "address",
    "request_id",
    "subject_kind",
    "subject",
    "record_key",
    "run_id",
    "before",
    "after",
    "reason",
)


def document(event: Any) -> dict[str, Any]:
    """Return the JSON object of an event's row."""
    fields = {name: getattr(event, name) for name in FIELDS}
    try:
        return {"v": VERSION, **_plain(fields)}
    except RecursionError:  # `encode` does the rest
        return {"v": VERSION, **fields, "at": _plain(event.at)}


def encode(event: Mapping[str, Any]) -> bytes:
    """Return the canonical text of an event's JSON object, however deep it is."""
    try:
        text = _dumped(_plain(event))
    except RecursionError:
        text = "".join(_pieces(event))
    return text.encode("utf-8", "surrogatepass")


def leaf_of(event: Mapping[str, Any]) -> bytes:
    """Return the hash that an event has in the tree."""
    return leaf_hash(encode(event))


def stamp(at: datetime) -> str:
    """Return an instant in UTC to the microsecond."""
    return at.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")


def instant(text: str) -> datetime:
    """Return the instant that `stamp` wrote; raises `ValueError`."""
    return datetime.strptime(text, "%Y-%m-%dT%H:%M:%S.%fZ").replace(tzinfo=UTC)


def _plain(value: Any) -> Any:
    if isinstance(value, float):
        return int(value) if value.is_integer() else value
    if isinstance(value, Mapping):
        return {str(key): _plain(part) for key, part in value.items()}
    if isinstance(value, (list, tuple)):
        return [_plain(part) for part in value]
    return stamp(value) if isinstance(value, datetime) else value


def _dumped(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False, sort_keys=True, separators=(",", ":"))


class _Done(str):
    """A piece of text that is finished."""

    __slots__ = ()


def _pieces(value: Any) -> Iterator[str]:
    """Yield the same text without recursion: what waits is on a stack of its own."""
    waiting = [value]
    while waiting:
        item = waiting.pop()
        if isinstance(item, _Done):
            yield item
        elif isinstance(item, Mapping):
            parts = sorted(((str(key), part) for key, part in item.items()), key=itemgetter(0))
            waiting += _listed("{}", [(_Done(_dumped(key) + ":"), part) for key, part in parts])
        elif isinstance(item, (list, tuple)):
            waiting += _listed("[]", [(part,) for part in item])
        else:
            yield _dumped(_plain(item))


def _listed(ends: str, parts: Sequence[tuple[Any, ...]]) -> list[Any]:
    """Return a list of parts between its ends, the last first."""
    found: list[Any] = [_Done(ends[0])]
    for number, part in enumerate(parts):
        found += [_Done(",")] if number else []
        found += part
    return [*found, _Done(ends[1])][::-1]
