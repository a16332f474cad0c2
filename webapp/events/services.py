"""What people do with event rules at work: try a failed action again, start a rule again that was stopped."""

from __future__ import annotations

import sqlalchemy as sa

from rules.text import N_, Message, msg
from webapp.audit.services import Event, Subject, record
from webapp.audit.tags import Tag
from webapp.events import kind, sources
from webapp.events.models import event_action, event_rule_clock
from webapp.events.reading import ActionRow, action
from webapp.extensions import Actor, House
from webapp.rulebook import reading as rulebook

__all__ = ["ActionRefused", "kind", "restart", "retry", "sources"]


class ActionRefused(Exception):
    """Something cannot be done with an action or rule; `message` says why."""

    def __init__(self, message: Message, *, missing: bool = False) -> None:
        super().__init__(str(message))
        self.message = message
        self.missing = missing


def retry(house: House, action_id: int, actor: Actor) -> ActionRow:
    """Let a failed action be tried again; raises `ActionRefused`."""
    with house.db.begin() as tx:
        row = action(tx, action_id)
        if row is None:
            raise ActionRefused(msg("There is no action {id}.", id=action_id), missing=True)
        if row.state != "failed":
            text = N_("Action {id} is {state}; only a failed action can be tried again.")
            raise ActionRefused(msg(text, id=action_id, state=row.state))
        if not row.args:
            text = N_("Action {id} has no values, because they could not be worked out. Correct the rule.")
            raise ActionRefused(msg(text, id=action_id))
        now = house.clock()
        values = {"state": "pending", "attempts": 0, "due_at": now, "ended_at": None, "problem": None}
        table = event_action
        tx.execute(sa.update(table).where(table.c.id == action_id, table.c.state == "failed").values(values))
        after = {"action": row.kind, "id": action_id}
        subject = Subject("rule", row.rule_name, row.key)
        record(tx, actor, now, Event(Tag.EVENT_ACTION_RETRIED, subject, {"problem": str(row.problem or "")}, after))
        found = action(tx, action_id)
        return found or row


def restart(house: House, rule_name: str, actor: Actor) -> None:
    """Let a rule that was stopped work again; nothing happens where none was."""
    with house.db.begin() as tx:
        row = rulebook.get(tx, rule_name)
        table = event_rule_clock
        mine = (table.c.rule_id == row.id, table.c.problem.is_not(None))
        if tx.execute(sa.update(table).where(*mine).values(problem=None)).rowcount:
            record(tx, actor, house.clock(), Event(Tag.RULE_RESUMED, Subject("rule", rule_name)))
