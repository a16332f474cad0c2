"""The field pairs of a two-way rule as a page shows them, and from the submitted page back to the document."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from copy import deepcopy
from dataclasses import dataclass
from typing import Any

from rules.schema import Field, Schema
from webapp.rulebook.editing import (
    BOTH,
    EXPRESSION,
    PARK,
    Document,
    Flow,
    Form,
    Row,
    default_text,
    entries,
    in_usual_order,
    set_on,
    set_on_error,
    set_or_drop,
)
from webapp.rulebook.suggest import suggest
from webapp.web.storable import natural

SIDES = ("left", "right")
WAYS = {"right": Flow("left", "right", "to_right"), "left": Flow("right", "left", "to_left")}
"""Side that is written -> how values get there."""
_AGAINST = {"right": "right_to_left", "left": "left_to_right"}
_TEXTS = ("to_right", "to_left", "when", "when_left", "resolve")


@dataclass(frozen=True)
class Pair:
    """One pair of fields; `place` is the entry's number in the document, None for one that is not there yet."""

    left: str = ""
    right: str = ""
    direction: str = BOTH
    to_right: str = ""
    to_left: str = ""
    strength: str = "normal"
    on: str = BOTH
    when: str = ""
    when_left: str = ""
    conflict: str = ""
    resolve: str = ""
    on_error: str = PARK
    default: str = ""
    place: int | None = None
    suggested: bool = False
    reference: str = ""

    @property
    def written(self) -> bool:
        """Tell whether somebody has written an expression for the pair."""
        return any((self.to_right, self.to_left, self.when, self.when_left, self.resolve, self.reference))

    def row(self, side: str, field: Field | None) -> Row | None:
        """Return how the field of a side gets its value, as the trial asks it; None where nothing flows there."""
        way = WAYS[side]
        name, source, expression = getattr(self, side), getattr(self, way.source), getattr(self, way.expression)
        if not name or self.direction == _AGAINST[side] or not (source or expression):
            return None
        return Row(name, field, EXPRESSION if expression else source, expression, reference=self.reference)


def pairs(document: Mapping[str, Any]) -> list[Pair]:
    """Return the pairs of a document."""
    return [_pair(entry, place) for place, entry in enumerate(entries(document))]


def _pair(entry: Mapping[str, Any], place: int) -> Pair:
    on = entry.get("on") or []

    def text(name: str, default: str = "") -> str:
        return str(entry.get(name) or default)

    return Pair(
        left=text("left"),
        right=text("right"),
        direction=text("direction", BOTH),
        to_right=text("to_right"),
        to_left=text("to_left"),
        strength=text("strength", "normal"),
        on=str(on[0]) if len(on) == 1 else BOTH,
        when=text("when"),
        when_left=text("when_left"),
        conflict=text("conflict"),
        resolve=text("resolve"),
        on_error=text("on_error", PARK),
        default=default_text(entry.get("default")),
        place=place,
        reference=text("reference"),
    )


def with_pairs(document: Document, form: Form) -> Document:
    """Return the document with the keys and pairs of a submitted page; a pair without any field is dropped."""
    new = deepcopy(document)
    new["key"] = {side: form[f"key_{side}"] for side in SIDES if form.get(f"key_{side}")}
    old = entries(document)
    made = [_entry(_old(old, form.get(f"place-{n}", "")), form, n) for n in numbers(form)]
    new["fields"] = [entry for entry in made if entry]
    return new


def numbers(form: Form) -> list[str]:
    """Return the numbers of the submitted pairs, in the page's order."""
    return [key.removeprefix("place-") for key in form if key.startswith("place-")]


def pair_of(form: Form, number: str) -> Pair:
    """Return a submitted pair as it is typed."""
    entry = _entry({}, form, number) or {}
    return _pair(entry, 0)


def without(document: Document, place: str) -> Document:
    """Return the document without the pair at a place."""
    kept = [e for number, e in enumerate(entries(document)) if str(number) != place]
    return {**document, "fields": kept}


def _old(known: Sequence[Mapping[str, Any]], place: str) -> Mapping[str, Any]:
    number = natural(place)
    return known[number] if number is not None and number < len(known) else {}


def _entry(old: Mapping[str, Any], form: Form, number: str) -> Document | None:
    typed = {name: form.get(f"{name}-{number}", "").strip() for name in _FIELDS}
    if not typed["left"] and not typed["right"]:
        return None
    entry = deepcopy(dict(old))
    for name in ("left", "right", "conflict", *_TEXTS):
        set_or_drop(entry, name, typed[name], "")
    if f"reference-{number}" in form:
        set_or_drop(entry, "reference", form[f"reference-{number}"], "")
    if entry.get("conflict") != EXPRESSION_POLICY:
        entry.pop("resolve", None)
    set_or_drop(entry, "direction", typed["direction"] or BOTH, BOTH)
    set_or_drop(entry, "strength", typed["strength"] or "normal", "normal")
    set_on_error(entry, typed)
    set_on(entry, typed["on"])
    return in_usual_order(entry)


EXPRESSION_POLICY = "expression"
_FIELDS = ("left", "right", "direction", "strength", "on", "conflict", "on_error", "default", *_TEXTS)


def with_proposed(document: Document, left: Schema, right: Schema) -> tuple[Document, int]:
    """Return the document with pairs for fields that look alike and are still open, and how many there are."""
    taken = {side: {str(e[side]) for e in entries(document) if e.get(side)} for side in SIDES}
    open_left = Schema(tuple(f for f in left.fields if f.name not in taken["left"] and not f.generated), left.key)
    found = [s for s in suggest(open_left, right, taken["right"]) if not right[s.target].generated]
    made = [{"left": s.source, "right": s.target} for s in found]
    return {**document, "fields": [*entries(document), *made]}, len(made)


def with_possible_ways(document: Document, left: Schema) -> Document:
    """Return the document with pairs that only flow right where the left system fills its field in itself."""
    own = {field.name for field in left.fields if field.generated}
    made = [{**e, "direction": "left_to_right"} if e.get("left") in own else dict(e) for e in entries(document)]
    return {**document, "fields": made}


def open_fields(document: Mapping[str, Any], side: str, schema: Schema | None) -> list[str]:
    """Return the fields of a side that no pair names."""
    named = {entry.get(side) for entry in entries(document)}
    return [f.name for f in (schema.fields if schema else ()) if f.name not in named and not f.generated]


def lost(document: Mapping[str, Any], side: str, schema: Schema | None) -> Iterable[str]:
    """Return the fields that pairs name and the object does not have (any more)."""
    names = set(schema.names) if schema else set()
    return dict.fromkeys(str(e[side]) for e in entries(document) if e.get(side) and e[side] not in names)
