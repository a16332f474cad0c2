"""What can be found for a record pair, and what can become of a record."""

from __future__ import annotations

from enum import StrEnum


class Situation(StrEnum):
    """What was found; the names are the keys of a rule's `situations`."""

    LINKED_UNCHANGED = "linked_unchanged"
    LINKED_CHANGED = "linked_changed"
    LINKED_CONFLICT = "linked_conflict"
    UNLINKED = "unlinked"
    DISPUTED = "disputed"
    UNMATCHED_LEFT = "unmatched_left"
    UNMATCHED_RIGHT = "unmatched_right"
    DELETED_LEFT = "deleted_left"
    DELETED_RIGHT = "deleted_right"
    EDIT_VS_DELETE = "edit_vs_delete"
    OUT_OF_SCOPE = "out_of_scope"


REVIEW = "review"
"""Beside the situations: a record that is perhaps the same as one of the other side."""

APART = "apart"
"""Beside the situations: a record that a person wants to stay without a partner."""

REJECTED = "rejected"
"""Beside the situations: a record that is left out because it does not meet a validation."""

MOVED = "moved"
"""Beside the situations: a record that is left as it is because it has changed since a plan or a run was made."""

UNDONE = "undone"
"""Beside the situations: a record of which a run has taken back what an earlier one had written."""

REFUSED = "refused"
"""Beside the situations: a record that was to be undone and that the target did not take."""


class Outcome(StrEnum):
    """What became of a record; `read` is the sum of all but `deleted`, which counts records of the target."""

    CREATED = "created"
    UPDATED = "updated"
    UNCHANGED = "unchanged"
    SKIPPED = "skipped"
    QUARANTINED = "quarantined"
    CASES = "cases"
    DELETED = "deleted"
