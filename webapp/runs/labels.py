"""Words for states, outcomes and stages in the reader's language."""

from __future__ import annotations

import re
from collections.abc import Iterable

from flask_babel import gettext as _

from rules.documents.sync import SyncRule
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
        "moved": _("Changed since"),
        "refused": _("Refused by the target"),
        "open": _("Open"),
        "resolved": _("Resolved"),
        "discarded": _("Discarded"),
        "read": _("could not be read"),
        "scope": _("the rule's condition failed"),
        "validate": _("a validation is not met"),
        "map": _("a value could not be mapped"),
        "reference": _("waits for another record"),
        "match": _("no clear partner"),
        "repeated": _("a key occurs twice"),
        "write": _("refused by the target"),
    }


def situations() -> dict[str, str]:
    """Return in the reader's language what was found for records, as a heading over them."""
    return {
        "linked_unchanged": _("Linked, and all fields agree"),
        "linked_changed": _("Linked, and some fields differ"),
        "linked_conflict": _("Linked, and both sides have changed"),
        "unlinked": _("Partner found, not linked so far"),
        "disputed": _("Several records fit"),
        "review": _("A record that may fit"),
        "apart": _("Kept without a partner"),
        "unmatched_left": _("Only on the left, no partner found"),
        "unmatched_right": _("Only on the right, no partner found"),
        "deleted_left": _("Linked, and gone on the left"),
        "deleted_right": _("Linked, and gone on the right"),
        "edit_vs_delete": _("Changed on one side, gone on the other"),
        "out_of_scope": _("Does not meet the condition of the rule"),
        "rejected": _("Does not meet a validation"),
        "moved": _("Has changed since"),
        "undone": _("Taken back"),
        "refused": _("Refused by the target"),
        "none": _("Could not be read or decided"),
    }


def side_names(rule: SyncRule) -> dict[str, str]:
    """Return what both sides of a rule are called."""
    sides = {"left": rule.left, "right": rule.right}
    return {name: f"{side.connection} · {side.object}" for name, side in sides.items()}


_PLACE = re.compile(r"(record|line|row) (\d+)|(key) (.+)", re.DOTALL)
_PLACES = {
    "record": N_("record {number}"),
    "line": N_("line {number}"),
    "row": N_("row {number}"),
    "key": N_("key {number}"),
}


def place_words(text: str) -> str:
    """Return where a record stands in its source ("line 17") in the reader's language, others as they are."""
    found = _PLACE.fullmatch(text)
    return _(_PLACES[found[1] or found[3]]).format(number=found[2] or found[4]) if found else text


def choices(values: Iterable[str], everything: str | None = None) -> list[tuple[str, str]]:
    """Return (value, label) pairs for a select, led by an entry for all of them."""
    words = labels()
    head = [("", everything)] if everything else []
    return [*head, *((value, words.get(value, value)) for value in values)]
