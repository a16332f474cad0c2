"""Places in values of JSON, as lists of names: where records are, and fields that are added or taken out."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any


def found_at(value: Any, path: Sequence[str]) -> Any:
    """Return what a path leads to, None where it leads nowhere."""
    for part in path:
        if isinstance(value, Mapping):
            value = value.get(part)
        elif isinstance(value, list) and part.lstrip("-").isdecimal() and -len(value) <= int(part) < len(value):
            value = value[int(part)]
        else:
            return None
    return value


def all_at(value: Any, path: Sequence[str]) -> list[Any]:
    """Return the records that a path leads to: the items of a list, or the one object; `*` goes into every member."""
    found = [value]
    for part in path:
        if part in ("*", "**"):
            found = [inner for one in found for inner in _members(one)]
        else:
            found = [inner for one in found if (inner := found_at(one, (part,))) is not None]
    return [record for one in found for record in (one if isinstance(one, list) else [one]) if record is not None]


def with_value(record: Mapping[str, Any], path: Sequence[str], value: Any) -> dict[str, Any]:
    """Return a record with a value at a path."""
    below = record.get(path[0])
    inner = with_value(below if isinstance(below, Mapping) else {}, path[1:], value) if path[1:] else value
    return {**record, path[0]: inner}


def without(record: Mapping[str, Any], path: Sequence[str]) -> dict[str, Any]:
    """Return a record without what a path leads to."""
    if len(path) == 1:
        return {name: value for name, value in record.items() if name != path[0]}
    below = record.get(path[0]) if path else None
    return {**record, path[0]: without(below, path[1:])} if isinstance(below, Mapping) else dict(record)


def _members(value: Any) -> list[Any]:
    if isinstance(value, Mapping):
        return list(value.values())
    return list(value) if isinstance(value, list) else []
