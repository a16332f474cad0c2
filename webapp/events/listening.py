"""Which types of events rules listen to; of others that Syncline itself could give, none is stored."""

from __future__ import annotations

import sqlalchemy as sa

from rules.documents.event_rule import KIND
from webapp.events.deeds import ORIGIN
from webapp.events.models import event_action, event_kept
from webapp.extensions import Actor
from webapp.rulebook.models import rule, rule_version
from webapp.rulebook.reading import ACTIVE


def listened(tx: sa.Connection) -> set[str]:
    """Return the types of events that active rules listen to, older versions with something open included."""
    table = rule_version
    older = sa.exists().where(event_kept.c.rule_id == rule.c.id, event_kept.c.version == table.c.version)
    query = (
        sa.select(table.c.document)
        .join(rule, rule.c.id == table.c.rule_id)
        .where(rule.c.kind == KIND, rule.c.state == ACTIVE)
        .where(sa.or_(table.c.version == rule.c.published_version, older))
    )
    return {listen["type"] for document in tx.scalars(query) for listen in document.get("events", {}).values()}


def depth_of(tx: sa.Connection, actor: Actor) -> int:
    """Return how many actions of event rules stand behind what an actor does."""
    if actor.kind != "system" or not (actor.id or "").startswith(ORIGIN):
        return 0
    action_id = int(str(actor.id).removeprefix(ORIGIN))
    depth = tx.scalar(sa.select(event_action.c.depth).where(event_action.c.id == action_id))
    return int(depth or 0) + 1
