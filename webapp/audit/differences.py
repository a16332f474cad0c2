"""What changed between two JSON documents, as flat paths that a person can read: "fields › phone › when"."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, NamedTuple

ARROW = " › "
_NAMES = ("name", "id", "key", "left", "right", "label")


class Difference(NamedTuple):
    """The values that differ, by path, and how many are the same."""

    before: dict[str, Any]
    after: dict[str, Any]
    same: int


def difference(before: Mapping[str, Any], after: Mapping[str, Any]) -> Difference:
    """Return what differs between two documents."""
    old, new = flat(before), flat(after)
    changed = [path for path in {**old, **new} if path not in old or path not in new or old[path] != new[path]]
    before, after = ({path: side[path] for path in changed if path in side} for side in (old, new))
    return Difference(before, after, len({**old, **new}) - len(changed))


def flat(document: Mapping[str, Any]) -> dict[str, Any]:
    """Return the document's values by path; a list of plain values is one value."""
    return dict(_walk(document, ""))


def _walk(value: Any, path: str) -> Iterator[tuple[str, Any]]:
    parts = _parts(value)
    if parts is None:
        yield path, value
        return
    for name, part in parts:
        yield from _walk(part, f"{path}{ARROW}{name}" if path else name)


def _parts(value: Any) -> list[tuple[str, Any]] | None:
    if isinstance(value, Mapping) and value:
        return [(str(name), part) for name, part in value.items()]
    if isinstance(value, list) and value and all(isinstance(item, Mapping) for item in value):
        return list(zip(_labels(value), value, strict=True))
    return None


def _labels(items: Sequence[Mapping[str, Any]]) -> list[str]:
    """Return a name for each item: what tells them apart, so that a moved item is not taken for a changed one."""
    for name in _NAMES:
        labels = [item.get(name) for item in items]
        if all(isinstance(label, (str, int)) and label != "" for label in labels) and len(set(labels)) == len(labels):
            return [str(label) for label in labels]
    return [str(number) for number in range(1, len(items) + 1)]
