"""Words for states, outcomes and stages in the reader's language."""

from __future__ import annotations

from collections.abc import Iterable

from flask_babel import gettext as _


def labels() -> dict[str, str]:
    """Return the reader's word for each state, outcome and stage."""
    return {
        "queued": _("Queued"),
        "running": _("Running"),
        "succeeded": _("Succeeded"),
        "failed": _("Failed"),
        "suspended": _("Suspended"),
        "cancelled": _("Cancelled"),
        "created": _("Created"),
        "updated": _("Updated"),
        "deleted": _("Deleted"),
        "quarantined": _("Quarantined"),
        "open": _("Open"),
        "resolved": _("Resolved"),
        "discarded": _("Discarded"),
        "read": _("could not be read"),
        "scope": _("the rule's condition failed"),
        "map": _("a value could not be mapped"),
        "match": _("no clear partner"),
        "repeated": _("a key occurs twice"),
        "write": _("refused by the target"),
    }


def choices(values: Iterable[str], everything: str | None = None) -> list[tuple[str, str]]:
    """Return (value, label) pairs for a select, led by an entry for all of them."""
    words = labels()
    head = [("", everything)] if everything else []
    return [*head, *((value, words.get(value, value)) for value in values)]
