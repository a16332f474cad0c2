"""What keeps a rule from having an outbox: its target is asked only when a record is delivered."""

from __future__ import annotations

from collections.abc import Iterator

from rules.documents.problems import DocumentProblem
from rules.documents.sync import Direction, On, SyncRule, Transaction
from rules.reconcile.agreement import executed
from rules.text import N_, Message, msg

_ONE_WAY = N_(
    "An outbox is for rules that flow one way and ask for nothing that only the target can answer while the rule runs:"
    " no cases, no fields that flow back, nothing about records that only the target has."
)
_CORRELATE = N_("With an outbox records are found in the target by their key only. Leave out the matches.")
_KEY = N_(
    "With an outbox the rule itself has to give each record its key in the target, so that it is recognised when it is"
    " sent again: map a field to '{field}', also on create."
)


def check_outbox(rule: SyncRule) -> Iterator[DocumentProblem]:
    """Yield what a rule asks for that its outbox cannot do."""
    if rule.transaction is Transaction.OUTBOX:
        yield from (DocumentProblem("transaction", problem) for problem in _problems(rule))


def _problems(rule: SyncRule) -> Iterator[Message]:
    if executed(rule).direction is Direction.TWO_WAY:
        yield msg(_ONE_WAY)
        return
    if rule.correlate:
        yield msg(_CORRELATE)
    side = "left" if rule.direction is Direction.RIGHT_TO_LEFT else "right"
    key = getattr(rule.key, side)
    if not any(getattr(field, side) == key and On.CREATE in field.on and field.when is None for field in rule.fields):
        yield msg(_KEY, field=key)
