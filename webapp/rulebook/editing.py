"""From a rule's document to what the pages show, and from submitted forms back to the document. Pure functions.

Forms change the keys that they show and leave all others as they are; what has its default value is left out.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from copy import deepcopy
from dataclasses import dataclass
from typing import Any

from rules.schema import Field, Schema
from webapp.rulebook.situations import ASKED, SHOWN, defaults_of
from webapp.rulebook.suggest import ENOUGH, likeness, suggest
from webapp.web.storable import natural

Document = dict[str, Any]
Form = Mapping[str, str]
EXPRESSION = "="
BOTH = "both"
WRITES = ("create", "update")
PARK = "quarantine"
SPLIT = {"over": 500_000, "every": 250_000}


@dataclass(frozen=True)
class Flow:
    """Which side is read and which is written, and the key of a field that says how."""

    source: str
    target: str
    expression: str

    @classmethod
    def of(cls, document: Mapping[str, Any]) -> Flow:
        """Return the flow of a document; a two-way rule is shown from left to right."""
        if document.get("direction") == "right_to_left":
            return cls("right", "left", "to_left")
        return cls("left", "right", "to_right")


@dataclass(frozen=True)
class Row:
    """One line of the mapping table: how a target field gets its value.

    `source` is the name of a source field, `EXPRESSION`, or "" where the field is left alone. `place` is the entry's
    number in the document; `field` is None where the target has no such field (any more).
    """

    name: str
    field: Field | None
    source: str = ""
    expression: str = ""
    strength: str = "normal"
    on: str = BOTH
    when: str = ""
    on_error: str = PARK
    default: str = ""
    place: int | None = None
    suggested: bool = False
    reference: str = ""

    @property
    def required(self) -> bool:
        """Tell whether the target refuses a new record without this field."""
        return self.field is not None and not (self.field.nullable or self.field.has_default or self.field.generated)

    @property
    def special(self) -> bool:
        """Tell whether the row says more than where its value comes from."""
        said = self.strength != "normal" or self.on != BOTH or self.on_error != PARK
        return said or bool(self.when) or bool(self.reference)


def is_two_way(document: Mapping[str, Any]) -> bool:
    """Tell whether values flow both ways."""
    return document.get("direction") == "two_way"


def rows(document: Mapping[str, Any], target: Schema | None) -> list[Row]:
    """Return a row for every target field in the target's order, then for what the document names beside them."""
    flow = Flow.of(document)
    named = {str(e[flow.target]): (i, e) for i, e in enumerate(entries(document)) if e.get(flow.target)}
    fields = target.fields if target else ()
    known = [_row(f.name, f, named.get(f.name), flow) for f in fields]
    names = {f.name for f in fields}
    return known + [_row(name, None, found, flow) for name, found in named.items() if name not in names]


def _row(name: str, field: Field | None, found: tuple[int, Mapping[str, Any]] | None, flow: Flow) -> Row:
    if found is None:
        return Row(name, field)
    place, entry = found
    expression = str(entry.get(flow.expression) or "")
    on = entry.get("on") or []
    return Row(
        name,
        field,
        EXPRESSION if expression else str(entry.get(flow.source) or ""),
        expression,
        str(entry.get("strength", "normal")),
        str(on[0]) if len(on) == 1 else BOTH,
        str(entry.get("when") or ""),
        str(entry.get("on_error", PARK)),
        default_text(entry.get("default")),
        place,
        reference=str(entry.get("reference") or ""),
    )


def with_mapping(document: Document, form: Form, generated: Iterable[str] = ()) -> Document:
    """Return the document with the keys and fields of a submitted mapping table.

    Entries without a target on the written side stay as they are.
    """
    new, flow = deepcopy(document), Flow.of(document)
    key = {flow.source: form.get("key_source", ""), flow.target: form.get("key_target", "")}
    new["key"] = {side: key[side] for side in ("left", "right") if key[side]}
    old = {str(e[flow.target]): e for e in entries(document) if e.get(flow.target)}
    order = _in_order(form, old)
    made = [_entry(old.get(name, {}), name, _row_of(form, number), flow) for name, number in order]
    kept = [e for e in entries(document) if not e.get(flow.target)]
    barred = set(generated)
    new["fields"] = [e for e in made if e and e[flow.target] not in barred] + kept
    return new


def _in_order(form: Form, old: Mapping[str, Any]) -> list[tuple[str, str]]:
    """Return (target, number in the form): first in the document's order, then new ones in the form's."""
    numbers = {form[key]: key.removeprefix("target-") for key in form if key.startswith("target-") and form[key]}
    return [(n, numbers[n]) for n in old if n in numbers] + [(n, i) for n, i in numbers.items() if n not in old]


