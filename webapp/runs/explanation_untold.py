"""Why the values of a record are not there, so that only what became of it can be told."""

from __future__ import annotations

from typing import TYPE_CHECKING

from rules.documents.sync import SyncRule
from rules.reconcile.situations import Outcome
from rules.text import Message, msg

if TYPE_CHECKING:
    from webapp.runs.explanation import Result

_KEPT_NOTHING = msg(
    "The values of this run were not kept, because its rule says explain: false. Under Behaviour, switch on 'Keep the"
    " values that each run reads'; records of later runs can then be explained."
)
OLDER = msg("The values of this record were not kept, so only what became of it can be shown.")
_PASSED = msg(
    "Both sides were as the rule had left them, so the record was not read again, or its values were not kept."
)
_GONE = msg("This record is gone from its source, so there are no values of it.")
_UNREAD = msg("This record could not be read from its source, so the rule never saw its values.")


def untold(result: Result, rule: SyncRule) -> Message:
    """Return why the values of a record are not there."""
    if result.gone:
        return _GONE
    if rule.explain and result.stage != "read" and result.outcome == Outcome.UNCHANGED:
        return _PASSED
    return untold_pair(result, rule)


def untold_pair(result: Result, rule: SyncRule) -> Message:
    """Return why the values of a pair are not there: both of its records are read."""
    if result.stage == "read":
        return _UNREAD
    return OLDER if rule.explain else _KEPT_NOTHING
