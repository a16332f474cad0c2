"""How deletions are noticed and what is done then: from the submitted page back to the document. Pure functions."""

from __future__ import annotations

from collections.abc import Mapping
from copy import deepcopy

from rules.schema import FieldType, Schema
from webapp.rulebook.editing import Document, Flow, Form, default_text, number_or_text, part_of, set_or_drop
from webapp.rulebook.pairs import SIDES
from webapp.rulebook.situations import defaults_of

Schemas = Mapping[str, Schema | None]


def with_deletes(document: Document, form: Form, schemas: Schemas) -> Document:
    """Return the document of a rule that flows one way with what is done about what is gone from its source."""
    if not form.get("deletes_detect"):
        return document
    new, name = deepcopy(document), f"deleted_{Flow.of(document).source}"
    set_deletes(new, form, schemas)
    wanted, chosen = form.get(f"situation-{name}"), part_of(new, "situations")
    if wanted and (name in chosen or wanted != defaults_of(new)[name]):
        chosen[name] = wanted
    set_or_drop(new, "situations", chosen, {})
    return new


def set_deletes(document: Document, form: Form, schemas: Schemas) -> None:
    """Note how deletions are noticed, and what is written instead of deleting, for the sides that the form has."""
    deletes = part_of(document, "deletes")
    set_or_drop(deletes, "detect", form.get("deletes_detect") or deletes.get("detect", "none"), "none")
    for name in ("when", "when_right"):
        if f"deletes_{name}" in form:
            set_or_drop(deletes, name, form[f"deletes_{name}"].strip(), "")
    deactivate = part_of(deletes, "deactivate")
    for side in SIDES:
        if f"deactivate_field_{side}" not in form:
            continue
        old, field = part_of(deactivate, side), form[f"deactivate_field_{side}"]
        text = form.get(f"deactivate_value_{side}", "").strip()
        set_or_drop(deactivate, side, _deactivation(old, field, text, schemas.get(side)), {})
    set_or_drop(deletes, "deactivate", deactivate, {})
    set_or_drop(document, "deletes", deletes, {})


def _deactivation(old: Document, field: str, text: str, schema: Schema | None) -> Document:
    if not field:
        return {}
    if field == old.get("field") and text == default_text(old.get("value")):
        return old
    known = schema[field].type if schema and field in schema else FieldType.TEXT
    if known is FieldType.BOOLEAN and text.lower() in {"true", "false"}:
        return {"field": field, "value": text.lower() == "true"}
    return {"field": field, "value": number_or_text(text, 0) if known is FieldType.INTEGER and text else text}