def _row_of(form: Form, number: str) -> dict[str, str]:
    names = ("source", "expression", "strength", "on", "when", "on_error", "default")
    row = {name: form.get(f"{name}-{number}", "").strip() for name in names}
    return row | ({"reference": form[f"reference-{number}"]} if f"reference-{number}" in form else {})


def _entry(old: Mapping[str, Any], name: str, row: Mapping[str, str], flow: Flow) -> Document | None:
    if not row["source"] or (row["source"] == EXPRESSION and not row["expression"]):
        return None
    entry = {**deepcopy(dict(old)), flow.target: name}
    if row["source"] == EXPRESSION:
        entry[flow.expression] = row["expression"]
        entry.pop("reference", None)
    else:
        entry.pop(flow.expression, None)
        entry[flow.source] = row["source"]
        set_or_drop(entry, "reference", row.get("reference", entry.get("reference")) or None, None)
    set_or_drop(entry, "strength", row["strength"] or "normal", "normal")
    set_or_drop(entry, "when", row["when"], "")
    set_on_error(entry, row)
    set_on(entry, row["on"])
    return in_usual_order(entry)


def set_on(entry: Document, chosen: str) -> None:
    """Set when a field is written; what is no choice leaves it as it was, for the check to tell."""
    if chosen in WRITES:
        entry["on"] = [chosen]
    elif chosen in {"", BOTH}:
        entry.pop("on", None)


def in_usual_order(entry: Document) -> Document:
    """Return a field pair with its keys in the order in which people read them."""
    return {key: entry[key] for key in sorted(entry, key=lambda k: _FIRST.index(k) if k in _FIRST else len(_FIRST))}


def set_on_error(entry: Document, row: Mapping[str, str]) -> None:
    """Note what to do about a record without a value; a default that was not touched keeps its type."""
    set_or_drop(entry, "on_error", row["on_error"] or PARK, PARK)
    if row["default"] != default_text(entry.get("default")):
        set_or_drop(entry, "default", row["default"], "")


def default_text(value: Any) -> str:
    """Return a default as a form shows it."""
    if isinstance(value, bool):
        return "true" if value else "false"
    return "" if value is None else str(value)


_FIRST = (
    "left",
    "right",
    "reference",
    "to_right",
    "to_left",
    "direction",
    "strength",
    "on",
    "when",
    "when_left",
    "on_error",
    "default",
    "conflict",
    "resolve",
)


def with_suggestions(document: Document, source: Schema, target: Schema) -> tuple[Document, set[str]]:
    """Return the document with proposals for the target fields that are still open, and the names of those."""
    new, flow = deepcopy(document), Flow.of(document)
    _guess_key(new, flow, source, target)
    key = new["key"]
    taken = {str(e[flow.target]) for e in entries(new) if e.get(flow.target)}
    pairs = {s.target: s.source for s in suggest(source, target, taken)}
    if key.get(flow.target) in target and not target[key[flow.target]].generated and key[flow.target] not in taken:
        pairs = {key[flow.target]: key[flow.source], **{t: s for t, s in pairs.items() if t != key[flow.target]}}
    order = [name for name in target.names if name in pairs]
    made = [{flow.source: pairs[name], flow.target: name} for name in order]
    new["fields"] = [*entries(new), *({s: e[s] for s in ("left", "right")} for e in made)]
    return new, set(order)


def _guess_key(document: Document, flow: Flow, source: Schema, target: Schema) -> None:
    """Fill in the key fields that are missing: the systems' own keys, or the field most like the other side's key."""
    key = part_of(document, "key")
    if not key.get(flow.target) and target.key:
        key[flow.target] = target.key[0]
    if not key.get(flow.source) and source.fields:
        key[flow.source] = _source_key(source, target[key[flow.target]] if key.get(flow.target) in target else None)
    if not key.get(flow.target) and target.fields and key.get(flow.source) in source:
        own = source[key[flow.source]]
        key[flow.target] = max(target.fields, key=lambda f: likeness(own, f)).name
    document["key"] = {side: key[side] for side in ("left", "right") if key.get(side)}


def _source_key(source: Schema, target: Field | None) -> str:
    """Return the source's own key, or a field that is never empty and much more like the target's key."""
    own = source[source.key[0]] if source.key else source.fields[0]
    sure = [f for f in source.fields if not f.nullable or not source.key]
    if target is None or target.generated or not sure:
        return own.name
    best = max(sure, key=lambda f: likeness(f, target))
    return best.name if likeness(best, target) > max(likeness(own, target), ENOUGH) else own.name


