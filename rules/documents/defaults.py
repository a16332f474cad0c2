"""What a sync rule leaves unsaid: the action of each situation, from the rule's direction."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import fields

from rules.documents.sync import Action, Direction, Situations, SyncRule

_ALWAYS: Mapping[str, Action] = {
    "linked_unchanged": Action.IGNORE,
    "linked_changed": Action.UPDATE,
    "unlinked": Action.LINK_UPDATE,
    "disputed": Action.CASE,
    "deleted_left": Action.CASE,
    "deleted_right": Action.CASE,
    "edit_vs_delete": Action.CASE,
    "out_of_scope": Action.UNLINK,
}
_BY_DIRECTION: Mapping[Direction, Mapping[str, Action]] = {
    Direction.TWO_WAY: {
        "linked_conflict": Action.MERGE,
        "unmatched_left": Action.CREATE,
        "unmatched_right": Action.CREATE,
    },
    Direction.LEFT_TO_RIGHT: {
        "linked_conflict": Action.UPDATE,
        "unmatched_left": Action.CREATE,
        "unmatched_right": Action.IGNORE,
        "deleted_right": Action.RECREATE,
    },
    Direction.RIGHT_TO_LEFT: {
        "linked_conflict": Action.UPDATE,
        "unmatched_left": Action.IGNORE,
        "unmatched_right": Action.CREATE,
        "deleted_left": Action.RECREATE,
    },
}


def actions(rule: SyncRule) -> dict[str, Action]:
    """Return the action of every situation: the rule's own, else the default of its direction."""
    defaults = {**_ALWAYS, **_BY_DIRECTION[rule.direction]}
    return {f.name: getattr(rule.situations, f.name) or defaults[f.name] for f in fields(Situations)}
