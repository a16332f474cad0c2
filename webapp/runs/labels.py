"""Words for states, outcomes and stages in the reader's language."""

from __future__ import annotations

import re
from collections.abc import Iterable

from flask_babel import gettext as _

from rules.text import N_


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
        "rejected": _("Left out"),
        "open": _("Open"),
        "resolved": _("Resolved"),
        "discarded": _("Discarded"),
        "read": _("could not be read"),
        "scope": _("the rule's condition failed"),
        "validate": _("a validation is not met"),
        "map": _("a value could not be mapped"),
        "match": _("no clear partner"),
        "repeated": _("a key occurs twice"),
        "write": _("refused by the target"),
    }


_PLACE = re.compile(r"(record|line|row) (\d+)")
_PLACES = {"record": N_("record {number}"), "line": N_("line {number}"), "row": N_("row {number}")}


def place_words(text: str) -> str:
    """Return where a record stands in its source ("line 17") in the reader's language, others as they are."""
    found = _PLACE.fullmatch(text)
    return _(_PLACES[found[1]]).format(number=found[2]) if found else text


def choices(values: Iterable[str], everything: str | None = None) -> list[tuple[str, str]]:
    """Return (value, label) pairs for a select, led by an entry for all of them."""
    words = labels()
    head = [("", everything)] if everything else []
    return [*head, *((value, words.get(value, value)) for value in values)]