def with_behaviour(document: Document, form: Form, cron: str | None) -> Document:
    """Return the document with what the page "What happens" says."""
    new, flow = deepcopy(document), Flow.of(document)
    new[flow.source] = part_of(new, flow.source)
    set_or_drop(new[flow.source], "where", form.get("where", "").strip(), "")
    detect = part_of(new, "detect")
    set_or_drop(detect, flow.source, _detect(form), {})
    set_or_drop(new, "detect", detect, {})
    _set_situations(new, form)
    set_errors(new, form)
    set_schedule(new, form, cron)
    set_split(new, form)
    if form.get("explain_asked"):
        set_or_drop(new, "explain", bool(form.get("explain")), True)
    return new


def _set_situations(document: Document, form: Form) -> None:
    """Note what the form chose; an action that is taken anyway is noted only where the document said it before."""
    chosen = part_of(document, "situations")
    usual = defaults_of(document)
    for name in SHOWN:
        if form.get(name) and (name in chosen or form[name] != usual[name]):
            chosen[name] = form[name]
    for name in ASKED:
        if name in form:
            set_or_drop(chosen, name, form[name], "")
    set_or_drop(document, "situations", chosen, {})


def _detect(form: Form) -> Document:
    if form.get("detect") == "cdc":
        return {"by": "cdc"}
    if form.get("detect") != "cursor":
        return {}
    found: Document = {"by": "cursor", "field": form.get("cursor_field", "")}
    set_or_drop(found, "tie", form.get("cursor_tie", ""), "")
    set_or_drop(found, "overlap", form.get("cursor_overlap", "").strip() or "5m", "5m")
    return found


def set_errors(document: Document, form: Form) -> None:
    """Note what is done when something goes wrong."""
    errors = part_of(document, "errors")
    set_or_drop(errors, "data", form.get("on_bad_record") or "quarantine", "quarantine")
    set_or_drop(errors, "stop_after", number_or_text(form.get("stop_after", ""), 1000), 1000)
    if "expire" in form:
        set_or_drop(errors, "expire", form["expire"].strip(), "")
    transient = part_of(errors, "transient")
    set_or_drop(transient, "retry", number_or_text(form.get("retry", ""), 5), 5)
    set_or_drop(errors, "transient", transient, {})
    set_or_drop(document, "errors", errors, {})


def set_schedule(document: Document, form: Form, cron: str | None) -> None:
    """Note when the rule runs by itself."""
    if cron is None:
        document.pop("schedule", None)
        return
    schedule = {**part_of(document, "schedule"), "cron": cron}
    set_or_drop(schedule, "timezone", form.get("timezone", "").strip() or "UTC", "UTC")
    set_or_drop(schedule, "misfire", form.get("misfire") or "once", "once")
    document["schedule"] = schedule


def set_split(document: Document, form: Form) -> None:
    """Note whether runs are split."""
    if not form.get("split_asked"):
        return
    split = part_of(document, "split")
    for name, default in SPLIT.items():
        set_or_drop(split, name, number_or_text(form.get(f"split_{name}", ""), default), default)
    set_or_drop(document, "split", split if form.get("split") else None, None)


def part_of(document: Mapping[str, Any], name: str) -> Document:
    """Return a copy of the keys below `name`; none where a draft holds something else there."""
    found = document.get(name)
    return dict(found) if isinstance(found, Mapping) else {}


def set_or_drop(holder: Document, name: str, value: Any, default: Any) -> None:
    """Set a key, or leave it out where it has its default."""
    if value == default:
        holder.pop(name, None)
    else:
        holder[name] = value


def number_or_text(text: str, default: int) -> int | str:
    """Return the number that was typed, or the text as it is, so that the check can point at it."""
    text = text.strip()
    if not text:
        return default
    number = natural(text)
    return text if number is None else number


def listed(document: Mapping[str, Any], name: str) -> Sequence[Mapping[str, Any]]:
    """Return the mappings in the list below `name`; none where a draft holds something else there."""
    found = document.get(name)
    return [e for e in found if isinstance(e, Mapping)] if isinstance(found, Sequence) else []


def entries(document: Mapping[str, Any]) -> Sequence[Mapping[str, Any]]:
    """Return the field pairs of a document; what a broken draft holds in their place is left out."""
    found = document.get("fields") or []
    return [e for e in found if isinstance(e, Mapping)] if isinstance(found, Sequence) else []
