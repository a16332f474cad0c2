"""Two documents side by side: what changed, under the names that people use."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from webapp.rulebook.editing import Flow
from webapp.rulebook.wording import key_name

Document = Mapping[str, Any]
Place = tuple[str, ...]


@dataclass(frozen=True)
class Comparison:
    """The keys that differ, in the form that `ui.diff` shows: before, after and label by place."""

    before: dict[str, Any]
    after: dict[str, Any]
    labels: dict[str, str]

    def __bool__(self) -> bool:
        """Tell whether there is any difference."""
        return bool(self.labels)

    def __len__(self) -> int:
        return len(self.labels)


def compared(before: Document, after: Document) -> Comparison:
    """Return the differences of two documents; fields are told apart by the target field, not by their number."""
    old, new = _flat(before), _flat(after)
    places = [p for p in (*old, *(q for q in new if q not in old)) if old.get(p) != new.get(p)]
    labels = {"/".join(p): key_name(p, after) for p in places}
    return Comparison(
        {"/".join(p): old[p] for p in places if p in old},
        {"/".join(p): new[p] for p in places if p in new},
        labels,
    )


def _flat(document: Document) -> dict[Place, Any]:
    target = Flow.of(document).target
    found: dict[Place, Any] = {}
    for key, value in document.items():
        if key == "fields" and isinstance(value, list):
            for number, entry in enumerate(value):
                _put(found, ("fields", _field_place(entry, number, target)), _entry(entry, target))
        else:
            _put(found, (key,), value)
    return found


def _field_place(entry: Any, number: int, target: str) -> str:
    return str(entry.get(target) or f"#{number + 1}") if isinstance(entry, Mapping) else f"#{number + 1}"


def _entry(entry: Any, target: str) -> Any:
    return {k: v for k, v in entry.items() if k != target} or {"": ""} if isinstance(entry, Mapping) else entry


def _put(found: dict[Place, Any], place: Place, value: Any) -> None:
    if isinstance(value, Mapping) and value:
        for key, inner in value.items():
            _put(found, (*place, str(key)), inner)
    else:
        found[place] = value
