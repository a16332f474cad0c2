"""Guards and changed fields: as a page shows them, and back to the document."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from webapp.rulebook.editing import Document, Form, listed, number_or_text, part_of, set_or_drop
from webapp.web.storable import natural

METRICS = ("deletes", "creates", "updates", "blanked", "conflicts", "rejects")
DRIFTS = {"new_field": "propose", "removed": "suspend", "type_change": "quarantine"}


@dataclass(frozen=True)
class GuardLine:
    """One line of the page: what is counted and its limit, empty where there is none; `place` as in the document."""

    metric: str
    over: str = ""
    min: str = ""
    do: str = "suspend"
    place: int | None = None


def guard_lines(document: Mapping[str, Any]) -> list[GuardLine]:
    """Return the guards of a document, and an empty line for everything that has none."""
    found = [_line(guard, place) for place, guard in enumerate(listed(document, "guards"))]
    named = {line.metric for line in found}
    return [*found, *(GuardLine(metric) for metric in METRICS if metric not in named)]


def _line(guard: Mapping[str, Any], place: int) -> GuardLine:
    told = [str(guard.get(name, default)) for name, default in (("metric", ""), ("over", ""), ("min", 0))]
    return GuardLine(told[0], told[1], told[2] if told[2] != "0" else "", str(guard.get("do", "suspend")), place)


def with_limits(document: Document, form: Form) -> Document:
    """Return the document with the submitted guards and what is done about changed fields."""
    new = dict(document)
    if form.get("guards_asked"):
        old = listed(document, "guards")
        numbers = [key.removeprefix("guard-") for key in form if key.startswith("guard-") and form[key]]
        made = [_guard(old, form, n) for n in numbers]
        set_or_drop(new, "guards", [guard for guard in made if guard], [])
    drift = part_of(new, "drift")
    for name, default in DRIFTS.items():
        if form.get(f"drift_{name}"):
            set_or_drop(drift, name, form[f"drift_{name}"], default)
    set_or_drop(new, "drift", drift, {})
    return new


def _guard(old: Any, form: Form, number: str) -> Document | None:
    over = form.get(f"over-{number}", "").strip()
    if not over:
        return None
    place = form.get(f"guard_place-{number}", "")
    guard = dict(old[at]) if (at := natural(place)) is not None and at < len(old) else {}
    guard |= {"metric": form[f"guard-{number}"], "over": number_or_text(over, 0)}
    set_or_drop(guard, "min", number_or_text(form.get(f"min-{number}", ""), 0), 0)
    set_or_drop(guard, "do", form.get(f"do-{number}") or "suspend", "suspend")
    return guard
