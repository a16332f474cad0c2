"""Two documents side by side: what changed, under the names that people use."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from rules.documents import ABSENT, Difference, differences
from webapp.rulebook.editing import Flow
from webapp.rulebook.key_names import key_name, value_name

Document = Mapping[str, Any]


@dataclass(frozen=True)
class Comparison:
    """The keys that differ, in the form that `ui.diff` shows: before, after and label by path."""

    before: dict[str, Any]
    after: dict[str, Any]
    labels: dict[str, str]

    def __len__(self) -> int:
        return len(self.labels)


def compared(before: Document, after: Document, *, words: bool = True) -> Comparison:
    """Return the differences of two documents, each part of what was added or removed by itself.

    A field that only takes over another is shown as where it comes from. `words` says what our own words mean instead
    of showing them as the document holds them.
    """
    flow = Flow.of(after)
    found = [leaf for difference in differences(before, after) for leaf in _leaves(difference, flow)]

    def shown(path: str, value: Any) -> Any:
        return value_name(path.split("/"), value) if words else value

    return Comparison(
        {d.path: shown(d.path, d.before) for d in found if d.before is not ABSENT},
        {d.path: shown(d.path, d.after) for d in found if d.after is not ABSENT},
        {d.path: key_name(d.path.split("/"), after if d.after is not ABSENT else before) for d in found},
    )


def _leaves(found: Difference, flow: Flow) -> Iterator[Difference]:
    """Yield what was added or removed as a whole part by part."""
    path, value = found.path, found.after if found.before is ABSENT else found.before
    whole = found.before is ABSENT or found.after is ABSENT
    if whole and path.startswith("fields/") and isinstance(value, Mapping) and (text := _plain(value, flow)):
        yield Difference(path, *(ABSENT if side is ABSENT else text for side in (found.before, found.after)))
    elif whole and _has_parts(path, value):
        none: Any = type(value)()
        old, new = (none if side is ABSENT else side for side in (found.before, found.after))
        parts = differences({path: old}, {path: new})
        for part in parts:
            if len(parts) == 1 or not _names_itself(part):
                yield from _leaves(part, flow)
    else:
        yield found


def _has_parts(path: str, value: Any) -> bool:
    """Tell whether a value is shown in parts; plain lists are shown as they are, but for the cells of a row."""
    if isinstance(value, Mapping):
        return bool(value)
    return isinstance(value, list) and any(isinstance(v, (Mapping, list)) or path.startswith("rows/") for v in value)


def _names_itself(found: Difference) -> bool:
    """Tell whether a difference says no more than the name under which its parent stands already."""
    above, _slash, key = found.path.rpartition("/")
    return key == "name" and above.rpartition("/")[2] in (found.before, found.after)


def _plain(entry: Mapping[str, Any], flow: Flow) -> str:
    """Return where a field comes from if nothing else is said of it."""
    rest = set(entry) - {flow.target, flow.source, flow.expression}
    return "" if rest else str(entry.get(flow.expression) or entry.get(flow.source) or "")
