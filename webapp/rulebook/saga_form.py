"""The steps of a saga: as a form shows them, and back to the document. Pure functions."""

from __future__ import annotations

from collections.abc import Mapping
from copy import deepcopy
from dataclasses import dataclass
from typing import Any

from rules.documents.saga import CreatedBack, UpdatedBack
from webapp.rulebook.editing import Document, Form, listed, part_of, set_or_drop
from webapp.web.storable import natural

_SPARE = {"field": "", "value": ""}
_DEFAULTS = {"created": CreatedBack.DELETE.value, "updated": UpdatedBack.RESTORE.value}
_TEXTS = ("name", "connection", "object", "match", "key")


@dataclass(frozen=True)
class StepRow:
    """One step as the form shows it: its texts, its fields with an empty one behind, and how it is taken back."""

    texts: Mapping[str, str]
    fields: list[Mapping[str, str]]
    back: Mapping[str, str]
    undo: list[Mapping[str, str]]


def saga_rows(document: Mapping[str, Any]) -> list[StepRow]:
    """Return the steps of a document."""
    return [_row(step) for step in listed(part_of(document, "saga"), "steps")]


def own_back(document: Mapping[str, Any]) -> Mapping[str, str]:
    """Return how a rule's own record is taken back."""
    return _back(part_of(part_of(document, "saga"), "compensate"))


def own_undo(document: Mapping[str, Any]) -> list[Mapping[str, str]]:
    """Return what is written to take a rule's own record back, with an empty line behind."""
    return [*_fields(part_of(part_of(document, "saga"), "compensate")), _SPARE]


def _row(step: Mapping[str, Any]) -> StepRow:
    texts = {name: str(step.get(name) or "") for name in _TEXTS}
    back = part_of(step, "compensate")
    return StepRow(texts, [*_fields(step), _SPARE], _back(back), [*_fields(back), _SPARE])


def _fields(part: Mapping[str, Any]) -> list[Mapping[str, str]]:
    return [{name: str(one.get(name) or "") for name in _SPARE} for one in listed(part, "fields")]


def _back(part: Mapping[str, Any]) -> Mapping[str, str]:
    return {name: str(part.get(name, default)) for name, default in _DEFAULTS.items()}


def with_saga(document: Document, form: Form) -> Document:
    """Return the document with the submitted steps, in their order; a button may add, move or remove one."""
    if not form.get("saga_asked"):
        return document
    new, saga = deepcopy(document), part_of(document, "saga")
    steps = [_step(old, form, f"step-{number}") for number, old in enumerate(listed(saga, "steps"))]
    saga["steps"] = _moved(steps, form.get("do", ""))
    _set_back(saga, form, "own")
    set_or_drop(new, "saga", saga if saga["steps"] else None, None)
    return new


def _moved(steps: list[Document], deed: str) -> list[Document]:
    """Return steps behind what a button says: `step-add`, or `step-up-1`, `step-down-1`, `step-drop-1`."""
    if deed == "step-add":
        return [*steps, {"name": f"step_{len(steps) + 1}", "connection": "", "object": "", "match": "", "fields": []}]
    word, place = _asked(deed)
    if place is None or place >= len(steps):
        return steps
    rest, one = [*steps[:place], *steps[place + 1 :]], steps[place]
    to = {"up": max(0, place - 1), "down": place + 1}.get(word, place)
    return rest if word == "drop" else [*rest[:to], one, *rest[to:]]


def _asked(deed: str) -> tuple[str, int | None]:
    """Return what a button asks for, and of which step."""
    word, _, number = deed.removeprefix("step-").partition("-")
    return word, natural(number) if deed.startswith("step-") else None


def anchor(deed: str, steps: int) -> str:
    """Return where the page goes on behind a button of the steps, of which there are so many; empty behind others."""
    if not deed.startswith("step-"):
        return ""
    word, place = _asked(deed)
    if word == "own" or not steps:
        return "#saga"
    wanted = steps - 1 if place is None else place + {"up": -1, "down": 1}.get(word, 0)
    return f"#step-{min(max(wanted, 0), steps - 1)}"


def _step(old: Mapping[str, Any], form: Form, prefix: str) -> Document:
    step = deepcopy(dict(old))
    for name in _TEXTS:
        step[name] = form.get(f"{prefix}-{name}", "").strip()
    set_or_drop(step, "key", step["key"], "")
    step["fields"] = _submitted(form, f"{prefix}-fields")
    _set_back(step, form, prefix)
    return step


def _set_back(part: Document, form: Form, prefix: str) -> None:
    back = part_of(part, "compensate")
    for name, default in _DEFAULTS.items():
        set_or_drop(back, name, form.get(f"{prefix}-{name}", default), default)
    if f"{prefix}-undo-field-0" in form:
        set_or_drop(back, "fields", _submitted(form, f"{prefix}-undo"), [])
    set_or_drop(part, "compensate", back, {})


def _submitted(form: Form, prefix: str) -> list[Document]:
    """Return the pairs of field and value that are filled in."""
    found, number = [], 0
    while f"{prefix}-field-{number}" in form:
        pair = {name: form.get(f"{prefix}-{name}-{number}", "").strip() for name in _SPARE}
        found += [pair] if any(pair.values()) else []
        number += 1
    return found
