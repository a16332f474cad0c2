"""Two documents side by side: what changed, under the names that people use."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from rules.documents import ABSENT, differences
from webapp.rulebook.editing import Flow
from webapp.rulebook.wording import key_name

Document = Mapping[str, Any]


@dataclass(frozen=True)
class Comparison:
    """The keys that differ, in the form that `ui.diff` shows: before, after and label by path."""

    before: dict[str, Any]
    after: dict[str, Any]
    labels: dict[str, str]

    def __len__(self) -> int:
        return len(self.labels)


def compared(before: Document, after: Document) -> Comparison:
    """Return the differences of two documents; a field that was added or removed is shown as where it comes from."""
    found = differences(before, after)
    flow = Flow.of(after)
    return Comparison(
        {d.path: _readable(d.path, d.before, flow) for d in found if d.before is not ABSENT},
        {d.path: _readable(d.path, d.after, flow) for d in found if d.after is not ABSENT},
        {d.path: key_name(d.path.split("/"), after) for d in found},
    )


def _readable(path: str, value: Any, flow: Flow) -> Any:
    if not path.startswith("fields/") or not isinstance(value, Mapping):
        return value
    rest = {k: v for k, v in value.items() if k not in {flow.target, flow.source, flow.expression}}
    text = value.get(flow.expression) or value.get(flow.source)
    return text if text and not rest else dict(value)
