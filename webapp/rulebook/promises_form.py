"""What people may expect of a rule: as a page shows it, and back to the document."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from webapp.rulebook.editing import Document, Form, number_or_text, part_of, set_or_drop

TIMES = ("fresh_within", "done_within", "decided_within")
NUMBERS = ("at_most_failed", "at_most_waiting")


def promises(document: Mapping[str, Any]) -> dict[str, str]:
    """Return what a document promises as the form shows it, empty texts where it promises nothing."""
    said = part_of(document, "service")
    return {name: str(said.get(name, "")) for name in (*TIMES, *NUMBERS)}


def with_promises(document: Document, form: Form) -> Document:
    """Return the document with the submitted priority and service level; without a level if all is empty."""
    if not form.get("service_asked"):
        return document
    new, service = dict(document), part_of(document, "service")
    set_or_drop(new, "priority", form.get("priority") or new.get("priority", "normal"), "normal")
    for name in TIMES:
        set_or_drop(service, name, form.get(f"service_{name}", "").replace(" ", ""), "")
    for name in NUMBERS:
        text = form.get(f"service_{name}", "").replace(" ", "")
        set_or_drop(service, name, number_or_text(text, 0) if text else "", "")
    set_or_drop(new, "service", service, {})
    return new
