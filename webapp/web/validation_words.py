"""What becomes of a record that does not meet a validation, in the reader's language."""

from __future__ import annotations

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
