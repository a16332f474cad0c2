"""Whether two documents are the same, and where they differ."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any


class _Absent:
    """Stands for a value that is not there, which is not the same as null."""

    def __repr__(self) -> str:
        return "(absent)"


ABSENT: Any = _Absent()


@dataclass(frozen=True)
class Difference:
    """A value that differs; `before` or `after` is `ABSENT` where there is none.

    Field pairs are named by their right field (their left one where there is none): `fields/tel/to_right`.
    """

    path: str
    before: Any
    after: Any


def canonical(document: Mapping[str, Any]) -> str:
    """Return a document as JSON that does not depend on the order of its keys."""
    return json.dumps(document, ensure_ascii=False, sort_keys=True, separators=(",", ":"))


def digest(document: Mapping[str, Any]) -> str:
    """Return the SHA-256 of the canonical document, in hexadecimal."""
    return hashlib.sha256(canonical(document).encode("utf-8", "surrogatepass")).hexdigest()


def differences(before: Mapping[str, Any], after: Mapping[str, Any]) -> list[Difference]:
    """Return what differs between two documents, in the order of the newer one."""
    return list(_differences("", before, after))


def _differences(path: str, before: Any, after: Any) -> Iterator[Difference]:
    old, new = _parts(before), _parts(after)
    if old is None or new is None or type(before) is not type(after):
        if canonical({"": before}) != canonical({"": after}):
            yield Difference(path, before, after)
        return
    for name in [*new, *(name for name in old if name not in new)]:
        yield from _part(f"{path}/{name}" if path else name, old.get(name, ABSENT), new.get(name, ABSENT))


def _part(path: str, before: Any, after: Any) -> Iterator[Difference]:
    if before is ABSENT or after is ABSENT:
        yield Difference(path, before, after)
    else:
        yield from _differences(path, before, after)


def _parts(value: Any) -> dict[str, Any] | None:
    """Return the parts of a value by name; lists whose entries all have a name of their own go by it."""
    if isinstance(value, Mapping):
        return {str(name): part for name, part in value.items()}
    if not isinstance(value, list):
        return None
    names = [_name(item) for item in value]
    if names and None not in names and len(set(names)) == len(names):
        return {str(name): item for name, item in zip(names, value, strict=True)}
    return {str(number): item for number, item in enumerate(value)}


def _name(item: Any) -> str | None:
    if not isinstance(item, Mapping):
        return None
    name = item.get("right") or item.get("left") or item.get("name") or item.get("metric") or item.get("id")
    return name if isinstance(name, str) else None
