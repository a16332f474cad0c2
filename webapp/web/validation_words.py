"""What validations ask, and what becomes of a record that does not meet one, in the reader's language."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from flask_babel import gettext as _

Choices = list[tuple[str, str]]


def in_a_run() -> Choices:
    """Return the severities of a rule's validations as sentences that go on "A record that does not meet it ..."."""
    return [
        ("quarantine", _("is parked until someone corrects it")),
        ("reject", _("is left out, with its reason")),
        ("warn", _("is written, and listed")),
    ]


def in_an_entity() -> Choices:
    """Return the severities of an entity's validations as sentences that go on "A record that does not meet it ..."."""
    return [
        ("quarantine", _("is refused, to be corrected")),
        ("reject", _("is refused")),
        ("warn", _("is saved after a warning")),
    ]


def short() -> dict[str, str]:
    """Return the severities of a rule in one or two words."""
    return {"quarantine": _("Quarantine"), "reject": _("Leave out"), "warn": _("Warn")}


def short_of_entity() -> dict[str, str]:
    """Return the severities of an entity in one or two words."""
    return {**short(), "reject": _("Refuse")}


def title(validation: Mapping[str, Any]) -> str:
    """Return what a validation of a document asks: what people read when it is not met, or else what it compares."""
    reference, unique = validation.get("reference"), validation.get("unique")
    if validation.get("message"):
        return str(validation["message"])
    if validation.get("check"):
        return str(validation["check"])
    if isinstance(unique, Sequence) and unique and not isinstance(unique, str):
        return str(_("%(fields)s: each value only once", fields=", ".join(map(str, unique))))
    if isinstance(reference, Mapping):
        field, held = str(reference.get("field") or "?"), str(reference.get("object") or "?")
        return str(_("%(field)s: has to exist in %(object)s", field=field, object=held))
    return str(validation.get("name") or "")


def titles(document: Mapping[str, Any]) -> dict[str, str]:
    """Return name -> what it asks, for each validation of a document; a draft may hold anything in their place."""
    held = document.get("validations")
    items = [item for item in held if isinstance(item, Mapping)] if isinstance(held, list) else []
    return {str(item.get("name")): title(item) for item in items}
